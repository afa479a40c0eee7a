"""The chat of the live page: Markdown becomes nodes and never HTML, a reload keeps the conversation, and speeds are measured."""

import json

from fake_server import World
from page_case import ANSWER, PageCase, main

RENDER = """const { renderMarkdown } = await import('/page/markdown.js');
  const show = text => { const node = document.createElement('div'); renderMarkdown(node, text); return node.innerHTML; };"""
LINK = 'target="_blank" rel="noopener noreferrer"'
CASES = {
    "plain": "<p>plain</p>",
    "a\nb": "<p>a\nb</p>",
    "a\n\nb": "<p>a</p><p>b</p>",
    "**b** *i* __b__ _i_ ~~s~~ ***bi***": "<p><strong>b</strong> <em>i</em> <strong>b</strong> <em>i</em> <s>s</s> <strong><em>bi</em></strong></p>",
    "snake_case_name 2*3*4 a * b * c": "<p>snake_case_name 2<em>3</em>4 a * b * c</p>",
    "**open": "<p>**open</p>",
    "`a<b>` ``c`d``": "<p><code>a&lt;b&gt;</code> <code>c`d</code></p>",
    "\\*no\\* `\\*`": "<p>*no* <code>\\*</code></p>",
    "# A #\n###### B": "<h3>A</h3><h6>B</h6>",
    "#no": "<p>#no</p>",
    "- a\n- b\n  - c\n\n  d": "<ul><li><p>a</p></li><li><p>b</p><ul><li><p>c</p></li></ul><p>d</p></li></ul>",
    "2. a\n3. b\n   ```\n   x\n   ```": '<ol start="2"><li><p>a</p></li><li><p>b</p><pre tabindex="0" aria-label="Code"><code>x</code></pre></li></ol>',
    "- [ ] a\n- [x] b": "<ul><li><p>☐ a</p></li><li><p>☑ b</p></li></ul>",
    "> a\n> > b": "<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote>",
    "a\n---\nb": "<p>a</p><hr><p>b</p>",
    "```py\n<b>*x*</b>\n\n# y\n```\nz": '<pre tabindex="0" aria-label="Code, py"><code>&lt;b&gt;*x*&lt;/b&gt;\n\n# y</code></pre><p>z</p>',
    "~~~\nopen": '<pre tabindex="0" aria-label="Code"><code>open</code></pre>',
    "| a | b |\n|---|--:|\n| 1 | `x\\|y` |\n| 2 |": '<div class="wide"><table><thead><tr><th>a</th><th class="right">b</th></tr></thead><tbody>'
    '<tr><td>1</td><td class="right"><code>x|y</code></td></tr><tr><td>2</td><td class="right"></td></tr></tbody></table></div>',
    "[a](https://x.org/b_c_d) <https://y.org> https://z.org/p(q). x": f'<p><a href="https://x.org/b_c_d" title="https://x.org/b_c_d" {LINK}>a</a> '
    f'<a href="https://y.org" title="https://y.org" {LINK}>https://y.org</a> '
    f'<a href="https://z.org/p(q)" title="https://z.org/p(q)" {LINK}>https://z.org/p(q)</a>. x</p>',
    "![pic](https://x.org/i.png)": f'<p><a href="https://x.org/i.png" title="https://x.org/i.png" {LINK}>pic</a></p>',
    "[x](javascript:alert(1)) [y](data:text/html,z) [z](//evil.org)": "<p>[x](javascript:alert(1)) [y](data:text/html,z) [z](//evil.org)</p>",
    "<img src=x onerror=alert(1)> &amp; &#60;": "<p>&lt;img src=x onerror=alert(1)&gt; &amp;amp; &amp;#60;</p>",
}


class ChatTest(PageCase):
    @staticmethod
    def make_world():
        return World(num_pages=2000, num_requests=20)

    def get_answer(self, words, word_s=0.0):
        self.server.words, self.server.word_s = words, word_s
        self.ask("hello")
        self.browser.wait_for(
            f"{ANSWER} && document.getElementById('spoken').textContent === 'Answer complete'"
        )

    def test_markdown(self):
        self.open_live()
        for text, right in CASES.items():
            self.assertEqual(self.run_in(RENDER, f"return show({json.dumps(text)});"), right, text)

    def test_growing_text_ends_as_the_whole_does(self):
        """Each prefix of a text, one behind another into the same node, as a stream brings them."""
        self.open_live()
        text = "\n\n".join(CASES)
        self.assertTrue(
            self.run_in(
                RENDER,
                f"""const text = {json.dumps(text)}, node = document.createElement('div');
            for (let i = 0; i <= text.length; ++i) {{
              renderMarkdown(node, text.slice(0, i));
              if (node.innerHTML !== show(text.slice(0, i))) return false;
            }}
            return true;""",
            )
        )

    def test_hostile_markdown_is_quick_and_harmless(self):
        """Texts that make careless expressions try again and again; all of them must end, and make no node that acts."""
        self.open_live()
        for unit, times in (
            ("*a ", 20000),
            ("**a **", 20000),
            ("[", 50000),
            ("> ", 5000),
            ("- ", 5000),
            ("`", 20001),
            ("`a``b```", 8000),
            ("_a__", 20000),
            ("|-", 20000),
            ("# " + " " * 50000 + "x\n", 3),
            (" " * 50000 + "-x|\n", 3),
            ("![a](b", 9000),
            ("[a](https://x.org/(", 5000),
            ("https://", 9000),
            ("<h", 30000),
            ("\\", 50000),
            ("1. a\n  ", 3000),
        ):
            length, acting = self.run_in(
                RENDER,
                f"""const node = document.createElement('div');
                renderMarkdown(node, {json.dumps(unit)}.repeat({times}));
                return [node.textContent.length, node.querySelectorAll('script, img, iframe, object, style, link, form, svg').length];""",
            )
            self.assertGreaterEqual(length, 0)
            self.assertEqual(acting, 0)

    def test_an_answer_is_shown_as_markdown_and_sent_as_it_came(self):
        self.open_live()
        self.get_answer(["**bo", "ld** and\n\n``", "`\ncode\n`", "``\n"])
        self.assertEqual(self.browser.evaluate(f"[...{ANSWER}.children].map(n => n.tagName).join()"), "P,PRE")
        self.assertEqual(self.browser.evaluate(f"{ANSWER}.querySelector('strong').textContent"), "bold")
        self.ask("**again**")
        self.browser.wait_for(
            "document.querySelectorAll('.said').length === 4 && !document.getElementById('send').disabled"
        )
        self.assertEqual(self.server.chats[1]["messages"][1]["content"], "**bold** and\n\n```\ncode\n```\n")
        self.assertEqual(
            self.browser.evaluate("document.querySelectorAll('.said.user .text')[1].innerHTML"), "**again**"
        )

    def test_a_reload_keeps_the_chat(self):
        self.open_live()
        self.browser.evaluate("document.getElementById('system').value = 'Be brief.'")
        self.get_answer(["one ", "**two**"])
        facts = self.browser.evaluate("document.querySelectorAll('.facts')[1].textContent")
        self.browser.evaluate("document.getElementById('ask').value = 'half a thou'")
        self.browser.reload()
        self.browser.wait_for("document.querySelectorAll('.said').length === 2")
        self.assertEqual(self.browser.evaluate(f"{ANSWER}.innerHTML"), "<p>one <strong>two</strong></p>")
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('.facts')[1].textContent"), facts)
        self.assertEqual(
            self.browser.evaluate("['system', 'ask'].map(id => document.getElementById(id).value).join('|')"),
            "Be brief.|half a thou",
        )
        self.browser.wait_for("document.getElementById('state').className === 'good'")
        self.browser.evaluate("document.getElementById('ask').value = ''")
        self.ask("and more")
        self.browser.wait_for(
            "document.querySelectorAll('.said').length === 4 && !document.getElementById('send').disabled"
        )
        self.assertEqual(
            [m["role"] for m in self.server.chats[1]["messages"]], ["system", "user", "assistant", "user"]
        )
        self.browser.evaluate("document.getElementById('clear').click()")
        self.browser.reload()
        self.browser.wait_for("document.getElementById('state').className === 'good'")
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('.said').length"), 0)
        self.assert_quiet()

    def test_a_reload_keeps_what_came_of_an_answer(self):
        self.server.words, self.server.word_s = ["word "] * 2000, 0.02
        self.open_live()
        self.ask("tell me all")
        self.browser.wait_for(f"{ANSWER} && {ANSWER}.textContent.length > 10")
        self.browser.reload()
        self.browser.wait_for("document.querySelectorAll('.said').length === 2")
        self.assertRegex(self.browser.evaluate(f"{ANSWER}.textContent"), "^(word )+")
        self.assertRegex(
            self.browser.evaluate("document.querySelectorAll('.facts')[1].textContent"),
            "interrupted|broken off",
        )

    def test_strange_memories_break_nothing(self):
        self.open_live()
        for kept in (
            "x",
            "null",
            "[]",
            '{"turns":5}',
            '{"turns":[null,{"role":"system","content":"x"},{"role":"user"},7]}',
            '{"turns":[],"settings":{"system":{}},"draft":3}',
        ):
            self.browser.evaluate(
                f"addEventListener('pagehide', () => sessionStorage.setItem('quire.chat', {json.dumps(kept)}))"
            )
            self.browser.reload()
            self.browser.wait_for("document.getElementById('state').className === 'good'")
            self.assertEqual(self.browser.evaluate("document.querySelectorAll('.said').length"), 0)
        self.assert_quiet()

    def test_speeds_are_those_of_reads(self):
        """Tokens that came together have no speed: an answer in one piece says its tokens and its time alone."""
        self.open_live()
        speed = lambda reads: self.run_in(
            "const { speedOf } = await import('/page/chat.js');", f"return speedOf({json.dumps(reads)});"
        )
        self.assertIsNone(speed([]))
        self.assertIsNone(speed([{"at": 0, "tokens": 9}]))
        self.assertIsNone(
            speed([{"at": 0, "tokens": 3}, {"at": 0.9, "tokens": 16}]),
            "13 tokens in 0.9 ms are no 14,444 tokens/s",
        )
        self.assertIsNone(speed([{"at": at, "tokens": at} for at in (0, 1, 2, 3, 4)]))
        self.assertIsNone(speed([{"at": 0, "tokens": 1}, {"at": 900, "tokens": 100}]))
        self.assertEqual(speed([{"at": 100 * i, "tokens": 1 + 2 * i} for i in range(10)]), 20)
        self.assertEqual(
            speed(
                [
                    {"at": 1000, "tokens": 40},
                    {"at": 1200, "tokens": 44},
                    {"at": 1300, "tokens": 46},
                    {"at": 1500, "tokens": 50},
                ]
            ),
            20,
        )
        self.get_answer(["word "] * 40)
        self.assertRegex(
            self.browser.evaluate("document.querySelectorAll('.facts')[1].textContent"),
            r"^first token after [\d.]+ m?s, 40 tokens in [\d.]+ m?s",
        )
        self.get_answer(["word "] * 20, 0.05)
        facts = self.browser.evaluate("[...document.querySelectorAll('.facts')].at(-1).textContent")
        self.assertRegex(facts, r"^first token after [\d.]+ m?s, 20 tokens in [\d.]+ s, [\d.]+\stokens/s$")
        self.assertLessEqual(float(facts.split(", ")[2].split()[0]), 21, "one token each 50 ms at most")


if __name__ == "__main__":
    main()
