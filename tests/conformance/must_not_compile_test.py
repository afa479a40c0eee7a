"""Misuse of the tile language that must not compile, on each target, with a message that says what is wrong.

    must_not_compile_test.py COMPILER

Each case is a few lines of a kernel in which one piece of text is wrong. The same lines with the right text, all of
them in one file, have to compile first, so that no case passes because of a broken include path or a renamed function.
"""

import platform
import re
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPILER = sys.argv.pop(1) if len(sys.argv) > 1 else "c++"

TARGETS = {
    "cpu": '#define QUIRE_TARGET cpu_snippets\n#define QUIRE_TARGET_HEADER "targets/cpu/tile/target.h"\n',
    "cuda": """#define QUIRE_TARGET cuda_snippets
#define QUIRE_TARGET_HEADER "targets/cuda/tile/target.h"
#define QUIRE_SIMT_HEADER "targets/emulator/simt.h"
#define QUIRE_WARPS 4
#define QUIRE_RING_KEYS 256
#define QUIRE_RING_STEPS 2
""",
}
FLAGS = ["-std=c++17", "-fsyntax-only", "-Wno-unknown-pragmas", "-Wno-psabi", f"-I{ROOT / 'src'}"]
if platform.machine() in ("x86_64", "AMD64"):
    FLAGS.append("-march=x86-64-v3")

FRAME = """
#include "kernels/linear.h"
#include "kernels/paged_attention.h"

namespace quire {{
namespace QUIRE_TARGET {{
using Kv = KvTypes<bf16, bf16>;
template <int rows>
struct Config {{
  static constexpr int kRows = rows, kKeys = 128, kDimQk = 64, kDimVo = 64, kValueParts = 1, kPartsAtOnce = 1;
  static constexpr unsigned kMods = 0;
}};
{functions}
}}  // namespace QUIRE_TARGET
}}  // namespace quire
"""

SCORES = "Scores<16, 128> scores(program);"
OUT = "Accum<16, 64> out(program);"
QUERIES = "Operand<bf16, 16, 64> q(program);"
KEYS = "KvStage<Kv, 16, 128> stage(program, 64, 64);"
LAYER = "LinearStage<bf16, WeightView<bf16>, 16, 32, 512> stage(program);"
DOT = f"{SCORES} {QUERIES} {KEYS} dot(scores, q, stage);"
DOT_ADD = f"{SCORES} {OUT} {KEYS} dot_add(out, scores, stage);"
ROWS = "Row<16> row{}, other{};"


@dataclass
class Case:
    name: str
    code: str  # compiles
    right: str  # a piece of it
    wrong: str  # what stands there instead
    message: str  # a regular expression for what a compiler says then
    targets: tuple = ("cpu", "cuda")

    def function(self, is_right):
        assert self.code.count(self.right) == 1, f"{self.name}: {self.right} has to be there once"
        body = self.code if is_right else self.code.replace(self.right, self.wrong)
        return f"void {self.name}(Program& program) {{ {body} }}"


CASES = [
    Case("dot_of_other_rows", DOT, "Operand<bf16, 16,", "Operand<bf16, 64,", r"dot\(scores, q, stage\) takes"),
    Case("dot_of_other_keys", DOT, "Scores<16, 128>", "Scores<16, 64>", r"dot\(scores, q, stage\) takes"),
    Case("dot_of_mixed_types", DOT, "Operand<bf16,", "Operand<f16,", r"dot\(scores, q, stage\) takes"),
    Case("dot_into_sums", DOT, "Scores<16, 128>", "Accum<16, 128>", r"dot\(scores, q, stage\) takes"),
    Case("dot_add_of_other_keys", DOT_ADD, "Scores<16, 128>", "Scores<16, 64>", r"dot_add\(out, probs, stage\) takes"),
    Case("dot_add_of_other_rows", DOT_ADD, "Accum<16,", "Accum<64,", r"dot_add\(out, probs, stage\) takes"),
    Case("dot_add_of_sums", DOT_ADD, "Scores<16, 128>", "Accum<16, 128>", r"dot_add\(out, probs, stage\) takes"),
    Case("linear_of_other_columns", f"Accum<16, 32> out(program); {LAYER} dot_add(out, stage);",
         "Accum<16, 32>", "Accum<16, 64>", r"dot_add\(out, stage\) takes"),
    Case("pages_of_other_type", f"{KEYS} KvView<Kv, NativePage> view{{}}; load_pages(stage, view, 0, 128);",
         "KvView<Kv,", "KvView<KvTypes<f16, f16>,", r"load_pages\(stage, view, begin, end\) takes"),
    Case("block_of_other_type",
         f"{LAYER} RowsView<bf16> x{{}}; WeightView<bf16> w{{}}; load_block(stage, x, w, Range{{0, 32}}, 0);",
         "RowsView<bf16>", "RowsView<f16>", r"load_block\(stage, x, weight, cols, k\) takes"),
    Case("rows_of_other_type",
         f"{QUERIES} const bf16* p = nullptr; load_rows(q, 1, 64, [&](int) {{ return p; }});",
         "const bf16* p", "const float* p", r"cannot convert|cannot initialize|incompatible"),
    Case("map_of_other_rows", "Row<16> row{}, other{}; row_map(row, 16, [](auto, auto x) { return x; }, other);",
         "Row<16> row{}, other{};", "Row<16> row{}; Row<64> other{};", r"row_map\(out, rows, f, inputs...\) takes rows"),
    Case("each_with_other_rows", f"{SCORES} {ROWS} each(scores, [](auto, auto x, float m) {{ return x - m; }}, row);",
         "Row<16> row{}, other{};", "Row<64> row{};", r"each\(scores, f, rows...\) takes rows"),
    Case("scale_by_other_rows", f"{OUT} {ROWS} row_scale(out, row);",
         "Row<16> row{}, other{};", "Row<64> row{};", r"row_scale\(out, row\) takes"),
    Case("maximum_of_other_rows", f"{SCORES} {ROWS} row_max(row, scores);",
         "Row<16> row{}, other{};", "Row<64> row{};", r"row_max\(row, scores\) takes"),
    Case("exp2_of_other_rows", f"{SCORES} {ROWS} exp2_rows(scores, 1.0f, row, other);",
         "Row<16> row{}, other{};", "Row<16> other{}; Row<64> row{};", r"exp2_rows\(scores, scale, m, d\) takes"),
    Case("exp2_of_sums", f"{SCORES} {ROWS} exp2_rows(scores, 1.0f, row, other);",
         "Scores<16, 128>", "Accum<16, 128>", r"exp2_rows\(scores, scale, m, d\) takes"),
    Case("state_of_other_rows", f"{SCORES} SoftmaxState<16, 64> state(program); update(state, scores, 1.0f);",
         "SoftmaxState<16,", "SoftmaxState<64,", r"row_max\(row, scores\) takes"),
    Case("factor_of_other_rows",
         f"{OUT} {ROWS} float* p = nullptr; store_rows(out, row, 16, 64, [&](int) {{ return p; }});",
         "Row<16> row{}, other{};", "Row<64> row{};", r"no matching function"),
    Case("tile_without_program", f"{OUT} fill(out, 16, 64, 0.0f);",
         "out(program)", "out", r"no matching (function|constructor)"),
    Case("copied_tile", f"{OUT} Accum<16, 64>& same = out; fill(same, 16, 64, 0.0f);",
         "Accum<16, 64>& same", "Accum<16, 64> same", r"deleted"),
    Case("copied_stage", f"{KEYS} KvStage<Kv, 16, 128>& same = stage; same.first_key = 0;",
         "KvStage<Kv, 16, 128>& same", "KvStage<Kv, 16, 128> same", r"deleted"),
    Case("rows_between", "Row<16> row{}; gather_row(row, 1, [](int) { return 0.0f; });",
         "Row<16>", "Row<24>", r"16 rows, or 16 a warp|whole vectors"),
    Case("ragged_columns", f"{OUT} fill(out, 16, 64, 0.0f);", "Accum<16, 64>", "Accum<16, 60>", r"columns in 8s"),
    Case("branch_on_an_element",
         f"{SCORES} each(scores, [](auto, auto x) {{ return select(x > 0.0f, x, x * 0.0f); }});",
         "return select(x > 0.0f, x, x * 0.0f);", "if (x > 0.0f) return x; return x * 0.0f;",
         r"could not convert|used vector type|not contextually convertible", ("cpu",)),
    Case("item_of_many_rows", "Attention<bf16, Kv, bf16, Config<256>, Config<256>>::run(program, AttentionParams{});",
         "Config<256>, Config<256>", "Config<512>, Config<512>", r"token_in_item is exact for up to 256 rows", ("cpu",)),
]


def compiled(target, functions):
    """The exit status and the messages of a compiler that reads a file with these functions."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "snippets.cpp"
        path.write_text(TARGETS[target] + FRAME.format(functions="\n".join(functions)))
        result = subprocess.run([COMPILER, *FLAGS, path], capture_output=True, text=True, timeout=120, check=False)
        return result.returncode, result.stderr


class MustNotCompileTest(unittest.TestCase):
    def test_right_twins_compile(self):
        for target in TARGETS:
            status, messages = compiled(target, [c.function(True) for c in CASES if target in c.targets])
            self.assertEqual(status, 0, f"{target}: {messages[:4000]}")

    def test_misuse_does_not_compile(self):
        jobs = [(case, target) for case in CASES for target in case.targets]
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda job: compiled(job[1], [job[0].function(False)]), jobs))
        for (case, target), (status, messages) in zip(jobs, results):
            with self.subTest(case=case.name, target=target):
                self.assertNotEqual(status, 0, "compiles")
                errors = "\n".join(line for line in messages.splitlines() if "error" in line)
                self.assertRegex(errors, case.message)


if __name__ == "__main__":
    unittest.main()
