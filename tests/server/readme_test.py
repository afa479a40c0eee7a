"""The curl examples of README.md, run as they stand (but for the port)."""

import json
import re
import shutil
import subprocess
import unittest

from serving import ANSWER, ROOT, Server


def examples():
    """Commands of the fenced block that follows the words "curl examples", continuation lines joined."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```sh?\n(.*?)```", text, re.S) if "curl " in block]
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.startswith("curl ")]


@unittest.skipUnless(shutil.which("curl"), "curl is not installed")
class ReadmeTest(unittest.TestCase):
    def test_curl_examples(self):
        commands = examples()
        self.assertGreaterEqual(len(commands), 4)
        outputs = {}
        with Server() as server:
            for command in commands:
                local = command.replace("localhost:8000", f"127.0.0.1:{server.port}")
                result = subprocess.run(["sh", "-c", local], capture_output=True, text=True, cwd=ROOT, timeout=120)
                self.assertEqual(result.returncode, 0, f"{command}\n{result.stderr}")
                outputs[command] = result.stdout
        for command, output in outputs.items():
            if "/metrics" in command:
                self.assertIn("vllm:num_requests_running", output)
            elif '"stream"' in command:
                self.assertTrue(output.rstrip().endswith("data: [DONE]"), output[-200:])
            elif "/v1/" in command:
                self.assertNotIn("error", json.loads(output), command)
        self.assertTrue(any(ANSWER in output or "drawer" in output for output in outputs.values()))


if __name__ == "__main__":
    unittest.main()
