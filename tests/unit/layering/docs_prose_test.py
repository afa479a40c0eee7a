"""Documents can be read: paragraphs and lines are short. Tables may be wide; pieces of the source keep to its own width."""

import unittest

import documents as docs

WORDS, CHARACTERS = 90, 120  # of a paragraph, of a line; to stay below


class DocsProseTest(unittest.TestCase):
    def test_paragraphs_are_short(self):
        num_found = 0
        for document in docs.documents():
            for number, words in docs.paragraphs(document.read_text(encoding="utf-8")):
                num_found += 1
                with self.subTest(document=f"{docs.name_of(document)}:{number}"):
                    self.assertLess(len(words), WORDS)
        self.assertGreater(num_found, 200, "the scan has gone blind")

    def test_lines_are_short(self):
        for document in docs.documents():
            text = docs.PIECE.sub(lambda m: "\n" * m.group().count("\n"), document.read_text(encoding="utf-8"))
            for number, line in enumerate(text.splitlines(), 1):
                if not docs.is_table(line):
                    with self.subTest(document=f"{docs.name_of(document)}:{number}"):
                        self.assertLess(len(line), CHARACTERS)

    def test_the_scan_counts_right(self):
        text = "# A title\none two\nthree\n\n- four five\n  six\n- seven\n\n| a | b |\n```\ncode here\n```\neight\n    no prose\nnine"
        self.assertEqual([(number, len(words)) for number, words in docs.paragraphs(text)],
                         [(2, 3), (5, 3), (7, 1), (13, 1), (15, 1)])


if __name__ == "__main__":
    unittest.main()
