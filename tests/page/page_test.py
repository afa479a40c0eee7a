"""The live page in Chromium against a server of made-up figures: it draws 1,000 requests, says no word to the console, asks no
other host, and treats whatever the model says as text. Skipped where Chromium is absent."""

import json
import time

from fake_server import HOSTILE
from page_case import ANSWER, COLOURS, PAINT, PIXELS, POOL, PageCase, main


class PageTest(PageCase):
    def test_draws_a_thousand_requests(self):
        self.open_live()
        self.browser.wait_for("document.querySelectorAll('#figures dd')[2].textContent !== '–'")  # tokens/s
        self.assertEqual(self.figure("Running"), "1,000")
        self.assertGreater(self.browser.evaluate(COLOURS % "#grid"), 500)
        for number in range(1, 5):
            self.browser.wait_for(COLOURS % f"#charts section:nth-child({number}) canvas" + " > 8")
        self.assertRegex(self.browser.evaluate("document.getElementById('grid').getAttribute('aria-label')"), r"^Page pool: [\d,]+ of 20,000 pages in use")
        self.assertLess(self.browser.evaluate("document.querySelectorAll('*').length"), 300, "one node for each page, or a leak")
        self.assertTrue(all(url.startswith(self.url) for url in self.browser.urls), self.browser.urls)
        self.assert_quiet()
        self.shoot("light")

    def test_draws_what_the_pages_say(self):
        """4 pages: request 1, request 1, free, shared by two: two neighbours of one colour, then two others."""
        self.server.pages_text = json.dumps({"num_pages": 4, "page_size": 16, "owners": [1, 1, -1, -2], "steps": [], "running": 2,
                                             "waiting": 0, "generation_tokens": 0, "prompt_tokens": 0, "time": 1.0})
        self.open_live_small()
        colours = self.run_in(POOL, PIXELS % "#grid", """return [0, 1, 2, 3].map(i => {
            const at = 4 * (2 * c.width + i * pool.cell + 2); return d.slice(at, at + 3).join(); });""")
        self.assertEqual(colours[0], colours[1])
        self.assertEqual(len(set(colours)), 3)
        self.assertEqual(colours[3], self.run_in(PAINT, "return paint.ink.join();"))
        self.assert_quiet()

    def open_live_small(self):
        self.browser.open(self.url)
        self.browser.wait_for("document.getElementById('state').className === 'good' && document.getElementById('grid').clientHeight > 5")
        time.sleep(1)  # new pages have faded in
        self.wait_in(POOL, "return pool.owners.length === 4;")

    def test_models_text_is_text(self):
        self.open_live()
        self.ask("hello")
        self.browser.wait_for(f"{ANSWER} && document.getElementById('spoken').textContent === 'Answer complete'")
        self.assertEqual(self.browser.evaluate(f"{ANSWER}.textContent"), "".join(HOSTILE))
        self.assertEqual(self.browser.evaluate(f"[...{ANSWER}.querySelectorAll('*')].map(n => n.tagName).join()"), "P")
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('#log img, #log script, #log a, #model b').length"), 0)
        self.assertIsNone(self.browser.evaluate("window.isHacked"))
        self.assertEqual(self.browser.evaluate("document.getElementById('model').textContent"), "demo <b>model</b>")
        self.assertIn("6 tokens", self.browser.evaluate("document.querySelector('.facts').textContent + document.querySelectorAll('.facts')[1].textContent"))
        self.ask("and more")
        self.browser.wait_for("document.querySelectorAll('.said').length === 4 && !document.getElementById('send').disabled")
        roles = [m["role"] for m in self.server.chats[1]["messages"]]
        self.assertEqual(roles, ["user", "assistant", "user"])
        self.assertEqual(self.server.chats[1]["messages"][1]["content"], "".join(HOSTILE))
        self.assert_quiet()

    def test_stop_ends_the_request(self):
        self.server.words, self.server.word_s = ["word "] * 2000, 0.02
        self.open_live()
        self.ask("tell me all")
        self.browser.wait_for(f"{ANSWER} && {ANSWER}.textContent.length > 10")
        self.browser.evaluate("document.getElementById('stop').click()")
        self.browser.wait_for("document.getElementById('spoken').textContent === 'Stopped'")
        end = time.monotonic() + 20
        while self.server.num_closed == 0 and time.monotonic() < end:
            time.sleep(0.05)
        self.assertGreater(self.server.num_closed, 0, "the connection stays open")
        self.assertFalse(self.browser.evaluate("document.getElementById('send').disabled"))

    def test_errors_are_said(self):
        self.server.chat_error = (429, "the queue is <full>")
        self.open_live()
        self.ask("hello")
        self.browser.wait_for("document.querySelector('.fault') !== null")
        self.assertEqual(self.browser.evaluate("document.querySelector('.fault').textContent"), "429: the queue is <full>")

    def test_key_stays_in_memory(self):
        self.server.key = "secret-1"
        self.browser.open(self.url)
        self.browser.wait_for("/API key/.test(document.getElementById('state').textContent)")
        self.browser.evaluate("document.getElementById('key').focus()")
        self.browser.type("secret-1")
        self.browser.wait_for("document.getElementById('state').className === 'good'")
        self.ask("hello")
        self.browser.wait_for("document.getElementById('spoken').textContent === 'Answer complete'")
        self.browser.evaluate("document.getElementById('theme').click(); dispatchEvent(new Event('pagehide'))")
        kept = self.browser.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")
        self.assertIn("hello", kept)
        self.assertNotIn("secret-1", kept)
        self.assertFalse(any("secret-1" in url for url in self.browser.urls))

    def test_keyboard_reaches_the_pages(self):
        self.open_live()
        self.browser.evaluate("document.getElementById('grid').focus()")
        self.browser.press("ArrowRight")
        self.browser.press("ArrowDown")
        self.browser.wait_for("/^Page \\d/.test(document.getElementById('poolnote').textContent)")
        self.browser.press("Escape")
        self.browser.wait_for("/^Point/.test(document.getElementById('poolnote').textContent)")
        self.browser.evaluate("document.querySelector('[value=memory]').focus()")
        self.browser.press("ArrowRight")
        self.wait_in(POOL, "return document.querySelector('[value=request]').checked && !pool.isStale;")
        self.assertTrue(self.run_in(POOL, """const at = i => pool.owners[pool.slots[i]], n = pool.slots.length;
            const place = o => o < -1 ? 0 : o > 0 ? 1 : o === 0 ? 2 : 3; let ok = true;
            for (let i = 1; i < n; ++i) ok = ok && place(at(i - 1)) <= place(at(i)) && (place(at(i)) !== 1 || place(at(i - 1)) !== 1 || at(i - 1) <= at(i));
            return ok && n === pool.owners.length && new Set(pool.slots).size === n;"""), "pages by request are in order, each once")
        self.shoot("by_request")
        self.assert_quiet()

    def test_narrow_and_dark(self):
        self.browser.set_dark(False)
        self.open_live()
        light = self.browser.evaluate("getComputedStyle(document.body).backgroundColor")
        self.browser.set_dark(True)
        self.wait_in(PAINT, f"return getComputedStyle(document.body).backgroundColor !== '{light}' && paint.isDark;")
        self.shoot("dark")
        self.browser.evaluate("document.getElementById('theme').click()")  # auto, then light
        self.assertEqual(self.browser.evaluate("getComputedStyle(document.body).backgroundColor"), light)
        for width in (320, 390, 768, 1100):
            self.browser.resize(width, 800)
            self.browser.wait_for(f"innerWidth === {width}")
            self.assertLessEqual(self.browser.evaluate("document.documentElement.scrollWidth"), width)
        self.browser.resize(390, 1800)
        self.shoot("narrow")
        self.assert_quiet()

    def test_everything_has_a_name(self):
        """What can be focused says what it is."""
        self.open_live()
        nameless = self.browser.evaluate("""[...document.querySelectorAll('button, input, textarea, canvas, [tabindex]')].filter(node =>
            !(node.textContent.trim() || node.getAttribute('aria-label') || node.labels?.length)).map(node => node.outerHTML)""")
        self.assertEqual(nameless, [])

    def test_strange_answers_break_nothing(self):
        for text in ("{}", "[]", "null", '{"owners":[1,"x",null,{},1e99,-7,0,-1],"steps":[null,{},{"decode":"x"}],"time":"no"}', "not JSON",
                     '{"owners":[],"num_pages":0,"page_size":0,"steps":[],"running":-1,"time":0,"generation_tokens":0,"prompt_tokens":0}'):
            self.server.pages_text = text
            self.browser.open(self.url)
            seen = self.server.paths.count("/v1/internal/pages")
            end = time.monotonic() + 20
            while self.server.paths.count("/v1/internal/pages") < seen + 2 and time.monotonic() < end:
                self.browser.evaluate("1")
                time.sleep(0.05)
        self.server.pages_text = None
        self.wait_in(POOL, "return document.getElementById('state').className === 'good' && pool.owners.length === 20000;")
        self.assert_quiet()

    def test_server_that_comes_back(self):
        self.open_live()
        self.server.is_down = True
        self.browser.wait_for("document.getElementById('state').className === 'bad'")
        self.server.is_down = False
        self.browser.wait_for("document.getElementById('state').className === 'good'")


if __name__ == "__main__":
    main()
