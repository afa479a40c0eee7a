"""Mixed load for a while, meant for builds with a sanitizer:

    python3 tests/server/soak_test.py build/asan/apps/quire --minutes 30

Clients of every kind at once on a cache that is far too small: answers that must equal those of the same request alone (whole,
streamed, several on one connection), clients that go away at random, deadlines, slow readers, every hostile input of
bad_inputs_test.py over and over, a dashboard, and a canary whose exact answer is known. At the end no page may be held, the
memory must not have grown in the second half, and the server must end with 0 and without a word from a sanitizer."""

import argparse
import asyncio
import collections
import json
import os
import random
import re
import sys
import threading
import time
import unittest
from pathlib import Path

import serving
from bad_inputs_test import BadInputsTest, RawHttpTest
from churn_test import random_body
from serving import ANSWER, CHAT, COMPLETIONS, QUESTION, Server, events_of, findings_of, message_of, text_of, things_left
from streams import call, leave_after, leave_at, pipelined, read_slowly
from thousand_streams import resident_bytes

MAX_BODY_BYTES = 1_000_000
FLAGS = ("--kv-pages", 160, "--max-num-seqs", 24, "--max-batched-tokens", 128, "--batch-invariant", "--scheduling-policy", "priority", "--http-threads", 2,
         "--max-body-bytes", MAX_BODY_BYTES, "--max-header-bytes", 8192)
NUM_BODIES, MAX_FAILURES = 40, 10
CANARY_PAUSE_S, HOSTILE_PAUSE_S, DASHBOARD_PAUSE_S = 3, 2, 1
PATIENCE_S = 900  # a sanitizer on a busy machine, and prompts that wait for the whole cache


def body_of(rng):
    """A request whose answer depends on nothing but itself, and where it goes."""
    body = {**random_body(rng), "priority": rng.randint(-2, 2)}
    if rng.random() < 0.4:  # long enough that the cache runs full
        body.update(max_tokens=rng.randint(60, 200), ignore_eos=True)
    if body["temperature"] > 0 and rng.random() < 0.25:
        body["n"] = rng.randint(2, 4)
    if rng.random() < 0.6:
        return COMPLETIONS, body
    for field in ("logprobs", "echo"):
        body.pop(field, None)
    if rng.random() < 0.3:
        body.update(logprobs=True, top_logprobs=rng.randint(0, 5))
    body["messages"] = [{"role": "user", "content": body.pop("prompt")}]
    return CHAT, body


def texts_of(answer):
    return [choice.get("text", choice.get("message", {}).get("content")) for choice in answer["choices"]]


class Soak:
    def __init__(self, server, seconds, seed):  # `memory` is [(seconds, resident bytes)]
        self.server, self.rng = server, random.Random(seed)
        self.counts, self.failures, self.memory, self.hostile_tests = collections.Counter(), [], [], []
        self.bodies = [body_of(self.rng) for _ in range(NUM_BODIES)]
        self.alone = [texts_of(server.post(path, body).json()) for path, body in self.bodies]
        self.start = time.monotonic()
        self.end = self.start + seconds

    def is_over(self):
        return time.monotonic() >= self.end or len(self.failures) >= MAX_FAILURES or self.server.process.poll() is not None

    def check(self, is_good, *what):
        if not is_good:
            self.failures.append(" ".join(map(str, what))[:1000])
            print(f"soak: {time.monotonic() - self.start:.0f} s, failure:", self.failures[-1], file=sys.stderr, flush=True)

    def check_texts(self, texts, idx):
        self.check(texts == self.alone[idx], "another answer than alone:", self.bodies[idx], texts, self.alone[idx])

    def check_answer(self, status, data, idx):
        self.check(status == 200, status, data[:300])
        if status == 200:
            self.check_texts(texts_of(json.loads(data)), idx)

    def check_stream(self, status, data, idx):
        self.check(status == 200, status, data[:300])
        if status != 200:
            return
        events = events_of(data)
        self.check(not any("error" in event for event in events), events[-1])
        self.check_texts([text_of(events, i) for i in range(len(self.alone[idx]))], idx)

    # What a client does once. `port`, a request and its number among self.bodies.

    async def ask(self, port, path, body, idx):
        self.check_answer(*await call(port, path, body), idx)

    async def stream(self, port, path, body, idx):
        more = {"stream_options": {"include_usage": True, "continuous_usage_stats": self.rng.random() < 0.5}} if self.rng.random() < 0.5 else {}
        self.check_stream(*await call(port, path, {**body, **more, "stream": True}), idx)

    async def pipeline(self, port, path, body, idx):
        for status, data in await pipelined(port, path, [body] * 3):
            self.check_answer(status, data, idx)

    async def read_late(self, port, path, body, idx):
        self.check_stream(*await read_slowly(port, path, {**body, "stream": True}, 64, 0.005), idx)

    async def leave_by_bytes(self, port, path, body, idx):
        await leave_after(port, {**body, "stream": self.rng.random() < 0.7}, self.rng.randint(0, 3000), path)

    async def leave_by_time(self, port, path, body, idx):
        endless = {**body, "max_tokens": 2000, "ignore_eos": True, "stream": self.rng.random() < 0.7}
        await leave_at(port, path, endless, self.rng.expovariate(2))

    async def hurry(self, port, path, body, idx):
        is_stream = self.rng.random() < 0.5
        deadline = f"{self.rng.uniform(0.01, 2):.3f}"
        status, data = await call(port, path, {**body, "stream": is_stream}, **{"X-Request-Timeout": deadline})
        self.counts["deadlines passed"] += status == 504 or b'"code":504' in data
        self.check(status in (200, 504), status, data[:300])

    async def ask_too_much(self, port, path, body, idx):
        status, data = await call(port, COMPLETIONS, {"prompt": self.rng.choices(range(3, 2000), k=self.rng.randint(2600, 9000))})
        self.check(status == 400, status, data[:300])

    KINDS = ((ask, 25), (stream, 30), (pipeline, 3), (read_late, 4), (leave_by_bytes, 12), (leave_by_time, 12), (hurry, 10), (ask_too_much, 4))

    async def client(self):
        kinds, weights = zip(*self.KINDS)
        while not self.is_over():
            kind = self.rng.choices(kinds, weights)[0]
            idx = self.rng.randrange(len(self.bodies))
            try:
                await asyncio.wait_for(kind(self, self.server.port, *self.bodies[idx], idx), PATIENCE_S)
            except (OSError, ValueError, AssertionError, asyncio.TimeoutError) as error:
                self.check(False, kind.__name__, repr(error), self.bodies[idx])
            self.counts[kind.__name__] += 1

    def run_clients(self, num_clients):
        async def crowd():
            await asyncio.gather(*[self.client() for _ in range(num_clients)])
        asyncio.run(crowd())

    # What goes on beside the clients, each on a thread of its own.

    def repeat(self, act, pause_s):
        while not self.is_over():
            try:
                act()
            except Exception as error:  # any of them is a finding
                self.check(False, act.__name__, repr(error))
            time.sleep(min(pause_s, max(0, self.end - time.monotonic())))

    def canary(self):
        text = message_of(self.server.chat(QUESTION, priority=-9))
        self.check(text == ANSWER, "canary:", text)
        self.counts["canaries"] += 1

    def hostile(self):
        self.hostile_tests = self.hostile_tests or hostile_tests(self.server)
        test = self.hostile_tests.pop()
        result = unittest.TestResult()
        test.run(result)
        for _, words in result.failures + result.errors:
            self.check(False, test.id(), words[-600:])
        self.counts["hostile tests"] += 1

    def dashboard(self):
        for path in ("/v1/internal/pages", "/metrics", "/health/ready", "/v1/models", "/"):
            self.check(self.server.get(path).status == 200, path)
        self.counts["dashboards"] += 1

    def watch_memory(self):
        self.memory.append((time.monotonic() - self.start, resident_bytes(self.server.process.pid)))
        print(f"soak: {self.memory[-1][0]:.0f} s, {self.memory[-1][1] / 2**20:.0f} MiB, {sum(self.counts.values())} acts, {len(self.failures)} failures", file=sys.stderr, flush=True)

    def run(self, num_clients):
        beside = [(self.canary, CANARY_PAUSE_S), (self.hostile, HOSTILE_PAUSE_S), (self.dashboard, DASHBOARD_PAUSE_S), (self.watch_memory, min(60, (self.end - self.start) / 8))]
        threads = [threading.Thread(target=self.repeat, args=job) for job in beside]
        for thread in threads:
            thread.start()
        self.run_clients(num_clients)
        for thread in threads:
            thread.join()


def hostile_tests(server):
    tests = []
    for kind in (BadInputsTest, RawHttpTest):
        kind.server = server
        tests += unittest.defaultTestLoader.loadTestsFromTestCase(kind)
    return tests


def growth_bytes(memory):
    """How much more the second half held at most than the first."""
    middle = memory[-1][0] / 2
    halves = [[held for at, held in memory if (at > middle) == is_second] for is_second in (False, True)]
    return max(halves[1]) - max(halves[0])


def check_end(soak, num_files):
    """Quiet again: nothing may be left of all that."""
    server = soak.server
    server.wait_idle()
    serving.wait_until(lambda: num_open_files(server) <= num_files, "connections to be closed")
    metrics = server.metrics()
    soak.check(not things_left(server), things_left(server))
    soak.canary()
    statuses = collections.Counter()
    for name, value in metrics.items():
        if found := re.match(r'http_requests_total\{.*status="(\d+)"', name):
            statuses[found.group(1)] += int(value)
    return {"requests": sum(statuses.values()), "statuses": dict(sorted(statuses.items())), "refused as malformed": sum(n for s, n in statuses.items() if s in "400 404 405 408 413 415 431 501".split()),
            "preemptions": int(metrics["vllm:num_preemptions_total"]), "steps": int(metrics["quire:steps_total"]), "tokens": int(metrics["vllm:generation_tokens_total"])}


def num_open_files(server):
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float)
    length.add_argument("--seconds", type=float)
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2, help="of the engine")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-growth-mib", type=float, default=32, help="of the resident memory, from the first half to the second")
    args = parser.parse_args()
    seconds = args.seconds or (args.minutes or 0.5) * 60
    serving.PATIENCE_S, RawHttpTest.MAX_BODY_BYTES = PATIENCE_S, MAX_BODY_BYTES
    # Freed blocks that AddressSanitizer keeps would look like growth until there are 256 MB of them.
    os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=16")
    server = Server(*FLAGS, "--threads", args.threads)
    try:
        soak = Soak(server, seconds, args.seed)
        num_files = num_open_files(server)
        soak.run(args.clients)
        report = check_end(soak, num_files) if server.process.poll() is None else {}
    finally:
        code = server.stop()
    growth = growth_bytes(soak.memory)
    soak.check(seconds < 300 or growth <= args.max_growth_mib * 2**20, f"memory grew by {growth} bytes in the second half")
    soak.check(code == 0, "exit code", code)
    findings = findings_of(server)
    report.update({"seconds": round(soak.end - soak.start), "exit code": code, "growth MiB": round(growth / 2**20, 1), "findings": len(findings), "acts": dict(soak.counts),
                   "resident MiB": [round(held / 2**20) for _, held in soak.memory], "failures": soak.failures})
    print(json.dumps(report, indent=1))
    if findings:
        print("\n".join(server.log[-400:]), file=sys.stderr)
    sys.exit(1 if soak.failures or findings else 0)


if __name__ == "__main__":
    main()
