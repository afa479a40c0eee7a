"""Every number that a flag takes may also be none, or one that no machine has: each flag of each command, found in its
help, gets all of tests/hostile/values.json, and says what is wrong before anything is done."""

import re
import subprocess
import sys
import unittest
from pathlib import Path

from program import QUIRE, USAGE, ProgramTest, environment

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hostile"))
from values import TABLE  # noqa: E402

COMMANDS = ("run", "chat", "serve", "tune", "selftest", "compare", "info", "cache fill", "bench attention", "bench linear", "bench latency",
            "bench throughput", "bench scheduler", "bench serve", "bench stall", "bench layers", "bench ceilings")
# Types of numbers, and of lists and laws of numbers, as help texts name them.
NUMBERS = re.compile(r"INT|UINT|FLOAT|SIZE|S|MS|N|N,\.\.\.|RATE,\.\.\.|Q/KV|QK\[/VO\]|MxNxK,\.\.\.|LAW|0\|1")
PLAIN = {"--threads", "--max-programs"}  # numbers that are shown as text
# Requests a second: any large number, and inf, are all at once.
TAKEN = {"--rate": {"inf", "infinity", "99999999999999999999999", "1e300"}}
PATIENCE_S = 5  # a command that works so long has taken what it got
# What a command needs to get as far as its own checks.
NEEDED = {"bench attention": ["q1"], "run": ["-p", "x", "--model", "/nowhere"], "serve": ["--port", "0"], "tune": ["--write", "/dev/null"]}


def flags_of(command, said):
    """The flags that take a number and whose help no command before has shown."""
    text = subprocess.run([QUIRE, *command.split(), "--help"], capture_output=True, text=True, check=True, env=environment()).stdout
    for flag, kind, words in re.findall(r"^ +(?:-\w,)?(--[\w-]+) (\S*) +(\S.*)$", text, re.MULTILINE):
        is_number = NUMBERS.fullmatch(kind) or flag in PLAIN or (kind == "" and words.startswith("Seconds"))
        if is_number and (flag, words) not in said:
            said.add((flag, words))
            yield flag


class HostileFlagsTest(ProgramTest):
    def refusal(self, command, flag, value, *more):
        """What the command says, or nothing if it takes the value."""
        words = [QUIRE, *command.split(), *NEEDED.get(command, []), f"{flag}={value}", *more]
        try:
            result = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=environment(), stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return ""
        is_named = flag in result.stderr or flag.replace("-", "_").strip("_") in result.stderr
        return result.stderr if result.returncode == USAGE and is_named else ""

    def test_each_number_of_each_command(self):
        said, num_flags = set(), 0
        for command in COMMANDS:
            for flag in flags_of(command, said):
                num_flags += 1
                for value in TABLE["numbers_on_a_command_line"]:
                    if value in TAKEN.get(flag, ()):
                        continue
                    # A flag that is not there keeps the command from its work where the parser is content.
                    refusal = self.refusal(command, flag, value, "--no-such-flag") or self.refusal(command, flag, value)
                    with self.subTest(command=command, flag=flag, value=value):
                        self.assertTrue(refusal, "was taken")
                        self.assertNotIn("internal", refusal)
                        self.assertLess(len(refusal), 1000)
        self.assertGreater(num_flags, 60, "the pattern that finds flags has gone stale")


if __name__ == "__main__":
    unittest.main()
