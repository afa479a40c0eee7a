"""What the tests of the live page share: a browser, a made-up server for each test, and ways to look into the page.

…_test.py [PAGE] [--screenshots FOLDER]"""

import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from browser import CHROMIUM, Browser  # noqa: E402
from fake_server import FakeServer, World  # noqa: E402

PAGE = (
    Path(sys.argv.pop(1))
    if len(sys.argv) > 1 and sys.argv[1].endswith(".html")
    else Path(__file__).resolve().parents[2] / "src/server/page/index.html"
)
SHOTS = None
if "--screenshots" in sys.argv:
    at = sys.argv.index("--screenshots")
    SHOTS = Path(sys.argv[at + 1])
    del sys.argv[at : at + 2]

ANSWER = "document.querySelector('.said.assistant:last-child .text')"
# The pixels of a copy of a canvas: reading the canvas itself would change how the browser draws it.
PIXELS = """const c = document.querySelector('%s'), copy = Object.assign(document.createElement('canvas'), {width: c.width, height: c.height}),
  g = copy.getContext('2d', {willReadFrequently: true}); g.drawImage(c, 0, 0); const d = g.getImageData(0, 0, c.width, c.height).data;"""
# The page's modules, inside an async function.
POOL, PAINT = (
    "const { pool } = await import('/page/pool.js');",
    "const { paint } = await import('/page/paint.js');",
)
# Different colours in a canvas; a blank one has one.
COLOURS = (
    "(() => {"
    + PIXELS
    + """ const seen = new Set();
  for (let i = 0; i < d.length; i += 4) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]); return seen.size; })()"""
)


@unittest.skipUnless(CHROMIUM, "no Chromium here (Debian package chromium): the live page was not tested")
class PageCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = cls.make_world()
        cls.browser = Browser()

    @staticmethod
    def make_world():
        return World(num_pages=20000, num_requests=1000)

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()

    def setUp(self):
        self.server = FakeServer(PAGE, self.world)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.browser.call("Emulation.clearDeviceMetricsOverride")
        self.browser.set_dark(False)
        self.browser.messages.clear()
        self.browser.urls.clear()

    def tearDown(self):
        self.browser.open("about:blank")
        self.server.shutdown()
        self.server.server_close()

    def open_live(self):
        self.browser.open(self.url)
        self.browser.wait_for("document.getElementById('state').className === 'good'")
        self.browser.wait_for("document.getElementById('grid').height > 50")

    def run_in(self, *lines):
        """The value that the body of an async function returns."""
        return self.browser.evaluate("(async () => {" + "\n".join(lines) + "})()")

    def wait_in(self, *lines):
        return self.browser.wait_for("(async () => {" + "\n".join(lines) + "})()")

    def figure(self, label):
        find = f"find(d => d.children[0].textContent === '{label}')"
        return self.browser.evaluate(
            f"[...document.querySelectorAll('#figures div')].{find}.children[1].textContent"
        )

    def ask(self, text):
        self.browser.evaluate("document.getElementById('ask').focus()")
        self.browser.type(text)
        self.browser.press("Enter")

    def assert_quiet(self):
        self.browser.evaluate("1")  # what has been said meanwhile
        self.assertEqual(self.browser.messages, [])

    def shoot(self, name):
        if SHOTS:
            SHOTS.mkdir(parents=True, exist_ok=True)
            self.browser.screenshot(SHOTS / f"{name}.png")


def main():
    if not CHROMIUM:
        print("skipped: no Chromium here (Debian package chromium), so the live page was not tested")
    unittest.main()
