#!/usr/bin/env python3
"""Tests of what the laboratory's figures rest on: the link, the reading of answers, the judgement.

Need no root. Run as `lab/tests.py`; `./check --full` does.
"""

import os
import random
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import cells  # noqa: E402
import clients  # noqa: E402
import judge  # noqa: E402
import link  # noqa: E402
import observe  # noqa: E402
import plot  # noqa: E402


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


def measured(scenario, result):
    """What the judge is given for one cell of the default flavour."""
    return [(cells.Cell(scenario, "1ms", "linger", 1), result)]


def upload(**changes):
    """A refused upload that went well, but for the changes."""
    return {"rounds": [{"due": 1, "delivered": 1, "sent": "whole", "end": "fin", "reset": False,
                        "seconds": 1.0, **changes}]}


class Judgement(unittest.TestCase):
    """Each claim must be able to fail."""

    def verdict(self, scenario, result):
        """Whether the one claim about this cell held."""
        return [held for _, held, _, _ in judge.judge(measured(scenario, result))]

    def test_a_lost_answer_and_a_reset_fail(self):
        self.assertEqual(self.verdict("upload-64K", upload()), [True])
        for wrong in ({"delivered": 0}, {"reset": True}, {"delivered": 0, "sent": "EPIPE"}):
            self.assertEqual(self.verdict("upload-64K", upload(**wrong)), [False], wrong)

    def test_a_cut_is_due_only_after_the_total_time(self):
        cut = {"delivered": 0, "sent": "EPIPE", "reset": True}
        self.assertEqual(self.verdict("upload-50M", upload(**cut, cut_after_s=30.4)), [True])
        self.assertEqual(self.verdict("upload-50M", upload(**cut, cut_after_s=29.0)), [False])

    def test_half_an_answer_in_a_race_fails(self):
        for outcome, held in (("answered", True), ("fin", True), ("early", True),
                              ("reset", False), ("torn: fin, [200]", False)):
            rounds = {"rounds": [{"outcome": outcome, "reset": False}]}
            self.assertEqual(self.verdict("race", rounds), [held], outcome)

    def swarm(self, scenario, **changes):
        """A swarm at rest, but for the changes of its last sample."""
        sample = {"at": 1.0, "states": {}, "owned": 0, "orphans": 0, "receive": 0, "send": 0,
                  "most_receive": 0, "most_send": 0, "rss": 4096, "kernel": 0}
        plan = {name: {"owner": "kernel", "each": 1000, "total": 100_000}
                for name in ("connections: receive", "connections: send")}
        plan["slots"] = {"owner": "reactor", "each": 1, "total": 8192}
        result = {"samples": [sample, {**sample, "at": 20.0, **changes}], "plan": plan,
                  "marks": {"begin": 2.0, "there": 3.0, "vanish": 3.0, "end": 20.0},
                  "crowd": {"touched": [3.0], "failed": {}, "cuts": []}, "late_s": 0.1,
                  "good": [[4.0, 0.001, None]], "again": 0}
        return all(self.verdict(scenario, result))

    def test_every_claim_about_a_swarm_can_fail(self):
        for scenario in ("swarm-hold", "swarm-trickle", "swarm-vanish-idle"):
            self.assertTrue(self.swarm(scenario), scenario)
            self.assertFalse(self.swarm(scenario, owned=1), scenario)
        self.assertFalse(self.swarm("swarm-vanish-idle", orphans=1))
        for wrong in ({"rss": 20_000}, {"receive": 100_001}, {"send": 100_001},
                      {"most_receive": 1001}, {"most_send": 1001}):
            self.assertFalse(self.swarm("swarm-hold", **wrong), wrong)


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
