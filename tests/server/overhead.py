"""What HTTP costs: the engine driven directly against the same engine behind `quire serve`, in rounds that take turns, so that
other load on the machine meets both. By itself, on a quiet machine:

    python3 tests/server/overhead.py build/release/apps/quire [rounds, default 12; 0 measures first tokens alone]

Both engines are the same, without a prefix cache, as no two prompts are alike. Generator and server share the processors: what the generator
uses is missing in the server's figure."""

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import serving
from serving import COMPLETIONS, Server

NUM_CLIENTS, NUM_REQUESTS, PROMPT_LEN, OUTPUT_LEN = 64, 384, 64, 64
NUM_FIRST_TOKENS = 200


def bench(*words):
    """(the first row of its JSON, processor seconds that it used)"""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        before = os.times()
        subprocess.run([serving.QUIRE, "bench", *map(str, words), "--json", file.name], check=True, capture_output=True)
        after = os.times()
        used_s = after.children_user + after.children_system - before.children_user - before.children_system
        return json.loads(Path(file.name).read_text(encoding="utf-8"))["rows"][0], used_s


def direct(prompt_len):
    row, _ = bench("throughput", "--num-requests", NUM_REQUESTS, "--max-num-seqs", NUM_CLIENTS, "--prompt-len", prompt_len, "--output-len", OUTPUT_LEN, "--repeat", 1)
    return row["output_tokens_per_s"]


def served(server, num_requests=NUM_REQUESTS):
    return bench("serve", "--url", f"http://127.0.0.1:{server.port}", "--clients", NUM_CLIENTS, "--requests", num_requests, "--prompt-len", PROMPT_LEN, "--output-len", OUTPUT_LEN)


def used_s(server):
    """Processor seconds of the server so far."""
    ticks = os.sysconf("SC_CLK_TCK")
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / ticks


def mean_of(metrics, before, name):
    count = metrics[f"{name}_count"] - before[f"{name}_count"]
    return (metrics[f"{name}_sum"] - before[f"{name}_sum"]) / count


def first_token_ms(server, i):
    """(until a client has the first token, of which the engine's step took) of one request on an idle server."""
    before = server.metrics()
    body = {"prompt": f"Number {i} of {time.monotonic_ns()}: Anna put the key in the drawer. " * 2, "max_tokens": 2, "ignore_eos": True, "temperature": 0, "stream": True}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.connect()
    data = json.dumps(body).encode()
    start = time.perf_counter()
    connection.request("POST", COMPLETIONS, data, {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.readline()
    whole = time.perf_counter() - start
    response.read()
    connection.close()
    return whole * 1e3, mean_of(server.metrics(), before, "vllm:request_prefill_time_seconds") * 1e3


def measure_round(server, prompt_len, is_direct_first):
    alone = direct(prompt_len) if is_direct_first else None
    before, server_s = server.metrics(), used_s(server)
    row, generator_s = served(server)
    server_s, inside_ms = used_s(server) - server_s, mean_of(server.metrics(), before, "vllm:time_to_first_token_seconds") * 1e3
    if alone is None:
        alone = direct(prompt_len)
    return {"direct": round(alone), "served": round(row["output_tokens_per_s"]), "share": round(row["output_tokens_per_s"] / alone, 3),
            "server_cpu_s": round(server_s, 2), "generator_cpu_s": round(generator_s, 2), "wall_s": round(row["duration_s"], 2),
            "first_token_added_ms_mean": round(row["ttft_ms"]["mean"] - inside_ms, 2)}


def main():
    num_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    with Server("--max-num-seqs", NUM_CLIENTS, "--threads", 0, "--no-prefix-cache") as server:
        row, _ = served(server, NUM_CLIENTS * 2)
        prompt_len = round(row["prompt_tokens"] / row["num_requests"])
        rounds = []
        for i in range(num_rounds):
            rounds.append(measure_round(server, prompt_len, is_direct_first=i % 2 == 0))
            print(json.dumps(rounds[-1]), flush=True)
        added = [whole - inside for whole, inside in (first_token_ms(server, i) for i in range(NUM_FIRST_TOKENS))]
    report = {"first_token_added_ms_idle": {"median": round(statistics.median(added), 3), "p90": round(sorted(added)[len(added) * 9 // 10], 3)}}
    for kind in ("direct", "served") if rounds else ():
        report[kind] = {"median": statistics.median(r[kind] for r in rounds), "best": max(r[kind] for r in rounds)}
    for which in ("median", "best") if rounds else ():
        report[f"share_of_{which}"] = round(report["served"][which] / report["direct"][which], 3)
    if rounds:
        shares = [r["share"] for r in rounds]
        report["share_of_pairs"] = {"median": round(statistics.median(shares), 3), "mean": round(statistics.mean(shares), 3)}
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
