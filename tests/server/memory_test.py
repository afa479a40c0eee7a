"""Memory that runs out in a running server, at one allocation after another: a request may fail, and where that cannot be
one request alone, the process ends with an exit code and words, so that it is started anew. It never crashes, never goes on
half dead, and no call hangs.

    python3 tests/server/memory_test.py build/ci/apps/quire build/ci/tests/server/libfaulty_system.so --places 5000

Without --places it looks at some, spread evenly over all that the calls reach."""

import argparse
import collections
import concurrent.futures
import http.client
import json
import re
import socket
import sys
import time

import serving
from faulty import Faults
from serving import CHAT, COMPLETIONS

HANG_S = 20  # nothing here computes for long
EXIT_OF_FAILURE = 1
LAST_WORDS = re.compile(r"out of memory|: the process ends")
NUMS_IN_A_ROW = (1, 1, 3, 1, 20, 200)  # taken in turn
FLAGS = ("--threads", 1, "--http-threads", 2, "--kv-pages", 64, "--max-model-len", 256, "--max-num-seqs", 4)
MESSAGES = [
    {"role": "system", "content": [{"type": "text", "text": "Short."}]},
    {"role": "user", "content": "Who has the lamp?"},
]
CHAT_CALL = {
    "messages": MESSAGES,
    "max_tokens": 2,
    "temperature": 0,
    "metadata": {"a": [1, {"b": [2, [3]]}]},
}
STREAM_CALL = {
    "prompt": ["Anna put the key", "Ben"],
    "max_tokens": 3,
    "stream": True,
    "logprobs": 2,
    "stop": ["zz"],
}


class Hang(Exception):
    pass


class Client:
    """Calls of a server, each of which returns a status, or None when the connection was closed without an answer."""

    def __init__(self, port):
        self.address = ("127.0.0.1", port)

    def ask(self, path, body=None, times=1):
        """On one connection, which stays open between the times."""
        connection = http.client.HTTPConnection(*self.address, timeout=HANG_S)
        try:
            for _ in range(times):
                if body is None:
                    connection.request("GET", path)
                else:
                    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
            return response.status
        except TimeoutError:
            raise Hang(path) from None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def talk(self, data, pause_s=0.0, leaves=False):
        """Sends bytes and reads, after a pause, what comes for them until the server closes; or leaves instead."""
        with socket.socket() as connection:
            connection.settimeout(HANG_S)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            try:
                connection.connect(self.address)
                connection.sendall(data)
                time.sleep(pause_s)
                received = b""
                while not leaves and (part := connection.recv(1 << 16)):
                    received += part
            except TimeoutError:
                raise Hang(data[:40]) from None
            except OSError:
                return None
        return int(received.split()[1]) if received else None

    def read_slowly(self):
        """Requests and answers that pile up, on either side of the connection."""
        request = b"GET /page/pool.js HTTP/1.1\r\nHost: localhost\r\nX-Padding: " + b"x" * 600 + b"\r\n"
        return self.talk((request + b"\r\n") * 60 + request + b"Connection: close\r\n\r\n", pause_s=0.02)

    def upload(self):
        """A body in pieces, for which the client wants to be asked."""
        body = json.dumps({"tokens": [5, 6, 7] * 2000}).encode()
        pieces = b"".join(
            b"%x\r\n%s\r\n" % (len(piece), piece)
            for piece in (body[i : i + 4000] for i in range(0, len(body), 4000))
        )
        head = b"POST /detokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        head += b"Connection: close\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        return self.talk(head + pieces + b"0\r\n\r\n")

    def leave(self):
        body = json.dumps(STREAM_CALL | {"max_tokens": 100}).encode()
        head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        return self.talk(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body), 0.01, leaves=True)

    def all(self):
        """The statuses of all calls but of the one that leaves: first one after another, then some at the same time."""
        long_call = {"prompt": "Anna", "max_tokens": 1, "user": "u" * 20_000}
        statuses = [
            self.ask(CHAT, CHAT_CALL, times=2),
            self.ask(COMPLETIONS, STREAM_CALL),
            self.ask(COMPLETIONS, long_call),
            self.ask("/tokenize", {"messages": MESSAGES}),
            self.ask("/detokenize", {"tokens": [5, 6, 7]}),
            self.ask(COMPLETIONS, {"prompt": 7}),
            self.ask("/metrics"),
            self.ask("/v1/models"),
            self.ask("/v1/internal/pages"),
            self.upload(),
            self.read_slowly(),
        ]
        self.leave()
        calls = (
            (self.ask, CHAT, CHAT_CALL | {"stream": True, "logprobs": True, "top_logprobs": 1}),
            (self.ask, COMPLETIONS, STREAM_CALL, 2),
            (self.ask, COMPLETIONS, long_call),
            (self.ask, "/tokenize", {"prompt": "Ben " * 5000}),
            (self.read_slowly,),
            (self.leave,),
        )
        with concurrent.futures.ThreadPoolExecutor(len(calls)) as threads:
            futures = [threads.submit(*call) for call in calls]
            return statuses + [future.result() for future in futures[:-1]]


class Search:
    def __init__(self, library, trace):
        self.faults = Faults(library, trace)
        self.outcomes, self.failures = collections.Counter(), []
        self.server, self.client = None, None

    def start(self):
        self.server = self.faults.server(*FLAGS)
        self.client = Client(self.server.port)
        for _ in range(3):  # what is allocated once, and kept, is there
            self.client.all()

    def count_places(self):
        self.faults.arm()
        statuses = self.client.all()
        assert None not in statuses, statuses
        return self.faults.disarm()[0]

    def has_ended(self, patience_s=0):
        end = time.monotonic() + patience_s
        while self.server.process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        return self.server.process.poll() is not None

    def is_well(self):
        """It answers, and nothing of the calls before is left."""
        try:
            if self.client.ask(CHAT, CHAT_CALL) != 200 or self.client.ask("/health/ready") != 200:
                return False
            end = time.monotonic() + HANG_S
            while not self.server.is_idle():
                if time.monotonic() > end:
                    return False
                time.sleep(0.005)
            return True
        except (Hang, OSError, http.client.HTTPException):
            return False

    def outcome_at(self, place, num_in_a_row):
        self.faults.arm(place, num_in_a_row)
        try:
            statuses = self.client.all()
        except Hang as call:
            return f"hung: {call}"
        finally:
            _, num_failed = self.faults.disarm()
        if num_failed == 0:
            return "not reached"
        if not self.has_ended() and self.is_well():
            return "all answered" if all(statuses) else "a call failed"
        if not self.has_ended(HANG_S):
            return "half dead"
        code = self.server.stop()
        if code != EXIT_OF_FAILURE:
            return f"crashed: {code}"
        return "ended in words" if any(LAST_WORDS.search(line) for line in self.server.log) else "silent end"

    def look_at(self, place, num_in_a_row):
        if self.server is None:
            self.start()
        outcome = self.outcome_at(place, num_in_a_row)
        self.outcomes[outcome.split(":")[0]] += 1
        is_failure = outcome.startswith(("hung", "half dead", "crashed", "silent"))
        if is_failure:
            self.failures.append((place, num_in_a_row, outcome, self.server.log[-2:]))
        if is_failure or self.has_ended():
            self.close()

    def close(self):
        if self.server is not None:
            self.server.process.kill()
            self.server.stop()
            self.server = None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("--places", type=int, default=100)
    parser.add_argument("--in-a-row", type=int, nargs="+", default=NUMS_IN_A_ROW, help="allocations that fail at each place")
    parser.add_argument("--first", type=int, default=0, help="the place to begin with")
    parser.add_argument("--trace", help="a file that takes the stack of each allocation that fails")
    args = parser.parse_args()
    search = Search(args.library, args.trace)
    try:
        search.start()
        num_places = search.count_places()
        step = max(1, num_places // args.places)
        places = range(args.first, num_places, step)[: args.places]
        for i, place in enumerate(places):
            search.look_at(place, args.in_a_row[i % len(args.in_a_row)])
    finally:
        search.close()
    report = {
        "allocations": num_places,
        "places": len(places),
        "in a row": args.in_a_row,
        "outcomes": dict(search.outcomes),
        "failures": search.failures[:40],
    }
    print(json.dumps(report, indent=1))
    sys.exit(1 if search.failures else 0)


if __name__ == "__main__":
    main()
