"""What the system refuses or holds up: threads that do not start, a file that does not come while a model is loaded."""

import signal
import subprocess
import sys
import time
import unittest

LIBRARY = sys.argv.pop(2)

import serving  # noqa: E402 (it takes the program from the arguments)
from faulty import Faults  # noqa: E402

MAX_THREADS = 40  # more than the server starts


class ThreadLimitTest(unittest.TestCase):
    def test_each_thread_that_does_not_start(self):
        faults = Faults(LIBRARY)
        for num in range(MAX_THREADS):
            faults.limit_threads(num)
            command = [serving.QUIRE, "serve", "--threads", "2", "--port", "0", "--disable-log-stats"]
            process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=faults.environment)
            log = []
            for line in process.stderr:
                log.append(line)
                if "ready:" in line:
                    process.kill()
            code = process.wait()
            process.stderr.close()
            if code == -signal.SIGKILL:
                self.assertGreater(num, 3)
                return
            self.assertEqual(code, 1, (num, log))
            self.assertRegex(log[-1], "thread", (num, log))
        self.fail("the server never started")


class LoadingTest(unittest.TestCase):
    def test_a_second_signal_while_the_model_loads(self):
        faults = Faults(LIBRARY)
        faults.hold_files(True)
        server = faults.server(wait=False)
        self.assertEqual(server.get("/health/ready").status, 503)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)  # signals that come together count as one
        self.assertIsNone(server.process.poll())
        server.process.send_signal(signal.SIGTERM)
        try:
            self.assertEqual(server.process.wait(20), 1)
        finally:
            faults.hold_files(False)
            server.stop()

    def test_one_signal_while_the_model_loads(self):
        faults = Faults(LIBRARY)
        faults.hold_files(True)
        server = faults.server(wait=False)
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        faults.hold_files(False)
        self.assertEqual(server.process.wait(serving.PATIENCE_S), 0)
        server.stop()


if __name__ == "__main__":
    unittest.main()
