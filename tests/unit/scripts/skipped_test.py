"""A test that is skipped on purpose makes a strict run fail, unless it is listed: scripts/skipped behind a real ctest."""

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CTEST = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "ctest"

GTEST = """[==========] Running 2 tests from 1 test suite.
[ RUN      ] Gate.Runs
[       OK ] Gate.Runs (3 ms)
[ RUN      ] Gate.NeedsCompiler
/somewhere/gate_test.cpp:42: Skipped
libnvrtc not found

[  SKIPPED ] Gate.NeedsCompiler (0 ms)
[==========] 2 tests from 1 test suite ran. (3 ms total)
[  PASSED  ] 1 test.
[  SKIPPED ] 1 test, listed below:
[  SKIPPED ] Gate.NeedsCompiler
"""
UNITTEST = """
import unittest

class Page(unittest.TestCase):
    def test_draws(self):
        print("a line of the test's own")

    @unittest.skip("no browser here")
    def test_scrolls(self):
        '''With a line of words.'''

@unittest.skip("it's not installed")
class Proxy(unittest.TestCase):
    def test_forwards(self):
        pass

unittest.main()
"""


class SkippedTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.tests = ""

    def add_test(self, name, command, properties=""):
        self.tests += f'add_test({name} /bin/sh -c "{command}")\n'
        if properties:
            self.tests += f"set_tests_properties({name} PROPERTIES {properties})\n"

    def add_output(self, name, text, code=0):
        (self.folder / name).write_text(text, encoding="utf-8")
        self.add_test(name, f"cat {self.folder / name}; exit {code}")

    def add_unittest(self, name, *options):
        (self.folder / f"{name}.py").write_text(UNITTEST, encoding="utf-8")
        self.add_test(name, " ".join([sys.executable, str(self.folder / f"{name}.py"), *options]))

    def judge(self, expected="", strict=True):
        """(exit code, what was said) about the tests, which ctest runs."""
        (self.folder / "CTestTestfile.cmake").write_text(self.tests, encoding="utf-8")
        (self.folder / "expected.txt").write_text(expected, encoding="utf-8")
        subprocess.run(
            [CTEST, "--output-junit", "tests.xml", "--test-output-size-passed", "100000"],
            cwd=self.folder,
            capture_output=True,
            check=False,
        )
        result = subprocess.run(
            [
                ROOT / "scripts/skipped",
                self.folder / "tests.xml",
                "--expected",
                self.folder / "expected.txt",
                *(["--strict"] if strict else []),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode, result.stderr

    def test_no_skip_is_fine(self):
        self.add_test("good", "true")
        self.add_test("bad", "false")  # ctest's matter
        self.assertEqual(self.judge(), (0, "skipped: 0 in 2 tests, 0 of them not expected\n"))

    def test_a_whole_test(self):
        self.add_test("client", "echo no index here; exit 77", "SKIP_RETURN_CODE 77")
        code, said = self.judge()
        self.assertEqual(code, 1)
        self.assertIn("skipped, and not expected: client *: no index here\n", said)
        self.assertEqual(self.judge("client Suite.* # why\n")[0], 1)
        self.assertEqual(self.judge("client * # an index may be out of reach\n")[0], 0)

    def test_a_case_of_googletest(self):
        self.add_output("gate_test", GTEST)
        code, said = self.judge()
        self.assertEqual(code, 1)
        self.assertIn("skipped, and not expected: gate_test Gate.NeedsCompiler: libnvrtc not found\n", said)
        self.assertIn("skipped: 1 in 1 tests, 1 of them not expected\n", said)
        self.assertEqual(self.judge("gate_test Gate.Needs.* # why\n")[0], 0)
        self.assertEqual(self.judge("gate_test Gate.Needs # why\n")[0], 1)
        self.assertEqual(self.judge("other_test .* # why\n")[0], 1)
        self.assertEqual(self.judge(strict=False)[0], 0)

    def test_cases_of_unittest(self):
        self.add_unittest("page_test", "-v")
        code, said = self.judge()
        self.assertEqual(code, 1)
        self.assertIn("not expected: page_test Page.test_scrolls: no browser here\n", said)
        self.assertIn("not expected: page_test Proxy.test_forwards: it's not installed\n", said)
        self.assertIn("skipped: 2 in 1 tests, 2 of them not expected\n", said)
        self.assertEqual(self.judge("page_test Page.* # why\n")[0], 1)
        self.assertEqual(self.judge("page_test (Page|Proxy).* # why\n")[0], 0)

    def test_cases_without_names_are_counted(self):
        self.add_unittest("quiet_test")
        code, said = self.judge()
        self.assertEqual(code, 1)
        self.assertEqual(len(re.findall(r"quiet_test unnamed\.\d: ", said)), 2)

    def test_a_list_without_reasons_is_refused(self):
        self.add_test("good", "true")
        code, said = self.judge("page_test .*\n")
        self.assertEqual(code, 1)
        self.assertIn("expected.txt:1: not TEST CASE # REASON", said)

    def test_the_projects_list_is_one(self):
        self.add_test("good", "true")
        self.assertEqual(self.judge((ROOT / "tests/expected_skips.txt").read_text(encoding="utf-8"))[0], 0)


if __name__ == "__main__":
    unittest.main()
