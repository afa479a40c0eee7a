"""Hostile and careless requests: each gets its status and words, and after each the canary answers as ever."""

import json
import socket
import sys
import unittest
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

from serving import CHAT, COMPLETIONS, PATIENCE_S, ServerTest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hostile"))
from values import REQUESTS, TABLE, broken_documents, spoiled  # noqa: E402

ENDPOINTS = REQUESTS["endpoints"]
JSON_TYPE = {"Content-Type": "application/json"}


class BadInputsTest(ServerTest):
    FLAGS = ("--max-body-bytes", "1000000", "--kv-pages", "600")

    def tearDown(self):
        self.check_canary()

    def refuse(self, path, body, status=400, *words, code=None):
        return self.check_refused(self.server.post(path, body), status, *words, code=code)

    def test_bodies_that_are_no_json_object(self):
        for path in ENDPOINTS:
            for body in (*broken_documents().values(), *(text.encode() for text in TABLE["no_objects"])):
                self.refuse(path, body)
        self.assertEqual(self.server.post(COMPLETIONS, b'{"prompt":"a\\u0000b","max_tokens":1}').status, 200, "JSON allows it")

    def test_each_value_of_each_field(self):
        """What the parser says to each is a matter of tests/unit/server; here the server must live on."""
        for path, call in ENDPOINTS.items():
            with closing(HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE_S)) as connection:
                for pointer, hostile, text in spoiled(call["body"], call["kinds"]):
                    connection.request("POST", path, text.encode(), JSON_TYPE)
                    answer = connection.getresponse()
                    said = answer.read().decode()
                    wanted = 501 if call["kinds"].get(pointer) == "declined" else 400
                    self.assertEqual(answer.status, wanted, f"{path} {pointer} = {hostile}: {said[:300]}")
                    self.assertIn(pointer.split("/")[1], said)
            self.check_canary()

    def test_numbers(self):
        for field, value in (("max_tokens", -1), ("max_tokens", 0), ("max_tokens", 2**31), ("n", 0), ("n", 2**31), ("n", -1), ("top_k", 2**31), ("min_tokens", -1), ("logprobs", 2**31)):
            self.refuse(COMPLETIONS, {"prompt": "x", field: value}, 400, field)
        for value in (-0.0, 0):
            self.server.complete("x", temperature=value, max_tokens=1)

    def test_long_prompts(self):
        limit = self.server.get("/v1/models").json()["data"][0]["max_model_len"]
        token = self.server.post("/tokenize", {"prompt": " key"}).json()["tokens"]
        self.server.complete(token * (limit - 1), max_tokens=1)
        words, code = f"maximum context length is {limit} tokens", "context_length_exceeded"
        self.refuse(COMPLETIONS, {"prompt": token * limit}, 400, words, code=code)
        self.refuse(COMPLETIONS, {"prompt": token * (limit - 5), "max_tokens": 6}, 400, words, str(limit - 5), code=code)
        self.refuse(COMPLETIONS, {"prompt": "key " * (limit * 4)}, 400, words, code=code)
        self.refuse(CHAT, {"messages": [{"role": "user", "content": "key " * limit}]}, 400, words, code=code)
        self.refuse(COMPLETIONS, {"prompt": "x" * 990_000}, 400, words, code=code)
        answer = self.server.complete(token * (limit - 3), ignore_eos=True)
        self.assertEqual(answer["usage"]["completion_tokens"], 3, "the default length ends with the context")

    def test_token_ids(self):
        vocab_size = 2048
        for ids in ([-1], [vocab_size], [2**31], [1, vocab_size + 5], [True], [1.5], [[1], [-1]]):
            self.refuse(COMPLETIONS, {"prompt": ids}, 400, "prompt")
        self.refuse("/detokenize", {"tokens": [vocab_size]})
        self.refuse(COMPLETIONS, {"prompt": "x", "logit_bias": {str(vocab_size): 1}}, 400, "logit_bias")

    def test_stops(self):
        self.refuse(COMPLETIONS, {"prompt": "x", "stop": [""]}, 400, "stop")
        self.refuse(COMPLETIONS, {"prompt": "x", "stop": ["a"] * 150_000}, 400, "stop")
        self.refuse(COMPLETIONS, {"prompt": "x", "stop": ["a" * 5000]}, 400, "stop")

    def test_many_answers(self):
        self.refuse(COMPLETIONS, {"prompt": ["x"] * 1025}, 400, "prompt")
        self.refuse(COMPLETIONS, {"prompt": ["x"] * 1000, "n": 128, "temperature": 1}, 400)

    def test_salts(self):
        for salt in ("", "a" * 257, "a" * 900_000, "a\n", "\x7f", "é"):
            self.refuse(COMPLETIONS, {"prompt": "x", "cache_salt": salt}, 400, "cache_salt")

    def test_templates_and_media(self):
        messages = [{"role": "user", "content": "x"}]
        self.refuse(CHAT, {"messages": messages, "chat_template": "{{ ''.__class__ }}"}, 400, "chat_template")
        for name in ("chat_template", "tokenize", "messages", "add_generation_prompt"):
            self.refuse(CHAT, {"messages": messages, "chat_template_kwargs": {name: "x"}}, 400, "chat_template_kwargs")
        for url in ("file:///etc/passwd", "http://169.254.169.254/", "data:image/png;base64,AAAA"):
            part = {"type": "image_url", "image_url": {"url": url}}
            self.refuse(CHAT, {"messages": [{"role": "user", "content": [part]}]}, 400)

    def test_schemas_grammars_and_tools(self):
        messages = [{"role": "user", "content": "x"}]
        recursive = {"type": "object", "properties": {"a": {"$ref": "#"}}}
        wide = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(10_000)}}
        for schema in (recursive, {"$ref": "http://127.0.0.1/"}, wide, {"type": "string", "pattern": "(a+)+$"}, {"type": "array", "minItems": 10**9}, {"enum": []}):
            self.refuse(CHAT, {"messages": messages, "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}}, 501)
        for value in ({"regex": r"(a)\1"}, {"regex": "|".join(["a"] * 100_000)}, {"grammar": "root ::= root"}):
            self.refuse(CHAT, {"messages": messages, "structured_outputs": value}, 501)
        for value in ({"regex": ""}, {"grammar": ""}, {"choice": []}, {"regex": "a", "json": {}}, "x"):
            self.refuse(CHAT, {"messages": messages, "structured_outputs": value}, 400)
        tool = lambda name, **more: {"type": "function", "function": {"name": name, **more}}
        for tools in ([], [{"type": "function", "function": {}}], [tool("a"), tool("a")], [tool(f"t{i}") for i in range(1000)], [tool("a", parameters={"type": "foo"})]):
            self.refuse(CHAT, {"messages": messages, "tools": tools}, 400, "tools")
        self.refuse(CHAT, {"messages": messages, "tool_choice": {"type": "function", "function": {"name": "f"}}}, 400, "tool_choice")

    def test_paths_methods_and_types(self):
        for path in ("/nothing", "/v1", "/v1/models/x/y", "/../etc/passwd", "//", "/v1/chat/completions/x"):
            self.check_refused(self.server.get(path), 404)
        for method, path in (("GET", CHAT), ("POST", "/health"), ("DELETE", "/v1/models"), ("PUT", COMPLETIONS), ("BREW", "/metrics")):
            self.assertEqual(self.server.request(method, path, b"{}", JSON_TYPE).status, 405, (method, path))
        for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}, {**JSON_TYPE, "Content-Encoding": "gzip"}):
            self.check_refused(self.server.request("POST", COMPLETIONS, b'{"prompt":"x"}', headers), 415)
        self.assertEqual(self.server.post(COMPLETIONS, b'{"prompt":"x","max_tokens":1}', {"Content-Type": "Application/JSON; charset=utf-8"}).status, 200)

    def test_foreign_hosts_and_origins(self):
        self.check_refused(self.server.get("/v1/models", Host="evil.example"), 403)
        self.check_refused(self.server.get("/v1/models", Origin="https://evil.example"), 403)
        preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        self.check_refused(self.server.request("OPTIONS", CHAT, None, preflight), 403)

    def test_messages_hold_no_insides(self):
        for body in (b"{", b'{"prompt":7}', b'{"prompt":"x","n":0}'):
            self.assertNotRegex(self.server.post(COMPLETIONS, body).body.decode(), r"0x[0-9a-f]{6}|/[a-z]+/[a-z]+\.(cpp|h)|std::")


class RawHttpTest(ServerTest):
    MAX_BODY_BYTES = 100_000
    FLAGS = ("--max-body-bytes", MAX_BODY_BYTES, "--max-header-bytes", "8192", "--kv-pages", "600")

    def tearDown(self):
        self.check_canary()

    def exchange(self, data, close_write=False):
        """All bytes that come back until the server closes."""
        with self.server.connect() as connection:
            try:
                connection.sendall(data)
                if close_write:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused before everything was sent
            received = b""
            try:
                while part := connection.recv(65536):
                    received += part
            except ConnectionResetError:
                pass
            return received

    def check_status(self, data, *statuses):
        received = self.exchange(data)
        self.assertIn(received[:12], [f"HTTP/1.1 {status}".encode() for status in statuses], (data[:100], received[:300]))

    def head(self, *lines, target=COMPLETIONS):
        return "\r\n".join([f"POST {target} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *lines, "", ""]).encode()

    def test_bodies_that_are_too_long(self):
        limit = self.MAX_BODY_BYTES
        self.check_status(self.head(f"Content-Length: {limit + 1}"), 413)
        self.check_status(self.head(f"Content-Length: {limit + 1}") + b"x" * (limit + 1), 413)
        self.check_status(self.head("Content-Length: 99999999999999999999"), 400, 413)
        self.check_status(self.head("Transfer-Encoding: chunked") + f"{limit - 1:x}\r\n".encode() + b"x" * (limit - 1) + b"\r\n10\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n", 413)
        at_limit = b'{"prompt":"x","max_tokens":1,"user":"' + b"u" * (limit - 39) + b'"}'
        self.assertEqual(len(at_limit), limit)
        self.assertEqual(self.server.post(COMPLETIONS, at_limit).status, 200)

    def test_headers_that_are_too_many(self):
        self.check_status(self.head(*[f"X-{i}: y" for i in range(100_000)]), 431)
        self.check_status(self.head(*[f"X-{i}: y" for i in range(300)], "Content-Length: 2") + b"{}", 431)
        self.check_status(self.head("X: " + "y" * 9000), 431)

    def test_broken_requests(self):
        for data in (b"\r\n\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
                     b"GET http://localhost/ HTTP/1.1\r\n\r\n", b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
                     self.head("Content-Length: x"), self.head("Content-Length: -1"), self.head("Content-Length: 2", "Transfer-Encoding: chunked") + b"{}",
                     self.head("Transfer-Encoding: chunked", "Content-Length: 2") + b"{}", self.head("Content-Length: 2", "Content-Length: 3") + b"{}",
                     self.head("Transfer-Encoding: chunked") + b"zz\r\n", self.head("Transfer-Encoding: chunked") + b"-1\r\n",
                     self.head("Transfer-Encoding: chunked") + b"0x5\r\nhello\r\n\r\n"):
            self.check_status(data, 400)
        self.check_status(self.head("Transfer-Encoding: chunked") + b"fffffffffffffffff\r\n", 400, 413)
        self.check_status(b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", 505)

    def test_chunks_of_one_byte(self):
        body = b'{"prompt":"Hi","max_tokens":1,"user":"' + b"u" * 50_000 + b'"}'
        chunks = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in body) + b"0\r\n\r\n"
        self.check_status(self.head("Transfer-Encoding: chunked", "Connection: close") + chunks, 200)

    def test_a_client_that_asks_before_it_sends(self):
        body = json.dumps({"prompt": "Hi", "max_tokens": 1}).encode()
        with self.server.connect() as connection:
            connection.sendall(self.head(f"Content-Length: {len(body)}", "Expect: 100-continue", "Connection: close"))
            self.assertEqual(connection.recv(65536), b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.sendall(body)
            received = b""
            while part := connection.recv(65536):
                received += part
        self.assertTrue(received.startswith(b"HTTP/1.1 200 OK"), received[:200])

    def test_a_request_in_single_bytes(self):
        body = b'{"prompt":"Hi","max_tokens":1}'
        data = self.head(f"Content-Length: {len(body)}", "Connection: close") + body
        with self.server.connect() as connection:
            for byte in data:
                connection.sendall(bytes([byte]))
            received = b""
            while part := connection.recv(65536):
                received += part
        self.assertTrue(received.startswith(b"HTTP/1.1 200 OK"), received[:200])

    def test_connections_that_say_nothing(self):
        idle = [self.server.connect() for _ in range(50)]
        half = [self.server.connect() for _ in range(50)]
        for connection in half:
            connection.sendall(b"POST /v1/comp")
        self.check_canary()
        for connection in idle + half:
            connection.close()


class SlowClientTest(ServerTest):
    FLAGS = ("--header-timeout", "0.3", "--body-timeout", "0.3", "--idle-timeout", "0.5")

    def read_all(self, connection):
        received = b""
        try:
            while part := connection.recv(65536):
                received += part
        except ConnectionResetError:
            pass
        return received

    def test_slow_heads_and_bodies_are_told_408(self):
        for data in (b"POST /v1/completions HT", b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"):
            with self.server.connect() as connection:
                connection.sendall(data)
                self.assertTrue(self.read_all(connection).startswith(b"HTTP/1.1 408 "))

    def test_idle_connections_are_closed(self):
        with self.server.connect() as connection:
            self.assertEqual(self.read_all(connection), b"")


if __name__ == "__main__":
    unittest.main()
