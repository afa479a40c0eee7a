"""Variables stand for flags: QUIRE_* is read, a flag wins, and a misspelt variable is spoken of."""

import unittest

from program import OK, ProgramTest, USAGE


class EnvironmentTest(ProgramTest):
    def test_a_variable_stands_for_its_flag(self):
        self.assertIn("3 threads", self.expect(OK, "info", env={"QUIRE_THREADS": "3"}).stdout)

    def test_the_flag_wins(self):
        self.assertIn("1 thread,", self.expect(OK, "info", "--threads", 1, env={"QUIRE_THREADS": "3"}).stdout)

    def test_a_bad_value_is_an_error_that_names_it(self):
        result = self.expect(USAGE, "info", env={"QUIRE_THREADS": "many"})
        self.assertIn("many", result.stderr)

    def test_another_commands_variable_does_no_harm(self):
        result = self.expect(OK, "info", env={"QUIRE_PAGE_SIZE": "32"})
        self.assertEqual(result.stderr, "")

    def test_an_unknown_variable_is_spoken_of(self):
        self.assertIn("QUIRE_TREADS is set but no option reads it", self.expect(OK, "info", env={"QUIRE_TREADS": "3"}).stderr)


if __name__ == "__main__":
    unittest.main()
