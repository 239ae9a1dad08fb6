"""Measuring: rounds of load, system calls, memory, starts.

Owns: who is measured when, and reading the clocks before and after. Must not: judge, draw.

Servers of a case all run at the same time and are asked in turns, another one first in each round:
what else the machine does, it does to all of them. A server that is not asked sleeps and costs
nothing. Processor time is read while nothing is on its way.
"""

import contextlib
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import time

import cases
import flags
import servers
from lab.space import die_with_parent

# Held at once to see what a connection takes, and in a quick run.
HELD, HELD_QUICK = 10_000, 1_000
# More slots than that.
SPARE_SLOTS = 100
# So long the memory with half-sent heads is watched: the graces of adieu are over then.
WATCH_S, WATCH_QUICK_S = 4, 2
PATIENCE_S = 120
# Requests under strace, which makes each of them dear; in a quick run an eighth.
TRACED = {"ka1": 1500, "ka64": 3200, "pipe16": 3200, "close": 1600}


class Load:
    """benches/load.rs, and what it says."""

    def __init__(self, program, port, *arguments):
        self.process = subprocess.Popen(
            [program, "--port", str(port), *map(str, arguments)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: (die_with_parent(),
                                os.sched_setaffinity(0, servers.CLIENT_CPUS)))

    def hear(self):
        """Its next line."""
        if not select.select([self.process.stdout], [], [], PATIENCE_S)[0]:
            self.end()
            raise cases.Wrong(f"the client is not done after {PATIENCE_S} s")
        line = self.process.stdout.readline().strip()
        if not line:
            errors = self.process.communicate()[1].strip()
            said = [one for one in errors.splitlines() if "RUST_BACKTRACE" not in one]
            raise cases.Wrong(" ".join(said)[-300:] or "the client ended")
        return line

    def ready(self):
        """Waits until it is."""
        line = self.hear()
        if line != "ready":
            raise cases.Wrong(f"the client said: {line}")

    def go(self):
        """Has it go on; its counts."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", self.hear())}

    def end(self):
        """Ends it."""
        if self.process.poll() is None:
            try:
                self.process.stdin.close()
                self.process.wait(5)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()


def words_of(case, fields):
    """The case as arguments of the client, without when it ends."""
    found = ["--path", case.path, "--connections", case.connections, "--in-flight",
             case.in_flight]
    for field in fields:
        found += ["--field", field]
    if case.close:
        found.append("--close")
    if case.put:
        found += ["--put", case.put, "--status", 201, "--status", 204, "--status", 200]
    else:
        found += ["--status", case.status]
    if case.bytes is not None:
        found += ["--bytes", case.bytes]
    return found + ["--cold"] * cases.is_large(case)


class Bench:
    """One run of everything."""

    def __init__(self, entries, load, site, place, rounds, seconds, quick, say):
        self.entries, self.load, self.site, self.place = entries, load, site, place
        self.rounds, self.seconds, self.quick, self.say = rounds, seconds, quick, say

    def who(self, case):
        """Who takes part in a case."""
        return [entry for entry in self.entries if entry.cases is None or case in entry.cases]

    # ---- processor time ------------------------------------------------------------------------

    def begin(self, case, entry):
        """A server that answers the case rightly, and the further fields of its requests."""
        if case.put and not servers.can_put(entry.kind, entry.path):
            raise cases.Wrong("takes no uploads as it is installed")
        server = servers.Server(entry, case.name, self.site, self.place)
        try:
            return server, cases.prove(case, server.port, self.site)
        except (cases.Wrong, OSError):
            server.stop()
            raise

    def case(self, case):
        """All rounds of one case: a result for each server."""
        found, running = {}, []
        for entry in self.who(case.name):
            try:
                server, fields = self.begin(case, entry)
                running.append((entry, server, fields))
                found[entry.name] = {"rounds": [], "missing": server.missing}
            except (cases.Wrong, OSError, RuntimeError) as error:
                found[entry.name] = {"why": str(error)}
        try:
            for number in range(self.rounds):
                turn = number % len(running) if running else 0
                for entry, server, fields in running[turn:] + running[:turn]:
                    result = found[entry.name]
                    if "why" in result:
                        continue
                    try:
                        result["rounds"].append(self.round(case, server, fields))
                    except (cases.Wrong, OSError) as error:
                        result["why"] = str(error)
                self.say(".", end="")
        finally:
            for _, server, _ in running:
                server.stop()
        return found

    def round(self, case, server, fields):
        """One round: what was answered, and what that cost."""
        until = (["--requests", case.requests] if case.requests
                 else ["--seconds", self.seconds])
        load = Load(self.load, server.port, *words_of(case, fields), *until)
        try:
            load.ready()
            before = server.cpu_ns()
            counts = load.go()
            spent = server.cpu_ns() - before
        finally:
            load.end()
        if case.put:
            cases.prove_put(case, self.site)
        if not counts["requests"]:
            raise cases.Wrong("nothing was answered")
        return {**counts, "cpu_ns": spent}

    # ---- system calls --------------------------------------------------------------------------

    def calls(self, case):
        """System calls per request of each server."""
        found = {}
        for entry in self.who(case.name):
            try:
                server, fields = self.begin(case, entry)
            except (cases.Wrong, OSError, RuntimeError) as error:
                found[entry.name] = {"why": str(error)}
                continue
            try:
                found[entry.name] = self.traced(case, server, fields)
            except (cases.Wrong, OSError) as error:
                found[entry.name] = {"why": str(error)}
            finally:
                server.stop()
        return found

    def traced(self, case, server, fields):
        """The calls of one server, by name, for one request."""
        load = Load(self.load, server.port, *words_of(case, fields), "--requests",
                    TRACED[case.name] // (8 if self.quick else 1))
        into = os.path.join(server.place, "calls")
        try:
            load.ready()
            pids = server.processes()
            tracer = subprocess.Popen(
                ["strace", "-c", "-f", "-o", into, *(f"-p{pid}" for pid in pids)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                text=True, preexec_fn=die_with_parent)
            for _ in pids:
                line = tracer.stderr.readline()
                if "attached" not in line:
                    tracer.kill()
                    tracer.wait()
                    raise cases.Wrong(line.strip() or "strace ended")
            counts = load.go()
            tracer.send_signal(signal.SIGINT)
            tracer.communicate()
        finally:
            load.end()
        with open(into, encoding="ascii") as file:
            calls = read_calls(file.read())
        return {"requests": counts["requests"],
                "calls": {name: number / counts["requests"] for name, number in calls.items()}}

    # ---- memory --------------------------------------------------------------------------------

    def memory(self):
        """What each server takes: at its start, with connections of two kinds, after them."""
        found = {}
        for path in {entry.path for entry in self.entries}:
            # The pages of a program that has just been built count as its dirty ones until they
            # are on the disk.
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        for entry in self.who("memory"):
            try:
                found[entry.name] = self.memory_of(entry)
                self.say(".", end="")
            except (cases.Wrong, OSError, RuntimeError) as error:
                found[entry.name] = {"why": str(error)}
        return found

    def memory_of(self, entry):
        """The same of one server."""
        result = {"held": held_most(HELD_QUICK if self.quick else HELD)}
        server = servers.Server(entry, "memory", self.site, self.place, servers.FEW_SLOTS)
        try:
            server.cpu_ns()
            result["few"] = servers.memory(server.processes())
        finally:
            server.stop()
        for kind in ("idle", "half"):
            server = servers.Server(entry, "memory", self.site, self.place,
                                    result["held"] + SPARE_SLOTS)
            try:
                server.cpu_ns()
                result["start"] = servers.memory(server.processes())
                result[kind], result[f"{kind}_held"], result[f"{kind}_after"] = (
                    self.crowd(kind, server, result["held"]))
            finally:
                server.stop()
        result["missing"] = server.missing
        return result

    def crowd(self, kind, server, held):
        """The memory with so many connections, how many were held in the end, and after them."""
        words = ["--half"] if kind == "half" else ["--requests", 0]
        load = Load(self.load, server.port, "--path", "/1k", "--connections", held, *words)
        try:
            load.ready()
            server.cpu_ns()
            most = servers.memory(server.processes())
            until = time.monotonic() + (WATCH_QUICK_S if self.quick else WATCH_S)
            while kind == "half" and time.monotonic() < until:
                time.sleep(0.2)
                now = servers.memory(server.processes())
                most = {name: max(value, most[name]) for name, value in now.items()}
            counts = load.go()
        finally:
            load.end()
        server.cpu_ns()
        return most, counts["held"], servers.memory(server.processes())

    def small(self, entry):
        """The resident memory of the program as a small device has it, everything touched.

        Every slot has had a client, every buffer half a head and answers that nobody takes, and
        more files were sent than the arena has room for.
        """
        server = servers.Server(entry, "small", self.site, self.place, flags.SMALL_SLOTS)
        try:
            # Three times each, for a cache may let in only what is asked for again.
            for path in [path for path in cases.PAGES for _ in range(3)]:
                if not servers.is_serving(server.port, path):
                    raise cases.Wrong("a page was not served")
            held = flags.SMALL_SLOTS - 8
            for words in (["--path", "/1k", "--requests", 0],
                          ["--path", "/" + "p" * 2500, "--half"]):
                load = Load(self.load, server.port, "--connections", held, *words)
                try:
                    load.ready()
                    server.cpu_ns()
                    load.go()
                finally:
                    load.end()
            with contextlib.ExitStack() as stack:
                for _ in range(held):
                    connection = stack.enter_context(socket.socket())
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    connection.connect(("127.0.0.1", server.port))
                    connection.sendall(cases.head(cases.PAGES[0], server.port) * 64)
                server.cpu_ns()
                rss = servers.memory(server.processes())["rss"]
            return {"rss": rss, "missing": server.missing}
        finally:
            server.stop()

    # ---- start ---------------------------------------------------------------------------------

    def start(self, times):
        """What a start costs, from exec to the first answer, so many times, in turns."""
        found = {entry.name: {"rounds": []} for entry in self.who("start")}
        for _ in range(times):
            for entry in self.who("start"):
                try:
                    server = servers.Server(entry, "start", self.site, self.place, measured=True)
                    spent = servers.cpu_ns(server.processes())
                    found[entry.name]["rounds"].append(
                        {"cpu_ns": spent, "ns": int((server.served - server.began) * 1e9)})
                    server.stop()
                except (OSError, RuntimeError) as error:
                    found[entry.name] = {"why": str(error), "rounds": []}
            self.say(".", end="")
        return found


def held_most(wanted):
    """As many connections as a server may have here, at most those that are wanted.

    adieu and lighttpd want two descriptors for each slot.
    """
    return min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - SPARE_SLOTS - 60)


def read_calls(text):
    """The table of strace -c: calls by name."""
    found = {}
    for line in text.splitlines():
        row = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
        if row and row[2] != "total":
            found[row[2]] = found.get(row[2], 0) + int(row[1])
    return found


def can_trace():
    """The reason why system calls cannot be counted, or None."""
    if not shutil.which("strace"):
        return "strace is not installed"
    done = subprocess.run(["strace", "-c", "true"], capture_output=True, check=False)
    return None if done.returncode == 0 else "strace may not trace here"
