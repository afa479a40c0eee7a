"""What strangers can do to a server before anything of theirs is computed: who is judged when, what they can hold, and that probes
are answered whatever they do."""

import subprocess
import time
import unittest
from pathlib import Path

from serving import COMPLETIONS, PATIENCE_S, QUIRE, Server, ServerTest, wait_until
from streams import request_bytes

MIB = 1 << 20


def head(*lines, method="POST", target=COMPLETIONS, version="HTTP/1.1", host="Host: localhost"):
    lines = [
        f"{method} {target} {version}",
        *([host] if host else []),
        "Content-Type: application/json",
        *lines,
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def read_all(connection):
    """All bytes that come back until the server closes."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


def statuses(received):
    return [int(part.split(b" ", 1)[0]) for part in received.split(b"HTTP/1.1 ")[1:]]


def resident_bytes(server):
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


class Raw:
    def exchange(self, data):
        with self.server.connect() as connection:
            try:
                connection.sendall(data)
            except OSError:
                pass  # refused before everything was sent
            return read_all(connection)


class KeyTest(Raw, ServerTest):
    FLAGS = ("--api-key", "flag-key", "--kv-pages", "600")

    def test_a_request_without_a_key_is_refused_before_its_body(self):
        for lines in (
            ["Content-Length: 8000000"],
            ["Content-Length: 8000000", "Expect: 100-continue"],
            ["Transfer-Encoding: chunked"],
        ):
            received = self.exchange(head(*lines))  # and not a byte of the body
            self.assertEqual(statuses(received), [401], received)

    def test_bodies_without_a_key_are_not_kept(self):
        before = resident_bytes(self.server)
        held = [self.server.connect() for _ in range(60)]
        for connection in held:
            connection.setblocking(False)
            connection.send(head("Content-Length: 8000000"))
        for _ in range(40):
            for connection in held:
                try:
                    connection.send(b"x" * 200_000)
                except OSError:
                    pass
            time.sleep(0.005)
        self.assertLess(resident_bytes(self.server) - before, 50 * MIB, "of 480 MB that were on their way")
        for connection in held:
            connection.close()

    def test_trailers_are_no_headers(self):
        body = b'{"prompt":"x","max_tokens":1}'
        chunks = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\nAuthorization: Bearer flag-key\r\n\r\n"
        self.assertEqual(
            statuses(self.exchange(head("Transfer-Encoding: chunked", "Connection: close") + chunks)), [401]
        )
        allowed = head("Transfer-Encoding: chunked", "Connection: close", "Authorization: Bearer flag-key")
        self.assertEqual(statuses(self.exchange(allowed + chunks)), [200])


class FramingTest(Raw, ServerTest):
    FLAGS = ("--kv-pages", "600")

    def test_a_body_is_never_the_next_request(self):
        hidden = head(method="GET", target="/v1/models")
        for coding in (
            "xchunked",
            "gzip",
            "identity",
            "chunked, identity",
            "chunked, chunked",
            "\x0bchunked",
        ):
            received = self.exchange(head(f"Transfer-Encoding: {coding}") + hidden)
            self.assertEqual(statuses(received), [400], (coding, received))
            self.assertIn(b"Connection: close", received)
        for lines in (
            ["Content-Length: 5", "Transfer-Encoding: chunked"],
            ["Content-Length: 5", "Content-Length: 6"],
            ["X: y", " Content-Length: 5"],
            ["Content-Length : 5"],
        ):
            self.assertEqual(statuses(self.exchange(head(*lines) + b"0\r\n\r\n" + hidden)), [400], lines)
        self.assertEqual(
            statuses(
                self.exchange(head("Transfer-Encoding: chunked", version="HTTP/1.0") + b"0\r\n\r\n" + hidden)
            ),
            [400],
        )
        self.assertEqual(statuses(self.exchange(head("Transfer-Encoding: gzip, chunked") + hidden)), [501])

    def test_hosts(self):
        for host in (None, "Host: localhost\r\nHost: localhost", "Host: localhost:80@evil", "Host: a b"):
            self.assertEqual(
                statuses(self.exchange(head(method="GET", target="/v1/models", host=host))), [400], host
            )

    def test_what_clients_may_send(self):
        close = "Connection: close"
        for data in (
            head(close, method="GET", target="http://localhost/v1/models"),
            b"\r\n" + head(close, method="GET", target="/v1/models"),
            head(method="GET", target="/v1/models", version="HTTP/1.0", host=None),
        ):
            self.assertEqual(statuses(self.exchange(data)), [200], data)
        self.assertEqual(
            statuses(self.exchange(head(close, method="GET", target="http://evil.example/v1/models"))), [403]
        )

    def test_a_refusal_keeps_the_connection_when_the_next_request_can_be_found(self):
        body = b'{"prompt":"x"}'
        refused = head(f"Content-Length: {len(body)}", target="/nothing") + body
        received = self.exchange(refused + head("Connection: close", method="GET", target="/v1/models"))
        self.assertEqual(statuses(received), [404, 200], received)

    def test_programs_find_their_words(self):
        answer = self.server.post("/v1/embeddings", {"input": "x"})
        self.assertEqual((answer.status, answer.headers["X-Should-Retry"]), (501, "false"))
        self.check_refused(self.server.get("/v1/models/somebody"), 404, "somebody")
        messages = [{"role": "user", "content": "x"}]
        tools = [{"type": "function", "function": {"name": "f"}}]
        self.assertEqual(
            self.server.post(
                "/v1/chat/completions",
                {"messages": messages, "tools": tools, "tool_choice": "none", "max_tokens": 1},
            ).status,
            200,
        )
        page = self.server.get("/")
        self.assertIn("frame-ancestors 'none'", page.headers["Content-Security-Policy"])


class ReboundNameTest(unittest.TestCase):
    """A page whose name its owner's DNS points at this server."""

    def test_without_keys_only_addresses_are_taken(self):
        with Server("--host", "0.0.0.0", "--kv-pages", "600") as server:
            self.assertEqual(
                server.get(
                    "/v1/models",
                    Host=f"rebound.example:{server.port}",
                    Origin=f"http://rebound.example:{server.port}",
                ).status,
                403,
            )
            self.assertEqual(server.get("/health/ready", Host="probe.example").status, 200)
            for host in (f"127.0.0.1:{server.port}", "localhost", "10.0.0.7:8000", "[::1]"):
                self.assertEqual(server.get("/v1/models", Host=host).status, 200, host)


class ConnectionFloodTest(ServerTest):
    FLAGS = ("--max-connections", "20", "--kv-pages", "2000")

    def test_silent_connections_make_room(self):
        held = []
        for i in range(120):
            connection = self.server.connect()
            if i % 2:
                connection.sendall(b"POST /v1/comp")
            held.append(connection)
            if i % 10 == 9:
                for path in ("/health/live", "/health/ready"):
                    self.assertEqual(self.server.get(path).status, 200, i)
        # Who has just come has a moment to speak, then is closed for whoever has something to say.
        wait_until(
            lambda: self.server.post(COMPLETIONS, {"prompt": "x", "max_tokens": 1}).status == 200, "room"
        )
        for connection in held:
            connection.close()

    def test_probes_are_answered_when_everybody_works(self):
        held = []
        for _ in range(20):
            connection = self.server.connect()
            connection.sendall(
                request_bytes(
                    COMPLETIONS,
                    {
                        "prompt": "Anna",
                        "max_tokens": 3000,
                        "ignore_eos": True,
                        "temperature": 1,
                        "stream": True,
                    },
                )
            )
            connection.recv(1)
            held.append(connection)
        for path in ("/health/live", "/health/ready"):
            self.assertEqual(self.server.get(path).status, 200)
        answer = self.server.post(COMPLETIONS, {"prompt": "x"})
        self.check_refused(answer, 503, "too many connections")
        self.assertIn("Retry-After", answer.headers)
        for connection in held:
            connection.close()
        self.server.wait_idle()
        self.check_canary()


class BodyFloodTest(Raw, ServerTest):
    FLAGS = ("--max-unread-body-bytes", str(16 * MIB), "--kv-pages", "600")
    LONG = b'{"prompt":"Hi","max_tokens":1,"user":"' + b"u" * 8_000_000 + b'"}'

    def test_bodies_that_arrive_are_bounded_together(self):
        before = resident_bytes(self.server)
        held = []
        for _ in range(12):  # each a byte short of a request
            connection = self.server.connect()
            connection.settimeout(PATIENCE_S)
            try:
                connection.sendall(head(f"Content-Length: {4 * MIB}") + b"x" * (4 * MIB - 1))
            except OSError:
                pass  # refused
            held.append(connection)
            self.addCleanup(connection.close)
        self.check_canary()
        answer = self.server.post(COMPLETIONS, self.LONG)
        self.check_refused(answer, 429, "bodies")
        self.assertLess(resident_bytes(self.server) - before, 40 * MIB)
        for connection in held:
            connection.close()
        wait_until(lambda: self.server.post(COMPLETIONS, self.LONG).status == 200, "their room to be free")

    def test_work_of_clients_that_left_is_not_done(self):
        for i in range(150):
            with self.server.connect() as connection:
                try:
                    connection.sendall(
                        head(f"Content-Length: {len(self.LONG)}", target=(COMPLETIONS, "/tokenize")[i % 2])
                        + self.LONG
                    )
                except OSError:
                    pass  # told 429 before everything was sent
        self.assertLess(resident_bytes(self.server), 700 * MIB)
        wait_until(
            lambda: self.server.post(
                COMPLETIONS, b'{"prompt":"Hi","max_tokens":1,"user":"' + b"u" * 100_000 + b'"}'
            ).status
            == 200,
            "an answer",
        )
        self.check_canary()


class ProxyTest(unittest.TestCase):
    """Clients are told apart by what a proxy says of them, if the proxy is trusted."""

    LONG = {"prompt": "Anna", "max_tokens": 3000, "ignore_eos": True, "temperature": 1, "stream": True}

    def status_beside_a_running_answer(self, server, running, asking):
        with server.connect() as connection:
            connection.sendall(request_bytes(COMPLETIONS, self.LONG, **{"X-Forwarded-For": running}))
            self.assertIn(b" 200 ", connection.recv(65536))
            return server.post(
                COMPLETIONS, {"prompt": "x", "max_tokens": 1}, {"X-Forwarded-For": asking}
            ).status

    def test_each_client_of_a_trusted_proxy_has_its_share(self):
        with Server("--max-num-reqs-per-key", "1", "--trusted-proxy", "127.0.0.0/8", "--kv-pages", "2000") as server:
            for running, asking, status in (
                ("192.0.2.1", "192.0.2.2", 200),
                ("192.0.2.1", "192.0.2.1", 429),
                ("192.0.2.1", "192.0.2.2, 192.0.2.1", 429),
                ("2001:db8::1", "[2001:db8::2]:80", 429),
                ("2001:db8::1", "2001:db8:0:1::1", 200),
            ):
                self.assertEqual(self.status_beside_a_running_answer(server, running, asking), status, asking)
                server.wait_idle()

    def test_others_are_not_believed(self):
        with Server("--max-num-reqs-per-key", "1", "--trusted-proxy", "192.0.2.0/24", "--kv-pages", "2000") as server:
            self.assertEqual(self.status_beside_a_running_answer(server, "192.0.2.1", "192.0.2.2"), 429)


class FlagsTest(unittest.TestCase):
    def refused(self, *flags):
        return subprocess.run(
            [QUIRE, "serve", "--port", "0", *flags],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def test_bounds_of_flags(self):
        for flag in (
            "--request-timeout",
            "--ttft-timeout",
            "--queue-timeout",
            "--shutdown-timeout",
            "--stall-timeout",
            "--header-timeout",
            "--body-timeout",
            "--idle-timeout",
            "--write-timeout",
            "--sse-ping-interval",
        ):
            for value in ("1e300", "nan", "inf", "-1", "x"):
                result = self.refused(f"{flag}={value}")
                self.assertNotEqual(result.returncode, 0, (flag, value))
                self.assertIn(flag, result.stderr, (flag, value))
        for words in (
            ["--max-num-queued-reqs=99999999999"],
            ["--max-num-reqs-per-key=-1"],
            ["--trusted-proxy=localhost"],
            ["--trusted-proxy=10.0.0.1/8"],
            ["--max-body-bytes=0"],
            ["--max-body-bytes=200MiB"],
        ):
            self.assertNotEqual(self.refused(*words).returncode, 0, words)

    def test_names_hold_no_control_characters(self):
        for name in ("", "a\x1b[31m", "a\nb", "\x7f", "a" * 300):
            result = self.refused("--served-model-name", name)
            self.assertNotEqual(result.returncode, 0)
            self.assertNotIn("\x1b", result.stderr)


if __name__ == "__main__":
    unittest.main()
