"""Exit codes and error lines: 2 for what the caller can mend, 3 for what is broken."""

import tempfile
import unittest
from pathlib import Path

from program import CORRUPT, OK, ProgramTest, USAGE


class ExitCodeTest(ProgramTest):
    def test_wrong_usage(self):
        self.expect_error(USAGE, "not expected: rum", "rum")
        self.expect_error(USAGE, "--no-such-flag", "info", "--no-such-flag")
        self.expect_error(USAGE, "--threads", "info", "--threads", "-3")
        self.expect_error(USAGE, "--threads", "info", "--threads", "many")
        self.expect_error(USAGE, "A subcommand is required", "bench")
        self.expect_error(USAGE, "--dtype", "bench", "linear", "--dtype", "f8")
        self.expect_error(USAGE, "excludes", "run", "--kv-pages", 4, "--kv-memory", "1GB", "-p", "x")

    def test_usage_errors_lead_to_the_right_help(self):
        self.assertIn("Try: quire bench linear --help", self.expect(USAGE, "bench", "linear", "--dtype", "f8").stderr)

    def test_unknown_names_list_the_known_ones(self):
        self.expect_error(USAGE, "this build has: cpu", "info", "--device", "abacus")
        self.expect_error(USAGE, "this build has: ", "info", "--cpu-isa", "v99")
        self.expect_error(USAGE, "this build has: unified, reference", "bench", "attention", "q1", "--backend", "magic", "--repeat", 1)
        self.expect_error(USAGE, 'no attention backend "magic"; this build has: unified, reference', "run", "-p", "x",
                          "--attention-backend", "magic")
        self.expect_error(USAGE, "llama-8b", "bench", "latency", "--shape", "llama-9000b")

    def test_bad_input(self):
        self.expect_error(USAGE, 'batch spec "8q"', "bench", "attention", "8q")
        self.expect_error(USAGE, "--shape", "bench", "linear", "--shape", "12x")
        self.expect_error(USAGE, "--heads", "bench", "attention", "q1", "--heads", "32/")
        self.expect_error(USAGE, "num_qo_heads must be a multiple", "bench", "attention", "q1", "--heads", "3/2")
        self.expect_error(USAGE, "head_dim_qk must be", "bench", "attention", "q1", "--head-dim", "512")
        self.expect_error(USAGE, "prompt is empty", "run", "-p", "")
        self.expect_error(USAGE, "prompt is empty", "run", stdin="")
        self.expect_error(USAGE, "/nowhere/prompt.txt", "run", "-f", "/nowhere/prompt.txt")

    def test_models_that_are_not_there_or_broken(self):
        self.expect_error(USAGE, "/nowhere/model", "run", "/nowhere/model", "-p", "x")
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "config.json"
            config.write_text('{"architectures": ["LlamaForCausalLM"], ', encoding="utf-8")
            self.expect_error(CORRUPT, "config.json", "run", folder, "-p", "x")
            config.write_text('{"architectures": ["AbacusForCausalLM"]}', encoding="utf-8")
            self.expect_error(USAGE, "AbacusForCausalLM", "run", folder, "-p", "x")

    def test_results_that_cannot_be_written(self):
        self.expect(USAGE, "bench", "ceilings", "--repeat", 1, "--json", "/nowhere/out.json")
        result = self.expect(OK, "info", "--markdown")
        self.assertTrue(result.stdout.startswith("| attention feature |"))
        full = Path("/dev/full")
        if full.exists():
            import subprocess
            from program import QUIRE
            with full.open("w") as out:
                process = subprocess.run([QUIRE, "info"], stdout=out, stderr=subprocess.PIPE, text=True)
            self.assertEqual(process.returncode, 1)
            self.assertIn("cannot write the result", process.stderr)


if __name__ == "__main__":
    unittest.main()
