"""The live page while steps are slow: figures are there at once, the last snapshot stays, and no speed is made up."""

import json

from fake_server import World
from page_case import POOL, PageCase, main

# Readings of a server whose steps take `stepS` and make `tokens` each, every `pollS` for `forS` seconds; all rates shown.
READINGS = """
  const { StepMeter } = await import('/page/metrics.js');
  const ratesOf = (stepS, tokens, pollS, forS, startS = 0, running = 50) => {
    const meter = new StepMeter(), seen = [];
    for (let at = startS; at < startS + forS; at += pollS) {
      const steps = Math.floor(at / stepS), now = { at, running, steps, stepSeconds: steps * stepS, generated: steps * tokens, prompt: 0 };
      meter.add(now);
      seen.push(meter.rates(now));
    }
    return seen;
  };"""


class LiveTest(PageCase):
    @staticmethod
    def make_world():
        return World(num_pages=2000, num_requests=50)

    def test_figures_do_not_wait_for_the_pages(self):
        """A server that answers for the pages only after a step: the tiles come from /metrics, and the pool says why it is empty."""
        self.server.hangs_pages = 15
        self.browser.open(self.url)
        self.browser.wait_for("document.querySelector('#figures dd').textContent === '50'")
        self.assertEqual(self.figure("Waiting"), "37")
        self.assertRegex(self.figure("Pages in use"), r"^[\d,]+\d+ %$")
        self.browser.wait_for(
            "/as soon as the running step has ended/.test(document.getElementById('poolnote').textContent)"
        )
        self.wait_in(POOL, "return pool.owners.length === 2000;")
        self.assert_quiet()

    def test_the_last_snapshot_stays(self):
        self.open_live()
        self.wait_in(POOL, "return pool.owners.length === 2000;")
        last = json.dumps(self.world.pages())
        self.server.pages_text = last  # the same moment again and again: a step that does not end
        self.browser.wait_for("/^as of \\d+ s ago$/.test(document.getElementById('poolage').textContent)")
        self.assertEqual(self.run_in(POOL, "return pool.owners;"), json.loads(last)["owners"])
        self.server.pages_text = None
        self.browser.wait_for("document.getElementById('poolage').textContent === ''")
        self.assert_quiet()

    def test_a_step_that_does_not_end_is_said(self):
        self.server.world = World(num_pages=2000, num_requests=50, step_s=1.0)
        self.open_live()
        self.server.world.step_s = 1e6
        self.server.world.started -= 1e6 * self.server.world.num_steps
        self.browser.wait_for("document.getElementById('state').className === 'slow'")
        self.assertRegex(
            self.browser.evaluate("document.getElementById('state').textContent"),
            r"^live; a step has been running for \d+ s$",
        )
        self.assertRegex(self.figure("Step"), r"now \d+ s$")

    def test_refused_pages_leave_the_figures(self):
        """An answer of 503 for the pages: they are asked for again soon, and the tiles go on."""
        self.server.world = World(num_pages=2000, num_requests=50, step_s=1e6)  # no step has ended
        self.browser.open(self.url)
        self.browser.wait_for("document.querySelector('#figures dd').textContent === '50'")
        self.server.world = self.world
        self.wait_in(POOL, "return pool.owners.length === 2000;")

    def test_speeds_of_steps(self):
        """Slow steps are no bursts with pauses: the rate is that of whole steps, whenever somebody looks."""
        self.open_live()
        for step_s, tokens, poll_s in (
            (3, 50, 0.5),
            (0.7, 50, 0.5),
            (0.03, 50, 0.5),
            (12, 50, 0.5),
            (0.0004, 8, 0.5),
            (1.1, 7, 2.3),
        ):
            rates = self.run_in(
                READINGS, f"return ratesOf({step_s}, {tokens}, {poll_s}, 80, 100).map(r => r.generated);"
            )
            known = [rate for rate in rates if rate is not None]
            self.assertGreater(len(known), len(rates) // 2)
            true = tokens / step_s
            self.assertTrue(
                all(0.75 * true <= rate <= 1.25 * true for rate in known),
                (step_s, true, min(known), max(known)),
            )
            self.assertTrue(
                all(0.85 * true <= rate <= 1.15 * true for rate in known[-20:]), (step_s, true, known[-20:])
            )

    def test_speeds_end_with_the_work(self):
        self.open_live()
        rates = self.run_in(
            READINGS,
            """
            const meter = new StepMeter(), at = s => ({ at: s, running: s < 10 ? 50 : 0, steps: Math.min(s, 10) * 20,
              stepSeconds: Math.min(s, 10), generated: Math.min(s, 10) * 1000, prompt: 0 }), seen = [];
            for (let s = 0; s < 20; s += 0.5) { meter.add(at(s)); seen.push(meter.rates(at(s)).generated); }
            return [seen[16], seen.at(-1)];""",
        )
        self.assertEqual(rates, [1000, 0])

    def test_a_step_that_goes_on_lowers_the_speed(self):
        self.open_live()
        rates = self.run_in(
            READINGS,
            """
            const meter = new StepMeter(), at = s => ({ at: s, running: 50, steps: Math.min(s, 10) * 20,
              stepSeconds: Math.min(s, 10), generated: Math.min(s, 10) * 1000, prompt: 0 }), seen = [];
            for (let s = 0; s < 60; s += 0.5) { meter.add(at(s)); seen.push(meter.rates(at(s)).generated); }
            return seen;""",
        )
        self.assertEqual(rates[20], 1000)
        self.assertLess(rates[-1], 60)
        self.assertTrue(all(a >= b for a, b in zip(rates[20:], rates[21:])), rates)

    def test_a_new_server_begins_anew(self):
        self.open_live()
        rates = self.run_in(
            READINGS,
            """
            const meter = new StepMeter(), at = (s, from) => ({ at: s, running: 5, steps: (s - from) * 20, stepSeconds: s - from,
              generated: (s - from) * 100, prompt: 0 }), seen = [];
            for (let s = 0; s < 20; s += 0.5) { const now = at(s, s < 10 ? 0 : 10); meter.add(now); seen.push(meter.rates(now).generated); }
            return seen.filter(rate => rate !== null);""",
        )
        self.assertTrue(all(abs(rate - 100) < 1 for rate in rates), rates)


if __name__ == "__main__":
    main()
