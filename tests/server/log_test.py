"""Where the log goes does not decide whether the server lives, and signals end it whatever it is busy with."""

import fcntl
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

import serving
from serving import COMPLETIONS, QUESTION, QUIRE, Server, ServerTest, wait_until
from streams import request_bytes

ENDLESS = {
    "prompt": "Anna put the key",
    "max_tokens": 4000,
    "ignore_eos": True,
    "temperature": 1,
    "seed": 1,
    "stream": True,
}
LINES_OF_A_PIPE = 1500  # of the log of requests: more than 64 KiB


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class BlindServer(Server):
    """A server whose log goes anywhere but to the test."""

    def __init__(self, stderr, *flags, wait=True, preexec_fn=None):
        self.port, self.log = free_port(), []
        command = [
            QUIRE,
            "serve",
            "--threads",
            "2",
            "--enable-log-requests",
            "--port",
            str(self.port),
            *map(str, flags),
        ]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, preexec_fn=preexec_fn
        )
        if wait:
            wait_until(self.is_up, "the server to be ready")

    def is_up(self):
        assert self.process.poll() is None, f"the server ended with {self.process.returncode}"
        try:
            return self.get("/health/ready").status == 200
        except OSError:
            return False

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(serving.PATIENCE_S)


class LogTest(unittest.TestCase):
    def check_serves_and_drains(self, server):
        """Requests, deadlines (which the sweep enforces) and the drain work as ever."""
        try:
            for _ in range(LINES_OF_A_PIPE):
                self.assertEqual(server.get("/version").status, 200)
            answer = server.post(COMPLETIONS, {**ENDLESS, "stream": False}, {"X-Request-Timeout": "0.3"})
            self.assertEqual(answer.status, 504)
            self.assertEqual(server.chat(QUESTION)["object"], "chat.completion")
        finally:
            code = server.stop()
        self.assertEqual(code, 0)

    def test_a_full_disk(self):
        with open("/dev/full", "w") as full:
            self.check_serves_and_drains(BlindServer(full))

    def test_a_pipe_that_nobody_reads(self):
        reader, writer = os.pipe()
        try:
            self.check_serves_and_drains(BlindServer(writer))
        finally:
            os.close(reader)
            os.close(writer)

    def test_a_pipe_whose_reader_has_gone(self):
        reader, writer = os.pipe()
        server = BlindServer(writer)
        os.close(writer)
        os.close(reader)
        self.check_serves_and_drains(server)

    def test_a_closed_stderr(self):
        self.check_serves_and_drains(BlindServer(None, preexec_fn=lambda: os.close(2)))

    def test_what_was_lost_is_counted(self):
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        server = BlindServer(writer)
        os.close(writer)
        for _ in range(6_000):  # 256 KiB wait in the server
            server.get("/version")
        text = []
        thread = threading.Thread(target=lambda: text.append(os.fdopen(reader).read()))
        thread.start()
        wait_until(lambda: server.get("/version").status == 200, "an answer")
        self.assertEqual(server.stop(), 0)
        thread.join()
        lost = re.findall(r"\((\d+) messages of this log were lost\)", text[0])
        written = len(re.findall(r"GET /version 200", text[0]))
        self.assertTrue(lost)
        self.assertGreaterEqual(written + sum(map(int, lost)), 6_000)

    def test_errors_that_cannot_be_said(self):
        with open("/dev/full", "w") as full:
            result = subprocess.run(
                [QUIRE, "run", "/nowhere/model", "-p", "x"], stderr=full, timeout=serving.PATIENCE_S
            )
        self.assertEqual(result.returncode, 2)


class SignalTest(unittest.TestCase):
    def signalled_twice(self, server, first=signal.SIGTERM, second=signal.SIGTERM):
        """The exit code after a signal and another one somewhat later."""
        server.process.send_signal(first)
        time.sleep(0.5)  # signals that come together count as one
        self.assertIsNone(server.process.poll(), "the first signal alone has ended the server")
        server.process.send_signal(second)
        try:
            return server.process.wait(20)
        except subprocess.TimeoutExpired:
            server.process.kill()
            self.fail("the second signal does not end the server")
        finally:
            server.stop()

    def test_a_hangup_drains(self):
        server = Server()
        connection = server.connect()
        connection.sendall(request_bytes(COMPLETIONS, {**ENDLESS, "max_tokens": 300}))
        wait_until(lambda: server.pages_in_use() > 0, "the request to run")
        server.process.send_signal(signal.SIGHUP)
        received = b""
        while part := connection.recv(65536):
            received += part
        self.assertIn(b"data: [DONE]", received)
        connection.close()
        self.assertEqual(server.process.wait(serving.PATIENCE_S), 0)
        server.stop()

    def test_a_hangup_that_is_ignored_stays_so(self):
        with open(os.devnull, "w") as nowhere:
            server = BlindServer(
                nowhere, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
            )  # as nohup does
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        self.assertEqual(server.get("/health/ready").status, 200)
        self.assertEqual(server.stop(), 0)

    def test_a_second_signal_while_answers_run(self):
        for first, second in ((signal.SIGTERM, signal.SIGINT), (signal.SIGHUP, signal.SIGTERM)):
            server = Server()
            with server.connect() as connection:
                connection.sendall(request_bytes(COMPLETIONS, ENDLESS))
                wait_until(lambda: server.pages_in_use() > 0, "the request to run")
                self.assertEqual(self.signalled_twice(server, first, second), 1)

    def test_a_second_signal_while_nobody_reads_the_log(self):
        reader, writer = os.pipe()
        try:
            server = BlindServer(writer)
            for _ in range(LINES_OF_A_PIPE):
                server.get("/version")
            with server.connect() as connection:
                connection.sendall(request_bytes(COMPLETIONS, ENDLESS))
                wait_until(lambda: server.pages_in_use() > 0, "the request to run")
                self.assertEqual(self.signalled_twice(server), 1)
        finally:
            os.close(reader)
            os.close(writer)


if __name__ == "__main__":
    unittest.main()
