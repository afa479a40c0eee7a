"""Reads memory and does nothing else, as fast as a plain kernel can: what attention of few rows is compared with."""

import itertools

import torch
import triton
import triton.language as tl


@triton.jit
def read_kernel(x, sums, num_words, BLOCK: tl.constexpr):
    """Sums 32-bit words; programs take turns in blocks."""
    words = tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], tl.int32)
    step = tl.num_programs(0).to(tl.int64) * BLOCK
    begin = tl.program_id(0).to(tl.int64) * BLOCK
    for first in range(begin, num_words, step):
        total += tl.load(x + first + words, mask=first + words < num_words, other=0)
    tl.store(sums + tl.program_id(0), tl.sum(total))


class Reader:
    """The kernel with one setting: words a block, warps, programs a multiprocessor."""

    SETTINGS = tuple(itertools.product((4096, 8192, 16384), (8, 16), (1, 2, 4)))

    def __init__(self, setting):
        self.block, self.warps, self.per_sm = setting
        self.num_sms = torch.cuda.get_device_properties(0).multi_processor_count
        self.sums = torch.zeros(self.num_sms * 8, dtype=torch.int32, device="cuda")

    def read(self, words):
        """words: contiguous int32. Few of them are cut finer, so that all multiprocessors have some."""
        block = self.block
        while block > 1024 and triton.cdiv(words.numel(), block) < 2 * self.num_sms:
            block //= 2
        programs = min(self.num_sms * self.per_sm, triton.cdiv(words.numel(), block))
        read_kernel[(programs,)](words, self.sums, words.numel(), block, num_warps=min(self.warps, block // 128))
        return programs

    def check(self, words):
        """Throws if the kernel does not see every word."""
        self.sums.zero_()
        programs = self.read(words)
        seen, expected = int(self.sums[:programs].sum(dtype=torch.int64)) % 2**32, int(words.sum(dtype=torch.int64)) % 2**32
        if seen != expected:
            raise RuntimeError(f"the read kernel saw a sum of {seen} instead of {expected} over {words.numel()} words")
