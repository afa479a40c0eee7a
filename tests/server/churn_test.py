"""Thousands of short requests that share batches, pages and slots with everything else: each gets the answer that it gets
alone. And many streams at once, which then all go away."""

import asyncio
import json
import os
import random
import unittest

from serving import COMPLETIONS, ServerTest
from streams import call, gather, leave_after, stream_text
import thousand_streams

NUM_REQUESTS = int(os.environ.get("CHURN_REQUESTS", 500))  # thousands for a long look
NUM_KINDS, NUM_CLIENTS = 30, 48
WORDS = "Anna Bob the key lamp drawer put took gave silver red kite in under to found stairs village".split()


def random_body(rng):
    body = {"prompt": " ".join(rng.choices(WORDS, k=rng.randint(1, 60))), "max_tokens": rng.randint(1, 12), "ignore_eos": rng.random() < 0.5,
            "temperature": rng.choice([0, 0.7, 1.3]), "seed": rng.randint(0, 999)}
    for field, value in (("top_k", 5), ("top_p", 0.8), ("min_p", 0.1), ("repetition_penalty", 1.5), ("presence_penalty", 1.5), ("frequency_penalty", -1),
                         ("logit_bias", {str(rng.randint(3, 2000)): 5}), ("stop", ["key", "An"]), ("min_tokens", 1), ("logprobs", 2), ("echo", True),
                         ("cache_salt", "salt")):
        if rng.random() < 0.2:
            body[field] = value
    return body


class ChurnTest(ServerTest):
    # With splits of keys at fixed places a request's bits do not depend on its batch mates.
    FLAGS = ("--batch-invariant", "--kv-pages", "160", "--max-num-seqs", "24", "--max-batched-tokens", "96", "--http-threads", "2")

    async def text_of(self, body, stream):
        if stream:
            return await stream_text(self.server.port, body)
        status, data = await call(self.server.port, COMPLETIONS, body)
        assert status == 200, data
        return json.loads(data)["choices"][0]["text"]

    async def churn(self, bodies, alone, rng):
        jobs = [rng.randrange(len(bodies)) for _ in range(NUM_REQUESTS)]

        async def client():
            while jobs:
                idx = jobs.pop()
                roll = rng.random()
                if roll < 0.1:
                    await leave_after(self.server.port, {**bodies[idx], "stream": roll < 0.05}, rng.randint(0, 400))
                elif roll < 0.15:
                    status, _ = await call(self.server.port, COMPLETIONS, {**bodies[idx], "top_p": 7})
                    self.assertEqual(status, 400)
                else:
                    self.assertEqual(await self.text_of(bodies[idx], roll < 0.6), alone[idx], bodies[idx])

        await gather([client() for _ in range(NUM_CLIENTS)])

    def test_short_random_requests(self):
        rng = random.Random(7)
        bodies = [random_body(rng) for _ in range(NUM_KINDS)]
        alone = [asyncio.run(self.text_of(body, False)) for body in bodies]
        asyncio.run(self.churn(bodies, alone, rng))
        self.server.wait_idle()
        metrics = self.server.metrics()
        self.assertEqual(metrics["quire:cache_repairs_total"], 0)
        self.assertEqual(metrics['vllm:request_success_total{finished_reason="error"}'], 0)
        self.check_canary()


class StreamsTest(ServerTest):
    FLAGS = ("--max-num-queued-reqs", "2000", "--batch-invariant", "--max-num-seqs", "64")

    def test_streams_at_once(self):
        report = thousand_streams.run(self.server, num_streams=120, num_tokens=24)
        self.assertEqual(report["wrong"], 0)
        self.check_canary()


if __name__ == "__main__":
    unittest.main()
