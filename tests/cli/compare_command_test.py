"""quire compare: the prompts that it reads from a model's folder, and its verdict."""

import json
import os
import sys
import tempfile
import unittest
from pathlib import Path

from program import CORRUPT, DEMO, OK, USAGE, ProgramTest, needs_demo

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hostile"))
from values import broken_documents, spoiled  # noqa: E402

FEW = ("--prompt-len", 16, "--max-tokens", 2)


@needs_demo
class CompareTest(ProgramTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.model = Path(folder.name)
        for file in DEMO.glob("*.*"):
            if file.name != "heldout.jsonl":
                (self.model / file.name).symlink_to(file)
        self.heldout = self.model / "heldout.jsonl"

    def refuse(self, data, *words):
        """heldout.jsonl with these bytes is refused in one line with all these words."""
        self.heldout.write_bytes(data)
        for word in ("heldout.jsonl", *words):
            self.expect_error(CORRUPT, word, "compare", "--model", self.model, *FEW)

    def test_a_device_agrees_with_itself(self):
        lines = [{"prompt": "Anna put the key in the drawer.", "answer": 5}, {"prompt": "Bob took the lamp."}]
        self.heldout.write_text("\n" + "\n\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
        result = self.expect(OK, "compare", "--model", self.model, *FEW)
        self.assertIn("2 of 2 prompts have the same greedy tokens", result.stdout)
        one = self.expect(OK, "compare", "--model", self.model, *FEW, "--num-prompts", 1)
        self.assertIn("1 of 1 prompts", one.stdout)

    def test_lines_that_hold_no_prompt(self):
        right = json.dumps({"prompt": "x"}).encode()
        for _, _, text in spoiled({"prompt": "x"}, {}):
            self.refuse(right + b"\n\n" + text.encode() + b"\n", "heldout.jsonl line 3", "prompt")
        for data in (b"{}", b'{"prompt": null}', b'{"prompt": ""}', b'{"prompt": ["x"]}', b'{"Prompt": "x"}'):
            self.refuse(data, "heldout.jsonl line 1", "prompt")
        for data in (b"5", b"[]", b'"x"', b"null"):
            self.refuse(data, "line 1: must be an object")
        for data in (b"", b"\n \n"):
            self.refuse(data, "holds no prompt")

    def test_lines_that_are_no_json(self):
        for name, data in broken_documents().items():
            with self.subTest(name):
                self.heldout.write_bytes(data)
                result = self.expect(CORRUPT, "compare", "--model", self.model, *FEW)
                self.assertNotIn("json.exception", result.stderr)

    def test_files_that_are_none(self):
        self.expect_error(USAGE, "heldout.jsonl", "compare", "--model", self.model, *FEW)
        os.mkfifo(self.heldout)
        self.expect_error(USAGE, "heldout.jsonl", "compare", "--model", self.model, *FEW)


if __name__ == "__main__":
    unittest.main()
