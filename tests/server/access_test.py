"""Keys, origins, and that nothing secret is written anywhere."""

import base64
import tempfile
import unittest
from pathlib import Path

from serving import CHAT, COMPLETIONS, QUESTION, Server, ServerTest, wait_until

ORIGIN = "https://app.example"


class AccessTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        keys = Path(cls.folder.name) / "keys"
        keys.write_text("file-key-1\n\nfile-key-2\n", encoding="utf-8")
        cls.server = Server("--api-key", "flag-key", "--api-key-file", keys, "--allowed-origins", ORIGIN, "--enable-log-requests")

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.folder.cleanup()

    def test_everything_but_health_needs_a_key(self):
        for method, path in (("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/version"), ("GET", "/"), ("GET", "/page/main.js"), ("GET", "/v1/internal/pages"),
                             ("POST", COMPLETIONS), ("POST", CHAT), ("POST", "/tokenize"), ("POST", "/detokenize"), ("POST", "/v1/embeddings")):
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer flag-ke"}, {"Authorization": "flag-key"}):
                answer = self.server.request(method, path, b"{}", {"Content-Type": "application/json", **headers})
                self.check_refused(answer, 401)
                self.assertIn("WWW-Authenticate", answer.headers)
        for path in ("/health", "/health/live", "/health/ready"):
            self.assertEqual(self.server.get(path).status, 200)

    def test_keys(self):
        basic = base64.b64encode(b"me:file-key-2").decode()
        for value in ("Bearer flag-key", "Bearer file-key-1", f"Basic {basic}"):
            self.assertEqual(self.server.get("/v1/models", Authorization=value).status, 200)

    def test_each_key_has_its_own_cache(self):
        body = {"prompt": "Once there was a key. " * 20, "max_tokens": 1}
        ask = lambda key: self.server.post(COMPLETIONS, body, {"Authorization": f"Bearer {key}"}).json()["usage"]["prompt_tokens_details"]["cached_tokens"]
        self.assertEqual(ask("file-key-1"), 0)
        self.assertGreater(ask("file-key-1"), 0)
        self.assertEqual(ask("file-key-2"), 0)

    def test_pages_of_an_allowed_origin(self):
        preflight = self.server.request("OPTIONS", CHAT, None, {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"})
        self.assertEqual((preflight.status, preflight.headers["Access-Control-Allow-Origin"]), (204, ORIGIN))
        self.assertIn("Authorization", preflight.headers["Access-Control-Allow-Headers"])
        answer = self.server.get("/v1/models", Authorization="Bearer flag-key", Origin=ORIGIN)
        self.assertEqual((answer.status, answer.headers["Access-Control-Allow-Origin"]), (200, ORIGIN))
        self.check_refused(self.server.request("OPTIONS", CHAT, None, {"Origin": "https://other.example"}), 403)
        self.assertNotIn("Access-Control-Allow-Origin", self.server.get("/health").headers)

    def test_the_log_holds_no_secrets(self):
        self.server.post(CHAT, {"messages": [{"role": "user", "content": "my secret prompt"}]}, {"Authorization": "Bearer flag-key", "X-Request-Id": "find-me"})
        self.server.get("/v1/models", Authorization="Bearer wrong-secret")
        self.server.get("/%1b[31m", Authorization="Bearer flag-key")
        wait_until(lambda: any("find-me" in line for line in self.server.log), "the log")
        log = "\n".join(self.server.log)
        self.assertIn("find-me", log)
        for secret in ("flag-key", "file-key", "secret", "\x1b[31m"):
            self.assertNotIn(secret, log)


class KeyFileTest(unittest.TestCase):
    def test_files_without_keys(self):
        for path, words in (("/nothing/here", "cannot read the key file"), ("/dev/null", "holds no key"),
                            ("/dev/zero", "has more than 1048576 bytes"), ("/", "cannot read the key file /: Is a directory")):
            with self.assertRaisesRegex(AssertionError, words):
                Server("--api-key-file", path)


if __name__ == "__main__":
    unittest.main()
