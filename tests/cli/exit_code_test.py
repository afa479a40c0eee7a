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
        self.expect_error(USAGE, "head_dim_qk must be", "bench", "attention", "q1", "--head-dim", "640")
        self.expect_error(USAGE, "prompt is empty", "run", "-p", "")
        self.expect_error(USAGE, "prompt is empty", "run", stdin="")
        self.expect_error(USAGE, "/nowhere/prompt.txt", "run", "-f", "/nowhere/prompt.txt")
        self.expect_error(USAGE, "cannot read the prompt file /: Is a directory", "run", "-f", "/")
        self.expect_error(USAGE, "has more than 268435456 bytes", "run", "-f", "/dev/zero")

    def test_what_was_meant(self):
        self.assertIn("Did you mean --max-tokens? Try: quire run --help", self.expect(USAGE, "run", "--max-token", 5).stderr)
        self.assertIn("Did you mean serve?", self.expect(USAGE, "sevre").stderr)
        self.assertNotIn("Did you mean", self.expect(USAGE, "abacus").stderr)

    def test_bounds_are_said_in_words(self):
        result = self.expect(USAGE, "run", "--max-tokens", 0, "-p", "x")
        self.assertIn("--max-tokens: must be a number above 0, got 0", result.stderr)
        self.assertLess(len(result.stderr), 200)
        self.assertIn("must be a number of at least 0, got -1", self.expect(USAGE, "run", "--max-model-len", -1, "-p", "x").stderr)
        self.assertIn("1e300 is not a number of seconds from 0 to 1000000", self.expect(USAGE, "serve", "--request-timeout", "1e300").stderr)

    def test_models_that_are_named_in_another_way(self):
        with tempfile.TemporaryDirectory() as name:
            folder, hub = Path(name), {"HF_HOME": f"{name}/hf", "HF_HUB_CACHE": ""}
            error = lambda words, model: self.expect_error(USAGE, words, "run", model, "-p", "x", env=hub)
            for address in ("", "hf.co/", "https://huggingface.co/", "hf://"):
                error("hf download Qwen/Qwen3-0.6B --local-dir Qwen3-0.6B", f"{address}Qwen/Qwen3-0.6B")
            snapshot = folder / "hf/hub/models--Qwen--Qwen3-0.6B/snapshots/abc"
            snapshot.mkdir(parents=True)
            (snapshot / "config.json").write_text("{}", encoding="utf-8")
            error(f"in the cache at {snapshot}", "Qwen/Qwen3-0.6B")
            error(f"name its snapshot: {snapshot}", snapshot.parents[1])
            (folder / "x.gguf").write_bytes(b"GGUF")
            error("GGUF files are not read", folder / "x.gguf")
            (folder / "model.safetensors").write_bytes(b"")
            error("put the other files beside it", folder / "model.safetensors")
            inner = folder / "Qwen3-0.6B"
            inner.mkdir()
            (inner / "config.json").write_text("{}", encoding="utf-8")
            (inner / "model.safetensors").write_bytes(b"")
            error(f"name its folder: {inner}", inner / "model.safetensors")
            error(f"but {inner} has", folder)
            error(f"did you mean {inner}?", folder / "Qwen3-06B")
            (folder / "lora").mkdir()
            (folder / "lora/adapter_config.json").write_text("{}", encoding="utf-8")
            error("adapter", folder / "lora")

    def test_files_in_the_place_of_those_that_are_read(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "config.json").write_text("{}", encoding="utf-8")
            (folder / "tokenizer.model").write_bytes(b"")
            self.expect_error(USAGE, "holds tokenizer.model but no tokenizer.json", "run", folder, "-p", "x")
            (folder / "pytorch_model.bin").write_bytes(b"")
            for command in (("run", folder, "-p", "x"), ("serve", folder, "--port", 0), ("bench", "latency", "--model", folder)):
                self.expect_error(USAGE, "holds pytorch_model.bin but no model.safetensors", *command)

    def test_files_that_are_something_else(self):
        with tempfile.TemporaryDirectory() as name:
            (Path(name) / "config.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 727\n", encoding="utf-8")
            self.expect_error(CORRUPT, "a Git LFS pointer and not the file of 727 bytes", "run", name, "-p", "x")

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
            with full.open("w") as err:  # the error itself cannot be written
                self.assertEqual(subprocess.run([QUIRE, "run", "/nowhere/model", "-p", "x"], stderr=err).returncode, USAGE)


if __name__ == "__main__":
    unittest.main()
