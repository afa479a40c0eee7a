"""What a server promises while requests come, go and fail: cancellation, bounds, deadlines, priorities, and a good end."""

import asyncio
import json
import signal
import socket
import threading
import unittest

from serving import ANSWER, CHAT, COMPLETIONS, QUESTION, Server, ServerTest, events_of, message_of, text_of, wait_until
from streams import call, gather, leave_after, request_bytes, stream_text

ENDLESS = {"prompt": "Anna put the key", "max_tokens": 4000, "ignore_eos": True, "temperature": 1, "seed": 1}


def end_by_signals(server):
    """Exit code after a signal, and more when the drain has begun."""
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: any("shutting down" in line for line in server.log), "the drain")

    def signalled_again():
        server.process.send_signal(signal.SIGTERM)
        return server.process.poll() is not None

    wait_until(signalled_again, "the end")
    return server.process.wait()


class CancellationTest(ServerTest):
    FLAGS = ("--kv-pages", "2000")

    def tearDown(self):
        self.server.wait_idle()
        self.check_canary()

    def test_a_client_that_goes_stops_its_answer(self):
        for stream in (True, False):
            connection = self.server.connect()
            connection.sendall(request_bytes(COMPLETIONS, {**ENDLESS, "stream": stream}))
            wait_until(lambda: self.server.pages_in_use() > 0, "the request to run")
            connection.close()
            self.server.wait_idle()
        self.assertLess(self.server.metrics()["vllm:generation_tokens_total"], 2 * 4000)

    def test_clients_that_go_at_every_byte(self):
        body = {**ENDLESS, "max_tokens": 12, "stream": True}
        whole = asyncio.run(call(self.server.port, COMPLETIONS, body))
        num_bytes = len(whole[1]) + 600
        asyncio.run(gather([leave_after(self.server.port, {**body, "stream": i % 2 == 0}, i) for i in range(0, num_bytes, max(1, num_bytes // 150))]))

    def test_clients_that_go_while_they_wait(self):
        async def crowd():
            calls = [leave_after(self.server.port, {**ENDLESS, "stream": True, "n": 8}, 1 if i % 3 else 0) for i in range(60)]
            await gather(calls)
        asyncio.run(crowd())

    def test_a_deadline(self):
        answer = self.server.post(COMPLETIONS, ENDLESS, {"X-Request-Timeout": "0.2"})
        self.check_refused(answer, 504)
        answer = self.server.post(COMPLETIONS, {**ENDLESS, "stream": True}, {"X-Request-Timeout": "0.3"})
        self.assertEqual(answer.status, 200)
        last = events_of(answer.body)[-1]
        self.assertEqual(last["error"]["code"], 504)
        for bad in ("x", "-1", "0", "nan"):
            self.check_refused(self.server.post(COMPLETIONS, ENDLESS, {"X-Request-Timeout": bad}), 400)


class PreemptionTest(ServerTest):
    FLAGS = ("--kv-pages", "280", "--batch-invariant")

    def test_preempted_answers_do_not_change(self):
        alone = [self.server.complete(f"Story {i}: Anna", max_tokens=150, ignore_eos=True)["choices"][0]["text"] for i in range(3)]
        before = self.server.metrics()["vllm:num_preemptions_total"]
        bodies = [{"prompt": f"Story {i % 3}: Anna", "max_tokens": 150, "ignore_eos": True, "temperature": 0, "cache_salt": f"s{i}"} for i in range(50)]
        together = asyncio.run(gather([stream_text(self.server.port, body) for body in bodies]))
        self.assertGreater(self.server.metrics()["vllm:num_preemptions_total"], before)
        for i, text in enumerate(together):
            self.assertEqual(text, alone[i % 3], f"answer {i}")
        self.server.wait_idle()
        self.check_canary()


class BoundsTest(ServerTest):
    FLAGS = ("--max-num-seqs", "2", "--max-num-queued-reqs", "3", "--scheduling-policy", "priority", "--kv-pages", "1000")

    def hold(self, num, **fields):
        """Connections that keep so many answers running or waiting."""
        held = []
        for _ in range(num):
            connection = self.server.connect()
            connection.sendall(request_bytes(COMPLETIONS, {**ENDLESS, "stream": True, **fields}))
            held.append(connection)
        wait_until(lambda: self.count() == num, f"{num} requests to be taken")
        return held

    def count(self):
        metrics = self.server.metrics()
        return metrics["vllm:num_requests_running"] + metrics["vllm:num_requests_waiting"]

    def release(self, held):
        for connection in held:
            connection.close()
        self.server.wait_idle()

    def test_a_full_queue_says_429(self):
        held = self.hold(5)
        wait_until(lambda: self.server.metrics()["vllm:num_requests_running"] == 2, "two answers to run")
        self.assertEqual(self.server.metrics()['vllm:num_requests_waiting_by_reason{reason="capacity"}'], 3)
        for stream in (True, False):
            answer = self.server.post(COMPLETIONS, {"prompt": "x", "stream": stream})
            self.check_refused(answer, 429, "queue")
            self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
        self.assertEqual(self.server.get("/health/ready").status, 200)
        self.release(held)
        self.check_canary()

    def test_calls_are_taken_whole_or_not_at_all(self):
        held = self.hold(3)
        self.check_refused(self.server.post(COMPLETIONS, {"prompt": ["a", "b", "c"]}), 429)
        self.assertEqual(self.count(), 3)
        self.check_refused(self.server.post(COMPLETIONS, {"prompt": ["a"] * 6}), 400)
        self.release(held)

    def test_ten_times_too_many_calls(self):
        async def flood():
            return await gather([call(self.server.port, COMPLETIONS, {"prompt": "Hi", "max_tokens": 20, "ignore_eos": True}) for _ in range(50)])
        statuses = [status for status, _ in asyncio.run(flood())]
        self.assertLessEqual(set(statuses), {200, 429})
        self.assertIn(200, statuses)
        self.server.wait_idle()
        self.check_canary()

    def test_priorities(self):
        held = self.hold(2, max_tokens=400)
        order = []

        def ask(name, priority):
            self.server.post(COMPLETIONS, {"prompt": "x", "max_tokens": 30, "ignore_eos": True, "priority": priority})
            order.append(name)

        threads = []
        for i, (name, priority) in enumerate((("late", 5), ("later", 9), ("first", -5))):
            thread = threading.Thread(target=ask, args=(name, priority))
            thread.start()
            threads.append(thread)
            wait_until(lambda: self.count() >= 3 + i or "first" in order, "the call to be queued")
        for connection in held:
            connection.close()
        for thread in threads:
            thread.join()
        self.assertEqual(order[-1], "later")
        self.server.wait_idle()


class TokenBoundTest(ServerTest):
    FLAGS = ("--max-num-queued-tokens", "60", "--kv-pages", "2000")

    def test_prompts_that_have_begun_wait_no_longer(self):
        prompt = list(range(100, 150))
        for stream in (True, False):
            with self.server.connect() as connection:
                connection.sendall(request_bytes(COMPLETIONS, {**ENDLESS, "prompt": prompt, "n": 6, "stream": stream}))
                wait_until(lambda: self.server.metrics()["vllm:num_requests_running"] == 6, "the answers to begin")
                wait_until(lambda: self.server.post(COMPLETIONS, {"prompt": prompt, "max_tokens": 1}).status == 200, "room in the queue")
                self.assertEqual(self.server.metrics()["vllm:num_requests_running"], 6, "they are still being made")
            self.server.wait_idle()


class SlowReaderTest(ServerTest):
    FLAGS = ("--kv-pages", "4000", "--write-timeout", "1")

    def test_a_client_that_does_not_read_is_cancelled(self):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", self.server.port))
        body = {**ENDLESS, "n": 60, "logprobs": 20, "stream": True}
        connection.sendall(request_bytes(COMPLETIONS, body))
        wait_until(lambda: self.server.pages_in_use() > 0, "the call to run")
        self.server.wait_idle()  # long before 60 * 4,000 tokens
        self.assertLess(self.server.metrics()["vllm:generation_tokens_total"], 60 * 4000)
        connection.close()
        self.check_canary()


class EndTest(unittest.TestCase):
    def test_sigterm_lets_answers_end(self):
        with Server("--kv-pages", "2000") as server:
            body = {**ENDLESS, "max_tokens": 800}
            alone = server.post(COMPLETIONS, body).json()["choices"][0]["text"]
            results = {}

            def ask(name, stream):
                answer = server.post(COMPLETIONS, {**body, "stream": stream})
                results[name] = text_of(events_of(answer.body)) if stream else answer.json()["choices"][0]["text"]

            threads = [threading.Thread(target=ask, args=(i, i % 2 == 0)) for i in range(4)]
            for thread in threads:
                thread.start()
            wait_until(lambda: server.metrics()["vllm:num_requests_running"] == 4, "the calls to run")
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: server.get("/health/ready").status == 503, "the drain to begin")
            self.assertEqual(server.get("/health/live").status, 200)
            refused = server.post(COMPLETIONS, {"prompt": "x"})
            self.assertEqual((refused.status, refused.error()["code"]), (503, 503))
            self.assertIn("Retry-After", refused.headers)
            for thread in threads:
                thread.join()
            self.assertEqual(server.process.wait(60), 0)
            self.assertEqual(results, {i: alone for i in range(4)})

    def test_an_idle_server_ends_at_once(self):
        with Server() as server:
            with server.connect():  # a connection that says nothing holds nobody
                self.assertEqual(server.stop(), 0)

    def test_the_drain_has_an_end(self):
        with Server("--shutdown-timeout", "0.2", "--kv-pages", "2000") as server:
            results = []

            def ask():
                results.append(events_of(server.post(COMPLETIONS, {**ENDLESS, "max_tokens": 4000, "stream": True}).body))

            thread = threading.Thread(target=ask)
            thread.start()
            wait_until(lambda: server.metrics()["vllm:num_requests_running"] == 1, "the call to run")
            self.assertEqual(server.stop(), 0)
            thread.join()
            self.assertEqual(results[0][-1]["choices"][0]["finish_reason"], "abort")

    def test_a_second_signal_ends_everything(self):
        with Server("--shutdown-timeout", "600", "--kv-pages", "2000") as server:
            with server.connect() as connection:
                connection.sendall(request_bytes(COMPLETIONS, {**ENDLESS, "max_tokens": 4000, "n": 100, "stream": True}))
                wait_until(lambda: server.metrics()["vllm:num_requests_running"] == 100, "the call to run")
                self.assertEqual(end_by_signals(server), 1)

    def test_stopped_while_a_long_body_is_read(self):
        with Server() as server:
            with server.connect() as connection:
                connection.sendall(request_bytes(COMPLETIONS, {"prompt": ["key lamp drawer " * 400] * 1000}))
                wait_until(lambda: server.get("/health/live").status == 200, "the server to answer")
                self.assertIn(end_by_signals(server), (0, 1))  # 0 when the body was read before the second signal

    def test_killed_and_started_again(self):
        with Server() as server:
            with server.connect() as connection:
                connection.sendall(request_bytes(COMPLETIONS, {**ENDLESS, "stream": True}))
                wait_until(lambda: server.pages_in_use() > 0, "the call to run")
                server.process.kill()
                server.process.wait()
            port = server.port
        with Server("--port", port) as again:
            self.assertEqual(message_of(again.chat(QUESTION)), ANSWER)

    def test_a_port_that_is_taken(self):
        with Server() as server:
            with self.assertRaisesRegex(AssertionError, f"cannot listen on 127.0.0.1 port {server.port}"):
                Server("--port", server.port)


if __name__ == "__main__":
    unittest.main()
