"""Pieces of the source that documents show are what the source says; plots are what their tables give.

In a document a function stands in a block of C++ behind the line <!-- source FILE FUNCTION -->, without the indentation that
it has there. `docs_pieces_test.py --write` brings all of them up to date.
"""

import re
import subprocess
import sys
import textwrap
import unittest

import documents as docs
import size_budget_test as budget
import source_tree as tree



def function_text(path, name):
    """A function of a file with the comment above it, without its common indentation. Error if there is not exactly one."""
    text = tree.read(path)
    found = [(line, lines) for line, lines, _, function in budget.functions(text) if function == name]
    if len(found) != 1:
        raise LookupError(f"{path} has {len(found)} functions {name}")
    lines, (first, count) = text.splitlines(), found[0]
    start = first - 1
    while start > 0 and re.match(r"\s*//", lines[start - 1]):
        start -= 1
    return textwrap.dedent("\n".join(lines[start:first - 1 + count])) + "\n"


def pieces(text):
    return list(docs.PIECE.finditer(text))


def write():
    def current(match):
        return match.group(1) + function_text(match["file"], match["function"]) + match.group(5)

    for document in docs.documents():
        text = document.read_text(encoding="utf-8")
        document.write_text(docs.PIECE.sub(current, text), encoding="utf-8")


class DocsPiecesTest(unittest.TestCase):
    def test_pieces_are_what_the_source_says(self):
        num_found = 0
        for document in docs.documents():
            text = document.read_text(encoding="utf-8")
            self.assertEqual(len(pieces(text)), text.count("<!-- source "), f"{docs.name_of(document)}: a piece without its block")
            for piece in pieces(text):
                num_found += 1
                self.assertEqual(piece["text"], function_text(piece["file"], piece["function"]),
                                 f"{docs.name_of(document)}: run {sys.argv[0]} --write")
        self.assertGreater(num_found, 0, "the scan has gone blind")

    def test_plots_are_what_their_tables_give(self):
        result = subprocess.run([sys.executable, tree.ROOT / "scripts/decode_plot", "--check"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_a_changed_piece_is_found(self):
        text = function_text("src/kernels/softmax_state.h", "update")
        self.assertTrue(text.startswith("//"))
        self.assertTrue(text.endswith("\n}\n"))
        self.assertRaises(LookupError, function_text, "src/kernels/softmax_state.h", "nowhere_to_be_found")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write()
    else:
        unittest.main()
