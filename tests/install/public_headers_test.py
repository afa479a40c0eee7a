"""Each public header compiles alone, with include/ as the only folder of ours. The compiler is the first argument."""

import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CXX = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "g++"


def complaints(text):
    command = [
        CXX,
        "-std=c++20",
        "-Iinclude",
        "-fsyntax-only",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        "-x",
        "c++",
        "-",
    ]
    return subprocess.run(command, input=text, capture_output=True, text=True, cwd=ROOT, check=False).stderr


class PublicHeadersTest(unittest.TestCase):
    def test_each_stands_alone(self):
        headers = sorted(path.relative_to(ROOT / "include") for path in (ROOT / "include").rglob("*.h"))
        self.assertGreater(len(headers), 5)
        for header in headers:
            self.assertEqual(complaints(f'#include "{header}"\n#include "{header}"\n'), "", header)

    def test_a_private_header_is_not_found(self):
        self.assertIn("base/check.h", complaints('#include "base/check.h"\n'))


if __name__ == "__main__":
    unittest.main()
