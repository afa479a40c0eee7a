"""quire selftest prints a table a person can read, is reproducible from its seed, and covers each level of the machine."""

import re
import unittest

from program import OK, ProgramTest, USAGE


class SelftestCommandTest(ProgramTest):
    ARGS = ("selftest", "--scale", 0.001)

    def test_table_and_verdict(self):
        text = self.expect(OK, *self.ARGS, "--seed", 7).stdout
        self.assertRegex(text, r"(?m)^kernel +feature +dtype +cases +worst error +bound")
        self.assertRegex(text, r"(?m)^attention .* bf16 .* ok$")
        self.assertIn("seed 7", text)
        self.assertTrue(text.endswith("selftest passed\n"))

    def test_a_seed_gives_the_same_table(self):
        first, second = (self.expect(OK, *self.ARGS, "--seed", 11, "--threads", 1).stdout for _ in range(2))
        self.assertEqual(first, second)

    def test_all_levels_of_this_machine(self):
        levels = re.findall(r"(?m)^ +\w+ \([^)]*\)(.*)$", self.expect(OK, "info").stdout.partition("cuda")[0])
        num_levels = sum("not on this processor" not in level for level in levels)
        text = self.expect(OK, *self.ARGS, "--cpu-isa", "all").stdout
        self.assertEqual(text.count("worst error"), num_levels)

    def test_one_kernel(self):
        whole, text = (self.expect(OK, *self.ARGS, "--seed", 7, *more).stdout for more in ((), ("--kernel", "rope")))
        rows = [line for line in text.splitlines() if line.endswith("ok")]
        self.assertTrue(rows)
        self.assertTrue(all(line.startswith("rope ") for line in rows), text)
        for line in rows:
            self.assertIn(line, whole.splitlines())  # the same cases as among all others
        self.expect_error(USAGE, "there are: activation, attention", "selftest", "--kernel", "nowhere")

    def test_bad_flags(self):
        self.expect_error(USAGE, "--scale", "selftest", "--scale", 0)


if __name__ == "__main__":
    unittest.main()
