"""What strangers cost the others: memory of the server, and how long a prompt or a probe of somebody else waits, while bodies are sent
and abandoned, sent without a key, or connections just stay open. By itself, on a quiet machine:

    python3 tests/server/floods.py build/release/apps/quire

One JSON object a flood. No test judges these figures; what must hold whatever the machine is in front_door_test.py.
"""

import json
import resource
import socket
import sys
import threading
import time
from pathlib import Path

from serving import COMPLETIONS, Server

NUM_BODIES, BODY_BYTES, NUM_STRANGERS, NUM_SILENT, NUM_POLLS = 150, 8_000_000, 200, 4200, 1000


def resident_mib(server):
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


class Watch:
    """Samples the server's memory, and how long `act` takes again and again, until the flood is over."""

    def __init__(self, server, act):
        self.server, self.act, self.waits, self.statuses, self.peak_mib = server, act, [], {}, 0
        self.start_mib, self.is_over = resident_mib(server), False
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.sample, self.ask)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        for thread in self.threads:
            thread.join(120)

    def sample(self):
        while not self.is_over:
            self.peak_mib = max(self.peak_mib, resident_mib(self.server))
            time.sleep(0.02)

    def ask(self):
        while not self.is_over:
            start = time.monotonic()
            status = self.act().status
            self.waits.append(time.monotonic() - start)
            self.statuses[status] = self.statuses.get(status, 0) + 1
            time.sleep(0.1)

    def report(self, name, **more):
        print(
            json.dumps(
                {
                    "flood": name,
                    "rss_mib_before": self.start_mib,
                    "rss_mib_peak": self.peak_mib,
                    "asked": len(self.waits),
                    "statuses": self.statuses,
                    "longest_wait_s": round(max(self.waits), 3),
                    **more,
                }
            ),
            flush=True,
        )


def head(num_bytes):
    return f"POST {COMPLETIONS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {num_bytes}\r\n\r\n".encode()


def send(connection, data):
    try:
        connection.sendall(data)
    except OSError:
        pass  # refused


def abandoned_bodies():
    body = b'{"prompt":"' + b"key lamp drawer " * (BODY_BYTES // 16) + b'"}'
    prompt = {"prompt": "Hi", "max_tokens": 1, "user": "u" * 20_000}
    with Server() as server, Watch(server, lambda: server.post(COMPLETIONS, prompt)) as watch:
        start = time.monotonic()
        for _ in range(NUM_BODIES):
            with server.connect() as connection:
                send(connection, head(len(body)) + body)
        sent_s = time.monotonic() - start
        server.post(COMPLETIONS, prompt)  # behind all that they left
        time.sleep(1)
    watch.report(
        "bodies sent and abandoned", bodies=NUM_BODIES, body_bytes=len(body), sent_in_s=round(sent_s, 1)
    )


def keyless_bodies():
    with Server("--api-key", "k") as server, Watch(server, lambda: server.get("/health/live")) as watch:
        held = [server.connect() for _ in range(NUM_STRANGERS)]
        for connection in held:
            connection.settimeout(2)
            send(connection, head(BODY_BYTES) + b"x" * (BODY_BYTES - 1))
        time.sleep(0.5)
        for connection in held:
            connection.close()
    watch.report("bodies without a key", connections=NUM_STRANGERS, body_bytes=BODY_BYTES)


def silent_connections():
    with Server() as server, Watch(server, lambda: server.get("/health/live")) as watch:
        held = []
        for _ in range(NUM_SILENT):
            held.append(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        time.sleep(2)
        for connection in held:
            connection.close()
    watch.report("silent connections", connections=NUM_SILENT)


def polls_of_the_pages():
    pages = b"GET /v1/internal/pages HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with Server("--kv-pages", "65536") as server:
        gaps, is_over = [], threading.Event()

        def read_stream():
            with server.connect() as connection:
                body = json.dumps(
                    {"prompt": "Anna", "max_tokens": 4000, "ignore_eos": True, "stream": True}
                ).encode()
                connection.sendall(head(len(body)) + body)
                last = time.monotonic()
                while not is_over.is_set() and connection.recv(65536):
                    gaps.append(time.monotonic() - last)
                    last = time.monotonic()

        reader = threading.Thread(target=read_stream)
        with Watch(server, lambda: server.get("/health/live")) as watch:
            reader.start()
            time.sleep(0.5)
            quiet = max(gaps[1:], default=0)
            held = [server.connect() for _ in range(NUM_POLLS)]
            for connection in held:
                connection.sendall(pages)
            for connection in held:
                while connection.recv(1 << 20):
                    pass
                connection.close()
            is_over.set()
            reader.join()
        watch.report(
            "polls of the pages",
            polls=NUM_POLLS,
            longest_gap_of_a_stream_s=round(max(gaps[1:]), 3),
            before_s=round(quiet, 3),
        )


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    floods = {
        flood.__name__: flood
        for flood in (abandoned_bodies, keyless_bodies, silent_connections, polls_of_the_pages)
    }
    for name in sys.argv[1:] or floods:
        floods[name]()
