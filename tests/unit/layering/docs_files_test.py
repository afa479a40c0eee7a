"""Every file that the docs name exists, and the docs' links lead somewhere."""

import re
import unittest

import source_tree as tree

FOLDERS = {p.name for p in tree.ROOT.iterdir() if p.is_dir() and p.name not in {"build", "out", ".git", ".venv"}}
PLACEHOLDER = re.compile(r"[*<>{}…]|\.\.\.")


def documents():
    return sorted([*tree.ROOT.glob("*.md"), *tree.ROOT.glob("docs/*.md"), *tree.ROOT.glob("models/**/*.md")])


def named_paths(text):
    """Paths in backticks that start with a folder of the tree, and relative targets of links."""
    for code in re.findall(r"`([^`\n]+)`", text):
        for word in re.findall(r"[\w./-]+(?:[*<>{}…,\w./-]*)", code):
            word = word.rstrip(".,:;/")
            if "/" in word and word.split("/")[0] in FOLDERS and not PLACEHOLDER.search(word):
                yield "root", word.split(":")[0]
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not re.match(r"[a-z]+:", target):
            yield "link", target


class DocsFilesTest(unittest.TestCase):
    def test_named_files_exist(self):
        for document in documents():
            for kind, name in named_paths(document.read_text(encoding="utf-8")):
                base = tree.ROOT if kind == "root" else document.parent
                self.assertTrue((base / name).exists(), f"{document.relative_to(tree.ROOT)} names {name}, which does not exist")

    def test_the_scan_finds_names(self):
        text = "see `src/base/check.h` and `quire run src/nowhere.cpp`, [here](docs/x.md), [there](https://a.b), `src/*/y.h`"
        self.assertEqual(list(named_paths(text)), [("root", "src/base/check.h"), ("root", "src/nowhere.cpp"), ("link", "docs/x.md")])


if __name__ == "__main__":
    unittest.main()
