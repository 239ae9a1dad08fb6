"""The servers: how each is started so that they can be compared, and what it spent.

Owns: programs, versions, configurations, start and end; the processor time, the memory and the
processes of a server, from /proc.
Must not: send a request but the one that shows that it serves; judge.

All servers have one processor, and their client another. The peers are set up as one who wants them
quick does it: sendfile, files held open, nothing logged. nginx has no tcp_nopush: with it pipelined
answers wait for each other's acknowledgement.
"""

import collections
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import flags
from lab.space import die_with_parent

START_S = 20
STOP_S = 10
# Slots where a case needs no more, and fewer where the memory of one slot is wanted.
SLOTS = 1100
FEW_SLOTS = 64

# name: what it is called by; kind: how it is started; cases: where it takes part, or None.
Entry = collections.namedtuple("Entry", "name label kind path further cases known")

PEERS = ("nginx", "lighttpd", "h2o")
FLOORS = ("floor-mio", "floor-epoll")
FLOOR_LABELS = {"floor-mio": "floor: mio + httparse", "floor-epoll": "floor: bare epoll"}
# Nothing but answers of 1 KiB.
FLOOR_CASES = ("ka1", "ka64", "ka1000", "pipe16", "close", "memory", "start")

NGINX = """\
daemon off;
worker_processes 1;
pid {place}/nginx.pid;
error_log {place}/log warn;
events {{ worker_connections {slots}; }}
http {{
  access_log off;
  log_not_found off;
  sendfile on;
  open_file_cache max=1000 inactive=600s;
  open_file_cache_valid 600s;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  client_header_timeout 600s;
  client_max_body_size 0;
  client_body_buffer_size 128k;
  client_body_temp_path {root}/put/t1; proxy_temp_path {place}/t2; fastcgi_temp_path {place}/t3;
  uwsgi_temp_path {place}/t4; scgi_temp_path {place}/t5;
  server {{
    listen 127.0.0.1:{port} backlog=4096{deferred};
    root {root};
    location /put/ {{ {put} }}
  }}
}}
"""

LIGHTTPD = """\
server.document-root = "{root}"
server.bind = "127.0.0.1"
server.port = {port}
{user}
server.listen-backlog = 4096
server.max-connections = {slots}
server.max-fds = {descriptors}
server.max-keep-alive-idle = 600
server.max-keep-alive-requests = 65535
server.max-read-idle = 600
server.max-write-idle = 600
mimetype.assign = ( "" => "application/octet-stream" )
server.upload-dirs = ( "{root}/put" )
{put}
"""

H2O = """\
num-threads: 1
max-connections: {slots}
http1-request-timeout: 600
{user}
listen:
  host: 127.0.0.1
  port: {port}
error-log: {place}/log
hosts:
  default:
    paths:
      /:
        file.dir: {root}
"""


def find(name):
    """The path of an installed peer, or None."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def can_put(kind, path):
    """Whether the installed program can take uploads."""
    if kind == "nginx":
        done = subprocess.run([path, "-V"], capture_output=True, text=True, check=False)
        return "http_dav_module" in done.stderr
    if kind == "lighttpd":
        return os.path.exists("/usr/lib/lighttpd/mod_webdav.so")
    return kind == "adieu"


def version(entry):
    """One line that names the version."""
    if entry.name in FLOORS:
        return "of this project"
    flag = {"nginx": "-v", "h2o": "-v"}.get(entry.kind, "-V")
    done = subprocess.run([entry.path, flag], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    first = (done.stdout.splitlines() or ["?"])[0]
    return re.sub(r"^nginx version: | - a light.*", "", first)


def entries(programs, floors):
    """Everybody who takes part, and the names of the peers that are not here."""
    found, missing = [], []
    for index, path in enumerate(programs):
        name = label = "adieu"
        known = flags.keys_of(path)
        if index:
            what = subprocess.run([path, "-V"], capture_output=True, text=True, check=True).stdout
            flavour = re.search(r"\((no-lingclose|so-linger);", what)
            triple = re.search(r"[a-z0-9_]+-[a-z]+-linux-[a-z0-9]+", what)
            name = f"adieu-{index + 1}"
            differs = flavour[1] if flavour else triple[0] if triple else index + 1
            label = f"adieu, {differs}"
        found.append(Entry(name, label, "adieu", path, [], None, known))
        if index == 0:
            for variant, (words, further, cases, key) in flags.VARIANTS.items():
                if key in known:
                    found.append(Entry(variant, f"adieu, {words}", "adieu", path, further, cases,
                                       known))
    for name in FLOORS:
        if name in floors:
            found.append(Entry(name, FLOOR_LABELS[name], name, floors[name], [], FLOOR_CASES,
                               set()))
    for name in PEERS:
        path = find(name)
        if not path:
            missing.append(name)
            continue
        found.append(Entry(name, name, name, path, [], None, set()))
        if name == "nginx":
            found.append(Entry("nginx-defer", "nginx, deferred", name, path, ["deferred"],
                               ("close",), set()))
    return found, missing


def free_port():
    """A port of the loopback that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def children(session):
    """The processes of a session."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.getsid(int(name)) == session:
                    found.append(int(name))
            except (ProcessLookupError, PermissionError):
                pass
    return found


def cpu_ns(processes):
    """Processor time of all their tasks, in ns."""
    total = 0
    for pid in processes:
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
        except FileNotFoundError:
            continue
        for task in tasks:
            try:
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                    total += int(file.read().split()[0])
            except FileNotFoundError:
                pass
    return total


def memory(processes):
    """KiB of all of them: private dirty, proportional, resident."""
    sums = {"Private_Dirty": 0, "Pss": 0, "Rss": 0}
    for pid in processes:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            for line in file.readlines()[1:]:
                name, value = line.split()[:2]
                if name[:-1] in sums:
                    sums[name[:-1]] += int(value)
    return {"dirty": sums["Private_Dirty"], "pss": sums["Pss"], "rss": sums["Rss"]}


def is_serving(port, path="/1k"):
    """Whether an answer with 200 comes now."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
                               .encode())
            return connection.recv(16, socket.MSG_WAITALL)[8:13] == b" 200 "
    except OSError:
        return False


class Server:
    """One server that runs."""

    def __init__(self, entry, case, site, place, slots=SLOTS, measured=False):
        """`measured`: its start is; then it is begun in the way that costs it least."""
        self.entry, self.port, self.missing = entry, free_port(), []
        # Not by its port, which another one may have had before.
        self.place = tempfile.mkdtemp(prefix=f"{entry.name}-", dir=place)
        os.chmod(self.place, 0o755)
        command = self.command(case, site, slots)
        self._says = open(os.path.join(self.place, "says"), "wb")
        options = {"cwd": self.place, "stdin": subprocess.DEVNULL, "stdout": self._says,
                   "stderr": self._says, "start_new_session": True}
        # A child inherits the processors of who starts it; a function before exec would fork.
        ours = os.sched_getaffinity(0)
        os.sched_setaffinity(0, SERVER_CPUS)
        try:
            self.began = time.monotonic()
            self.process = subprocess.Popen(
                command, preexec_fn=None if measured else die_with_parent, **options)
        finally:
            os.sched_setaffinity(0, ours)
        self.wait()
        self.served = time.monotonic()

    def command(self, case, site, slots):
        """Its command line; writes the configuration that it names."""
        entry, root = self.entry, site.root
        if entry.kind == "adieu":
            pairs, self.missing = flags.settings(case, slots, entry.further, entry.known)
            return [entry.path, "-p", f"127.0.0.1:{self.port}", "-d", root,
                    *flags.command_line(pairs)]
        if entry.kind in FLOORS:
            return [entry.path, str(self.port), os.path.join(root, "1k")]
        # lighttpd wants two for each connection, and takes what it gets.
        descriptors = min(2 * slots + 64, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        # nginx ends idle connections when no more than a sixteenth of its slots is free.
        spare = slots // 15 if entry.kind == "nginx" else 0
        words = {"place": self.place, "root": root, "port": self.port, "slots": slots + spare + 8,
                 "descriptors": descriptors, "user": "", "put": "",
                 "deferred": " deferred" * ("deferred" in entry.further)}
        text = {"nginx": NGINX, "lighttpd": LIGHTTPD, "h2o": H2O}[entry.kind]
        if case.startswith("put"):
            words["put"] = {
                "nginx": "dav_methods PUT;", "h2o": "",
                "lighttpd": 'server.modules = ( "mod_webdav" )\nwebdav.activate = "enable"',
            }[entry.kind]
        if os.geteuid() == 0:
            words["user"] = {"lighttpd": 'server.username = "nobody"\n'
                                         'server.groupname = "nogroup"',
                             "h2o": "user: nobody"}.get(entry.kind, "")
        config = os.path.join(self.place, "config")
        with open(config, "w", encoding="ascii") as file:
            file.write(text.format(**words))
        return {"nginx": [entry.path, "-c", config, "-p", self.place],
                "lighttpd": [entry.path, "-D", "-f", config],
                "h2o": [entry.path, "-c", config]}[entry.kind]

    def wait(self):
        """Until it serves."""
        until = time.monotonic() + START_S
        while not is_serving(self.port):
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"{self.entry.label} does not serve: {self.said()[-500:]}")

    def said(self):
        """What it wrote."""
        text = ""
        for name in ("says", "log"):
            path = os.path.join(self.place, name)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    text += file.read()
        return text

    def processes(self):
        """The numbers of its processes."""
        return children(self.process.pid)

    def cpu_ns(self):
        """What it has spent, when it spends nothing any more; waits for that, but not for ever."""
        before = cpu_ns(self.processes())
        for _ in range(100):
            time.sleep(0.01)
            after = cpu_ns(self.processes())
            if after == before:
                break
            before = after
        return before

    def stop(self):
        """Ends it and all of its processes."""
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            pass
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self._says.close()


def processors():
    """The one for the server and the one for the client; the same if there is only one."""
    known = sorted(os.sched_getaffinity(0))
    return {known[0]}, {known[1] if len(known) > 1 else known[0]}


SERVER_CPUS, CLIENT_CPUS = processors()
