"""What is measured: a model's attention (Problem) on batches of requests (Batch), named as in `quire bench attention`."""

import math
import re
from dataclasses import dataclass, field

DTYPE_BYTES = {"bf16": 2, "f16": 2}
MAX_LEN, MAX_COUNT = 1 << 24, 1 << 16

# The batches of the tables: [count]q<new tokens>[k][s<sequence length>[k]], joined by _.
DECODE = [f"{batch}q1s{context}" for batch, contexts in (
    (1, ("512", "2k", "8k", "32k", "128k")), (8, ("512", "2k", "8k", "32k")), (32, ("512", "2k", "8k", "32k")),
    (128, ("2k", "8k")), (256, ("2k",))) for context in contexts]
PREFILL = ["q512", "q2k", "q8k", "q32k", "32q512", "8q1k", "8q512s8704", "q2ks32k"]
MIXED = ["16q1s4k_q512", "32q1s4k_q1k", "64q1s4k_q2k", "128q1s4k_q4k"]
DEFAULT = DECODE + PREFILL + MIXED


@dataclass(frozen=True)
class Problem:
    """One layer's attention. window: keys that a query sees, itself included; 0 = all."""

    num_qo_heads: int = 32
    num_kv_heads: int = 8
    head_dim: int = 128
    page_size: int = 16
    dtype: str = "bf16"
    window: int = 0
    has_sinks: bool = False

    def __post_init__(self):
        for name in ("num_qo_heads", "num_kv_heads", "head_dim", "page_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.num_qo_heads % self.num_kv_heads:
            raise ValueError(f"{self.num_qo_heads} query heads are no multiple of {self.num_kv_heads} KV heads")
        if self.dtype not in DTYPE_BYTES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPE_BYTES)}, got {self.dtype}")
        if self.window < 0:
            raise ValueError(f"window must not be negative, got {self.window}")

    @property
    def sm_scale(self):
        return 1 / math.sqrt(self.head_dim)


@dataclass(frozen=True)
class Batch:
    """Requests in the order of their tokens; kv_len counts the new tokens too."""

    spec: str
    query_len: tuple = field(repr=False)
    kv_len: tuple = field(repr=False)

    @property
    def num_seqs(self):
        return len(self.query_len)

    @property
    def num_tokens(self):
        return sum(self.query_len)

    @property
    def total_tokens(self):
        return sum(self.kv_len)

    @property
    def kind(self):
        if max(self.query_len) == 1:
            return "decode"
        return "prefill" if min(self.query_len) > 1 else "mixed"

    @property
    def is_uniform(self):
        return len(set(zip(self.query_len, self.kv_len))) == 1


def _length(number, unit, spec):
    value = int(number) * (1024 if unit else 1)
    if not 1 <= value <= MAX_LEN:
        raise ValueError(f'batch "{spec}": a length must be 1 to {MAX_LEN}, got {value}')
    return value


def parse_batch(spec):
    query_len, kv_len = [], []
    for segment in spec.split("_"):
        match = re.fullmatch(r"(\d*)q(\d+)(k?)(?:s(\d+)(k?))?", segment)
        if not match:
            raise ValueError(f'batch "{spec}": "{segment}" is not [count]q<len>[k][s<len>[k]], e.g. 2q2k_8q1s1k')
        count, query, query_unit, kv, kv_unit = match.groups()
        count = int(count) if count else 1
        q = _length(query, query_unit, spec)
        s = _length(kv, kv_unit, spec) if kv else q
        if not 1 <= count + len(query_len) <= MAX_COUNT or count < 1:
            raise ValueError(f'batch "{spec}": requests must be 1 to {MAX_COUNT}, got {count + len(query_len)}')
        if s < q:
            raise ValueError(f'batch "{spec}": s ({s}) is less than q ({q})')
        query_len += [q] * count
        kv_len += [s] * count
    return Batch(spec, tuple(query_len), tuple(kv_len))


def kv_bytes(problem, batch):
    """Bytes of the keys and values that the batch sees in one layer."""
    tokens = sum(min(s, problem.window + q - 1) if problem.window else s for q, s in zip(batch.query_len, batch.kv_len))
    return 2 * tokens * problem.num_kv_heads * problem.head_dim * DTYPE_BYTES[problem.dtype]


def flops(problem, batch):
    """4 flops a head, dimension, query and key; of the new tokens' square, causal work is counted as half."""
    pairs = 0
    for q, s in zip(batch.query_len, batch.kv_len):
        context = s - q
        pairs += q * min(problem.window, s) if problem.window else q * context + (q * q / 2 if q > 1 else 1)
    return 4 * problem.num_qo_heads * problem.head_dim * pairs


def num_layers(problem, batch, cap=256):
    """Layers that take turns, each with its own part of the pool: so much that no cache keeps it."""
    decode = batch.kind != "prefill"
    layers = math.ceil((1e9 if decode else 256e6) / kv_bytes(problem, batch))
    return max(1, min(cap, max(2, min(layers, 256 if decode else 16))))
