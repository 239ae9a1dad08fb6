"""The targets of the table, and a program of one of them that runs here.

Owns: cross/table.txt as Python, what readelf says of a program, which emulator it needs, a server
that was started and its log.
Must not: build anything; judge what a server answers.
"""

import os
import platform
import re
import shutil
import signal
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(HERE)
TABLE = os.path.join(HERE, "table.txt")
# An emulated program on a busy machine may need this long for what takes it a second elsewhere.
PATIENCE_S = 120
LOOK_AGAIN_S = 0.02
# Targets that a processor runs without an emulator, if its kernel does.
NATIVE = {"x86_64": ("x86_64", "i686"), "aarch64": ("aarch64",)}


class Failure(Exception):
    """What went otherwise than it must."""


class Missing(Exception):
    """What is not installed and cannot be."""


class Target:
    """A row of the table."""

    def __init__(self, line):
        self.name, self.rust, _, _, self.emulator, self.processor, self.facts = line.split()


def targets():
    """All rows, by name, in the order of the table."""
    with open(TABLE, encoding="ascii") as file:
        rows = [Target(line) for line in file if line.strip() and not line.startswith("#")]
    return {row.name: row for row in rows}


def built_at(name, build=None):
    """Where the program of a target lies: that of cross/build, or one of several builds."""
    folder = os.environ.get("CARGO_TARGET_DIR", os.path.join(PROJECT, "target"))
    program = f"adieu-{name}-{build}" if build else f"adieu-{name}"
    return os.path.join(os.path.realpath(folder), "cross", program)


def need(command, package):
    """Installs a package of Debian when its command is not here, or says that it is missing."""
    if shutil.which(command):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update"], stdout=subprocess.DEVNULL, check=False)
        subprocess.run(
            ["apt-get", "install", "-y", "--no-install-recommends", "-o",
             "DPkg::Lock::Timeout=300", package],
            stdout=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            check=False)
    if not shutil.which(command):
        raise Missing(f"{command} is not installed: {package} of Debian")


def run(*command):
    """What a command says, its end awaited: code, standard output, standard error."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=PATIENCE_S, check=False)
    return done.returncode, done.stdout, done.stderr


def word(text, pattern):
    """What the group of a pattern found, or nothing."""
    found = re.search(pattern, text, re.M)
    return found[1] if found else ""


def facts(program):
    """What readelf says: bits, order, machine, instructions, floats; and whether it is static."""
    need("readelf", "binutils")
    code, text, why = run("readelf", "--wide", "-h", "-l", "-A", program)
    if code != 0:
        raise Failure(f"readelf: {why.strip()}")
    bits = word(text, r"^ +Class: +ELF(\d+)")
    order = word(text, r"^ +Data: .*, (little|big) endian")
    machine = word(text, r"^ +Machine: +(.*)")
    flags = word(text, r"^ +Flags: +(.*)")
    found = [bits, order]
    if "X86-64" in machine:
        found.append("x86_64")
    elif "80386" in machine:
        found.append("i386")
    elif machine == "AArch64":
        found.append("aarch64")
    elif machine == "ARM":
        isa = word(text, r"Tag_CPU_arch: (\w+)").lower()
        # With Jazelle (v5TEJ) or hints (v6K) it is the same for what we need of it.
        isa = re.sub(r"^(v5te)j$|^(v6)k$", r"\1\2", isa)
        hard = "VFP registers" in text or "hard-float" in flags
        found += ["arm", isa, "hard" if hard else "soft"]
    elif machine.startswith("MIPS"):
        isa = "mips" + word(text, r"^ISA: MIPS(\w+)").lower()
        soft = "FP ABI: Soft float" in text
        found += ["mips", isa, "soft" if soft else "hard"]
    elif machine == "RISC-V":
        isa = word(text, r'Tag_RISCV_arch: "(\w+)')
        # What letters there are, in the order of their own names: i m a f d is g.
        letters = {part[0] for part in re.findall(r"[a-z]\d+p\d+", isa)}
        general = "g" if set("imafd") <= letters else "".join(sorted(letters))
        found += ["riscv", f"rv{bits}{general}{'c' if 'c' in letters else ''}",
                  word(flags, r"(soft|single|double)-float ABI")]
    else:
        found.append(machine)
    is_static = not re.search(r"^ +INTERP|program interpreter|\bDYNAMIC\b", text, re.M)
    return "-".join(found), is_static


def way(target, program):
    """How a program runs here: the words before it, and what that is called."""
    if target.name in NATIVE.get(platform.machine(), ()):
        try:
            if run(program, "-V")[0] == 0:
                return [], "natively"
        except OSError:
            pass  # the kernel does not run such programs
    need(target.emulator, "qemu-user")
    before = [target.emulator]
    if target.processor != "-":
        before += ["-cpu", target.processor]
    version = word(run(target.emulator, "--version")[1], r"version (\S+)")
    return before, f"{' '.join(before)}, qemu {version}"


def traced(before, without):
    """The words before a program that shall not have these system calls."""
    if before:
        raise Missing("an emulator makes calls of its own: --without is for what runs natively")
    need("strace", "strace")
    refused = [word for name in without for word in ("-e", f"inject={name}:error=ENOSYS")]
    return ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={','.join(without)}", *refused]


def until(what, look):
    """Waits for what `look` finds."""
    end = time.monotonic() + PATIENCE_S
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"{what} did not come in {PATIENCE_S} s")
        time.sleep(LOOK_AGAIN_S)


class Server:
    """A program that serves, on a port that the system chooses; ended when it is left."""

    def __init__(self, command, arguments, keys):
        words = [word for key in keys for word in ("--set", key)]
        # Files, not pipes: a full pipe would make it drop lines.
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [*command, "-p", "127.0.0.1:0", *arguments, *words], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=self.log)
        self.port = 0
        self.is_traced = command[0] == "strace"

    def __enter__(self):
        def port():
            if self.process.poll() is not None:
                raise Failure(f"it does not start: {self.said().strip()}")
            return word(self.said(), r" on http://127\.0\.0\.1:(\d+)")

        try:
            self.port = int(until("the line that it serves", port))
        except Failure:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            # strace would leave it alone.
            self.tell(signal.SIGKILL)
        self.process.wait()
        self.log.close()

    def said(self):
        """Its whole log so far."""
        # The offset is shared with the process, which appends: read by position.
        return os.pread(self.log.fileno(), 1 << 22, 0).decode(errors="replace")

    def tell(self, number):
        """Sends it a signal."""
        if not self.is_traced:
            self.process.send_signal(number)
            return
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children",
                  encoding="ascii") as file:
            for child in file.read().split():
                os.kill(int(child), number)

    def line(self, pattern, behind=0):
        """Waits for a line of the log, behind so many characters; the groups that it has."""
        def look():
            return re.compile(pattern, re.M).search(self.said(), behind)
        return until(f"a line {pattern!r} in the log", look)

    def counters(self):
        """What it has counted until now, by name."""
        behind = len(self.said())
        self.tell(signal.SIGUSR2)
        counted = self.line(r"counters: (\S+=.*|nothing counted)$", behind)[1]
        return {name: int(count) for name, count in re.findall(r"(\S+)=(\d+)", counted)}

    def counter(self, name):
        """One of them."""
        return self.counters().get(name, 0)

    def end(self):
        """Waits for its end after it was told so; its code."""
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise Failure(f"it had not ended {PATIENCE_S} s after TERM") from None
