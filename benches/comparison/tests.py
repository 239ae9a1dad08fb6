#!/usr/bin/env python3
"""Tests of what the figures of benches/compare rest on: the client that believes nothing, the
reading of clocks and tables, the goals, the page.

Need no root and no peer. Run as `benches/comparison/tests.py`; `./check --full` does. The client is
built by cargo.
"""

import contextlib
import os
import queue
import socket
import subprocess
import sys
import threading
import unittest
import xml.dom.minidom
import zlib

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(os.path.dirname(HERE))]

import bars  # noqa: E402
import cases  # noqa: E402
import flags  # noqa: E402
import goals  # noqa: E402
import measure  # noqa: E402
import page  # noqa: E402
import programs  # noqa: E402
import servers  # noqa: E402

PATIENCE_S = 30
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
BUILT = {}


def client():
    """The path of the client."""
    if not BUILT:
        BUILT.update(programs.build(["load"]))
    return BUILT["load"]


@contextlib.contextmanager
def serving(serve):
    """The port of a listener; `serve` is called with each of its connections, and their number."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def all_of_them():
            number = 0
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.settimeout(PATIENCE_S)
                threads.append(threading.Thread(target=one, args=(connection, number)))
                threads[-1].start()
                number += 1

        def one(connection, number):
            with contextlib.suppress(OSError), connection:
                serve(connection, number)

        threads = [threading.Thread(target=all_of_them)]
        threads[0].start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def answering(answer, end=False):
    """A server that gives each head this answer, in one piece, and may end then."""
    def serve(connection, _):
        data = b""
        while piece := connection.recv(65536):
            data += piece
            heads = data.count(b"\r\n\r\n")
            data = data.rpartition(b"\r\n\r\n")[2]
            connection.sendall(answer * heads)
            if end and heads:
                return
    return serve


def load(port, *arguments):
    """What the client says to the end, and its exit code."""
    done = subprocess.run([client(), "--port", str(port), *arguments], input="\n\n",
                          capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return done.stdout + done.stderr, done.returncode


class Client(unittest.TestCase):
    """benches/load.rs."""

    def test_every_answer_that_is_right_counts_once(self):
        with serving(answering(GOOD)) as port:
            said, code = load(port, "--connections", "3", "--in-flight", "4", "--bytes", "4",
                              "--requests", "24")
        self.assertEqual(code, 0, said)
        self.assertRegex(said, r"(?s)^ready\ndone requests=24 ns=\d+ opened=0 ended=0 held=3\n$")

    def test_what_is_wrong_ends_it(self):
        wrong = {
            "status": GOOD.replace(b"200", b"404"),
            "length": GOOD.replace(b"4\r\n\r\ngood", b"5\r\n\r\ngoods"),
            "no length": b"HTTP/1.1 200 OK\r\n\r\n",
            "no answer": b"SSH-2.0-x\r\n\r\n",
            "more": GOOD + b"HTTP",
        }
        for what, answer in wrong.items():
            with self.subTest(what), serving(answering(answer)) as port:
                said, code = load(port, "--bytes", "4", "--cold", "--requests", "1")
                self.assertNotEqual(code, 0, said)

    def test_a_later_answer_is_compared_as_the_first(self):
        def serve(connection, _):
            for answer in (GOOD, GOOD, GOOD.replace(b"200", b"500")):
                if connection.recv(65536):
                    connection.sendall(answer)
            connection.recv(1)

        with serving(serve) as port:
            said, code = load(port, "--bytes", "4", "--requests", "5")
        self.assertNotEqual(code, 0, said)

    def test_a_new_connection_counts_when_its_end_has_come(self):
        with serving(answering(GOOD, end=True)) as port:
            said, code = load(port, "--close", "--bytes", "4", "--requests", "5")
        self.assertEqual(code, 0, said)
        self.assertRegex(said, r"requests=5 ns=\d+ opened=5 ended=0 ")

    def test_a_half_answer_and_the_end_do_not_count(self):
        def serve(connection, number):
            if connection.recv(65536):
                connection.sendall(GOOD[:-1] if number % 2 else GOOD)

        with serving(serve) as port:
            said, code = load(port, "--close", "--bytes", "4", "--requests", "6")
        self.assertEqual(code, 0, said)
        self.assertRegex(said, r"requests=3 ns=\d+ opened=6 ended=3 ")

    def test_answers_in_pieces_are_whole_in_the_end(self):
        def serve(connection, _):
            while connection.recv(65536):
                for at in range(len(GOOD)):
                    connection.sendall(GOOD[at:at + 1])

        with serving(serve) as port:
            said, code = load(port, "--bytes", "4", "--requests", "5")
        self.assertEqual(code, 0, said)
        self.assertIn("requests=5 ", said)

    def test_an_upload_is_sent_whole(self):
        seen = queue.Queue()

        def serve(connection, _):
            data = b""
            while b"\r\n\r\n" not in data:
                data += connection.recv(1 << 20)
            body = data.partition(b"\r\n\r\n")[2]
            while len(body) < 700_000:
                body += connection.recv(1 << 20)
            seen.put(body)
            connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
            connection.recv(1)

        with serving(serve) as port:
            said, code = load(port, "--put", "700000", "--status", "201", "--cold",
                              "--requests", "1")
        self.assertEqual(code, 0, said)
        self.assertEqual(seen.get(timeout=PATIENCE_S), b"u" * 700_000)

    def test_half_a_head_is_one(self):
        seen = queue.Queue()

        def serve(connection, _):
            data = b""
            while piece := connection.recv(65536):
                data += piece
            seen.put(data)

        with serving(serve) as port:
            said, code = load(port, "--half", "--connections", "2")
            heads = [seen.get(timeout=PATIENCE_S) for _ in range(2)]
        self.assertEqual(code, 0, said)
        self.assertIn("done held=2", said)
        for head in heads:
            self.assertNotIn(b"\r\n\r\n", head)
            self.assertTrue(head.endswith(b"X-Half: "), head)


class Proof(unittest.TestCase):
    """That a server is asked for the right thing before it is measured."""

    class Site:
        sums = {"/1k": zlib.crc32(b"good")}

    case = cases.small("x", "x", 1, content=4)

    def prove(self, answer, **changes):
        with serving(answering(answer, end=changes.get("close", False))) as port:
            return cases.prove(self.case._replace(**changes), port, self.Site)

    def test_the_bytes_of_the_file_are_compared(self):
        self.assertEqual(self.prove(GOOD), [])
        with self.assertRaisesRegex(cases.Wrong, "not the bytes"):
            self.prove(GOOD.replace(b"good", b"evil"))

    def test_bytes_behind_the_last_answer_are_wrong(self):
        self.assertEqual(self.prove(GOOD, close=True), [])
        with self.assertRaisesRegex(cases.Wrong, "behind the last"):
            self.prove(GOOD + b"x", close=True)

    def test_a_server_without_a_validator_has_no_304(self):
        with self.assertRaisesRegex(cases.Wrong, "no validator"):
            self.prove(GOOD, status=304)
        tagged = GOOD.replace(b"\r\n\r\n", b'\r\nETag: "x"\r\n\r\n')
        with self.assertRaisesRegex(cases.Wrong, "status 200 where 304"):
            self.prove(tagged, status=304)


class Reading(unittest.TestCase):
    """Clocks and tables of others."""

    def test_the_table_of_strace_is_read(self):
        text = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000600           1       600           sendto
 40.00    0.000400           1       700       100 recvfrom
------ ----------- ----------- --------- --------- ----------------
100.00    0.001000           0      1300       100 total
"""
        self.assertEqual(measure.read_calls(text), {"sendto": 600, "recvfrom": 700})

    def test_the_clock_of_a_process_sees_what_it_spends(self):
        busy = "import time\nend = time.process_time() + 0.05\n" \
               "while time.process_time() < end: pass\nprint(); input()"
        with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            self.assertGreater(servers.cpu_ns([child.pid]), 50_000_000)
            self.assertGreater(servers.memory([child.pid])["dirty"], 0)
            child.communicate(b"\n")

    def test_a_key_that_is_not_there_is_left_out_and_named(self):
        known = {"keepalive.idle_ms", "memory.connections"}
        pairs, missing = flags.settings("ka64", 7, [], known)
        self.assertEqual(dict(pairs), {"keepalive.idle_ms": "600000", "memory.connections": "7"})
        self.assertIn("memory.cache_bytes", missing)
        pairs, _ = flags.settings("f1g", 7, [("memory.send_bytes", None)], {"memory.send_bytes"})
        self.assertEqual(pairs, [])


def results_of(**costs):
    """Results with these costs of ka64, us of a request."""
    return {
        "facts": {"quick": True, "words": "x", "began": "x", "kernel": "6", "arch": "x",
                  "cores": 2, "processor": "x", "pinned": [0, 1], "load": [0.0], "place": "tmpfs",
                  "python": "3", "missing": ["h2o"],
                  "servers": {name.replace("_", "-"): {
                      "label": name, "version": "1", "bytes": 1, "keys": []}
                      for name in costs}},
        "cases": {"ka64": {name.replace("_", "-"): {
            "rounds": [{"requests": 10, "cpu_ns": one * 10_000, "ns": 10**6, "ended": 0}
                       for one in rounds]} for name, rounds in costs.items()}},
        "calls": {},
    }


class Goals(unittest.TestCase):
    """The verdicts."""

    def of(self, **costs):
        found = list(goals.judge(results_of(**costs)))
        return [one.met for one in found[:2]], found

    def test_lowest_rounds_and_the_best_peer_count(self):
        met, found = self.of(adieu=[9, 8.5], nginx=[20, 30], lighttpd=[10, 12],
                             floor_mio=[7.1, 20])
        self.assertEqual(met, [True, True], found)
        met, found = self.of(adieu=[9, 8.6], nginx=[20, 30], lighttpd=[10, 12],
                             floor_mio=[7.1, 20])
        self.assertEqual(met, [False, False], found)
        self.assertIn("lighttpd", found[0].seen)
        self.assertIn("0.86", found[0].seen)

    def test_what_was_not_measured_is_not_judged(self):
        met, found = self.of(adieu=[9])
        self.assertEqual(met, [None, None])
        self.assertTrue(all(one.met is None for one in found), found)

    def test_a_server_that_failed_is_no_peer(self):
        results = results_of(adieu=[9], nginx=[10], lighttpd=[1])
        results["cases"]["ka64"]["lighttpd"]["why"] = "not the answer"
        self.assertEqual(goals.best(results, "ka64"), (10_000, "nginx"))

    def test_slots_that_are_made_at_the_start_count(self):
        one = {"few": {"dirty": 100}, "idle": {"dirty": 2600}, "start": {"dirty": 2500},
               "idle_held": 10_000 + servers.FEW_SLOTS}
        self.assertEqual(goals.idle_bytes(one), 256.0)

    def test_half_sent_heads_are_bounded_by_the_pool(self):
        results = results_of(adieu=[9])
        one = {"few": {"dirty": 100}, "idle": {"dirty": 2600}, "start": {"dirty": 2500},
               "idle_held": 10_000, "held": 10_000, "half": {"dirty": 2500 + 1024 + 100}}
        results["memory"] = {"adieu": one}
        self.assertTrue(list(goals.of_memory(results))[1].met)
        one["half"]["dirty"] += 1
        self.assertFalse(list(goals.of_memory(results))[1].met)


    def test_the_small_program_is_judged_with_its_arena_only(self):
        results = results_of(adieu=[9])
        for rss, missing, met in ((700, [], True), (701, [], False), (600, ["x"], None),
                                  (701, ["x"], False)):
            results["small"] = {"rss": rss, "missing": missing}
            self.assertIs(goals.of_small(results).met, met)


class Pages(unittest.TestCase):
    """What a reader sees."""

    def test_a_page_has_the_verdicts_and_what_is_missing(self):
        results = results_of(adieu=[9], nginx=[10], h2o=[4])
        results["cases"]["ka64"]["h2o"]["why"] = "the client ended"
        made = page.Page(results)
        text = made.text()
        self.assertIn("**missed**", text)
        self.assertIn("not installed: h2o", text)
        self.assertIn("ka64, h2o: the client ended", text)
        self.assertIn("9.00 / 9.00 (0.90)", text)
        self.assertEqual(made.faults(), [])
        results["cases"]["ka64"]["adieu"]["why"] = "x"
        self.assertEqual(len(made.faults()), 1)

    def test_a_plot_is_xml_and_has_every_server(self):
        drawn = bars.bars("a & b", "us", [("adieu", "adieu", 1, 2), ("nginx", "n<x", 3, 3.5)])
        root = xml.dom.minidom.parseString(drawn).documentElement
        self.assertEqual(len(root.getElementsByTagName("rect")), 2)


if __name__ == "__main__":
    unittest.main()
