"""The support matrix in the docs is the one that the program prints. `support_matrix_test.py QUIRE --write` brings it up to date.

In a document it stands between the lines <!-- support-matrix --> and <!-- /support-matrix -->.
"""

import re
import sys
import unittest

from program import OK, ROOT, ProgramTest, run

SECTION = re.compile(r"(<!-- support-matrix -->\n)(.*?)(<!-- /support-matrix -->)", re.S)


def documents():
    return [p for p in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]) if SECTION.search(p.read_text(encoding="utf-8"))]


class SupportMatrixTest(ProgramTest):
    def test_docs_are_current(self):
        matrix = self.expect(OK, "info", "--markdown").stdout
        self.assertTrue(documents(), "no document carries the support matrix")
        for document in documents():
            for section in SECTION.finditer(document.read_text(encoding="utf-8")):
                self.assertEqual(section.group(2).strip(), matrix.strip(), f"{document.relative_to(ROOT)}: run {sys.argv[0]} QUIRE --write")

    def test_the_matrix_agrees_with_info(self):
        text, markdown = self.expect(OK, "info").stdout, self.expect(OK, "info", "--markdown").stdout
        for row in markdown.splitlines()[2:]:
            feature, *answers = [cell.strip() for cell in row.strip("|").split("|")]
            self.assertRegex(text, rf"(?m)^  {re.escape(feature)} +{' +'.join(answers)}$")


def write():
    matrix = run("info", "--markdown").stdout
    for document in documents():
        text = document.read_text(encoding="utf-8")
        document.write_text(SECTION.sub(lambda m: m.group(1) + matrix + m.group(3), text), encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write()
    else:
        unittest.main()
