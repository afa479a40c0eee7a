"""FlashInfer's paged kernels. They are compiled when they are first planned; all of them at the same time, in threads."""

import threading

import torch

from inputs import DTYPES
from peer import Bound, Peer, Unavailable

WORKSPACE_BYTES = 512 << 20


def load():
    try:
        import flashinfer
    except Exception as error:  # a package that is half there fails in many ways
        raise Unavailable(f"flashinfer cannot be imported: {error}") from None
    if not torch.cuda.is_available():
        raise Unavailable("FlashInfer needs a GPU")
    return flashinfer


class Part:
    """Requests [begin, end) of a batch, planned with one wrapper."""

    def __init__(self, inputs, begin, end, backend, workspace):
        self.tokens = slice(sum(inputs.batch.query_len[:begin]), sum(inputs.batch.query_len[:end]))
        p, first_page = inputs.problem, sum(inputs.page_counts[:begin])
        counts = inputs.page_counts[begin:end]
        kv_indptr = torch.tensor([0, *counts], dtype=torch.int64).cumsum(0).to(torch.int32)
        indices = inputs.page_order[first_page:first_page + sum(counts)].contiguous()
        last = torch.tensor([(s - 1) % p.page_size + 1 for s in inputs.batch.kv_len[begin:end]], dtype=torch.int32)
        query_len = inputs.batch.query_len[begin:end]
        query_indptr = torch.tensor([0, *query_len], dtype=torch.int64).cumsum(0).to(torch.int32)
        device, dtype = inputs.device, DTYPES[p.dtype]
        shared = {"sm_scale": p.sm_scale, "window_left": p.window - 1, "q_data_type": dtype, "kv_data_type": dtype}
        sizes = (p.num_qo_heads, p.num_kv_heads, p.head_dim, p.page_size)
        import flashinfer
        if max(query_len) == 1:
            self.wrapper = flashinfer.BatchDecodeWithPagedKVCacheWrapper(
                workspace, "NHD", use_tensor_cores=backend != "cc", backend="auto" if backend == "cc" else "fa2")
            self.wrapper.plan(kv_indptr.to(device), indices, last.to(device), *sizes, **shared)
        else:
            self.wrapper = flashinfer.BatchPrefillWithPagedKVCacheWrapper(workspace, "NHD", backend=backend)
            self.wrapper.plan(query_indptr.to(device), kv_indptr.to(device), indices, last.to(device), *sizes, causal=True, **shared)

    def run(self, q, kv, out):
        self.wrapper.run(q[self.tokens], kv, out=out[self.tokens])


class FlashInferBound(Bound):
    def __init__(self, inputs, cuts, backend, workspaces):
        super().__init__(inputs)
        self.parts = [Part(inputs, begin, end, backend, workspace)
                      for (begin, end), workspace in zip(cuts, workspaces)]

    def call(self, layer, out):
        k, v = self.inputs.pages()
        for part in self.parts:
            part.run(self.inputs.q, (k[layer], v[layer]), out)
        return out


class FlashInferPeer(Peer):
    """backend fa2: its mma kernel for all batches, in one launch. fa3: its Hopper kernel for prefill; decodes in a launch of their own.
    cc: its kernel without matrix units, for decode."""

    def __init__(self, backend):
        self.flashinfer, self.backend, self.name = load(), backend, f"flashinfer-{backend}"
        if backend == "fa3" and torch.cuda.get_device_capability()[0] != 9:
            raise Unavailable("FlashInfer's fa3 kernel is for Hopper GPUs")
        self.workspaces, self.thread, self.failure = [], None, None

    def start_compiling(self, problem):
        """Plans a batch of one request of one page, which compiles."""
        self.workspaces = [torch.empty(WORKSPACE_BYTES, dtype=torch.uint8, device="cuda") for _ in range(2)]

        def compile_one():
            from inputs import Inputs
            from workload import parse_batch
            try:
                with torch.cuda.device(0):
                    spec = "q1s16" if self.backend == "cc" else "q16"
                    self._bound(Inputs(problem, parse_batch(spec), 1, "cuda"))
            except Exception as error:
                self.failure = error

        self.thread = threading.Thread(target=compile_one, daemon=True)
        self.thread.start()

    def finish_compiling(self):
        if self.thread is not None:
            self.thread.join()
            self.thread = None

    def why_not(self, problem, batch):
        if problem.has_sinks:
            return "has no sinks here"
        if self.failure is not None:
            return f"could not be compiled: {self.failure}"
        if self.backend == "cc" and batch.kind != "decode":
            return "is for decode"
        return "is for prefill" if self.backend == "fa3" and batch.kind == "decode" else ""

    def _bound(self, inputs):
        num_seqs, query_len = inputs.batch.num_seqs, inputs.batch.query_len
        cuts = [(0, num_seqs)]
        if self.backend == "fa3":
            first = next((i for i, q in enumerate(query_len) if q > 1), num_seqs)
            if 0 < first < num_seqs and min(query_len[first:]) > 1:
                cuts = [(0, first), (first, num_seqs)]
        return FlashInferBound(inputs, cuts, self.backend, self.workspaces)

    def bind(self, inputs):
        return self._bound(inputs)

    def version(self):
        return f"flashinfer {self.flashinfer.__version__}"
