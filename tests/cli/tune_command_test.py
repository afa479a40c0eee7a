"""Tuning as users meet it: a real run on tiny batches, what it keeps, who uses it, and files that are wrong."""

import json
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from program import OK, ProgramTest, USAGE

KINDS = ["decode", "prefill", "mixed"]
TINY = ["--threads", 2, "--heads", "8/2", "--max-len", 48]


class TuneCommandTest(ProgramTest):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)
        self.cache = self.root / "cache"

    def tune(self, *args):
        budget = [] if "--budget" in args else ["--budget", 3]
        return self.expect(OK, "tune", "--kernel-cache", self.cache, *TINY, *budget, *([] if "--head-dim" in args else ["--head-dim", 64]), *args)

    def kept(self):
        files = list(self.cache.glob("tuned-cpu-*.json"))
        self.assertEqual(len(files), 1, files)
        return files[0]

    def sources(self, *args, threads=2):
        text = self.expect(OK, "info", "--kernel-cache", self.cache, "--threads", threads, *args).stdout
        return [line.partition(": ")[2] for line in text.splitlines() if "configuration of bf16 d128" in line]

    def test_what_it_measures_and_keeps(self):
        plot = self.root / "plot.svg"
        result = self.tune("--budget", 200, "--json", self.root / "out.json", "--plot", plot)
        for kind in KINDS:
            self.assertRegex(result.stdout, rf"(?m)^bf16 d64 {kind} +\d+ +\d+ +\d\.\d+  split \d+/\d+/\d+/\d+")
        table = json.loads(self.kept().read_text(encoding="utf-8"))
        self.assertEqual([(e["dtype"], e["head_dim"], e["kind"]) for e in table["attention"]], [("bf16", 64, kind) for kind in KINDS])
        self.assertEqual(table["chip"]["num_units"], 2)
        self.assertTrue(all(e["speedup"] >= 1 and "tiles" not in e for e in table["attention"]))
        report = json.loads((self.root / "out.json").read_text(encoding="utf-8"))
        for found in report["classes"]:
            measured = [c for c in found["candidates"] if c["time_us"]]
            self.assertGreaterEqual(len(measured), 1, found)
            for candidate in measured:
                self.assertEqual(len(candidate["time_us"]), len(found["batches"]))
                self.assertTrue(all(time > 0 for time in candidate["time_us"]))
            self.assertLessEqual(found["candidates"][found["winner"]]["score"] or 1, 1)
        self.assertTrue(ElementTree.parse(plot).getroot().tag.endswith("svg"))

    def test_who_uses_it(self):
        self.assertEqual(self.sources(), ["heuristics"] * 3)
        self.tune()
        self.tune("--head-dim", 128)
        table = json.loads(self.kept().read_text(encoding="utf-8"))
        self.assertEqual(sorted(e["head_dim"] for e in table["attention"]), [64] * 3 + [128] * 3, "the classes of both runs are kept")
        self.assertEqual(self.sources(), [str(self.kept())] * 3)
        self.assertEqual(self.sources(threads=1), ["heuristics"] * 3, "it is for two threads")
        bench = self.expect(OK, "bench", "attention", "2q1s40", "--repeat", 1, "--threads", 2, "--kernel-cache", self.cache)
        self.assertIn(f"decode from: {self.kept()}", bench.stderr)
        self.expect(OK, "selftest", "--quick", "--scale", 0.02, "--threads", 2, "--kernel-cache", self.cache)

    def test_wrong_files_are_named_and_replaced(self):
        self.tune()
        path = self.kept()
        text = path.read_text(encoding="utf-8")
        for spoilt, words in ((text[:100], "refused: "), (text.replace('"version": 1', '"version": 9'), "9; this build reads 1"),
                              (text.replace('"min_split_tiles": ', '"min_split_tiles": -'), "not an integer from 1 to"),
                              (text.replace('"num_units": 2', '"num_units": 3'), "3 units")):
            path.write_text(spoilt, encoding="utf-8")
            for source in self.sources():
                self.assertTrue(source.startswith("heuristics ("), source)
                self.assertIn(words, source)
        self.assertIn("is replaced", self.tune().stderr)
        self.assertNotIn("refused", str(self.sources()))

    def test_a_file_to_ship(self):
        path = self.root / "ship.json"
        self.tune("--write", path)
        self.assertFalse(self.cache.exists(), "nothing is kept elsewhere")
        self.assertEqual(len(json.loads(path.read_text(encoding="utf-8"))["attention"]), 3)

    def test_wrong_usage(self):
        self.expect_error(USAGE, "no folder to keep the result in", "tune", *TINY, env={"HOME": "", "XDG_CACHE_HOME": ""})
        self.expect_error(USAGE, "--dtype", "tune", "--dtype", "f8")
        self.expect_error(USAGE, "head_dim_qk must be", "tune", "--head-dim", 640)
        self.expect_error(USAGE, "--budget", "tune", "--budget", 0)


if __name__ == "__main__":
    unittest.main()
