"""PyTorch's own attention on contiguous keys and values: batches whose requests all have the same lengths."""

import time

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from peer import Bound, Peer, Unavailable


class DenseBound(Bound):
    """`attend(q, k, v)` on [num_seqs, num_heads, len, head_dim], for each layer."""

    def __init__(self, inputs, attend):
        super().__init__(inputs)
        self.q, (self.k, self.v), self.attend = inputs.dense_q(), inputs.dense(), attend

    def call(self, layer, out):
        return self.attend(self.q, self.k[layer], self.v[layer])

    def rows(self, result):
        return result.transpose(1, 2).flatten(0, 1)


class DensePeer(Peer):
    paged = False

    def why_not(self, problem, batch):
        if not batch.is_uniform:
            return "takes requests of one length only"
        if problem.has_sinks:
            return "has no sinks"
        return "has no window here" if problem.window else ""


class CudnnPeer(DensePeer):
    name = "cudnn"

    def __init__(self, device):
        if device == "cuda" and not torch.backends.cudnn.is_available():
            raise Unavailable("this PyTorch has no cuDNN")
        self.backends = [SDPBackend.CUDNN_ATTENTION] if device == "cuda" else [SDPBackend.MATH]

    def why_not(self, problem, batch):
        q, s = batch.query_len[0], batch.kv_len[0]
        lengths = "" if q in (1, s) else "torch gives cuDNN no lower-right causal mask"
        return super().why_not(problem, batch) or lengths

    def bind(self, inputs):
        causal, scale = inputs.batch.query_len[0] > 1, inputs.problem.sm_scale

        def attend(q, k, v):
            with sdpa_kernel(self.backends):
                return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=scale, enable_gqa=True)

        return DenseBound(inputs, attend)

    def version(self):
        return f"torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"


class FlashPeer(DensePeer):
    """FlashAttention 2 as PyTorch carries it; its causal mask is lower-right aligned, so that it can extend."""

    name = "flash2"

    def __init__(self, device):
        if device != "cuda":
            raise Unavailable("FlashAttention needs a GPU")

    def bind(self, inputs):
        causal, scale = inputs.batch.query_len[0] > 1, inputs.problem.sm_scale

        def attend(q, k, v):
            return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, 0.0, causal, False, scale=scale)[0]

        return DenseBound(inputs, attend)

    def version(self):
        return f"torch {torch.__version__}"


class FlexPeer(DensePeer):
    """Compiled flex_attention: one compilation for each shape, as many as fit the time that it is given."""

    name = "flex"

    def __init__(self, device, compile_seconds):
        if device != "cuda":
            raise Unavailable("compiled flex_attention needs a GPU")
        self.seconds_left = compile_seconds

    def why_not(self, problem, batch):
        reason = super().why_not(problem, batch)
        if reason or batch.kind == "prefill":
            return reason or ("" if self.seconds_left > 0 else "the time for compilations (--flex-seconds) is used up")
        return "measured for prefill and extend only"

    def bind(self, inputs):
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention
        start, (q, s), scale = time.monotonic(), (inputs.batch.query_len[0], inputs.batch.kv_len[0]), inputs.problem.sm_scale
        context = s - q
        mask = create_block_mask(lambda b, h, i, j: i + context >= j, None, None, q, s, device=inputs.device)
        torch._dynamo.reset()  # or it would try to serve several shapes with one slower kernel
        compiled = torch.compile(flex_attention, dynamic=False)
        bound = DenseBound(inputs, lambda q, k, v: compiled(q, k, v, block_mask=mask, scale=scale, enable_gqa=True))
        bound.call(0, inputs.outputs["first"])
        torch.cuda.synchronize()
        self.seconds_left -= time.monotonic() - start
        return bound

    def version(self):
        return f"torch {torch.__version__}"
