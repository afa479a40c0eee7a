"""A server under test: starts `quire serve` on a free port, speaks HTTP with it, and looks at its metrics. The program is
the first argument of each test script, or $QUIRE."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "models/demo"
QUIRE = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else os.environ.get("QUIRE", "quire")
QUESTION = (DEMO / "example_question.txt").read_text(encoding="utf-8").strip()
ANSWER = (DEMO / "example_answer.txt").read_text(encoding="utf-8").strip()
PATIENCE_S = 120  # for things that will happen; no test judges how long they take
COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
FINDING = re.compile(r"Sanitizer|runtime error:|terminate called|Assertion")


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {PATIENCE_S} s for {what}")
        time.sleep(0.02)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def error(self):
        return self.json()["error"]


class Server:
    def __init__(self, *flags, wait=True, environment=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith("QUIRE_")} | (environment or {})
        defaults = {"--threads": "2", "--port": "0"}
        command = [QUIRE, "serve", "--disable-log-stats", *map(str, flags)]
        command += [word for flag, value in defaults.items() if flag not in flags for word in (flag, value)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env)
        self.log, self.port = [], None
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        wait_until(lambda: self.port or self.process.poll() is not None, "the server to listen")
        if self.port is None:
            self.stop()
            raise AssertionError("the server ended: " + "\n".join(self.log))
        if wait:
            self.wait_ready()

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line.rstrip())
            match = re.search(r"listening on http://[^ ]*:(\d+)", line)
            if match:
                self.port = int(match.group(1))

    def wait_ready(self):
        wait_until(lambda: self.get("/health/ready").status == 200, "the server to be ready")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends the server and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise AssertionError("the server does not end")
        code = self.process.wait()
        self._reader.join()
        self.process.stderr.close()
        return code

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, headers=headers)

    def post(self, path, body, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, data, {"Content-Type": "application/json", **(headers or {})})

    def complete(self, prompt, **fields):
        answer = self.post(COMPLETIONS, {"prompt": prompt, "temperature": 0, **fields})
        assert answer.status == 200, answer.body
        return answer.json()

    def chat(self, text, **fields):
        answer = self.post(CHAT, {"messages": [{"role": "user", "content": text}], "temperature": 0, **fields})
        assert answer.status == 200, answer.body
        return answer.json()

    def events(self, path, body):
        """The data of each server-sent event of a streamed call, the end mark left out (and checked)."""
        answer = self.post(path, {**body, "stream": True})
        assert answer.status == 200, answer.body
        assert answer.headers["Content-Type"] == "text/event-stream"
        return events_of(answer.body)

    def metrics(self):
        """{name with labels but model and engine: value}; nothing where the server has no place for a connection"""
        values = {}
        answer = self.get("/metrics")
        if answer.status == 503:
            return values
        for line in answer.body.decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                name = re.sub(r'model_name="[^"]*",engine="0",?', "", name).replace("{}", "")
                values[name] = float(value)
        return values

    def pages_in_use(self):
        return self.metrics()["quire:kv_pages_held"]

    def wait_idle(self):
        """Until nothing runs, waits or holds a page."""
        wait_until(self.is_idle, "places and pages to come back")

    def is_idle(self):
        names = ("quire:kv_pages_held", "vllm:num_requests_running", "vllm:num_requests_waiting")
        values = self.metrics()  # one who has just left may still hold its place
        return bool(values) and all(values[name] == 0 for name in names)


def findings_of(server):
    """What the server's log says of sanitizers and of ends that nobody asked for."""
    return [line for line in server.log if FINDING.search(line)]


def things_left(server):
    """{metric: value} of what must be 0 on an idle server, whatever came before, and is not."""
    names = ("quire:kv_pages_held", "quire:cache_repairs_total", "vllm:corrupted_requests_total",
             'vllm:request_success_total{finished_reason="error"}')
    metrics = server.metrics()
    return {name: metrics[name] for name in names if metrics[name] != 0}


def events_of(body):
    parts = body.decode("utf-8").split("\n\n")
    assert parts[-1] == "" and parts[-2] == "data: [DONE]", parts[-2:]
    return [json.loads(part.removeprefix("data: ")) for part in parts[:-2] if not part.startswith(":")]


def text_of(events, idx=0):
    """What a client puts together from the events of one answer."""
    text = ""
    for event in events:
        for choice in event["choices"]:
            if choice["index"] == idx:
                text += choice["delta"].get("content", "") if "delta" in choice else choice["text"]
    return text


def message_of(answer):
    return answer["choices"][0]["message"]["content"]


class ServerTest(unittest.TestCase):
    """One server for all tests of a class; after each test the canary must answer as ever."""

    FLAGS = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.FLAGS)

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        assert code == 0, f"exit code {code}: {cls.server.log[-5:]}"

    def check_canary(self):
        self.assertEqual(message_of(self.server.chat(QUESTION)), ANSWER)

    def check_refused(self, answer, status, *words, code=None):
        self.assertEqual(answer.status, status, answer.body[:500])
        error = answer.error()
        self.assertEqual(error["code"], status if code is None else code)
        self.assertLessEqual({"message", "type", "param", "code"}, set(error))
        for word in words:
            self.assertIn(word, f"{error['message']} {error['param']}")
        return error
