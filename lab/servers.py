"""The servers: how each is started so that they can be compared, and what each cannot do.

Owns: programs, versions, configurations in a directory of the run, start and end.
Must not: measure.

All serve the same files and refuse the same upload. Where a server has a setting for it, a kept
connection may be idle for KEEP_IDLE_S, a head may take HEAD_S, and a client that takes nothing is
given WRITE_S. How they say goodbye is their own: that is what is measured.
"""

import collections
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time

PORT = 8080
KEEP_IDLE_S = 2
HEAD_S = 10
WRITE_S = 10
# Slots of those servers that have them, in a swarm.
SLOTS = 2100
# The queue of the listener in a swarm: nginx's and Apache's.
BACKLOG = 511
START_S = 20
STOP_S = 15

# Name and bytes of the files; their content does not matter.
FILES = {"small": 512, "32k": 32 << 10, "256k": 256 << 10, "512k": 512 << 10, "large": 8 << 20}
# What is refused: a POST to it, whatever its length, before its body has come.
REFUSED = "/refused"
# The page that a refusal comes with where one is wanted.
PAGE_BYTES = 200_000

Kind = collections.namedtuple("Kind", "name label program refuses keeps")

KINDS = {
    kind.name: kind
    for kind in (
        Kind("linger", "adieu", "adieu-linger", "405: POST is allowed nowhere", True),
        Kind("no-lingclose", "adieu, no-lingclose", "adieu-no-lingclose", "the same", True),
        Kind("so-linger", "adieu, so-linger", "adieu-so-linger", "the same", True),
        Kind("nginx", "nginx", "nginx", "413: `client_max_body_size 1000`", True),
        Kind("apache2", "Apache httpd", "apache2", "403: `Require all denied`", True),
        Kind("lighttpd", "lighttpd", "lighttpd", "413: `server.max-request-size = 1`", True),
        Kind("busybox", "busybox httpd", "busybox", "501: POST to a file", False),
        Kind("mini_httpd", "mini_httpd", "mini_httpd", "501: POST to a file", False),
    )
}
OURS = ("linger", "no-lingclose", "so-linger")


def find(kind, programs):
    """The path of its program, or None."""
    if kind.name in OURS:
        path = os.path.join(programs, kind.program)
        return path if os.access(path, os.X_OK) else None
    return shutil.which(kind.program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def version(kind, path):
    """One line that names the version."""
    flag = {"nginx": "-v", "apache2": "-v", "lighttpd": "-v", "busybox": "--help"}
    done = subprocess.run(
        [path, flag.get(kind.name, "-V")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )
    first = (done.stdout.splitlines() or ["?"])[0]
    return re.sub(r"^Server version: |^nginx version: | - a light.*| multi-call.*", "", first)


def fingerprint(path):
    """What says whether a program is still the same."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:16]


def site(place):
    """The directory that all serve."""
    root = os.path.join(place, "site")
    os.makedirs(root)
    for name, size in FILES.items():
        with open(os.path.join(root, name), "wb") as file:
            file.write(bytes(65 + index % 26 for index in range(1024)) * (size // 1024)
                       or b"A" * size)
    with open(os.path.join(root, "refused"), "wb") as file:
        file.write(b"not for you\n")
    os.mkdir(os.path.join(root, "errors"))
    for name in ("page.html", "status-413.html", "errors/err501.html"):
        with open(os.path.join(root, name), "wb") as file:
            file.write((b"page" * 24 + b"<p>\n") * (PAGE_BYTES // 100))
    # The peers serve as nobody.
    for folder, _, names in os.walk(place):
        os.chmod(folder, 0o755)
        for name in names:
            os.chmod(os.path.join(folder, name), 0o644)
    return root


NGINX = """\
daemon off;
worker_processes 1;
pid {place}/nginx.pid;
error_log {place}/log warn;
events {{ worker_connections 4400; }}
http {{
  access_log off;
  sendfile on;
  keepalive_timeout {keep}s;
  client_header_timeout {head}s;
  send_timeout {write}s;
  client_body_temp_path {place}/t1; proxy_temp_path {place}/t2; fastcgi_temp_path {place}/t3;
  uwsgi_temp_path {place}/t4; scgi_temp_path {place}/t5;
  server {{
    listen {port};
    root {root};
    location = /refused {{ client_max_body_size 1000; {page} }}
  }}
}}
"""

APACHE = """\
ServerRoot {place}
ServerName lab
PidFile {place}/apache2.pid
ErrorLog {place}/log
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule reqtimeout_module {modules}/mod_reqtimeout.so
User nobody
Group nogroup
Listen {port}
DocumentRoot {root}
ServerLimit 16
ThreadsPerChild 128
ThreadLimit 128
StartServers 2
MaxRequestWorkers 2048
KeepAlive On
MaxKeepAliveRequests 1000
KeepAliveTimeout {keep}
Timeout {write}
RequestReadTimeout handshake=0 header={head} body={head},MinRate=500
<Location "/refused">
  Require all denied
</Location>
{page}
"""

LIGHTTPD = """\
server.document-root = "{root}"
server.port = {port}
server.username = "nobody"
server.groupname = "nogroup"
server.max-connections = {slots}
server.max-fds = 4400
server.max-keep-alive-idle = {keep}
server.max-keep-alive-requests = 1000
server.max-read-idle = {head}
server.max-write-idle = {write}
server.max-request-size = 1
{page}
"""

# How each is told to send the page with its refusal; mini_httpd finds its own by
# the name of the file.
PAGES = {
    "linger": ("--set", "site.error_pages=405 /page.html"),
    "nginx": "error_page 413 /page.html;",
    "apache2": "ErrorDocument 403 /page.html",
    "lighttpd": 'server.errorfile-prefix = "{root}/status-"',
    "mini_httpd": "",
}


def text_of(kind):
    """Its configuration file, or None."""
    return {"nginx": NGINX, "apache2": APACHE, "lighttpd": LIGHTTPD}.get(kind.name)


def has_page(kind):
    """Whether it can send a page of ours with its refusal."""
    return kind.name in OURS or kind.name in PAGES


def command(kind, path, place, root, settings, page):
    """The command line; writes the configuration that it names."""
    words = {"place": place, "root": root, "port": PORT, "keep": KEEP_IDLE_S, "head": HEAD_S,
             "write": WRITE_S, "slots": SLOTS, "modules": "/usr/lib/apache2/modules"}
    words["page"] = PAGES.get(kind.name, "").format(**words) if page and text_of(kind) else ""
    config = os.path.join(place, "config")
    text = text_of(kind)
    if text:
        with open(config, "w", encoding="ascii") as file:
            file.write(text.format(**words))
    if kind.name in OURS:
        return [path, "-p", f"0.0.0.0:{PORT}", "-d", root, *settings]
    return {
        "nginx": [path, "-c", config, "-p", place],
        "apache2": [path, "-f", config, "-DFOREGROUND"],
        "lighttpd": [path, "-D", "-f", config],
        "busybox": [path, "httpd", "-f", "-p", str(PORT), "-h", root],
        "mini_httpd": [path, "-D", "-p", str(PORT), "-d", root, "-u", "nobody"],
    }[kind.name]


def settings_of(slots, page):
    """What adieu is told: the times that all have, the rest is its default."""
    pairs = [f"keepalive.idle_ms={KEEP_IDLE_S * 1000}", f"timeout.head_ms={HEAD_S * 1000}",
             f"timeout.write_ms={WRITE_S * 1000}"]
    if slots:
        # The queue of the listener as long as the peers' have it, so that a busy machine does not
        # drop connects.
        pairs += [f"memory.connections={slots}", f"memory.backlog={BACKLOG}"]
    settings = [word for pair in pairs for word in ("--set", pair)]
    return settings + list(PAGES["linger"] if page else ())


class Server:
    """One server that runs in a namespace."""

    def __init__(self, space, kind, path, place, slots=None, page=False):
        self.kind, self.path, self.place = kind, path, place
        self.settings = settings_of(slots, page)
        self.root = site(place)
        if not page:
            shutil.rmtree(os.path.join(self.root, "errors"))
        # Not the log of the server's own: lighttpd's and mini_httpd's children hold it as well.
        self._says = open(os.path.join(place, "says"), "wb")
        self.process = space.start(
            command(kind, path, place, self.root, self.settings, page), cwd=place,
            stdin=subprocess.DEVNULL, stdout=self._says, stderr=self._says,
        )
        self._wait(space)

    def _wait(self, space):
        until = time.monotonic() + START_S
        while True:
            try:
                space.within(socket.create_connection, ("127.0.0.1", PORT), 1).close()
                return
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{self.kind.label} does not serve: {error}; "
                                       f"{self.said()[-500:]}") from error
                time.sleep(0.02)

    def said(self):
        """What it wrote, to the standard streams and to its log."""
        text = ""
        for name in ("says", "log"):
            path = os.path.join(self.place, name)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    text += file.read()
        return text

    def processes(self):
        """The numbers of its processes."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    if os.getsid(int(name)) == self.process.pid:
                        found.append(int(name))
                except ProcessLookupError:
                    pass
        return found

    def plan(self):
        """Bytes of adieu's memory plan by what they are for: count and bytes of one."""
        done = subprocess.run([self.path, "-t", "-p", str(PORT), "-d", self.root, *self.settings],
                              capture_output=True, text=True, check=True)
        found = {}
        for line in done.stdout.splitlines():
            row = re.match(r"(.+?) +(reactor|site|helper|report|program|kernel|script) +"
                           r"(\d+) +(\d+) +(\d+) ", line)
            if row:
                found[row[1]] = {"owner": row[2], "each": int(row[4]), "total": int(row[5])}
        return found

    def stop(self):
        """Ends it; what it counted at its end, if it says so."""
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            pass
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._says.close()
        counts = re.search(r"stopped: (.*)", self.said())
        pairs = re.findall(r"([\w.-]+)=(\d+)", counts[1]) if counts else []
        return {name: int(value) for name, value in pairs}
