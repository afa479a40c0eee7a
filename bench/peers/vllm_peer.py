"""vLLM's Triton kernel `unified_attention`: from an installed vLLM, or from its source file alone.

The file imports a few small things of its package; where vLLM is not installed, stand-ins for them are put in place.
"""

import enum
import importlib
import logging
import sys
import types
from pathlib import Path

import torch

from peer import Bound, Peer, Unavailable

MODULE = "vllm.v1.attention.ops.triton_unified_attention"
MIN_PROGRAMS_2D, NUM_SEGMENTS = 128, 16  # of its backend: below so many programs, keys are split into so many segments


def _stand_ins(folder):
    """Modules that the kernel's file imports. `folder` holds that file and its helpers."""
    import triton
    import triton.language

    def module(name, **members):
        made = types.ModuleType(name)
        made.__dict__.update(members)
        made.__path__ = members.get("__path__", [])
        return name, made

    platform = types.SimpleNamespace(fp8_dtype=lambda: torch.float8_e4m3fn, is_device_capability_family=lambda family: False)
    modes = ("NONE", "FP8_PER_TENSOR", "INT8_PER_TOKEN_HEAD", "FP8_PER_TOKEN_HEAD", "INT4_PER_TOKEN_HEAD", "INT2_PER_TOKEN_HEAD")
    return dict([
        module("vllm", envs=types.SimpleNamespace(VLLM_BATCH_INVARIANT=False)),
        module("vllm.envs", VLLM_BATCH_INVARIANT=False),
        module("vllm.logger", init_logger=logging.getLogger),
        module("vllm.platforms", current_platform=platform),
        module("vllm.triton_utils", tl=triton.language, triton=triton),
        module("vllm.v1"), module("vllm.v1.attention"), module("vllm.v1.attention.ops", __path__=[str(folder)]),
        module("vllm.v1.kv_cache_interface", KVQuantMode=enum.IntEnum("KVQuantMode", modes, start=0)),
    ])


def load(path):
    if not torch.cuda.is_available():
        raise Unavailable("Triton needs a GPU")
    if path:
        if not Path(path).is_file():
            raise Unavailable(f"{path} is no file")
        sys.modules.update(_stand_ins(Path(path).resolve().parent))
    try:
        return importlib.import_module(MODULE)
    except Exception as error:
        hint = "" if path else " (--vllm-triton PATH/triton_unified_attention.py takes the source file)"
        raise Unavailable(f"{type(error).__name__}: {error}{hint}") from None


class VllmBound(Bound):
    def __init__(self, inputs, kernel):
        super().__init__(inputs)
        self.kernel, p, b = kernel, inputs.problem, inputs.batch
        self.k, self.v = inputs.pages()

        def scratch(*shape):
            return torch.empty(shape, dtype=torch.float32, device=inputs.device)

        rows = (min(b.num_tokens, 1024), p.num_qo_heads, NUM_SEGMENTS)
        width = 1 << (p.head_dim - 1).bit_length()
        self.shared = {
            "cu_seqlens_q": inputs.query_indptr, "max_seqlen_q": max(b.query_len), "seqused_k": inputs.kv_len,
            "max_seqlen_k": max(b.kv_len), "softmax_scale": p.sm_scale, "causal": True,
            "window_size": (p.window - 1, 0) if p.window else (-1, -1), "block_table": inputs.page_table, "softcap": 0,
            "q_descale": None, "k_descale": None, "v_descale": None, "sinks": inputs.sinks,
            "seq_threshold_3D": MIN_PROGRAMS_2D // p.num_kv_heads, "num_par_softmax_segments": NUM_SEGMENTS,
            "softmax_segm_output": scratch(*rows, width), "softmax_segm_max": scratch(*rows), "softmax_segm_expsum": scratch(*rows)}

    def call(self, layer, out):
        self.kernel.unified_attention(q=self.inputs.q, k=self.k[layer], v=self.v[layer], out=out, **self.shared)
        return out


class VllmPeer(Peer):
    name = "vllm-triton"

    def __init__(self, path):
        self.kernel = load(path)

    def bind(self, inputs):
        return VllmBound(inputs, self.kernel)

    def version(self):
        import triton
        return f"{Path(self.kernel.__file__).name}, triton {triton.__version__}"
