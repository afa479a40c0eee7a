"""The examples of docs/serving.md, run as they stand but for ports and paths: nginx in front of the server, and the systemd unit."""

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import unittest
from pathlib import Path

import serving
from serving import ANSWER, CHAT, COMPLETIONS, QUESTION, ROOT, Server, message_of, wait_until
from streams import request_bytes

HOST = "models.example.org"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def example(language):
    return re.search(rf"```{language}\n(.*?)```", (ROOT / "docs/serving.md").read_text(encoding="utf-8"), re.S).group(1)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def replaced(text, changes):
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, str(new))
    return text


@unittest.skipUnless(NGINX and shutil.which("openssl"), "nginx or openssl is not installed")
class NginxTest(unittest.TestCase):
    def setUp(self):
        self.server = Server("--allowed-hosts", HOST, "--kv-pages", "600", "--max-num-seqs", "1", "--scheduling-policy", "priority", "--sse-ping-interval", "0.2")
        self.addCleanup(self.server.stop)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder, self.port = Path(folder.name), free_port()
        certificate, key = self.folder / "models.pem", self.folder / "models.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}",
                        "-keyout", key, "-out", certificate], check=True, capture_output=True)
        self.trust = ssl.create_default_context(cafile=str(certificate))
        site = replaced(example("nginx"), {"127.0.0.1:8000": f"127.0.0.1:{self.server.port}", "listen 443": f"listen 127.0.0.1:{self.port}",
                                           "/etc/ssl/models.pem": certificate, "/etc/ssl/models.key": key})
        temporary = "".join(f"{name}_temp_path {self.folder / name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = self.folder / "nginx.conf"
        config.write_text(f"daemon off;\npid {self.folder / 'pid'};\nerror_log {self.folder / 'error.log'};\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n", encoding="utf-8")
        self.nginx = subprocess.Popen([NGINX, "-c", config, "-e", self.folder / "error.log"], stdin=subprocess.DEVNULL)
        self.addCleanup(self.stop_nginx)
        wait_until(self.listens, "nginx to listen")

    def stop_nginx(self):
        self.nginx.terminate()
        self.nginx.wait(serving.PATIENCE_S)

    def listens(self):
        self.assertIsNone(self.nginx.poll(), "nginx has ended")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def connect(self):
        connection = http.client.HTTPSConnection(HOST, self.port, timeout=serving.PATIENCE_S, context=self.trust)
        connection.sock = self.trust.wrap_socket(self.server_socket(), server_hostname=HOST)
        self.addCleanup(connection.close)
        return connection

    def server_socket(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=serving.PATIENCE_S)

    def post(self, path, body, **headers):
        connection = self.connect()
        connection.request("POST", path, json.dumps(body), {"Host": HOST, "Content-Type": "application/json", **headers})
        return connection, connection.getresponse()

    def test_chat(self):
        body = {"messages": [{"role": "user", "content": QUESTION}], "temperature": 0}
        _, response = self.post(CHAT, body)
        self.assertEqual(response.status, 200)
        self.assertEqual(message_of(json.loads(response.read())), ANSWER)
        _, response = self.post(CHAT, body, Origin=f"https://{HOST}")  # as the live page does
        self.assertEqual(response.status, 200)
        _, response = self.post(CHAT, body, Origin="https://evil.example")
        self.assertEqual(response.status, 403)

    def test_events_do_not_wait_and_a_client_may_go(self):
        with self.server.connect() as holder:
            endless = {"prompt": "Anna put the key", "max_tokens": 4000, "ignore_eos": True, "temperature": 1, "stream": True}
            holder.sendall(request_bytes(COMPLETIONS, {**endless, "n": 100}))  # there is one place: whoever comes now waits
            wait_until(lambda: self.server.pages_in_use() > 0, "the call to run")
            connection, response = self.post(COMPLETIONS, {**endless, "priority": 1})
            self.assertEqual(response.readline(), b": ping\n")
        self.server_waits_for(1)
        response.close()
        connection.close()
        self.server.wait_idle()
        self.assertLess(self.server.metrics()["vllm:generation_tokens_total"], 100 * 4000)

    def server_waits_for(self, num):
        count = lambda metrics: metrics["vllm:num_requests_running"] + metrics["vllm:num_requests_waiting"]
        wait_until(lambda: count(self.server.metrics()) <= num, "the direct client's answers to be cancelled")

    def test_bodies_that_are_too_large(self):
        _, response = self.post(COMPLETIONS, {"prompt": "x" * (9 << 20)})
        self.assertEqual(response.status, 413)


class SystemdTest(unittest.TestCase):
    def setUp(self):
        self.unit = replaced(example("ini"), {"/usr/local/bin/quire": serving.QUIRE})

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
    def test_the_unit_is_understood(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "quire.service"
            path.write_text(self.unit, encoding="utf-8")
            result = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("quire.service", result.stderr)

    def test_its_command_serves(self):
        with tempfile.TemporaryDirectory() as credentials:
            (Path(credentials) / "keys").write_text("sesame\n", encoding="utf-8")
            command = re.search("^ExecStart=(.*)$", self.unit, re.M).group(1)
            command = replaced(command, {"/srv/models/Qwen3-0.6B": serving.DEMO, "${CREDENTIALS_DIRECTORY}": credentials})
            words = command.split()
            self.assertEqual(words[:2], [serving.QUIRE, "serve"])
            with Server(*words[2:]) as server:
                self.assertEqual(server.get("/v1/models").status, 401)
                self.assertEqual(server.get("/v1/models", Authorization="Bearer sesame").status, 200)


if __name__ == "__main__":
    unittest.main()
