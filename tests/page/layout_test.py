"""Where things are on the live page in windows of several sizes, and what is drawn of a pool that is much larger than its use."""

from fake_server import World
from page_case import PIXELS, POOL, PageCase, main

BOXES = """const boxOf = id => document.getElementById(id).getBoundingClientRect();"""


class LayoutTest(PageCase):
    @staticmethod
    def make_world():
        return World(num_pages=65536, num_requests=50, step_s=0.5, pages_each=9)

    def open_at(self, width, height):
        self.browser.resize(width, height)
        self.open_live()
        self.wait_in(POOL, f"return innerWidth === {width} && pool.owners.length === 65536 && !pool.isStale;")

    def test_figures_fill_their_rows(self):
        for width in (390, 700, 1000, 1280, 1440, 2560):
            self.open_at(width, 900)
            rows = self.run_in("""const rows = new Map();
                for (const tile of document.querySelectorAll('#figures div')) {
                  const box = tile.getBoundingClientRect(), row = rows.get(box.top) || [];
                  rows.set(box.top, [...row, Math.round(box.right)]); }
                return [...rows.values()];""")
            self.assertEqual(len({len(row) for row in rows}), 1, f"{width}: {rows}")
            self.assertEqual(len({row[-1] for row in rows}), 1, f"{width}: {rows}")
            cut = self.browser.evaluate(
                "[...document.querySelectorAll('#figures dd')].filter(d => d.scrollWidth > d.clientWidth).map(d => d.textContent)"
            )
            self.assertEqual(cut, [], width)

    def test_the_chat_is_near_on_a_phone(self):
        self.open_at(390, 844)
        top, bottom = self.run_in(BOXES, "return [boxOf('chat').top, boxOf('chat').bottom];")
        self.assertLess(top, 844 / 2)
        self.assertLessEqual(bottom, 844, "the empty chat is seen whole")
        self.assertLessEqual(self.browser.evaluate("document.documentElement.scrollWidth"), 390)

    def test_blocks_are_evenly_spaced(self):
        for width, height in ((1440, 1000), (1440, 900), (1280, 800), (2560, 1440), (1920, 1080)):
            self.open_at(width, height)
            gaps = self.run_in(
                BOXES,
                """return [boxOf('pool').top - boxOf('figures').bottom, boxOf('charts').top - boxOf('pool').bottom,
                boxOf('chat').left - boxOf('board').right];""",
            )
            self.assertTrue(all(abs(gap - 14) < 1 for gap in gaps), (width, height, gaps))
            ends = self.run_in(BOXES, "return [boxOf('charts').bottom, boxOf('chat').bottom];")
            self.assertGreaterEqual(ends[0], ends[1] - 1, "nothing is empty below the charts")
            if height >= 900:
                self.assertLessEqual(
                    self.browser.evaluate("document.documentElement.scrollHeight"),
                    height,
                    "all is seen at once",
                )

    def test_charts_side_by_side_have_one_height(self):
        """Also where the legend of one takes a line more than that of its neighbour."""
        for width, height in ((1280, 800), (1440, 900), (1920, 1080), (2560, 1440)):
            self.open_at(width, height)
            plots = self.run_in("""return [...document.querySelectorAll('#charts .plot')].map(plot => {
                const box = plot.getBoundingClientRect(); return [Math.round(box.top), Math.round(box.height)]; });""")
            self.assertEqual(len(plots), 4)
            self.assertIn(len(set(map(tuple, plots))), (1, 2), f"{width}: one or two rows, {plots}")
            self.assertGreaterEqual(min(size for _, size in plots), 132)

    def test_few_pages_in_use_are_seen(self):
        """50 requests in 65,536 pages: squares that one can see, all pages in use among them, and what is missing is said."""
        for width, height in ((1280, 800), (390, 844), (2560, 1440)):
            self.open_at(width, height)
            cell, held, drawn = self.run_in(
                POOL,
                """const isHeld = owner => owner > 0 || owner < -1;
                return [pool.cell, pool.owners.filter(isHeld).length, [...pool.slots].filter(page => isHeld(pool.owners[page])).length];""",
            )
            self.assertGreaterEqual(cell, 8)
            self.assertEqual(held, drawn)
            share = self.run_in(
                PIXELS % "#grid",
                "const { paint } = await import('/page/paint.js');",
                """const isPlain = i => [paint.free, paint.card].some(rgb => rgb.every((v, k) => Math.abs(v - d[i + k]) < 4));
                let num = 0; for (let i = 0; i < d.length; i += 4) num += !isPlain(i); return num * 4 / d.length;""",
            )
            self.assertGreater(share, 0.25)
            self.assertRegex(
                self.browser.evaluate("document.getElementById('poolsize').textContent"),
                r"^65,536 pages of 16 tokens, 6\d,\d{3} free not drawn$",
            )
        self.assert_quiet()

    def test_pages_kept_for_reuse_do_not_hide_requests(self):
        """After a while nearly all pages are kept for reuse: those are left out before what runs becomes too small."""
        self.open_at(1280, 800)
        for page, owner in enumerate(self.world.owners):
            if owner == -1 and page % 10:
                self.world.owners[page] = 0
        self.wait_in(
            POOL, "return pool.shares.kept > 40000 && pool.numLeftOut.kept > 40000 && pool.cell >= 8;"
        )

    def test_a_full_pool_is_drawn_whole(self):
        self.server.world = World(num_pages=20000, num_requests=1000)
        self.browser.resize(1440, 900)
        self.open_live()
        self.wait_in(POOL, "return pool.owners.length === 20000 && !pool.isStale;")
        self.assertEqual(self.run_in(POOL, "return new Set(pool.slots).size;"), 20000)


if __name__ == "__main__":
    main()
