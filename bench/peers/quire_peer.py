"""Quire's attention through the C interface of quire_attention.cpp, on torch's memory."""

import ctypes

import torch

from peer import Bound, Peer, Recording, Unavailable

DTYPE_IDS = {"f16": 1, "bf16": 2}


class QuireProblem(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int32) for name in (
        "num_qo_heads", "num_kv_heads", "head_dim_qk", "head_dim_vo", "page_size", "dtype", "causal", "window", "has_sinks")
    ] + [("sm_scale", ctypes.c_float)]


class QuireTensors(ctypes.Structure):
    _fields_ = [("q", ctypes.c_void_p), ("o", ctypes.c_void_p), ("kv_pool", ctypes.c_void_p), ("page_table", ctypes.c_void_p),
                ("sinks", ctypes.c_void_p), ("max_pages", ctypes.c_int32)]


class Library:
    """The shared library; its failures become RuntimeError with its words."""

    FUNCTIONS = {  # result, parameters
        "quire_open": (ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_char_p)),
        "quire_close": (None, (ctypes.c_void_p,)),
        "quire_describe": (ctypes.c_char_p, (ctypes.c_void_p,)),
        "quire_error": (ctypes.c_char_p, ()),
        "quire_synchronize": (ctypes.c_int, (ctypes.c_void_p,)),
        "quire_page_bytes": (ctypes.c_int64, (ctypes.c_void_p, ctypes.c_void_p)),
        "quire_write_kv": (ctypes.c_int, (ctypes.c_void_p,) * 6 + (ctypes.c_int32,)),
        "quire_plan": (ctypes.c_void_p, (ctypes.c_void_p,) * 4 + (ctypes.c_int32,)),
        "quire_free_batch": (None, (ctypes.c_void_p,)),
        "quire_run": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_void_p)),
        "quire_record": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)),
        "quire_free_graph": (None, (ctypes.c_void_p,)),
        "quire_time_us": (ctypes.c_double, (ctypes.c_void_p, ctypes.c_int32)),
    }

    def __init__(self, path):
        try:
            self.functions = ctypes.CDLL(path)
        except OSError as error:
            raise Unavailable(f"{error}; build it with bench/peers/build_library.sh") from None
        for name, (result, parameters) in self.FUNCTIONS.items():
            function = getattr(self.functions, name)
            function.restype, function.argtypes = result, parameters

    def call(self, name, *args):
        result = getattr(self.functions, name)(*args)
        kind = self.FUNCTIONS[name][0]
        if (kind is ctypes.c_void_p and not result) or (kind in (ctypes.c_int, ctypes.c_int64, ctypes.c_double) and result < 0):
            raise RuntimeError(f"{name}: {self.functions.quire_error().decode()}")
        return result


class QuireRecording(Recording):
    def __init__(self, bound, layers):
        outputs, last, tensors = {}, len(layers) - 1, (QuireTensors * len(layers))()
        for i, layer in enumerate(layers):
            out = bound.inputs.outputs["first" if i == 0 else "last" if i == last else "middle"]
            tensors[i] = bound.tensors(layer, out)
            if i in (0, last):
                outputs[layer] = out
        super().__init__(len(layers), outputs)
        self.quire = bound.quire
        self.graph = self.quire.call("quire_record", bound.batch, tensors, len(layers))

    def time_us(self, num_replays):
        return self.quire.call("quire_time_us", self.graph, num_replays)

    def close(self):
        if self.graph:
            self.quire.call("quire_free_graph", self.graph)
        self.graph = None


class QuireBound(Bound):
    """Pages in the device's native layout, filled by the kernel that also fills them in an engine."""

    def __init__(self, peer, inputs):
        super().__init__(inputs)
        self.quire, self.batch, p, b = peer.quire, None, inputs.problem, inputs.batch
        problem = QuireProblem(p.num_qo_heads, p.num_kv_heads, p.head_dim, p.head_dim, p.page_size, DTYPE_IDS[p.dtype], 1, p.window,
                               int(p.has_sinks), p.sm_scale)
        page_bytes = self.quire.call("quire_page_bytes", peer.device, ctypes.byref(problem))
        self.pool = torch.zeros(inputs.num_layers, inputs.num_pages * page_bytes, dtype=torch.uint8, device=inputs.device)
        if inputs.device.type == "cuda":
            torch.cuda.synchronize()  # Quire has a stream of its own
        for layer in range(inputs.num_layers):
            k, v = inputs.kv[layer]
            self.quire.call("quire_write_kv", peer.device, ctypes.byref(problem), k.data_ptr(), v.data_ptr(),
                              self.pool[layer].data_ptr(), inputs.slots.data_ptr(), b.total_tokens)
        lengths = [(ctypes.c_int32 * b.num_seqs)(*values) for values in (b.query_len, b.kv_len)]
        self.batch = self.quire.call("quire_plan", peer.device, ctypes.byref(problem), *lengths, b.num_seqs)
        # The first launch compiles; its failures should not look like failures of a recording.
        self.quire.call("quire_run", self.batch, ctypes.byref(self.tensors(0, inputs.outputs["first"])))
        self.quire.call("quire_synchronize", peer.device)

    def tensors(self, layer, out):
        x = self.inputs
        return QuireTensors(x.q.data_ptr(), out.data_ptr(), self.pool[layer].data_ptr(), x.page_table.data_ptr(),
                            x.sinks.data_ptr() if x.sinks is not None else None, x.max_pages)

    def record(self, layers):
        return QuireRecording(self, layers)

    def close(self):
        if self.batch:
            self.quire.call("quire_free_batch", self.batch)
        self.batch = None


class QuirePeer(Peer):
    name = "quire"

    def __init__(self, path, target, cache_dir):
        self.quire = Library(path)
        self.device = self.quire.call("quire_open", target.encode(), cache_dir.encode())

    def bind(self, inputs):
        return QuireBound(self, inputs)

    def version(self):
        return self.quire.call("quire_describe", self.device).decode()

    def close(self):
        self.quire.call("quire_close", self.device)
