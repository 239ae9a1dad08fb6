#!/usr/bin/env python3
"""Tests of what the counted instructions rest on: reading what callgrind wrote, the verdict, and what
is compared with what.

Need neither root nor valgrind. Run as `benches/tests.py`; `./check --full` does.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from importlib.machinery import SourceFileLoader

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
LOADER = SourceFileLoader("counts", os.path.join(HERE, "counts"))
counts = importlib.util.module_from_spec(importlib.util.spec_from_loader("counts", LOADER))
LOADER.exec_module(counts)

# Shortened; main calls f twice, and a part of f comes from another file.
WRITTEN = """\
# callgrind format
version: 1
events: Ir

ob=(1) /x/adieu
fl=(1) main.rs
fn=(1) adieu::main
10 5
cfn=(2) adieu::f
calls=2 +3
+1 300
* 7

fn=(2)
13 100
fi=(2) inlined.rs
+1 150
fe=(1)
-1 50

totals: 312
"""


class Reading(unittest.TestCase):
    """What callgrind wrote, and what a server answers."""

    def profile(self, text):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            return counts.Profile(file.name)

    def test_what_is_called_counts_where_it_is_spent(self):
        profile = self.profile(WRITTEN)
        self.assertEqual(profile.total, 312)
        self.assertEqual(dict(profile.functions), {"adieu::main": 12, "adieu::f": 300})
        self.assertEqual(dict(profile.files), {"main.rs": 162, "inlined.rs": 150})

    def test_a_profile_without_a_sum_is_none(self):
        with self.assertRaises(counts.Failure):
            self.profile(WRITTEN.replace("totals: 312\n", ""))

    def test_an_answer_is_whole_when_its_body_is(self):
        head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\n"
        for data in (b"", head[:-1], head + b"ab"):
            self.assertIsNone(counts.answer(data), data)
        status, _, whole = counts.answer(head + b"abcHTTP")
        self.assertEqual((status, whole), (404, len(head) + 3))
        head = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n"
        self.assertEqual(counts.answer(head)[2], len(head))

    def test_a_rise_is_one_above_the_threshold(self):
        self.assertFalse(counts.has_risen(0.5))
        self.assertFalse(counts.has_risen(1.0299))
        self.assertTrue(counts.has_risen(1.0301))


class Parent(unittest.TestCase):
    """What is compared with what, in a repository of its own; builds and counts are made up."""

    def setUp(self):
        self.place = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.place)
        self.tree = os.path.join(self.place, "tree")
        os.makedirs(os.path.join(self.tree, "benches"))
        shutil.copy(os.path.join(HERE, "against_parent"), os.path.join(self.tree, "benches"))
        bin_of = os.path.join(self.place, "bin")
        os.mkdir(bin_of)
        self.script("tree/benches/counts", 'echo "counted: $# with $(cat "${@: -1}")"\n'
                                           "[ $# = 1 ] || exit $COUNTED\n")
        # What is built is what its source says.
        self.script("bin/cargo", "mkdir -p $CARGO_TARGET_DIR/release\n"
                                 "grep -q broken src/main.rs && exit 101\n"
                                 "install -m 755 src/main.rs $CARGO_TARGET_DIR/release/adieu\n")
        for tool, says in (("rustc", "rustc 1"), ("valgrind", "valgrind")):
            self.script(f"bin/{tool}", f"echo {says}\n")
        self.environment = {
            **os.environ, "PATH": f"{bin_of}:{os.environ['PATH']}", "HOME": self.place,
            "CARGO_TARGET_DIR": os.path.join(self.place, "target"), "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@a", "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@a",
        }
        os.mkdir(os.path.join(self.tree, "src"))
        self.git("init", "--quiet")
        self.program = os.path.join(self.place, "program")
        self.write(self.program, "now")

    def script(self, name, text):
        path = os.path.join(self.place, name)
        self.write(path, "#!/usr/bin/env bash\n" + text)
        os.chmod(path, 0o755)

    def write(self, path, text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def source(self, text):
        self.write(os.path.join(self.tree, "src", "main.rs"), text)

    def git(self, *arguments):
        subprocess.run(["git", *arguments], cwd=self.tree, env=self.environment, check=True)

    def commit(self, text, message="x: y"):
        self.source(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    def compare(self, counted=0):
        """The exit code and what was said, when the counting ends with this code."""
        done = subprocess.run([os.path.join(self.tree, "benches", "against_parent"), self.program],
                              env={**self.environment, "COUNTED": str(counted)}, check=False,
                              capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_the_first_commit_has_nothing_before_it(self):
        self.commit("one")
        code, said = self.compare()
        self.assertEqual(code, 77, said)
        self.assertIn("SKIP: the commit before is not here", said)

    def test_a_rise_needs_a_sentence_in_the_message(self):
        self.commit("one")
        self.commit("two", "x: y\n\nIt is slower.\nInstructions:\n")
        code, said = self.compare(counted=1)
        self.assertEqual(code, 1, said)
        self.assertIn("counted: 2 with one", said)
        self.git("commit", "--quiet", "--amend", "--message", "x: y\n\nInstructions: it is safer.\n")
        code, said = self.compare(counted=1)
        self.assertEqual(code, 0, said)
        self.assertIn("Instructions: it is safer.", said)

    def test_what_could_not_be_counted_is_no_rise(self):
        self.commit("one")
        self.commit("two", "x: y\n\nInstructions: whatever.\n")
        for code in (0, 2, 77):
            self.assertEqual(self.compare(counted=code)[0], code)

    def test_what_is_not_committed_is_compared_with_the_last_commit(self):
        self.commit("one")
        self.commit("two")
        self.source("three")
        code, said = self.compare(counted=1)
        self.assertEqual(code, 0, said)
        self.assertIn("counted: 2 with two", said)
        self.assertIn("must say why", said)

    def test_each_commit_is_built_once(self):
        self.commit("one")
        self.commit("two")
        self.compare()
        self.commit("three")
        self.assertIn("counted: 2 with two", self.compare()[1])
        self.script("bin/cargo", "exit 101\n")
        self.assertIn("counted: 2 with two", self.compare()[1])

    def test_one_that_cannot_be_built_is_skipped(self):
        self.commit("broken")
        self.commit("two")
        code, said = self.compare()
        self.assertEqual(code, 77, said)
        self.assertIn("cannot be built", said)

    def test_a_change_of_something_else_is_not_compared(self):
        self.commit("one")
        self.write(os.path.join(self.tree, "README.md"), "text")
        self.commit("one", "docs: text")
        code, said = self.compare(counted=1)
        self.assertEqual(code, 0, said)
        self.assertIn("counted: 1 with now", said)


if __name__ == "__main__":
    unittest.main()
