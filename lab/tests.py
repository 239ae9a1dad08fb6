#!/usr/bin/env python3
"""Tests of what the laboratory's figures rest on: the link, the reading of answers, the judgement.

Need no root. Run as `lab/tests.py`; `./check --full` does.
"""

import contextlib
import os
import random
import socket
import struct
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import cells  # noqa: E402
import clients  # noqa: E402
import judge  # noqa: E402
import link  # noqa: E402
import observe  # noqa: E402
import plot  # noqa: E402
import report  # noqa: E402
import servers  # noqa: E402
import swarms  # noqa: E402


def packet(size, flags=0x10):
    """An IPv4 packet with a TCP header, as far as the link looks at it."""
    data = bytearray(size)
    data[0], data[9], data[33] = 0x45, link.TCP, flags
    return bytes(data)


def carried(shape, seed, arrivals):
    """What comes out of one direction for packets of these (time, size), with its times."""
    way = link.Way(shape, seed)
    for at, size in arrivals:
        way.take(packet(size), at)
    return way, list(way.due)


class Link(unittest.TestCase):
    """One direction of the link."""

    lossy = link.Shape("x", "x", 200, 1_000_000, 32_000, 0.2)

    def test_the_seed_decides_what_is_lost(self):
        dice = random.Random(7)
        arrivals = [(index * 0.05, dice.randrange(60, 1500)) for index in range(500)]
        one, first = carried(self.lossy, "a", arrivals)
        _, second = carried(self.lossy, "a", arrivals)
        _, other = carried(self.lossy, "b", arrivals)
        self.assertEqual(first, second)
        self.assertNotEqual(first, other)
        self.assertTrue(60 < one.counts["lost"] < 140, one.counts)

    def test_packets_take_their_turn_and_never_overtake(self):
        shape = link.Shape("x", "x", 40, 1_000_000, 10**9, 0.0)
        _, due = carried(shape, "a", [(1.0, 1250)] * 10)
        # 1250 bytes take 10 ms, and the way 20.
        expected = [1.0 + 0.01 * turn + 0.02 for turn in range(1, 11)]
        for (at, _), when in zip(due, expected):
            self.assertAlmostEqual(at, when)

    def test_a_full_queue_drops_what_comes_last(self):
        shape = link.Shape("x", "x", 40, 1_000_000, 4_500, 0.0)
        way, due = carried(shape, "a", [(1.0, 1000)] * 20)
        self.assertEqual(len(due), 5)
        self.assertEqual(way.counts["queue_full"], 15)

    def test_nothing_arrives_early_and_resets_are_counted(self):
        way = link.Way(link.Shape("x", "x", 10, None, None, 0.0), "a")
        way.take(packet(60, link.RST), 1.0)
        self.assertEqual(list(way.give(1.004)), [])
        self.assertEqual(len(list(way.give(1.006))), 1)
        self.assertEqual(way.counts["resets"], 1)


class Answers(unittest.TestCase):
    """The reading of answers."""

    def test_half_an_answer_is_none(self):
        whole = b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlong"
        for cut in range(len(whole)):
            self.assertEqual(clients.answers(whole[:cut], True), [], cut)
        self.assertEqual(clients.answers(whole, True), [(413, True)])

    def test_answers_follow_each_other(self):
        kept = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"
        chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
        self.assertEqual(clients.answers(kept + chunks + kept[:-1], True),
                         [(200, False), (200, False)])

    def test_an_answer_without_a_length_ends_with_the_connection(self):
        plain = b"HTTP/1.0 501 No\r\nServer: x\r\n\r\nno"
        self.assertEqual(clients.answers(plain, False), [])
        self.assertEqual(clients.answers(plain, True), [(501, True)])


KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"
LAST_S = 10


@contextlib.contextmanager
def serving(serve):
    """The address of a listener whose only connection `serve` is called with."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def one():
            connection, _ = listener.accept()
            connection.settimeout(LAST_S)
            with connection:
                serve(connection)

        thread = threading.Thread(target=one)
        thread.start()
        yield listener.getsockname()
        thread.join()


def reset(connection):
    """Ends a connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Clients(unittest.TestCase):
    """What clients say of servers that do wrong."""

    def test_a_reset_before_the_second_request_is_one(self):
        def serve(connection):
            connection.recv(1000)
            connection.sendall(KEPT)
            heard.wait(LAST_S)
            reset(connection)
            gone.set()

        # The client has its answer when it begins to wait.
        heard, gone = threading.Event(), threading.Event()
        with serving(serve) as place:
            waits = clients.time.sleep
            clients.time.sleep = lambda _: (heard.set(), gone.wait(LAST_S))
            try:
                found = clients.race((*place, 0), 0.0, 0.0)
            finally:
                clients.time.sleep = waits
        self.assertEqual((found["outcome"], found["reset"]), ("reset", True))

    def test_an_end_behind_the_first_byte_has_its_time(self):
        def serve(connection):
            connection.recv(1000)
            connection.sendall(KEPT)
            self.assertEqual(connection.recv(1), b"G")
            time.sleep(0.1)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1000)

        with serving(serve) as place:
            found = clients.race((*place, 0), 0.0, LAST_S)
        self.assertEqual(found["outcome"], "fin")
        self.assertGreaterEqual(found["ended_after_s"], 0.09)

    def test_a_flooder_that_is_never_cut_counts_once(self):
        def serve(connection):
            taken = 0
            while taken < swarms.FLOOD_MOST:
                taken += len(connection.recv(1 << 16))
            seen.wait(LAST_S)
            reset(connection)
            gone.set()

        seen, gone = threading.Event(), threading.Event()
        addresses, link.SWARM = link.SWARM, ["127.0.0.1"]
        try:
            with serving(serve) as place:
                crowd = swarms.Swarm("flood", 1, place)
                until = time.monotonic() + LAST_S
                while not crowd.cuts and time.monotonic() < until:
                    crowd.turn(0.02)
                seen.set()
                gone.wait(LAST_S)
                crowd.turn(0.02)
        finally:
            link.SWARM = addresses
        self.assertEqual([cut[2] for cut in crowd.cuts], ["never"])
        for member in crowd.members.values():
            member.link.close()

    def test_each_client_of_a_swarm_has_its_own_time(self):
        members = [("198.18.0.1", 1, 10.0), ("198.18.0.1", 2, 20.0), ("198.18.0.2", 1, 20.0)]
        owned_at = {("198.18.0.1", 1): 15.0, ("198.18.0.1", 2): 21.0, ("198.18.0.9", 9): 99.0}
        self.assertEqual(swarms.held_s(members, owned_at, None), [1.0, 5.0])
        self.assertEqual(swarms.held_s(members, owned_at, 14.0), [1.0, 7.0])


def measured(scenario, result, where="1ms", rounds=1):
    """What the judge is given for one cell of the default flavour."""
    return [(cells.Cell(scenario, where, "linger", rounds), result)]


def upload(**changes):
    """A refused upload that went well, but for the changes."""
    return {"rounds": [{"due": 1, "delivered": 1, "sent": "whole", "end": "fin", "reset": False,
                        "seconds": 1.0, **changes}]}


class Judgement(unittest.TestCase):
    """Each claim must be able to fail."""

    def verdict(self, scenario, result, where="1ms", rounds=1):
        """Whether the claims about this cell held."""
        return [held for _, held, _, _ in judge.judge(measured(scenario, result, where, rounds))]

    def test_a_lost_answer_and_a_reset_fail(self):
        self.assertEqual(self.verdict("upload-64K", upload()), [True])
        for wrong in ({"delivered": 0}, {"reset": True}, {"delivered": 0, "sent": "EPIPE"}):
            self.assertEqual(self.verdict("upload-64K", upload(**wrong)), [False], wrong)

    def test_a_cut_is_due_only_after_the_total_time(self):
        cut = {"sent": "EPIPE", "reset": True, "cut_after_s": 30.4}
        for wrong in ({}, {"cut_after_s": 29.0}, {"cut_after_s": 36.0}, {"sent": "silent"},
                      {"delivered": 0}):
            self.assertEqual(self.verdict("upload-50M", upload(**{**cut, **wrong}), "40ms"),
                             [not wrong], wrong)

    def test_a_cut_is_due_only_where_the_link_is_too_slow(self):
        due = [(size, where) for where in link.SHAPES for size in cells.UPLOADS
               if judge.cut_as_due(f"late-{size}", where,
                                   {"sent": "ECONNRESET", "cut_after_s": 30.4})]
        self.assertEqual(due, [("50M", "40ms"), ("4M", "200ms"), ("16M", "200ms"),
                               ("50M", "200ms")])
        self.assertFalse(judge.cut_as_due("race", "200ms", {"outcome": "fin"}))

    def test_half_an_answer_in_a_race_fails(self):
        for outcome, held in (("answered", True), ("fin", True), ("early", True),
                              ("reset", False), ("torn: fin, [200]", False)):
            rounds = {"rounds": [{"outcome": outcome, "reset": False}]}
            self.assertEqual(self.verdict("race", rounds), [held], outcome)

    def test_a_request_whose_first_byte_came_long_before_the_end_must_be_answered(self):
        for after_s, where, held in ((0.02, "1ms", True), (0.6, "1ms", False),
                                     (0.53, "40ms", True), (0.6, "40ms", False),
                                     (0.9, "200ms", True)):
            rounds = {"rounds": [{"outcome": "fin", "reset": False, "pause_s": 1.1,
                                  "ended_after_s": after_s}]}
            self.assertEqual(self.verdict("race", rounds, where), [held], (after_s, where))

    def test_resets_behind_a_fin_are_counted_and_peers_without_are_better(self):
        ended = {"outcome": "fin", "reset": True}
        ours = measured("race", {"rounds": [ended, {**ended, "reset": False}]})
        self.assertIn("; 1 of the FIN had a reset", judge.judge(ours)[0][2])
        theirs = (cells.Cell("race", "1ms", "nginx", 1), {"rounds": [{**ended, "reset": False}]})
        page = report.Page([*ours, theirs], servers.KINDS, None, ())
        self.assertEqual(list(page.better()), ["- keep-alive race, 1 ms, clients that saw a reset: "
                                               "nginx 0.0%; adieu 50.0%"])

    def test_a_claim_whose_cells_are_missing_has_not_held(self):
        known = measured("upload-64K", upload())
        due = [cells.Cell(scenario, "1ms", "linger", 1)
               for scenario in ("upload-64K", "late-64K", "race")]
        self.assertEqual([held for _, held, _, _ in judge.judge(known)], [True])
        self.assertEqual([held for _, held, _, _ in judge.judge(known, due[:1])], [True])
        self.assertEqual([held for _, held, _, _ in judge.judge(known, due)], [False, False])
        self.assertEqual([held for _, held, _, _ in judge.judge([], due[:1])], [False])

    def test_an_endless_upload_ends_at_its_budget_or_by_time(self):
        for bytes_, seconds, sent, held in (
                (65 << 20, 1.0, "EPIPE", True), (65 << 20, 1.0, "whole", False),
                (63 << 20, 1.0, "EPIPE", False), (63 << 20, 30.1, "EPIPE", True),
                (63 << 20, 40.0, "EPIPE", False), (80 << 20, 1.0, "EPIPE", False)):
            round_ = {"bytes": bytes_, "seconds": seconds, "sent": sent}
            self.assertEqual(self.verdict("endless", {"rounds": [round_]}), [held], round_)

    def swarm(self, scenario, late_s=0.1, rounds=1, again=None, crowd=None, plan=None, **changes):
        """A swarm that went well, but for what is given: of the crowd, of the plan, or of the last
        sample. `peak` is what its sample in the middle has otherwise."""
        peak = {"owned": rounds, "most_receive": 1000, "most_send": 1000, "receive": 1000,
                "send": 1000, **changes.pop("peak", {})}
        sample = {"at": 1.0, "states": {}, "owned": 0, "orphans": 0, "receive": 0, "send": 0,
                  "most_receive": 0, "most_send": 0, "rss": 4096, "kernel": 0}
        rows = {"connections: receive": {"owner": "kernel", "each": 1000, "total": 100_000},
                "connections: send": {"owner": "kernel", "each": 1000, "total": 100_000},
                "slots": {"owner": "reactor", "each": 1, "total": 8192}, **(plan or {})}
        result = {"samples": [sample, {**sample, "at": 4.0, **peak},
                              {**sample, "at": 20.0, **changes}], "plan": rows,
                  "marks": {"begin": 2.0, "there": 3.0, "vanish": 3.0, "end": 20.0},
                  "crowd": {"touched": [3.0], "failed": {}, "held": [1.0] * rounds, "left": 0,
                            "cuts": [[1.0, 200_000, "EPIPE"]] * rounds, **(crowd or {})},
                  "late_s": late_s, "good": [[4.0, 0.001, None]], "again": again}
        return all(self.verdict(scenario, result, rounds=rounds))

    def test_every_claim_about_a_swarm_can_fail(self):
        for scenario in ("swarm-hold", "swarm-trickle", "swarm-vanish-idle"):
            self.assertTrue(self.swarm(scenario), scenario)
            self.assertFalse(self.swarm(scenario, owned=1), scenario)
            self.assertFalse(self.swarm(scenario, late_s=1.2), scenario)
        self.assertFalse(self.swarm("swarm-vanish-idle", orphans=1))
        for wrong in ({"rss": 20_000}, {"receive": 100_001}, {"send": 100_001},
                      {"most_receive": 1001}, {"most_send": 1001}):
            self.assertFalse(self.swarm("swarm-hold", **wrong), wrong)

    def test_an_early_client_that_is_held_too_long_fails(self):
        for scenario, most_s in (("swarm-hold", 3.2), ("swarm-trickle", 4.2)):
            self.assertFalse(self.swarm(scenario, crowd={"held": [1.0, most_s]}), scenario)
        for wrong in ({"cuts": []}, {"left": 1}):
            self.assertFalse(self.swarm("swarm-trickle", crowd=wrong), wrong)

    def test_who_saw_nothing_bears_nothing_out(self):
        for scenario in [f"swarm-{shape}" for shape in swarms.SWARMS]:
            self.assertTrue(self.swarm(scenario), scenario)
            self.assertFalse(self.swarm(scenario, peak={"owned": 0}), scenario)
        for scenario in ("swarm-trickle", "swarm-flood", "swarm-half-send", "swarm-vanish-idle"):
            self.assertFalse(self.swarm(scenario, crowd={"held": []}), scenario)
        self.assertTrue(self.swarm("swarm-flood", rounds=2000))
        self.assertFalse(self.swarm("swarm-flood", rounds=2000, peak={"most_receive": 0}))
        self.assertFalse(self.swarm("swarm-vanish-middle", peak={"most_send": 0}))

    def test_a_flood_ends_neither_too_late_nor_too_soon(self):
        for cut, held in (([1.0, 200_000, "EPIPE"], True), ([2.1, 30_000, "EPIPE"], True),
                          ([0.1, 30_000, "EPIPE"], False), ([1.0, 1 << 20, "EPIPE"], False),
                          ([9.0, 200_000, "never"], False)):
            self.assertEqual(self.swarm("swarm-flood", crowd={"cuts": [cut]}), held, cut)
        for cuts in ([], [[1.0, 200_000, "EPIPE"]] * 2):
            self.assertFalse(self.swarm("swarm-flood", crowd={"cuts": cuts}), cuts)

    def test_the_same_swarm_once_more_can_fail(self):
        again = {"rss": 0, "owned": 1, "failed": {}}
        self.assertTrue(self.swarm("swarm-hold", again=again))
        for wrong in ({"rss": 20_000}, {"owned": 0}, {"failed": {"ECONNREFUSED": 1}}):
            self.assertFalse(self.swarm("swarm-hold", again={**again, **wrong}), wrong)

    def test_a_goodbye_may_hold_what_both_lines_have(self):
        wide = {"large buffers": {"owner": "kernel", "each": 2000, "total": 5000}}
        for size, held in ((1001, True), (3000, True), (3001, False)):
            self.assertEqual(self.swarm("swarm-flood", plan=wide, most_receive=size), held, size)
        for size, held in ((105_000, True), (105_001, False)):
            self.assertEqual(self.swarm("swarm-flood", plan=wide, receive=size), held, size)
        cut = {"cuts": [[1.0, judge.READ_BYTES + (192 << 10) + 2000, "EPIPE"]]}
        self.assertFalse(self.swarm("swarm-flood", crowd=cut))
        self.assertTrue(self.swarm("swarm-flood", crowd=cut, plan=wide))


class Drawing(unittest.TestCase):
    """The plots."""

    def test_a_plot_has_its_axes_and_every_state(self):
        series = [(0.0, {"ESTABLISHED": 5}), (1.0, {"FIN_WAIT2": 5, "FIN_WAIT2, nobody's": 2})]
        svg = plot.states("words & more", [("one", series)], 7)
        for words in ("words &amp; more", "seconds since", "sockets of the swarm", "FIN_WAIT2"):
            self.assertIn(words, svg)
        self.assertEqual(svg.count("<polygon"), 3)

    def test_numbers_of_axes_are_round(self):
        self.assertEqual([plot.nice(most) for most in (1, 7, 21, 36, 1999)],
                         [1, 8, 25, 40, 2000])


class Diag(unittest.TestCase):
    """Reading the kernel's words."""

    def test_addresses_in_both_forms(self):
        four = bytes((198, 18, 0, 7))
        self.assertEqual(observe.mapped(four + bytes(12)), four)
        self.assertEqual(observe.mapped(bytes(10) + b"\xff\xff" + four), four)


if __name__ == "__main__":
    unittest.main()
