"""Whatever a server is made of and whatever else it computes, in batch-invariant mode a request gets the
answer that it gets alone:

    python3 tests/server/differential_soak_test.py build/release/apps/quire --minutes 30

Round after round, random requests are answered one by one by an idle server of generous configuration without
a prefix cache, and then many at once, mixed with clients that go away, by a server of a random configuration
whose cache is tiny. Text, token ids, logprobs, reasons and counts must be equal to the last digit; only
`cached_tokens` may differ. Then no page may be held, and the servers must end with 0 and without a word from a
sanitizer. Everything follows from the seed but the timing: `--round` repeats one round until the time is over."""

import argparse
import asyncio
import collections
import json
import random
import sys
import time

import serving
from random_requests import CANARY, MAX_TOKENS, RequestSource, body_for, draw_flags, words_of
from serving import ANSWER, QUIRE, Server, events_of, findings_of, things_left
from streams import call, leave_after, leave_at, pipelined, read_slowly

NUM_REQUESTS, NUM_ACTS, MAX_FAILURES = 24, 200, 5  # of a round, of a round, of all
PATIENCE_S = 900  # a sanitizer on a busy machine
REFERENCE_FLAGS = ("--batch-invariant", "--no-prefix-cache", "--scheduling-policy", "priority",
                   "--max-batched-tokens", 4096)
OF_CHOICE = ("finish_reason", "stop_reason", "token_ids", "prompt_token_ids", "prompt_logprobs")
KINDS = {"whole": 28, "streamed": 32, "pipelined": 5, "read_late": 5, "leave_by_bytes": 15,
         "leave_by_time": 15}  # of acts, and their weights


def usage_of(answer):
    """What must be equal of it; how much was found in the cache may differ."""
    return {name: value for name, value in answer["usage"].items() if name != "prompt_tokens_details"}


def whole_answer(status, data):
    """What must be equal of an answer, in the form that it shares with a streamed one."""
    answer = json.loads(data)
    if status != 200:
        return {"status": status, "error": answer["error"]}
    choices = []
    for choice in answer["choices"]:
        text = choice["message"]["content"] if "message" in choice else choice["text"]
        choices.append({"text": text, "logprobs": choice["logprobs"],
                        **{name: choice[name] for name in OF_CHOICE if name in choice}})
    return {"choices": choices, "usage": usage_of(answer), "prompt_token_ids": answer.get("prompt_token_ids")}


def add_lists(into, more):
    """Joins the logprobs of two events; both are None, or lists by name."""
    if into is None or more is None:
        return into or more
    return {name: into[name] + more[name] for name in into}


def streamed_answer(status, data):
    if status != 200:
        return whole_answer(status, data)
    events = events_of(data)
    for event in events:
        if "error" in event:
            return {"status": event["error"]["code"], "error": event["error"]}
    choices, prompt = {}, None
    for event in events[:-1]:
        prompt = event.get("prompt_token_ids", prompt)
        for part in event["choices"]:
            choice = choices.setdefault(part["index"], {"text": "", "logprobs": None})
            choice["text"] += part["delta"].get("content", "") if "delta" in part else part["text"]
            choice["logprobs"] = add_lists(choice["logprobs"], part["logprobs"])
            choice.update({name: part[name] for name in OF_CHOICE if name in part and name != "token_ids"})
            if "token_ids" in part:
                choice["token_ids"] = choice.get("token_ids", []) + part["token_ids"]
    return {"choices": [choices[idx] for idx in sorted(choices)], "usage": usage_of(events[-1]),
            "prompt_token_ids": prompt}


def difference(path, a, b):
    """Where two answers differ first, in words; None if nowhere."""
    if type(a) is type(b) and isinstance(a, (dict, list)):
        if isinstance(a, dict) and a.keys() == b.keys():
            parts = [(f"{path}.{key}", a[key], b[key]) for key in a]
        elif isinstance(a, list) and len(a) == len(b):
            parts = [(f"{path}[{idx}]", *pair) for idx, pair in enumerate(zip(a, b))]
        else:
            return f"{path}: {list(a)[:40]} and {list(b)[:40]}"
        return next((found for part in parts if (found := difference(*part))), None)
    return None if a == b and type(a) is type(b) else f"{path}: {a!r} and {b!r}"


class Round:
    """Requests, the answers that they get alone, what is done with them, and the flags of the server."""

    def __init__(self, seed, idx, reference):
        self.rng = random.Random(f"{seed}.{idx}")
        source = RequestSource(self.rng)
        self.requests = [CANARY] + [source.draw() for _ in range(NUM_REQUESTS - 1)]
        self.alone, longest = [], 1
        for path, body in self.requests:
            answer = reference.post(path, body)
            self.alone.append(whole_answer(answer.status, answer.body))
            if answer.status == 200:  # the prompts of a list together are more than the longest of them
                longest = max(longest, answer.json()["usage"]["prompt_tokens"] + MAX_TOKENS)
        assert self.alone[0]["choices"][0]["text"] == ANSWER, self.alone[0]
        self.flags = draw_flags(self.rng, longest)
        self.num_clients = self.rng.choice([3, 12, 24, 40])
        self.acts = [self.draw_act() for _ in range(NUM_ACTS)]

    def draw_act(self):
        rng = self.rng
        idx, kind = rng.randrange(len(self.requests)), rng.choices(list(KINDS), KINDS.values())[0]
        is_stream = kind in ("streamed", "read_late") or kind.startswith("leave") and rng.random() < 0.6
        if "prompt_logprobs" in self.requests[idx][1] and is_stream:  # refused in a stream
            is_stream, kind = False, "whole" if kind in ("streamed", "read_late") else kind
        more = {}
        if is_stream:
            options = {"include_usage": True, "continuous_usage_stats": rng.random() < 0.3}
            more = {"stream": True, "stream_options": options}
        return idx, kind, more, rng.random()  # the last says when one leaves

    def body(self, idx):
        return body_for(self.flags, self.requests[idx][1])


class Soak:
    def __init__(self, args, seconds):
        self.args, self.end = args, time.monotonic() + seconds
        self.counts, self.num_failures, self.num_rounds = collections.Counter(), 0, 0

    def is_over(self):
        return time.monotonic() >= self.end or self.num_failures >= MAX_FAILURES

    def fail(self, round_idx, *lines):
        self.num_failures += 1
        again = f"{sys.argv[0]} {QUIRE} --seed {self.args.seed} --round {round_idx} --minutes 5"
        print(f"differential soak: failure in round {round_idx}; again: python3 {again}", *lines, sep="\n  ",
              file=sys.stderr, flush=True)

    async def act(self, port, current, act):
        """The answers of one act, none where the client leaves."""
        idx, kind, more, when = act
        path, body = current.requests[idx][0], {**current.body(idx), **more}
        if kind == "leave_by_bytes":
            await leave_after(port, body, int(2000 * when), path)
        elif kind == "leave_by_time":
            await leave_at(port, path, body, when**3)
        elif kind == "pipelined":
            return [whole_answer(*answer) for answer in await pipelined(port, path, [body] * 2)]
        elif kind == "read_late":
            return [streamed_answer(*await read_slowly(port, path, body, 256, 0.002))]
        else:
            return [(streamed_answer if more else whole_answer)(*await call(port, path, body))]
        return []

    async def client(self, server, current, wrong):
        while current.acts and not self.is_over() and len(wrong) < MAX_FAILURES:
            act = current.acts.pop()
            self.counts[act[1]] += 1
            try:
                answers = await asyncio.wait_for(self.act(server.port, current, act), PATIENCE_S)
            except (OSError, ValueError, AssertionError, IndexError, asyncio.TimeoutError) as error:
                wrong.append((act, repr(error)))
                return
            self.counts["compared"] += len(answers)
            wrong += [(act, answer) for answer in answers if answer != current.alone[act[0]]]

    def describe(self, server, current, act, answer):
        """Lines that tell how an answer differs, and whether the configuration alone makes it so."""
        idx, kind, more, _ = act
        alone, body = current.alone[idx], {**current.body(idx), **more}
        yield f"quire serve {' '.join(words_of(current.flags))}"
        yield f"{kind}: POST {current.requests[idx][0]} {json.dumps(body)}"
        yield f"the first difference, alone and here: {difference('answer', alone, answer)}"
        yield f"alone: {json.dumps(alone)}"
        yield f"here: {json.dumps(answer)}"
        if server.process.poll() is None:
            later = server.post(current.requests[idx][0], current.body(idx))
            is_same = whole_answer(later.status, later.body) == alone
            yield f"afterwards, on the server that has become idle: {'as ever' if is_same else 'differs as well'}"

    def load(self, server, round_idx, current):
        wrong = []

        async def crowd():
            await asyncio.gather(*[self.client(server, current, wrong) for _ in range(current.num_clients)])

        asyncio.run(crowd())
        if server.process.poll() is None:
            server.wait_idle()
        for act, answer in wrong[:MAX_FAILURES]:  # some more were under way
            self.fail(round_idx, *self.describe(server, current, act, answer))
        if server.process.poll() is not None:
            return
        for name, value in things_left(server).items():
            self.fail(round_idx, f"{name} is {value}")
        metrics = server.metrics()
        for name in ("vllm:num_preemptions_total", "vllm:prefix_cache_hits_total", "quire:steps_total"):
            self.counts[name] += int(metrics[name])

    def run_round(self, round_idx, reference):
        current = Round(self.args.seed, round_idx, reference)
        server = Server(*words_of(current.flags))
        try:
            self.load(server, round_idx, current)
        finally:
            self.check_end(server, round_idx)
        self.num_rounds += 1

    def check_end(self, server, round_idx):
        code = server.stop()
        findings = findings_of(server)
        if code != 0 or findings:
            self.fail(round_idx, f"the server ended with {code}", *(server.log[-400:]))

    def run(self):
        round_idx = self.args.round or 0
        reference = Server(*REFERENCE_FLAGS)
        try:
            while not self.is_over():
                self.run_round(round_idx, reference)
                round_idx += self.args.round is None
        finally:
            self.check_end(reference, round_idx)


def main():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float)
    length.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--round", type=int, help="this one alone, over and over")
    args = parser.parse_args()
    serving.PATIENCE_S = PATIENCE_S
    seconds = args.seconds or (args.minutes or 1) * 60
    print(f"differential soak: seed {args.seed}, {seconds:.0f} s", file=sys.stderr, flush=True)
    soak = Soak(args, seconds)
    soak.run()
    report = {"seed": args.seed, "rounds": soak.num_rounds, "failures": soak.num_failures, **soak.counts}
    print(json.dumps(report, indent=1))
    sys.exit(1 if soak.num_failures else 0)


if __name__ == "__main__":
    main()
