"""A bar on the terminal's error output; plain lines where that is no terminal."""

import sys
import time

WIDTH = 24


class Progress:
    def __init__(self, total, stream=sys.stderr):
        self.total, self.done, self.stream, self.start = total, 0, stream, time.monotonic()
        self.is_terminal = stream.isatty()

    def _clear(self):
        if self.is_terminal:
            self.stream.write("\r\x1b[K")

    def step(self, text):
        """What is being done now; shown on terminals only."""
        if not self.is_terminal:
            return
        filled = WIDTH * self.done // max(1, self.total)
        self._clear()
        self.stream.write(f"[{'#' * filled}{'.' * (WIDTH - filled)}] {self.done}/{self.total} {text}")
        self.stream.flush()

    def finish_one(self):
        self.done += 1

    def line(self, text):
        """A line that stays, with the seconds since the start."""
        self._clear()
        self.stream.write(f"{time.monotonic() - self.start:6.1f} s  {text}\n")
        self.stream.flush()

    def close(self):
        self._clear()
