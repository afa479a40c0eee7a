"""What the GPU can do, measured in the same run: reading, copying, a large matrix product; and a plain read of a batch's own bytes."""

import time

import torch

from peer import Bound, Peer

POOL_BYTES = 4 << 30
MATRIX_DIM = 8192
BURST_PRODUCTS = 3  # about 4 ms on the fastest GPUs of today


def _time_us(function, num_runs):
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(num_runs):
        function()
    end.record()
    end.synchronize()
    return 1e3 * start.elapsed_time(end) / num_runs


def _best_us(function, num_runs, rounds=5):
    function()
    return min(_time_us(function, num_runs) for _ in range(rounds))


def measure(idle_s):
    """(figures for the report, Reader with the fastest setting)"""
    from read_kernel import Reader
    pool = torch.randint(-2**31, 2**31 - 1, (POOL_BYTES // 4,), dtype=torch.int32, device="cuda")
    times = {}
    for setting in Reader.SETTINGS:
        reader = Reader(setting)
        times[setting] = _best_us(lambda: reader.read(pool), 2, rounds=2)
    setting = min(times, key=times.get)
    reader = Reader(setting)
    reader.check(pool[:(1 << 20) + 37])
    read_us = _best_us(lambda: reader.read(pool), 4)
    half = pool.numel() // 2
    copy_us = _best_us(lambda: pool[:half].copy_(pool[half:]), 8)
    a, b = (torch.randn(MATRIX_DIM, MATRIX_DIM, dtype=torch.bfloat16, device="cuda") for _ in range(2))
    product = torch.empty_like(a)
    bursts = []
    for _ in range(8):
        torch.cuda.synchronize()
        time.sleep(idle_s)
        bursts.append(_time_us(lambda: torch.mm(a, b, out=product), BURST_PRODUCTS))
    sustained_us = _time_us(lambda: torch.mm(a, b, out=product), 300)
    work = 2 * MATRIX_DIM**3
    figures = {"read_gbps": POOL_BYTES / read_us / 1e3, "copy_gbps": POOL_BYTES / copy_us / 1e3,
               "matrix_burst_tflops": work / sorted(bursts)[len(bursts) // 2] / 1e6,
               "matrix_sustained_tflops": work / sustained_us / 1e6,
               "read_setting": {"block_words": setting[0], "warps": setting[1], "programs_per_sm": setting[2]}}
    return figures, reader


class ReadBound(Bound):
    def __init__(self, inputs, reader):
        super().__init__(inputs)
        self.reader, self.words = reader, [layer.view(-1).view(torch.int32) for layer in inputs.kv]

    def call(self, layer, out):
        self.reader.read(self.words[layer])
        return out

    def record(self, layers):
        recording = super().record(layers)
        recording.outputs = {}  # nothing to check
        return recording


class ReadCeiling(Peer):
    """Not attention: reads the batch's keys and values once."""

    name = "plain read"
    paged = False

    def __init__(self, reader):
        self.reader = reader

    def why_not(self, problem, batch):
        return "is for decode" if batch.kind != "decode" or problem.window else ""

    def bind(self, inputs):
        return ReadBound(inputs, self.reader)
