"""bench/peers: names of batches, what they cost, and the tables made of results. What measures needs a GPU and is not here."""

import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench" / "peers"))

import report
from workload import DEFAULT, Problem, flops, kv_bytes, num_layers, parse_batch


class WorkloadTest(unittest.TestCase):
    def test_names(self):
        batch = parse_batch("2q2k_8q1s1k")
        self.assertEqual((batch.query_len, batch.kv_len), ((2048,) * 2 + (1,) * 8, (2048,) * 2 + (1024,) * 8))
        self.assertEqual((batch.kind, batch.num_tokens, batch.total_tokens, batch.is_uniform), ("mixed", 4104, 12288, False))
        self.assertEqual(parse_batch("32q1s8k").kind, "decode")
        self.assertEqual(parse_batch("8q512s8704").kind, "prefill")
        for spec in DEFAULT:
            self.assertEqual(parse_batch(spec).spec, spec)

    def test_bad_names_show_the_spec(self):
        for spec in ("", "q", "q0", "q1_", "0q1", "q8s4", "8k", "q1s2m", "-1q1", "70000q1", "q16385k"):
            with self.assertRaisesRegex(ValueError, f'batch "{spec}"'):
                parse_batch(spec)

    def test_costs(self):
        problem = Problem()
        self.assertEqual(kv_bytes(problem, parse_batch("32q1s8k")), 32 * 8192 * 2 * 8 * 128 * 2)
        self.assertEqual(flops(problem, parse_batch("q8k")), 4 * 32 * 128 * 8192 * 8192 / 2)
        self.assertEqual(flops(problem, parse_batch("8q512s8704")), 8 * 4 * 32 * 128 * (512 * 8192 + 512 * 512 / 2))
        self.assertEqual(kv_bytes(Problem(window=128), parse_batch("2q1s8k")), 2 * 128 * 2 * 8 * 128 * 2)

    def test_layers_outgrow_caches(self):
        problem = Problem()
        self.assertEqual([num_layers(problem, parse_batch(s)) for s in ("1q1s512", "32q1s32k", "q512", "q32k")], [256, 2, 16, 2])
        self.assertEqual(num_layers(problem, parse_batch("1q1s512"), cap=1), 1)

    def test_bad_problems_show_values(self):
        for arguments, words in (({"num_kv_heads": 7}, "32 query heads.*7"), ({"head_dim": 0}, "head_dim.*0"), ({"dtype": "f64"}, "f64"),
                                 ({"window": -1}, "window.*-1")):
            with self.assertRaisesRegex(ValueError, words):
                Problem(**arguments)


def batch(spec, times, reasons=None):
    parsed, problem = parse_batch(spec), Problem()
    results = [{"peer": peer, "error": 0.002, "sustained_us": us} for peer, us in times.items()]
    return {"spec": spec, "kind": parsed.kind, "num_seqs": parsed.num_seqs, "num_tokens": parsed.num_tokens, "total_tokens": parsed.total_tokens,
            "kv_bytes": kv_bytes(problem, parsed), "flops": flops(problem, parsed), "results": results, "reasons": reasons or {}, "failed": [],
            "paged_peers": ["quire", "flash3"]}


class ReportTest(unittest.TestCase):
    def setUp(self):
        self.batches = [batch("32q1s8k", {"quire": 250.0, "flash3": 200.0, "cudnn": 240.0, "plain read": 150.0}),
                        batch("8q1s2k", {"quire": 20.0}, {"flash3": "too small"}), batch("1q1s2k", {"quire": 20.0}, {"flash3": "too small"})]

    def test_table(self):
        head, _, first, second, _ = report.kind_table(self.batches, "decode", "sustained")
        self.assertEqual(head, "| batch | KV MB | quire | flash3 | cudnn | plain read | ours / best paged | ours / best |")
        self.assertEqual(first, "| `32q1s8k` | 1073.7 | 250.0 / 4295 | **200.0 / 5369** | 240.0 / 4474 | 150.0 / 7158 | 1.25 (flash3) | 1.25 (flash3) |")
        self.assertEqual(second, "| `8q1s2k` | 67.1 | **20.0 / 3355** | – | – | – | – | – |")
        self.assertEqual(report.kind_table(self.batches, "decode", "burst"), [])
        self.assertEqual(report.kind_table(self.batches, "mixed", "sustained"), [])

    def test_report(self):
        run = {"problem": vars(Problem()), "machine": {"gpu": "a GPU", "software": "s"}, "ceilings": None, "batches": self.batches,
               "absent": {"flex": "not installed"}, "versions": {"quire": "v"}}
        text = report.markdown(run)
        for words in ("- flex: not installed", "- flash3: too small (`8q1s2k`, `1q1s2k`)", "against float64: 0.002", "## Decode, sustained"):
            self.assertIn(words, text)


if __name__ == "__main__":
    unittest.main()
