"""Network namespaces, and processes that run in them.

Owns: making a namespace, being in one for a moment, starting a child in one. A namespace lives as
long as somebody has its descriptor, so nothing has a name and nothing is left behind.
Must not: know what a link, a server or a client is.
"""

import ctypes
import json
import os
import signal
import subprocess
import traceback

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name, *arguments):
    if getattr(_libc, name)(*arguments) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{name}: {os.strerror(errno)}")


def die_with_parent():
    """The calling process is killed when the one that started it ends, whatever that ended of."""
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Space:
    """A network namespace of its own, with its loopback up."""

    def __init__(self):
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call("unshare", CLONE_NEWNET)
            self.fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            # Router solicitations would take their draws from the dice of the link.
            for scope in ("all", "default"):
                path = f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"
                if os.path.exists(path):
                    with open(path, "w", encoding="ascii") as file:
                        file.write("1")
        finally:
            _call("setns", home, CLONE_NEWNET)
            os.close(home)
        self.ip("link", "set", "lo", "up")

    def enter(self):
        """The calling process is in this namespace from now on."""
        _call("setns", self.fd, CLONE_NEWNET)

    def within(self, function, *arguments):
        """What `function` gives when it is called in this namespace; the caller stays outside."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.enter()
            return function(*arguments)
        finally:
            _call("setns", home, CLONE_NEWNET)
            os.close(home)

    def start(self, command, **options):
        """A program in this namespace, in a session of its own."""

        def prepare():
            self.enter()
            die_with_parent()

        return subprocess.Popen(command, preexec_fn=prepare, start_new_session=True, **options)

    def ip(self, *arguments):
        """ip(8) in this namespace."""
        done = subprocess.run(
            ["ip", *arguments], preexec_fn=self.enter, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


class Child:
    """A function that runs in a process of its own, in a namespace, and gives back one value.

    The function gets a descriptor first: whatever it reads there the parent has sent with `tell`.
    """

    def __init__(self, space, function, *arguments):
        ours, theirs = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                die_with_parent()
                os.close(ours[0])
                os.close(theirs[1])
                space.enter()
                value = function(theirs[0], *arguments)
                with os.fdopen(ours[1], "w", encoding="utf-8") as file:
                    file.write(json.dumps(value) + "\n")
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(ours[1])
        os.close(theirs[0])
        self._from, self._to = ours[0], theirs[1]
        self._value = None

    def tell(self, word):
        """Sends a line to the child."""
        try:
            os.write(self._to, word.encode() + b"\n")
        except BrokenPipeError:
            pass

    def ended(self):
        """Whether the child has ended; does not wait."""
        if self.pid is None:
            return True
        ready = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ready is not None

    def value(self):
        """Tells it "end", and waits for that; what the function gave."""
        if self.pid is not None:
            # Not the end of the pipe: children that were started later hold it too.
            self.tell("end")
            os.close(self._to)
            with os.fdopen(self._from, encoding="utf-8") as file:
                text = file.readline()
            _, status = os.waitpid(self.pid, 0)
            self.pid = None
            if status != 0 or not text:
                raise RuntimeError(f"a child of the laboratory failed with status {status}")
            self._value = json.loads(text)
        return self._value
