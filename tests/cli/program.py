"""Runs the program under test: its path is the first argument of each test script, or $QUIRE."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "models/demo"
QUIRE = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else os.environ.get("QUIRE", "quire")

OK, FAILURE, USAGE, CORRUPT = 0, 1, 2, 3


def environment(**more):
    """The caller's, without settings of the program."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("QUIRE_") and k != "NO_COLOR"}
    return {**kept, **more}


def run(*args, stdin="", env=None, timeout=240):
    """The finished process; standard output and error are text."""
    return subprocess.run([QUIRE, *map(str, args)], input=stdin, capture_output=True, text=True, timeout=timeout,
                          env=environment(**(env or {})))


class ProgramTest(unittest.TestCase):
    def expect(self, code, *args, **options):
        result = run(*args, **options)
        self.assertEqual(result.returncode, code, f"quire {' '.join(map(str, args))}\n{result.stdout}\n{result.stderr}")
        return result

    def expect_error(self, code, words, *args, **options):
        """One clear line on stderr that says `words`, nothing on stdout."""
        result = self.expect(code, *args, **options)
        lines = [line for line in result.stderr.splitlines() if line.startswith("quire: ")]
        self.assertEqual(len(lines), 1, result.stderr)
        self.assertIn(words, lines[0])
        self.assertEqual(result.stdout, "")

    def run_json(self, *args):
        """What the command writes to --json FILE."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "out.json"
            self.expect(OK, *args, "--json", path)
            return json.loads(path.read_text(encoding="utf-8"))


def needs_demo(test):
    return unittest.skipUnless((DEMO / "model.safetensors").exists(), "the demo model is not in this checkout")(test)
