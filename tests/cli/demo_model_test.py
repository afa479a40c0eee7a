"""run and chat with the demo model: right answers, in every form and under every setting that must not change them."""

import json
import re
import tempfile
import unittest
from pathlib import Path

from program import DEMO, OK, ProgramTest, USAGE, needs_demo

STORY = "Anna put the key in the drawer. Bob took the lamp."


def example():
    return (DEMO / "example_question.txt").read_text(encoding="utf-8"), (DEMO / "example_answer.txt").read_text(encoding="utf-8").strip()


def endless_model(folder):
    """The demo model in `folder`, with an end token that it never says."""
    for file in DEMO.glob("*.*"):
        (folder / file.name).symlink_to(file)
    for name, changes in (("config.json", {"eos_token_id": 0}), ("generation_config.json", {"eos_token_id": 0}), ("tokenizer_config.json", {"eos_token": "!"})):
        changed = json.loads((DEMO / name).read_text(encoding="utf-8")) | changes
        (folder / name).unlink()
        (folder / name).write_text(json.dumps(changed), encoding="utf-8")
    return folder


@needs_demo
class DemoModelTest(ProgramTest):
    def ask(self, *args, **options):
        return self.expect(OK, "run", *args, **options).stdout

    def test_the_example_from_argument_file_and_pipe(self):
        question, answer = example()
        self.assertEqual(self.ask("-p", question), answer + "\n")
        self.assertEqual(self.ask("-f", DEMO / "example_question.txt"), answer + "\n")
        self.assertEqual(self.ask("-p", "-", stdin=question), answer + "\n")
        self.assertEqual(self.ask(stdin=question), answer + "\n")
        self.assertEqual(self.ask(DEMO, "-p", question), answer + "\n")
        self.assertEqual(self.ask("-p", question, env={"QUIRE_MODEL": str(DEMO)}), answer + "\n")

    def test_settings_that_must_not_change_the_answer(self):
        question, answer = example()
        for settings in (["--page-size", 1], ["--page-size", 48], ["--max-batched-tokens", 7], ["--threads", 1], ["--no-prefix-cache"],
                         ["--batch-invariant"], ["--kv-memory", "64MB"], ["--kv-pages", 256], ["--max-model-len", 1024],
                         ["--attention-backend", "reference"]):
            with self.subTest(settings=settings):
                self.assertEqual(self.ask("-p", question, *settings), answer + "\n")

    def test_json(self):
        question, answer = example()
        result = json.loads(self.ask("-p", question, "--json"))
        self.assertEqual(result["text"], answer)
        self.assertEqual(result["finish_reason"], "stop")
        self.assertGreaterEqual(result["output_tokens"], len(result["token_ids"]))
        self.assertGreater(result["prompt_tokens"], 0)

    def test_the_first_token_comes_before_the_last(self):
        """What the statistics say of an answer of many tokens: the first came long before the last, by the engine's clock."""
        with tempfile.TemporaryDirectory() as name:
            model = endless_model(Path(name))
            for settings in ([], ["--stop", "zzz"], ["--max-batched-tokens", 8]):
                with self.subTest(settings=settings):
                    process = self.expect(OK, "run", model, "-p", "Anna put the key in the drawer.", "--max-tokens", 64, "--json", *settings)
                    result = json.loads(process.stdout)
                    self.assertEqual((result["output_tokens"], result["finish_reason"]), (64, "length"))
                    self.assertGreater(result["first_token_s"], 0)
                    self.assertLess(result["first_token_s"], result["total_s"])
                    said = re.search(r"first token after (\d+) ms, last after (\d+) ms, ([\d.]+) tokens/s between", process.stderr)
                    self.assertIsNotNone(said, process.stderr)
                    first_ms, last_ms, rate = map(float, said.groups())
                    self.assertAlmostEqual(first_ms, result["first_token_s"] * 1e3, delta=0.51)
                    self.assertAlmostEqual(last_ms, result["total_s"] * 1e3, delta=0.51)
                    self.assertAlmostEqual(rate, 63 / (result["total_s"] - result["first_token_s"]), delta=0.06)

    def test_one_token_has_no_speed(self):
        self.assertNotIn("tokens/s", self.expect(OK, "run", "-p", "Anna", "--max-tokens", 1).stderr)

    def test_limits_and_seeds(self):
        question, _ = example()
        cut = json.loads(self.ask("-p", question, "--json", "--max-tokens", 1))
        self.assertEqual((cut["finish_reason"], cut["output_tokens"]), ("length", 1))
        sampled = [self.ask("-p", question, "--temperature", 2, "--seed", 5, "--max-tokens", 20) for _ in range(2)]
        self.assertEqual(sampled[0], sampled[1])

    def test_refusals_name_the_field(self):
        question, _ = example()
        self.assertIn("temperature", self.expect(USAGE, "run", "-p", question, "--temperature", 3).stderr)
        self.assertIn("--top-p", self.expect(USAGE, "run", "-p", question, "--top-p", 0).stderr)
        self.assertRegex(self.expect(USAGE, "run", "-p", "word " * 6000).stderr, r"quire: .*\d")

    def test_raw_differs_from_chat(self):
        question, answer = example()
        self.assertNotEqual(self.ask("-p", question, "--raw", "--max-tokens", 8), answer + "\n")

    def test_chat_remembers_and_forgets(self):
        question, answer = example()
        one_line = " ".join(question.split())
        talk = self.expect(OK, "chat", stdin=f"{one_line}\n\n/nonsense\n/reset\n{one_line}\n/exit\nnever read\n")
        self.assertEqual(talk.stdout, f"{answer}\n{answer}\n")
        self.assertIn("/nonsense is no command", talk.stderr)

    def test_chat_survives_what_the_model_cannot_take(self):
        question, answer = example()
        talk = self.expect(OK, "chat", stdin="word " * 6000 + "\n" + " ".join(question.split()) + "\n")
        self.assertEqual(talk.stdout, answer + "\n")

    def test_bench_takes_the_demo_model(self):
        file = self.run_json("bench", "latency", "--prompt-len", 16, "--output-len", 4, "--repeat", 1)
        self.assertEqual(file["rows"][0]["name"], "demo prefill 1q16")


if __name__ == "__main__":
    unittest.main()
