"""Kernels know no target: their text names none, tests no macro, and speaks of programs and tiles, never of threads."""

import re
import unittest

import source_tree as tree

TARGET = re.compile(
    r"\b(cpu|gpu|cuda|nvrtc|ptx|hip|rocm|opencl|spirv|emulator|x86\w*|avx\w*|sse\w*|amx\w*|neon|sve2?|arm\w*|sm_\d+\w*|gfx\w+|"
    r"cdna|rdna|wgmma|mfma|wmma|dpas|tma)\b", re.I)
MACHINE = re.compile(
    r"\b(threads?|threadIdx|blockIdx|lanes?|warps?|warpgroups?|waves?|wavefronts?|sub_?groups?|simd|barriers?|__syncthreads|"
    r"__shared__|__global__|__device__|__local)\b|\bshared memory\b", re.I)
CONDITIONAL = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b|\bdefined\s*\(|__\w+__")
LANGUAGE = re.compile(r"\bdouble\b|#\s*include\s*<|\bconcept\b|\brequires\b|\bstd::|\bvirtual\b|\bthrow\b")


def faults(text):
    """(line number, rule) of everything in a kernel's text that should not be there, comments included."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for rule, pattern in (("names a target", TARGET), ("speaks of the machine", MACHINE), ("tests a macro", CONDITIONAL)):
            if pattern.search(line):
                found.append((number, rule))
    for number, line in enumerate(tree.bare(text).splitlines(), 1):
        if LANGUAGE.search(line):
            found.append((number, "is outside the common language"))
    return found


class KernelPurityTest(unittest.TestCase):
    def test_kernels_are_pure(self):
        paths = tree.files("src/kernels")
        self.assertGreater(len(paths), 4)
        for path in paths:
            for number, rule in faults(tree.read(path)):
                self.fail(f"{path}:{number} {rule}: {tree.read(path).splitlines()[number - 1].strip()}")

    def test_the_scan_finds_faults(self):
        for bad in ("// fast on sm_90", "int lane = 0;", "#ifdef FOO", "#if 1", "x = __AVX512F__;", "// one warp", "double x;",
                    "#include <vector>", "std::max(a, b)", "// in shared memory", "// CUDA"):
            self.assertTrue(faults(bad), bad)
        for good in ("// a program takes work items", "for_each_work(p, f);", "#pragma once", '#include "tile/tile.h"',
                     "namespace QUIRE_TARGET {", "// twice the rate"):
            self.assertFalse(faults(good), good)


if __name__ == "__main__":
    unittest.main()
