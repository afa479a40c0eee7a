"""A server with the live page's endpoints and made-up figures: the page meets 1,000 running requests, and slow steps,
without a model.

    fake_server.py [PORT [REQUESTS [PAGES [SECONDS OF A STEP]]]]    serves the page of this source tree until it is interrupted"""

import json
import math
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONTENT_POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
                  "frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".svg": "image/svg+xml"}
HOSTILE = ["<img src=x onerror=\"window.isHacked=1\">", "<script>window.isHacked", "=1</script>", " &amp; ", "\u202e\u0000 ok",
           "<a href='javascript:window.isHacked=1'>x</a>"]


class World:
    """Requests that hold pages, come and go; a scripted figure for each endpoint. Without `step_s` every question about the
    pages makes eight steps; with it a step takes so long, and until it ends nothing moves."""

    def __init__(self, num_pages=20000, num_requests=1000, num_families=12, seed=1, step_s=None, pages_each=None):
        self.lock = threading.Lock()
        self.random = random.Random(seed)
        self.step_s, self.pages_each, self.started, self.last = step_s, pages_each, time.monotonic(), None
        self.num_steps, self.step_time_s, self.computed = 0, 0.0, {"decode": 0, "extend": 0, "prefill": 0}
        self.num_pages, self.num_requests = num_pages, num_requests
        self.owners = [-1] * num_pages
        self.free = list(range(num_pages))
        self.random.shuffle(self.free) if num_pages > 5000 else self.free.reverse()
        self.running, self.next_id = {}, 1
        self.generated = self.prompted = 0
        self.steps, self.step_idx = [], 0
        self.histograms = {"vllm:time_to_first_token_seconds": [0] * 9, "vllm:inter_token_latency_seconds": [0] * 9}
        self.edges = [0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.25, 0.5, 1.0]
        for family in range(num_families):
            for page in self.take(num_pages // (num_families * 16) if pages_each is None else pages_each):
                self.owners[page] = -self.random.choice([2, 3, 8, 40, num_requests // num_families])
        for _ in range(num_requests):
            self.start()

    def take(self, count):
        return [self.free.pop() for _ in range(min(count, len(self.free)))]

    def start(self):
        share = self.num_pages / 20000 * 1000 / max(1, self.num_requests) if self.pages_each is None else self.pages_each / 9
        pages = self.take(max(1, int(self.random.lognormvariate(2.2, 0.7) * share)))
        for page in pages:
            self.owners[page] = self.next_id
        self.running[self.next_id] = pages
        self.next_id += 1

    def finish(self, request):
        for page in self.running.pop(request):
            self.owners[page] = 0 if self.random.random() < 0.3 else -1
            self.free.append(page)

    def step(self, num=8):
        churn = max(1, self.num_requests // 60)
        for request in self.random.sample(sorted(self.running), min(churn, len(self.running))):
            self.finish(request)
        while len(self.running) < self.num_requests and self.free:
            self.start()
        if self.pages_each is None:
            self.random.shuffle(self.free)
        self.step_idx += 1
        wave = 0.5 + 0.5 * math.sin(self.step_idx / 9)
        for _ in range(num):
            prefill = self.random.choice([0, 0, 0, 256, 512]) * wave
            extend = self.random.choice([0, 0, 128, 300]) * (1 - wave)
            time_us = int(9000 + prefill * 12 + self.random.random() * 900) if self.step_s is None else int(self.step_s * 1e6)
            decode = max(1, len(self.running) - int(0.09 * self.num_requests * wave)) if self.running else 0
            self.steps.append({"decode": decode, "extend": int(extend), "prefill": int(prefill), "time_us": time_us})
            self.num_steps += 1
            self.step_time_s += time_us / 1e6
            for kind, tokens in (("decode", decode), ("extend", int(extend)), ("prefill", int(prefill))):
                self.computed[kind] += tokens
            self.generated += len(self.running)
            self.prompted += int(prefill + extend)
        del self.steps[:-256]
        for buckets, shift in zip(self.histograms.values(), (4, 1.4)):
            for _ in range(40):
                buckets[min(8, max(0, int(self.random.gauss(shift + 1.6 * wave, 0.9))))] += 1

    def catch_up(self):
        """Takes the steps that have ended since the last call; whether there was one."""
        if self.step_s is None:
            return False
        num = int((time.monotonic() - self.started) / self.step_s)
        num_late = max(0, num - self.num_steps - 4)  # on a machine that is too busy, time passes more slowly
        self.started += num_late * self.step_s
        num -= num_late
        for _ in range(self.num_steps, num):
            self.step(1)
        return num > 0

    def pages(self):
        """The snapshot, or None while there is none yet; between two steps always the same."""
        with self.lock:
            if self.step_s is None:
                self.step()
            elif not self.catch_up():
                return None
            if self.step_s is None or self.last is None or self.last[0] != self.num_steps:
                self.last = (self.num_steps, {
                    "num_pages": self.num_pages, "page_size": 16, "owners": list(self.owners), "steps": list(self.steps),
                    "running": len(self.running), "waiting": 37, "generation_tokens": self.generated,
                    "prompt_tokens": self.prompted, "time": time.time()})
            return self.last[1]

    def metrics(self):
        lines = []
        with self.lock:
            self.catch_up()
            held = sum(owner > 0 or owner < -1 for owner in self.owners)
            for name, value in (("vllm:num_requests_running", len(self.running)), ("vllm:num_requests_waiting", 37),
                                ("vllm:kv_cache_usage_perc", held / self.num_pages), ("vllm:generation_tokens_total", self.generated),
                                ("vllm:prompt_tokens_total", self.prompted), ("quire:kv_pages_held", held),
                                ("quire:steps_total", self.num_steps), ("quire:step_seconds_total", self.step_time_s)):
                lines.append(f'{name}{{engine="0",model_name="demo"}} {value}')
            for kind, tokens in self.computed.items():
                lines.append(f'quire:step_tokens_total{{engine="0",model_name="demo",kind="{kind}"}} {tokens}')
            for name, buckets in self.histograms.items():
                total = 0
                lines.append(f"# TYPE {name} histogram")
                for edge, count in zip(self.edges, buckets):
                    total += count
                    lines.append(f'{name}_bucket{{engine="0",model_name="demo",le="{edge}"}} {total}')
                lines.append(f'{name}_bucket{{engine="0",model_name="demo",le="+Inf"}} {total}')
            lines.append(f'vllm:prefix_cache_queries_total{{engine="0"}} {self.prompted * 3}')
            lines.append(f'vllm:prefix_cache_hits_total{{engine="0"}} {self.prompted * 2}')
            lines.append('vllm:num_preemptions_total{engine="0"} 4')
        return "\n".join(lines) + "\n"


class FakeServer(ThreadingHTTPServer):
    """`key`: asked for on everything but the page. `pages_text`: answers /v1/internal/pages instead of the world's.
    `is_down`: closes every connection without an answer. `hangs_pages`: so many seconds pass before pages are answered."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, page_path, world=None, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.page_folder, self.world = Path(page_path).parent, world or World()
        self.hangs_pages = 0
        self.key = self.pages_text = self.chat_error = None
        self.is_down = False
        self.words = HOSTILE
        self.word_s = 0.0
        self.chats, self.paths, self.num_closed = [], [], 0

    def handle_error(self, request, client_address):
        self.num_closed += 1  # a browser that went away


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, kind, body):
        data = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", CONTENT_POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(data)

    def parse_request(self):
        if not super().parse_request():
            return False
        self.close_connection = self.close_connection or self.server.is_down
        return not self.server.is_down

    def is_refused(self):
        key = self.server.key
        if key is None or self.headers.get("Authorization") == f"Bearer {key}":
            return False
        self.answer(401, "application/json", json.dumps({"error": {"message": "wrong key", "type": "x", "param": None, "code": 401}}))
        return True

    def do_GET(self):
        self.server.paths.append(self.path)
        name = "index.html" if self.path == "/" else self.path.removeprefix("/page/")
        file = self.server.page_folder / name
        if "/" not in name and file.is_file():
            self.answer(200, TYPES[file.suffix], file.read_bytes())
        elif self.is_refused():
            return
        elif self.path == "/v1/internal/pages":
            time.sleep(self.server.hangs_pages)
            pages = self.server.world.pages()
            if pages is None:
                self.answer(503, "application/json", json.dumps({"error": {"message": "no step has ended", "type": "x", "code": 503}}))
            else:
                self.answer(200, "application/json", self.server.pages_text or json.dumps(pages))
        elif self.path == "/metrics":
            self.answer(200, "text/plain; version=0.0.4", self.server.world.metrics())
        elif self.path == "/v1/models":
            self.answer(200, "application/json", json.dumps({"object": "list", "data": [{"id": "demo <b>model</b>", "object": "model"}]}))
        else:
            self.answer(404, "application/json", "{}")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.append(self.path)
        if self.is_refused():
            return
        if self.server.chat_error:
            status, message = self.server.chat_error
            self.answer(status, "application/json", json.dumps({"error": {"message": message, "type": "x", "param": None, "code": status}}))
            return
        self.server.chats.append(json.loads(body))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        chunks = [{"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}]
        chunks += [{"choices": [{"index": 0, "delta": {"content": word}}], "usage": {"prompt_tokens": 9, "completion_tokens": i + 1}}
                   for i, word in enumerate(self.server.words)]
        chunks += [{"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": len(self.server.words)}}]
        for text in [*map(json.dumps, chunks), "[DONE]"]:
            event = f"data: {text}\n\n".encode()
            for part in (event[:7], event[7:]):  # cut where it hurts
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                self.wfile.flush()
            time.sleep(self.server.word_s)
        self.wfile.write(b"0\r\n\r\n")


if __name__ == "__main__":
    port, num_requests, num_pages = (int(arg) for arg in (sys.argv[1:4] + ["0", "50", "65536"][len(sys.argv[1:4]):]))
    slow = float(sys.argv[4]) if len(sys.argv) > 4 else None
    server = FakeServer(Path(__file__).resolve().parents[2] / "src/server/page/index.html",
                        World(num_pages, num_requests, step_s=slow, pages_each=9 if num_pages > 30000 else None), port)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
