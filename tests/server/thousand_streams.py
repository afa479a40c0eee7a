"""Many streams at the same time, each compared with the answer that the same request gets alone; then as many again,
which all disconnect in the middle, after which no page may be held. By itself, with a server that it starts:

    python3 tests/server/thousand_streams.py build/release/apps/quire [streams, default 1000]
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import serving
from serving import Server
from streams import gather, leave_after, stream_text


def bodies_of(num_streams, num_tokens):
    return [{"prompt": f"Story {i % 97}: Anna put the key in the drawer. Bob took the lamp. Number {i}:", "max_tokens": num_tokens, "ignore_eos": True,
             "temperature": 1, "seed": i} for i in range(num_streams)]


def resident_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def run(server, num_streams, num_tokens):
    bodies = bodies_of(num_streams, num_tokens)
    report = {"streams": num_streams, "rss_at_start": resident_bytes(server.process.pid)}
    start = time.monotonic()
    together = asyncio.run(gather([stream_text(server.port, body) for body in bodies]))
    report["seconds"] = round(time.monotonic() - start, 2)
    report["rss_after_streams"] = resident_bytes(server.process.pid)
    alone = [server.post(serving.COMPLETIONS, body).json()["choices"][0]["text"] for body in bodies]
    report["wrong"] = sum(a != b for a, b in zip(alone, together))
    endless = [{**body, "max_tokens": 2000, "stream": True} for body in bodies]
    asyncio.run(gather([leave_after(server.port, body, 300) for body in endless]))
    server.wait_idle()
    report["pages_held_after_disconnect"] = server.pages_in_use()
    report["rss_at_end"] = resident_bytes(server.process.pid)
    return report


if __name__ == "__main__":
    num = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with Server("--max-num-queued-reqs", "4000", "--batch-invariant") as started:
        result = run(started, num, 32)
    print(json.dumps(result, indent=1))
    sys.exit(1 if result["wrong"] or result["pages_held_after_disconnect"] else 0)
