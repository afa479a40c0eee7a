"""scripts/times: groups, shares, what was skipped, and the table that it writes into a document."""

import importlib.machinery
import importlib.util
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts/times"
RESULTS = """<?xml version="1.0"?>
<testsuite name="x" tests="4" timestamp="2026-01-02T03:04:05">
  <testcase name="json_test" classname="json_test" time="0.5" status="run"/>
  <testcase name="server_soak_process_test" time="90.25" status="run"/>
  <testcase name="emulator_block_test" time="9.25" status="run"/>
  <testcase name="page_live_test" time="7" status="notrun"><skipped message="no browser"/></testcase>
</testsuite>
"""


def script():
    loader = importlib.machinery.SourceFileLoader("times", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("times", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


class TimesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.results = self.folder / "tests.xml"
        self.results.write_text(RESULTS, encoding="utf-8")

    def run_script(self, *args):
        return subprocess.run([sys.executable, "-B", SCRIPT, *map(str, args)], capture_output=True, text=True)

    def test_groups_and_shares(self):
        result = self.run_script(self.results)
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in result.stdout.splitlines()[2:]]
        self.assertEqual(rows, [["lane emulator", "1", "9.2 s", "9 %", "`emulator_block_test`, 9.2 s"],
                                ["soaks", "1", "1:30", "90 %", "`server_soak_process_test`, 1:30"],
                                ["unit tests", "1", "0.5 s", "0 %", "`json_test`, 0.5 s"],
                                ["all", "3", "1:40", "", ""]])

    def test_the_slowest_come_first(self):
        lines = self.run_script(self.results, "--slowest").stdout.splitlines()
        self.assertEqual([line.split()[-1] for line in lines], ["server_soak_process_test", "emulator_block_test", "json_test"])

    def test_it_writes_into_a_document(self):
        document = self.folder / "testing.md"
        document.write_text("before\n<!-- test-times -->\nold\n<!-- /test-times -->\nafter\n", encoding="utf-8")
        result = self.run_script(self.results, "--write", "--document", document)
        self.assertEqual(result.returncode, 0, result.stderr)
        text = document.read_text(encoding="utf-8")
        self.assertNotIn("old", text)
        self.assertIn("2026-01-02", text)
        self.assertIn("| soaks | 1 | 1:30 |", text)
        self.assertTrue(text.startswith("before\n") and text.endswith("after\n"))
        self.assertEqual(self.run_script(self.results, "--write", "--document", self.results).returncode, 1)

    def test_missing_results_are_said(self):
        result = self.run_script(self.folder / "none.xml")
        self.assertEqual(result.returncode, 1)
        self.assertIn("does not exist", result.stderr)

    def test_names_find_their_group(self):
        group_of = script().group_of
        for name, group in (("page_pool_test", "unit tests"), ("page_live_test", "live page"), ("model_golden_test", "goldens"),
                            ("server_api_test", "unit tests"), ("server_api_process_test", "server and clients"),
                            ("cli_help_test", "program"), ("cuda_compile_test", "GPU compile gates")):
            self.assertEqual(group_of(name), group, name)


if __name__ == "__main__":
    unittest.main()
