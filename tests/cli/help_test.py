"""Help teaches: every command has one, with a sentence for each option and examples at the end."""

import re
import unittest

from program import OK, ProgramTest

BENCHES = ["ceilings", "attention", "linear", "latency", "throughput", "stall", "scheduler", "serve"]
COMMANDS = [[], ["run"], ["chat"], ["serve"], ["tune"], ["selftest"], ["compare"], ["info"], ["bench"], *(["bench", name] for name in BENCHES),
            ["cache"], *(["cache", name] for name in ("list", "clear", "fill"))]


class HelpTest(ProgramTest):
    def test_every_command_explains_itself(self):
        for command in COMMANDS:
            with self.subTest(command=command):
                result = self.expect(OK, *command, "--help")
                self.assertEqual(result.stderr, "")
                examples = result.stdout.partition("Examples:\n")[2]
                self.assertRegex(examples, r"  .*\bquire " + " ".join(command), "examples show the command itself")
                self.assertTrue(all(len(line) <= 132 for line in result.stdout.splitlines()), "a line is too long to read")

    def test_every_option_has_words(self):
        for command in COMMANDS:
            lines = self.expect(OK, *command, "--help").stdout.partition("Examples:")[0].splitlines()
            for line, below in zip(lines, lines[1:] + [""]):
                match = re.match(r"  (?:-\w,)?--[\w-]+(?: [\w/\[\],.]+)*(?P<words>\s{2,}\S.*)?$", line)
                if match and not match.group("words"):
                    self.assertRegex(below, r"^\s{30,}\S", f"{command}: {line}")

    def test_examples_use_flags_that_exist(self):
        options = {}
        for command in COMMANDS:
            text = self.expect(OK, *command, "--help").stdout
            options[tuple(command)] = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text.partition("Examples:")[0]))
        for command in COMMANDS:
            for example in re.findall(r"quire ((?:run|chat|serve|bench|tune|selftest|compare|info|cache)\b[^|\n]*)", self.expect(OK, *command, "--help").stdout.partition("Examples:")[2]):
                words = re.sub(r'"[^"]*"', "TEXT", re.split(r"\s{3,}", example)[0]).split()
                target = tuple(words[:2]) if words[0] in ("bench", "cache") else (words[0],)
                for word in words:
                    if word.startswith("-") and word != "-":
                        self.assertIn(word, options[target], example)

    def test_version(self):
        # Version, commit ("unknown" where the sources are no repository), compiler, kind of build.
        said = self.expect(OK, "--version").stdout
        self.assertRegex(said, r"^quire \d+\.\d+\.\d+ \(commit ([0-9a-f]{7,40}(-dirty)?|unknown), \w+ [\d.]+, \w+.*\)\n$")
        self.assertEqual(self.expect(OK, "info").stdout.splitlines()[0], said.strip())

    def test_nothing_asked_gives_the_help(self):
        self.assertIn("Examples:", self.expect(OK).stdout)


if __name__ == "__main__":
    unittest.main()
