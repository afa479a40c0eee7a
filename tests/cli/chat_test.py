"""quire chat: commands, conversations that are saved and loaded, a context that runs full, and lines that are edited."""

import json
import os
import signal
import stat
import tempfile
import unittest
from pathlib import Path

from program import ProgramTest, needs_demo
from terminal_test import Terminal

UP, LEFT, ALT_ENTER, CTRL_A, CTRL_D = "\033[A", "\033[D", "\033\r", "\001", "\004"
PROMPT = r"(^|\n)> $"
STORY = "Anna put the key in the drawer. Where is the key?"


@needs_demo
class ChatTest(ProgramTest):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = Path(self.folder.name) / "talk.json"

    def chat(self, *lines, args=(), code=0):
        """(answers, what was said besides) of a chat from a pipe."""
        result = self.expect(
            code, "chat", "--temperature", "0", "--max-tokens", "12", *args, stdin="\n".join(lines) + "\n"
        )
        return result.stdout.splitlines(), result.stderr

    def saved(self, path=None):
        return json.loads((path or self.path).read_text(encoding="utf-8"))["messages"]

    def test_commands_are_no_messages(self):
        answers, said = self.chat(
            "/help", "/system Be brief.", "/system", "/nonsense at all", "/nonsense", "/exit", STORY
        )
        self.assertEqual(answers, [])
        for word in ("/help", "/system [TEXT]", "/reset", "/save FILE", "/load FILE", "/exit"):
            self.assertIn(word, said)
        self.assertEqual(said.count("system message: Be brief."), 2)
        self.assertEqual(said.count("/nonsense is no command"), 2)

    def test_what_looks_like_a_command(self):
        """Paths and a line behind a space are messages."""
        answers, said = self.chat(
            "/etc/hosts is a file?", " /help", "/Where is the key?", f"/save {self.path}"
        )
        self.assertEqual(len(answers), 3)
        self.assertNotIn("no command", said)
        self.assertEqual(
            [m["content"] for m in self.saved() if m["role"] == "user"],
            ["/etc/hosts is a file?", " /help", "/Where is the key?"],
        )

    def test_save_and_load(self):
        answers, said = self.chat(
            "/system You answer.",
            STORY,
            f"/save {self.path}",
            "/reset",
            f"/save {self.path}x",
            f"/load {self.path}",
            "/system",
            "Who?",
            f"/save {self.path}y",
        )
        first = [
            {"role": "system", "content": "You answer."},
            {"role": "user", "content": STORY},
            {"role": "assistant", "content": answers[0]},
        ]
        self.assertEqual(self.saved(), first)
        self.assertEqual(self.saved(Path(f"{self.path}x")), first[:1])
        self.assertEqual(
            self.saved(Path(f"{self.path}y")),
            [*first, {"role": "user", "content": "Who?"}, {"role": "assistant", "content": answers[1]}],
        )
        self.assertIn("2 messages from", said)

    def test_a_loaded_conversation_is_remembered(self):
        """The next answer is that of a chat which never paused."""
        whole, _ = self.chat("Anna put the key in the drawer.", "Where is the key?")
        self.chat("Anna put the key in the drawer.", f"/save {self.path}")
        answers, _ = self.chat(f"/load {self.path}", "Where is the key?")
        self.assertEqual(answers, whole[1:])

    def test_bad_files_change_nothing(self):
        texts = [
            "",
            "no JSON",
            "[]",
            "{}",
            '{"messages": 5}',
            '{"messages": ["x"]}',
            '{"messages": [{"role": "user"}]}',
            '{"messages": [{"role": "user", "content": 5}]}',
            '{"messages": [{"role": "tool", "content": "x"}]}',
            '{"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "x"}]}',
        ]
        for text in texts:
            self.path.write_text(text, encoding="utf-8")
            _, said = self.chat("/system Stay.", f"/load {self.path}", "/system", f"/save {self.path}")
            self.assertEqual(said.count("system message: Stay."), 2, text)
            self.assertGreaterEqual(said.count(str(self.path)), 2, said)
            self.assertEqual(
                self.path.read_text(encoding="utf-8"), text, "a file that is no conversation was replaced"
            )
        os.mkfifo(f"{self.path}.fifo")
        for path in (self.folder.name, "/dev/zero", f"{self.path}.fifo", f"{self.path}.none"):
            self.assertIn(f"cannot read {path}", self.chat(f"/load {path}")[1])
        for path in (self.folder.name, f"{self.path}.fifo"):
            self.assertIn(f"cannot read {path}", self.chat(f"/save {path}")[1])
        self.assertIn("cannot write", self.chat("/save /proc/none/talk.json")[1])
        for line in ("/save", "/load"):
            self.assertIn(f"{line} FILE", self.chat(line)[1].split("name a file")[1])

    def test_a_full_context_leaves_out_the_oldest(self):
        lines = [f"Anna put the key number {i} in the drawer. Where is the key?" for i in range(12)]
        answers, said = self.chat(*lines, f"/save {self.path}", args=("--max-model-len", "160"))
        self.assertEqual(len(answers), 12)
        self.assertIn("no longer fits into the context of 160 tokens", said)
        self.assertEqual(len(self.saved()), 24, "what is left out is kept for /save")
        self.assertLess(said.count("no longer fits"), 6, "each time makes room for more than one message")

    def test_a_message_that_never_fits(self):
        answers, said = self.chat(
            "Where is the key? " * 60, STORY, f"/save {self.path}", args=("--max-model-len", "160")
        )
        self.assertRegex(said, r"prompt has \d+ tokens.*context of 160 tokens")
        self.assertEqual(len(answers), 1)
        self.assertEqual(len(self.saved()), 2, "it is not kept")

    def test_several_lines(self):
        self.chat('"""', "one", "two", '"""', '"""three', 'four"""', '"""five"""', f"/save {self.path}")
        self.assertEqual(
            [m["content"] for m in self.saved() if m["role"] == "user"], ["one\ntwo", "three\nfour", "five"]
        )


@needs_demo
class EditTest(ProgramTest):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path, self.history = Path(self.folder.name) / "talk.json", Path(self.folder.name) / "history"

    def open(self, *args, **env):
        terminal = Terminal(
            "chat",
            "--temperature",
            "0",
            "--max-tokens",
            "4",
            *args,
            TERM="xterm",
            HOME=self.folder.name,
            **{"LC_ALL": "", "LANG": "", **env},
        )
        terminal.read_until(PROMPT)
        if "\033[?2004h" not in terminal.text:
            os.close(terminal.master)
            terminal.process.kill()
            terminal.process.wait()
            self.skipTest("this build has no line editor (Debian package libedit-dev)")
        return terminal

    def messages(self, *keys, args=(), **env):
        """What a chat took as messages of the keys pressed; one prompt is awaited behind each."""
        terminal = self.open(*args, **env)
        for key in keys:
            terminal.write(key)
            if key.endswith("\n"):
                terminal.read_until(PROMPT)
        self.path.unlink(missing_ok=True)
        terminal.write(f"/save {self.path}\n")
        terminal.read_until("messages are in [^>]*" + PROMPT)
        terminal.write(CTRL_D)
        self.assertEqual(terminal.end(), 0, terminal.text)
        self.assertNotIn("^[[A", terminal.text)
        return [
            m["content"]
            for m in json.loads(self.path.read_text(encoding="utf-8"))["messages"]
            if m["role"] == "user"
        ]

    def test_arrows_edit_and_recall(self):
        self.assertEqual(
            self.messages("helo" + LEFT + "l\n", UP + "!\n", UP + UP + CTRL_A + "Oh, \n"),
            ["hello", "hello!", "Oh, hello"],
        )

    def test_other_scripts(self):
        """Also where no locale is set, as in a container."""
        for env in ({}, {"LC_ALL": "C"}, {"LC_ALL": "POSIX"}):
            self.assertEqual(self.messages("Größe 東京 🩷x" + LEFT + "\177y\n", **env), ["Größe 東京 yx"])

    def test_alt_enter_begins_a_line(self):
        self.assertEqual(
            self.messages("one" + ALT_ENTER + "two\n", UP + " three\n"), ["one\ntwo", "one\ntwo three"]
        )

    def test_pasted_lines_are_one_message(self):
        self.assertEqual(self.messages("see: \033[200~a\rb\r\r\033[201~\n", "next\n"), ["see: a\nb", "next"])

    def test_quoted_lines(self):
        terminal = self.open()
        for line in ('"""', "one", 'two"""'):
            terminal.write(line + "\n")
            terminal.read_until(r"\n[.>] $")
        terminal.write(f"/save {self.path}\n")
        terminal.read_until("messages are in [^>]*" + PROMPT)
        terminal.write("/exit\n")
        self.assertEqual(terminal.end(), 0)
        self.assertEqual(
            json.loads(self.path.read_text(encoding="utf-8"))["messages"][0]["content"], "one\ntwo"
        )

    def test_interrupts_drop_the_line(self):
        terminal = self.open()
        terminal.write("half a thou")
        terminal.read_until("thou")
        os.killpg(terminal.process.pid, signal.SIGINT)
        terminal.read_until("/help says more[^>]*" + PROMPT)
        terminal.write("\003")  # the key, which the terminal turns into a signal
        terminal.read_until("/help says more[^>]*" + PROMPT)
        terminal.write(f"/save {self.path}\n")
        terminal.read_until("messages are in [^>]*" + PROMPT)
        terminal.write("/exit\n")
        self.assertEqual(terminal.end(), 0)
        self.assertEqual(json.loads(self.path.read_text(encoding="utf-8"))["messages"], [])

    def test_history_of_earlier_chats(self):
        self.assertEqual(self.messages("first one\n", args=("--history", str(self.history))), ["first one"])
        self.assertEqual(stat.S_IMODE(self.history.stat().st_mode), 0o600, "what people say is theirs")
        self.assertEqual(
            self.messages(UP + UP + " again\n", args=("--history", str(self.history))), ["first one again"]
        )
        self.assertFalse(list(Path(self.folder.name).glob(".*")), "nothing is kept that nobody asked for")

    def test_a_history_that_is_none(self):
        self.history.write_text("something else\n", encoding="utf-8")
        terminal = Terminal("chat", "--history", str(self.history), TERM="xterm")
        text = terminal.read_until(r"cannot be read as a history of messages|> ")
        if "> " in text and "cannot" not in text:
            self.skipTest("this build has no line editor (Debian package libedit-dev)")
        self.assertNotEqual(terminal.end(), 0)
        self.assertEqual(self.history.read_text(encoding="utf-8"), "something else\n")

    def test_a_terminal_without_a_cursor(self):
        for term in ("dumb", ""):
            terminal = Terminal("chat", "--temperature", "0", "--max-tokens", "4", TERM=term)
            terminal.read_until("> ")
            terminal.write("hello\n")
            terminal.read_until("> ")
            terminal.write("/exit\n")
            self.assertEqual(terminal.end(), 0)
            self.assertNotIn("2004h", terminal.text)


if __name__ == "__main__":
    unittest.main()
