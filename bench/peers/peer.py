"""What every peer offers: whether it can do a batch, and one recording of its calls layer by layer, replayed and timed."""

import time

import torch


class Unavailable(Exception):
    """A peer cannot run here; the text says why, for people."""


class Recording:
    """Calls of several layers, recorded once. outputs: what the first and the last of them wrote, by layer."""

    def __init__(self, num_layers, outputs):
        self.num_layers, self.outputs = num_layers, outputs

    def rows(self, layer):
        """An output as [num_tokens, num_qo_heads, head_dim]."""
        return self.outputs[layer]

    def time_us(self, num_replays):
        """Time of so many replays back to back, by the device's clock."""
        raise NotImplementedError

    def close(self):
        pass


class TorchRecording(Recording):
    """A CUDA graph; without a GPU, the calls anew each time."""

    def __init__(self, bound, layers):
        super().__init__(len(layers), {})
        self.bound, self.layers, self.graph = bound, layers, None
        if bound.inputs.device.type != "cuda":
            self.outputs = self._call_all()
            return
        torch.cuda.synchronize()  # what bind() started: streams do not wait for each other
        side = torch.cuda.Stream()  # what is compiled or allocated at a first call must not be so while it is recorded
        with torch.cuda.stream(side):
            for _ in range(2):
                bound.call(layers[0], bound.inputs.outputs["first"])
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.outputs = self._call_all()

    def rows(self, layer):
        return self.bound.rows(self.outputs[layer])

    def _call_all(self):
        kept, last = {}, len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            slot = "first" if i == 0 else "last" if i == last else "middle"
            result = self.bound.call(layer, self.bound.inputs.outputs[slot])
            if i in (0, last):
                kept[layer] = result
        return kept

    def time_us(self, num_replays):
        if self.graph is None:
            start = time.perf_counter()
            for _ in range(num_replays):
                self.outputs = self._call_all()
            return 1e6 * (time.perf_counter() - start)
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(num_replays):
            self.graph.replay()
        end.record()
        end.synchronize()
        return 1e3 * start.elapsed_time(end)

    def close(self):
        self.graph = None
        self.outputs = {}


class Bound:
    """A peer with one batch's inputs: plans made, layouts converted."""

    def __init__(self, inputs):
        self.inputs = inputs

    def call(self, layer, out):
        """Starts one layer; returns where its output will be: `out` [num_tokens, num_qo_heads, head_dim], or memory of its own."""
        raise NotImplementedError

    def rows(self, result):
        """What call() returned, as [num_tokens, num_qo_heads, head_dim]."""
        return result

    def record(self, layers):
        return TorchRecording(self, layers)

    def close(self):
        pass


class Peer:
    """One kernel or one library's choice among its kernels. `paged`: reads pages of problem.page_size tokens."""

    name = ""
    paged = True

    def start_compiling(self, problem):
        """Starts in the background what takes long."""

    def finish_compiling(self):
        """Waits for it. Before the first bind(): nothing may be allocated elsewhere while a graph is recorded."""

    def why_not(self, problem, batch):
        """Empty if it can do the batch, else the reason."""
        return ""

    def bind(self, inputs):
        raise NotImplementedError

    def version(self):
        return ""

    def close(self):
        pass
