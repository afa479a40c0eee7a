"""FlashAttention 3 as a library of PyTorch operators: the one inside vLLM's wheel, or that of the package flash_attn_3."""

from pathlib import Path

import torch

from inputs import DTYPES
from peer import Bound, Peer, Unavailable

NAMESPACES = ("_vllm_fa3_C", "flash_attn_3")


def load(path):
    """The operators' namespace. Throws Unavailable with the reason."""
    if not path:
        raise Unavailable("no library given (--flash-attention FILE.so)")
    if not Path(path).exists():
        raise Unavailable(f"{path} does not exist")
    if not torch.cuda.is_available() or torch.cuda.get_device_capability()[0] != 9:
        raise Unavailable("FlashAttention 3 needs a Hopper GPU")
    try:
        torch.ops.load_library(path)
    except OSError as error:
        raise Unavailable(f"{error.__cause__ or error}") from None
    for namespace in NAMESPACES:
        if hasattr(getattr(torch.ops, namespace), "fwd"):
            return getattr(torch.ops, namespace)
    raise Unavailable(f"{path} has none of the operators {', '.join(n + '::fwd' for n in NAMESPACES)}")


def call_by_name(operator, **given):
    """Calls an operator whose trailing and optional parameters differ between versions: what is not given is None or zero."""
    args = []
    for argument in operator.default._schema.arguments:
        kind = str(argument.type)
        if argument.name in given:
            args.append(given.pop(argument.name))
        elif argument.has_default_value():
            args.append(argument.default_value)
        else:
            args.append(None if kind.startswith("Optional") else {"bool": False, "float": 0.0}.get(kind, 0))
    if given:
        raise RuntimeError(f"{operator} has no parameter {', '.join(given)}")
    return operator(*args)


class FlashAttentionBound(Bound):
    """One call for any mix; the schedule is made once a batch, as serving engines do."""

    def __init__(self, inputs, operators, is_paged):
        super().__init__(inputs)
        self.operators, p, b = operators, inputs.problem, inputs.batch
        window = {"window_size_left": p.window - 1, "window_size_right": 0 if p.window else -1}
        lengths = {"max_seqlen_q": max(b.query_len), "max_seqlen_k": max(b.kv_len), "cu_seqlens_q": inputs.query_indptr}
        self.shared = {**lengths, **window, "is_causal": True, "softmax_scale": p.sm_scale, "cp_world_size": 1,
                       "is_rotary_interleaved": True}
        if is_paged:
            self.k, self.v = inputs.pages()
            self.shared |= {"page_table": inputs.page_table, "seqused_k": inputs.kv_len}
            self.shared["scheduler_metadata"] = call_by_name(
                operators.get_scheduler_metadata, **lengths, **window, batch_size=b.num_seqs, num_heads=p.num_qo_heads,
                num_heads_k=p.num_kv_heads, headdim=p.head_dim, headdim_v=p.head_dim, qkv_dtype=DTYPES[p.dtype],
                seqused_k=inputs.kv_len, page_size=p.page_size, is_causal=True)
        else:
            self.k, self.v = inputs.kv[:, 0], inputs.kv[:, 1]
            self.shared["cu_seqlens_k"] = inputs.kv_indptr

    def call(self, layer, out):
        call_by_name(self.operators.fwd, q=self.inputs.q, k=self.k[layer], v=self.v[layer], out=out, **self.shared)
        return out


class FlashAttentionPeer(Peer):
    def __init__(self, path, is_paged):
        self.name = "flash3" if is_paged else "flash3-contiguous"
        self.operators, self.paged = load(path), is_paged
        self.origin = Path(path).name

    def why_not(self, problem, batch):
        return "has no sinks here" if problem.has_sinks else ""

    def bind(self, inputs):
        return FlashAttentionBound(inputs, self.operators, self.paged)

    def version(self):
        return self.origin
