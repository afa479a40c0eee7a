"""On a terminal there are colours and a prompt; NO_COLOR and pipes have none; Ctrl-C stops an answer and not the chat."""

import os
import pty
import re
import select
import signal
import subprocess
import time
import unittest

from program import QUIRE, ProgramTest, environment, needs_demo

ESCAPE = "\033["
SEQUENCE = re.compile(r"\033\[[0-9;?]*[A-Za-z@]")


class Terminal:
    """The program with a terminal for everything."""

    def __init__(self, *args, **env):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen([QUIRE, *args], stdin=slave, stdout=slave, stderr=slave, env=environment(**env), start_new_session=True)
        os.close(slave)
        self.text = ""

    def read_until(self, pattern, seconds=120):
        """Reads until the text since the last call matches, colours and the like aside; returns it as it came."""
        deadline, seen = time.monotonic() + seconds, ""
        while not re.search(pattern, SEQUENCE.sub("", seen)):
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            try:
                piece = os.read(self.master, 4096).decode(errors="replace") if ready else ""
            except OSError:  # the program has ended
                piece = ""
            if not piece:
                break
            seen += piece
        self.text += seen
        return seen

    def write(self, text):
        os.write(self.master, text.encode())

    def end(self):
        self.read_until(r"(?!)", seconds=120)
        os.close(self.master)
        return self.process.wait(timeout=120)


class TerminalTest(ProgramTest):
    def test_errors_are_red_unless_colour_is_unwanted(self):
        for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)):
            terminal = Terminal("rum", **env)
            self.assertEqual(terminal.end(), 2)
            self.assertEqual(ESCAPE in terminal.text, coloured, terminal.text)

    def test_pipes_have_no_colour(self):
        result = self.expect(2, "rum")
        self.assertNotIn(ESCAPE, result.stderr)

    def test_run_without_a_prompt_asks_for_one(self):
        terminal = Terminal("run")
        self.assertEqual(terminal.end(), 2)
        self.assertIn("give a prompt", terminal.text)

    @needs_demo
    def test_chat_prompts_and_outlives_interrupts(self):
        terminal = Terminal("chat", "--raw", "--max-tokens", "4000", "--temperature", "2", "--seed", "1")
        terminal.read_until("> ")
        os.killpg(terminal.process.pid, signal.SIGINT)
        self.assertIn("/exit", terminal.read_until(r"/exit[^>]*> "), "Ctrl-C at the prompt explains and asks again")
        terminal.write("tell\n")
        terminal.read_until(r"tell\r\n.{10}")
        os.killpg(terminal.process.pid, signal.SIGINT)
        terminal.read_until("> ")
        self.assertIsNone(terminal.process.poll())
        terminal.write("/exit\n")
        self.assertEqual(terminal.end(), 0)


if __name__ == "__main__":
    unittest.main()
