"""A server whose memory and threads run out on order: see faulty_system.cpp."""

import mmap
import os
import struct
import tempfile

from serving import Server

ANY_NUMBER = -1
NEVER = 1 << 62


class Faults:
    """The orders that a test and the library in the server share."""

    SIZE = 7 * 8

    def __init__(self, library, trace=None):
        self.file = tempfile.NamedTemporaryFile()
        self.file.write(struct.pack("7q", 0, NEVER, 0, 0, 0, ANY_NUMBER, 0))
        self.file.flush()
        self.memory = mmap.mmap(self.file.fileno(), self.SIZE)
        self.environment = {"LD_PRELOAD": os.path.abspath(library), "FAULTY_SYSTEM": self.file.name}
        if trace is not None:
            self.environment["FAULTY_TRACE"] = os.path.abspath(trace)

    def _set(self, idx, value):
        struct.pack_into("q", self.memory, idx * 8, value)

    def _get(self, idx):
        return struct.unpack_from("q", self.memory, idx * 8)[0]

    def arm(self, first=NEVER, num_in_a_row=1):
        self._set(0, 0)
        for idx, value in ((1, first), (2, num_in_a_row), (3, 0), (4, 0)):
            self._set(idx, value)
        self._set(0, 1)

    def disarm(self):
        """How many allocations there were, and how many of them failed."""
        self._set(0, 0)
        return self._get(3), self._get(4)

    def limit_threads(self, num):
        self._set(5, num)

    def hold_files(self, holds):
        self._set(6, int(holds))

    def server(self, *flags, **options):
        return Server(*flags, environment=self.environment, **options)
