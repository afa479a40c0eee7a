"""What benchmarks write with --json: rows, ceilings and machine, with figures that agree with one another."""

import unittest

from program import ProgramTest

ROW = {"name": str, "time_us": float, "bytes": float, "flops": float, "ceiling": (str, type(None)),
       "span": (str, type(None)), "fraction": (float, type(None))}
MACHINE = {"processor": str, "target": str, "architecture": str, "threads": int, "has_pair_dot": bool, "version": str}


class BenchJsonTest(ProgramTest):
    def check_types(self, record, types):
        for key, kind in types.items():
            self.assertIn(key, record)
            kinds = (int, float) if kind is float else kind if isinstance(kind, tuple) else (kind,)
            self.assertIsInstance(record[key], kinds, key)

    def bench(self, num_rows, ceilings, *args):
        """The file of a short run on one thread, checked against the schema."""
        file = self.run_json("bench", *args, "--threads", 1)
        self.assertEqual(len(file["rows"]), num_rows)
        self.assertEqual(set(file["ceilings"].get("burst", {})), ceilings)
        self.check_types(file["machine"], MACHINE)
        self.assertEqual(file["machine"]["threads"], 1)
        for row in file["rows"]:
            self.check_types(row, ROW)
            self.assertGreater(row["time_us"], 0)
            if row["ceiling"] is not None:
                self.assertIn(row["ceiling"], file["ceilings"][row["span"]])
                self.assertGreater(row["fraction"], 0)
        return file

    def check_fraction(self, file, row):
        """fraction = the time that the ceiling allows / time, up to the ceilings' own change during the run."""
        work = row["bytes"] if row["ceiling"] == "read" else row["flops"]
        allowed_us = work / file["ceilings"][row["span"]][row["ceiling"]] * 1e6
        self.assertGreaterEqual(row["fraction"] * 1.001, allowed_us / row["time_us"])

    def test_ceilings(self):
        file = self.bench(8, {"read", "fma", "dot"}, "ceilings", "--repeat", 1)
        self.assertEqual([(row["span"], row["ceiling"]) for row in file["rows"]],
                         [("instantaneous", "fma"), ("instantaneous", "dot"),
                          ("burst", "read"), ("burst", "fma"), ("burst", "dot"),
                          ("sustained", "read"), ("sustained", "fma"), ("sustained", "dot")])
        for row in file["rows"]:
            rate = file["ceilings"][row["span"]][row["ceiling"]]
            self.assertAlmostEqual(row["bytes"] + row["flops"], rate)
        self.assertGreaterEqual(file["read"]["bytes"], 64 << 20)
        self.assertGreater(file["read"]["programs"], 0)

    def test_attention(self):
        file = self.bench(2, {"read", "dot"}, "attention", "2q1s64", "q32_3q1s40", "--warm", "--repeat", 1, "--heads", "8/2", "--head-dim", 64)
        decode, mixed = file["rows"]
        self.assertEqual(decode["name"], "attention 2q1s64")
        elem = 2
        self.assertEqual(decode["bytes"], 2 * elem * (2 * 64 * 64 * 2 + 2 * 64 * 8))  # K and V of each KV head, q and o of each query head
        self.assertEqual(decode["flops"], 2 * 64 * 8 * 2 * (64 + 64))
        self.assertEqual(mixed["flops"], (32 * 33 // 2 + 3 * 40) * 8 * 2 * (64 + 64))
        for row in file["rows"]:
            self.check_fraction(file, row)

    def test_attention_features(self):
        self.bench(1, {"read", "fma"}, "attention", "2q3s50", "--warm", "--repeat", 1, "--heads", "4/2", "--head-dim", "48/32", "--dtype", "f32",
                   "--page-size", 5, "--window", 20, "--soft-cap", 30, "--alibi", "--sinks", "--batch-invariant")
        self.bench(1, {"read", "fma"}, "attention", "q4s9", "--warm", "--repeat", 1, "--heads", "2", "--head-dim", 16, "--dtype", "f16",
                   "--non-causal", "--backend", "reference")

    def test_linear(self):
        file = self.bench(2, {"read", "dot"}, "linear", "--shape", "1x96x64,9x40x33", "--warm", "--repeat", 1)
        row = file["rows"][0]
        self.assertEqual(row["flops"], 2 * 96 * 64)
        self.assertEqual(row["bytes"], 2 * (96 * 64 + 64 + 96))
        self.check_fraction(file, row)

    def test_latency(self):
        file = self.bench(3, {"read", "dot"}, "latency", "--shape", "tiny", "--prompt-len", 9, "--output-len", 4, "--batch", 2, "--repeat", 1)
        prefill, decode, answers = file["rows"]
        self.assertEqual(prefill["name"], "tiny prefill 2q9")
        self.assertEqual(decode["name"], "tiny decode 2q1s11")
        self.assertEqual(decode["bytes"], decode["weight_bytes"] + decode["kv_bytes"])
        self.assertEqual(decode["kv_bytes"], 4 * 2 * 2 * 11 * 2 * 32 * 2)  # layers, K and V, requests, keys, KV heads, head size, bytes
        self.assertGreater(prefill["flops"], decode["flops"])
        self.assertEqual(answers["name"], "tiny answers 2 x 4")
        self.assertAlmostEqual(answers["over_floor"] * answers["floor_us"], answers["time_us"], delta=0.001 * answers["time_us"])

    def test_throughput(self):
        file = self.bench(1, {"read", "dot"}, "throughput", "--shape", "tiny", "--num-requests", 3, "--max-num-seqs", 2, "--prompt-len", 5,
                          "--output-len", 4, "--repeat", 1)
        row = file["rows"][0]
        self.assertAlmostEqual(row["output_tokens_per_s"], 12e6 / row["time_us"], delta=0.01 * row["output_tokens_per_s"])
        self.assertGreater(row["bytes"], 0)

    def test_stall(self):
        file = self.bench(2, set(), "stall", "--shape", "tiny", "--batch", 2, "--prompt-len", 300, "--output-len", 64, "--repeat", 2)
        for row in file["rows"]:
            self.assertIsNone(row["ceiling"])
            self.assertAlmostEqual(row["gap_p99_ms"] * 1000, row["time_us"], places=3)
            self.assertLessEqual(row["gap_p50_ms"], row["gap_p99_ms"])
            self.assertLessEqual(row["gap_p99_ms"], row["gap_max_ms"])
            self.assertGreater(row["first_token_ms"], 0)

    def test_scheduler(self):
        file = self.bench(4, set(), "scheduler", "--requests", "4,8", "--steps", 20)
        self.assertIsNone(file["rows"][0]["ceiling"])
        self.assertIn("request_ns", file["rows"][0])
        self.assertEqual([row["name"] for row in file["rows"][2:]], ["attention plan, 4 decodes", "attention plan, 8 decodes"])
        self.assertGreater(file["kv_waste"]["unused_percent"], 0)
        self.assertLess(file["kv_waste"]["unused_percent"], 4)


if __name__ == "__main__":
    unittest.main()
