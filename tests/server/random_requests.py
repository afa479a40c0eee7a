"""What a differential soak draws from a seed: requests of every kind, and configurations of a server that must
not matter."""

from churn_test import WORDS, random_body
from serving import CHAT, COMPLETIONS, QUESTION

VOCAB_SIZE = 2048  # of the demo model
MAX_WORDS, MAX_TOKENS = 220, 120
CANARY = (CHAT, {"messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": 64})


class RequestSource:
    """Requests whose answers depend on nothing but themselves. Many begin alike, so that pages are shared."""

    def __init__(self, rng):
        self.rng = rng
        self.texts = [" ".join(rng.choices(WORDS, k=MAX_WORDS)) for _ in range(3)]
        self.tokens = [rng.choices(range(3, VOCAB_SIZE), k=MAX_WORDS) for _ in range(3)]

    def num_words(self):
        return int(self.rng.triangular(1, MAX_WORDS, 20))

    def text(self):
        begin = self.rng.choice(self.texts).split()[:self.num_words()]
        return " ".join(begin + self.rng.choices(WORDS, k=self.rng.randint(0, 4)))

    def token_ids(self):
        begin = self.rng.choice(self.tokens)[:self.num_words()]
        return begin + self.rng.choices(range(3, VOCAB_SIZE), k=self.rng.randint(0, 4))

    def prompt(self):
        one = self.rng.choice([self.text, self.token_ids])
        return one() if self.rng.random() < 0.85 else [one() for _ in range(self.rng.randint(1, 4))]

    def messages(self):
        """A conversation of one or several turns."""
        roles = ["user"] + ["assistant", "user"] * self.rng.choice([0, 0, 1, 2])
        share = 1 if len(roles) == 1 else 4  # they may be long together, not each
        turns = [" ".join(self.text().split()[:MAX_WORDS // share]) for _ in roles]
        return [{"role": role, "content": turn} for role, turn in zip(roles, turns)]

    def some_fields(self):
        """Fields of both endpoints that random_body does not know."""
        rng = self.rng
        few, many = rng.randint(3, 20), rng.randint(20, MAX_TOKENS)
        max_tokens = rng.choice([1, 2, few, few, many])
        fields = {"max_tokens": max_tokens, "min_tokens": 0, "return_token_ids": rng.random() < 0.8}
        stops = rng.choices(["a", "e ", "the", "n i", ".", "ey\n", "?", "zz"], k=rng.randint(1, 4))
        biases = {str(token): rng.choice([-100, -5, 3]) for token in rng.choices(range(VOCAB_SIZE), k=9)}
        for name, value in (("stop_token_ids", rng.choices(range(3, VOCAB_SIZE), k=200)), ("stop", stops),
                            ("include_stop_str_in_output", True), ("skip_special_tokens", False),
                            ("min_tokens", rng.randint(0, max_tokens)), ("prompt_logprobs", rng.randint(0, 4)),
                            ("cache_salt", rng.choice(["salt", "pepper"])), ("logit_bias", biases),
                            ("return_tokens_as_token_ids", True)):
            if rng.random() < 0.15:
                fields[name] = value
        if rng.random() < 0.5:
            fields["priority"] = rng.randint(-3, 3)
        return fields

    def spoil(self, body):
        wrong = [{"top_p": 7}, {"min_p": -1}, {"logit_bias": {str(VOCAB_SIZE): 1}}, {"seed": "x"}]
        body.update(self.rng.choice(wrong))

    def draw(self):
        """(path, body)"""
        rng = self.rng
        body = {**random_body(rng), **self.some_fields()}
        if body["temperature"] > 0 and rng.random() < 0.3:
            body["n"] = rng.randint(2, 4)
            if rng.random() < 0.3:
                body["best_of"] = body["n"]
        if rng.random() < 0.04:
            self.spoil(body)
        if rng.random() < 0.65:
            body["prompt"] = self.prompt()
            if body.get("echo") and rng.random() < 0.4:
                body.update(max_tokens=0, min_tokens=0, n=1, best_of=1)  # the prompt is only scored
            return COMPLETIONS, body
        for name in ("prompt", "echo", "logprobs"):
            body.pop(name, None)
        if rng.random() < 0.3:
            body.update(logprobs=True, top_logprobs=rng.randint(0, 5))
        return CHAT, {**body, "messages": self.messages()}


def draw_flags(rng, longest):
    """{flag: value} of a server for requests of up to `longest` tokens; None for a flag without a value."""
    page_size = rng.choice([1, 4, 8, 16, 16, 32, 64])
    num_pages = -(-longest // page_size)
    flags = {"--batch-invariant": None, "--page-size": page_size,
             "--kv-pages": num_pages + rng.choice([0, 1, 3, num_pages // 2, num_pages, 4 * num_pages]),
             "--max-num-seqs": rng.choice([1, 2, 5, 12, 24, 64]),
             "--max-batched-tokens": rng.choice([4, 16, 33, 64, 96, 128, 500, 2048]),
             "--scheduling-policy": rng.choice(["fcfs", "priority"]),
             "--threads": rng.randint(1, 4), "--http-threads": rng.randint(1, 3),
             "--run-ahead": rng.randint(0, 1), "--step-time-target": rng.choice([0, 0.01, 5, 50]),
             "--queue-timeout": 0}  # on a slow machine the least of priorities may wait for very long
    if rng.random() < 0.25:
        flags["--no-prefix-cache"] = None
    return flags


def words_of(flags):
    pairs = [(flag,) if value is None else (flag, value) for flag, value in flags.items()]
    return [str(word) for pair in pairs for word in pair]


def body_for(flags, body):
    """The request as a server with these flags takes it; the answer is the same."""
    if flags["--scheduling-policy"] == "priority":
        return body
    return {name: value for name, value in body.items() if name != "priority"}
