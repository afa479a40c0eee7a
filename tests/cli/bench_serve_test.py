"""`quire bench serve` against a server of scripted answers: what it counts, writes and refuses."""

import json
import re
import sys
import tempfile
import threading
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from program import FAILURE, OK, ROOT, USAGE, ProgramTest

sys.path.insert(0, str(ROOT / "tests/page"))
from fake_server import HOSTILE, FakeServer, World  # noqa: E402

NUM_WORDS = len(HOSTILE)
WARMUP = 2  # requests that measure what a word costs


class BenchServeTest(ProgramTest):
    def setUp(self):
        self.server = FakeServer(ROOT / "README.md", World(num_pages=10, num_requests=1))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()
        self.folder.cleanup()

    def bench(self, *args, code=OK):
        return self.expect(code, "bench", "serve", "--url", f"http://127.0.0.1:{self.server.server_port}", *args)

    def bench_json(self, *args):
        path = Path(self.folder.name) / "out.json"
        self.bench("--json", path, *args)
        return json.loads(path.read_text(encoding="utf-8"))

    def test_sweep(self):
        svg = Path(self.folder.name) / "out.svg"
        result = self.bench_json("--rate", "50,200,inf", "--requests", 20, "--svg", svg, "--slo-ttft-ms", 60000, "--slo-tpot-ms", 60000)
        self.assertEqual([row["load"] for row in result["rows"]], [50, 200, "inf"])
        for row in result["rows"]:
            self.assertEqual((row["num_ok"], row["num_refused"], row["num_failed"]), (20, 0, 0), row)
            self.assertEqual((row["output_tokens"], row["prompt_tokens"], row["num_good"]), (20 * NUM_WORDS, 20 * 9, 20))
            self.assertEqual(row["ttft_ms"]["num_values"], 20)
            self.assertEqual(row["itl_ms"]["num_values"], 20 * (NUM_WORDS - 1))
            self.assertLessEqual(row["ttft_ms"]["p50"], row["ttft_ms"]["p90"])
            self.assertLessEqual(row["ttft_ms"]["max"], row["e2e_ms"]["max"])
        self.assertEqual(result["token_counts"], "usage")
        self.assertEqual(result["config"]["model"], "demo <b>model</b>")
        root = ElementTree.parse(svg).getroot()
        self.assertTrue(root.tag.endswith("svg"))
        self.assertIn("Time to first token", "".join(root.itertext()))
        self.assertEqual(len(self.server.chats), 60 + WARMUP)

    def test_table(self):
        text = self.bench("--clients", "1,4", "--requests", 8, "--slo-ttft-ms", 60000).stdout
        for line in (r"load +ok +refused +failed +ok/s", r"1 client +8 +0 +0 ", r"4 clients +8 +0 +0 ", r"ITL ms", r"Tokens are those of the server's usage\."):
            self.assertRegex(text, line)
        self.assertTrue(all(len(line) <= 132 for line in text.splitlines()))
        self.assertNotIn("\033", text)

    def test_seed_decides(self):
        def prompts(*args):
            self.server.chats.clear()
            self.bench("--clients", 1, "--requests", 5, "--prompt-len", "lognormal:20:1:100", *args)
            return [(chat["messages"][0]["content"], chat["max_tokens"]) for chat in self.server.chats]

        first, again, other = prompts("--seed", 5), prompts("--seed", 5), prompts("--seed", 6)
        self.assertEqual(first, again)
        self.assertFalse({text for text, _ in first} & {text for text, _ in other})

    def test_trace_gives_times_lengths_and_texts(self):
        trace = Path(self.folder.name) / "trace.jsonl"
        trace.write_text('{"prompt_len": 4, "output_len": 3, "arrival_s": 0}\n{"prompt": "Who?", "output_len": 2, "arrival_s": 0.05}\n')
        result = self.bench_json("--trace", trace)
        self.assertEqual([(row["kind"], row["num_ok"]) for row in result["rows"]], [("trace", 2)])
        chats = {chat["max_tokens"]: chat["messages"][0]["content"] for chat in self.server.chats[WARMUP:]}
        self.assertEqual(chats[2], "Who?")
        self.assertEqual(len(chats[3].split()), 4)

    def test_conversations(self):
        self.bench("--clients", 2, "--requests", 4, "--turns", 3, "--prefix-len", 6)
        chats = self.server.chats[WARMUP:]
        self.assertEqual(len(chats), 12)
        self.assertEqual(len({chat["messages"][0]["content"] for chat in chats}), 1, "one shared beginning")
        self.assertEqual(sorted(len(chat["messages"]) for chat in chats), [2] * 4 + [4] * 4 + [6] * 4)

    def test_key(self):
        self.server.key = "secret-1"
        refused = self.bench(code=USAGE)
        self.assertRegex(refused.stderr, r"401: wrong key")
        path = Path(self.folder.name) / "out.json"
        self.bench("--api-key", "secret-1", "--clients", 1, "--requests", 2, "--json", path)
        self.assertNotIn("secret-1", path.read_text(encoding="utf-8"))

    def test_refusals(self):
        self.server.chat_error = (429, "the queue is full")
        result = self.bench("--model", "m", code=FAILURE)
        self.assertEqual(result.stdout, "")
        self.assertRegex(result.stderr, r"quire: the first request to .* failed: refused \(429 the queue is full\)")

    def test_nobody_there(self):
        self.server.is_down = True
        result = self.bench(code=FAILURE)
        self.assertRegex(result.stderr, r"quire: no answer from http://127\.0\.0\.1:\d+/v1/models")

    def test_wrong_flags(self):
        for args, words in ((("--rate", "0"), "--rate"), (("--rate", "1,x"), "--rate"), (("--rate", "inf", "--duration", "1"), "--requests"),
                            (("--url", "https://a"), "http://"), (("--trace", "nowhere.jsonl"), "nowhere.jsonl"), (("--extra-body", "[]"), "object"),
                            (("--extra-body", "{"), "extra-body"), (("--prompt-len", "gauss:1"), "--prompt-len"), (("--clients", "1", "--rate", "1"), "excludes"),
                            (("--endpoint", "embeddings"), "endpoint"), (("--clients", "0"), "clients")):
            with self.subTest(args=args):
                url = () if "--url" in args else ("--url", "http://127.0.0.1:1")
                result = self.expect(USAGE, "bench", "serve", *url, *args)
                self.assertRegex(result.stderr, f"quire: .*{re.escape(words)}")
                self.assertEqual(result.stdout, "")


if __name__ == "__main__":
    unittest.main()
