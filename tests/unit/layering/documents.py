"""The documents as the tests of their rules see them: which there are, their prose, the names and commands in them."""

import re
from pathlib import Path

import source_tree as tree

PLACEHOLDER = re.compile(r"[<>{}…]|\.\.\.|NAME")
FENCE = re.compile(r"\s*(```|~~~)")
# A function that a document shows as the source has it; docs_pieces_test.py compares.
PIECE = re.compile(r"(<!-- source (?P<file>\S+) (?P<function>[\w:~]+) -->\n```cpp\n)(?P<text>.*?)(```\n)", re.S)
ITEM = re.compile(r"^([-*+]|\d+\.)\s+")


def documents():
    """All Markdown files of the project, sorted."""
    folders = ("docs", "models", "bench")
    return sorted([*tree.ROOT.glob("*.md"), *(p for folder in folders for p in (tree.ROOT / folder).rglob("*.md"))])


def name_of(document):
    return document.relative_to(tree.ROOT).as_posix()


def lines_outside_code(text):
    """(number, line) of all lines that stand in no fenced block."""
    is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            is_code = not is_code
        elif not is_code:
            yield number, line


def is_table(line):
    return line.lstrip().startswith("|")


def paragraphs(text):
    """(number of its first line, words) of each paragraph; an item of a list is one. Tables, code and headings are none."""
    start, words, last = 0, [], 0
    for number, line in lines_outside_code(text):
        stripped = line.strip()
        ends = not stripped or is_table(line) or line.startswith(("#", "    ")) or stripped.startswith(("<!--", "!["))
        if words and (ends or number != last + 1 or ITEM.match(stripped)):
            yield start, words
            words = []
        if ends:
            continue
        if not words:
            start = number
        words = words + ITEM.sub("", stripped, count=1).split()
        last = number
    if words:
        yield start, words


def paths_in(text):
    """What stands in backticks outside of code blocks and looks like a path or a file of the project's languages."""
    for number, line in lines_outside_code(text):
        for code in re.findall(r"`([^`\n]+)`", line):
            for word in re.findall(r"[\w./*-]+(?:[<>{}…,\w./*-]*)", code):
                word = word.rstrip(".,:;/").split(":")[0]
                if word and not PLACEHOLDER.search(word):
                    yield number, word


def identifiers_in(text):
    """(identifier, file) where a document says `identifier` in `file`, or `identifier` (`file`)."""
    prose = " ".join(line.strip() for _, line in lines_outside_code(text))
    for name, path in re.findall(r"`([\w:]+)(?:<[^`]*>)?(?:\(\))?` (?:in |\()`([\w/.]+\.(?:h|cpp|py|js))`", prose):
        yield name.split("::")[-1], path


def links_in(text):
    """(number, target) of links and pictures that lead to files or headings of the project."""
    for number, line in lines_outside_code(text):
        for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", line):
            if not re.match(r"[a-z]+:", target):
                yield number, target


def anchors(text):
    """What a link may name behind #, by GitHub's rule."""
    found = set()
    for _, line in lines_outside_code(text):
        if line.startswith("#"):
            title = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            found.add(title.replace(" ", "-"))
    return found


def blocks(text):
    """(first number, text) of the lines outside of code that stand together, joined; of a table each line by itself."""
    start, lines, last = 0, [], 0
    for number, line in [*lines_outside_code(text), (0, "")]:
        ends = is_table(line) or not line.strip() or number != last + 1
        if lines and ends:
            yield start, " ".join(lines)
            lines = []
        if is_table(line):
            yield number, line
        elif line.strip():
            start = start if lines else number
            lines.append(line.strip())
        last = number


def commands_in(text):
    """(number, command) of commands in backticks, and of lines of fenced blocks that begin with a program of the project."""
    found = [(number, code) for number, block in blocks(text) for code in re.findall(r"`([^`]+)`", block)]
    is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            is_code = not is_code
        elif is_code:
            found.append((number, line.strip()))
    for number, command in found:
        if re.match(r"(quire|ctest|scripts/\w+|python3|build/\w+/apps/quire)\b", command):
            yield number, command.replace("\\|", "|")  # as a table has to write it


def tables(text):
    """(heading, rows) of each table; rows are (number, [cell])."""
    heading, rows = "", []
    for number, line in lines_outside_code(text):
        if not is_table(line):
            if rows:
                yield heading, rows
                rows = []
            if line.startswith("#"):
                heading = line.lstrip("#").strip()
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        rows.append((number, cells))
    if rows:
        yield heading, rows


def registered_tests():
    """Names of the tests that CMake registers, read from the CMakeLists.txt in tests."""
    names = set()
    for path in (tree.ROOT / "tests").rglob("CMakeLists.txt"):
        text = re.sub(r"#[^\n]*", "", path.read_text(encoding="utf-8"))
        loops = []
        for match in re.finditer(r"(foreach|endforeach|quire_test|add_test)\s*\(\s*([^)]*)", text):
            word, rest = match.group(1), match.group(2).split()
            if word == "foreach":
                loops.append((rest[0], rest[1:]))
            elif word == "endforeach":
                loops.pop()
            else:
                name = rest[1] if word == "add_test" else rest[0]
                expanded = [name]
                for variable, values in loops:
                    expanded = [n.replace("${%s}" % variable, value) for n in expanded for value in values]
                names.update(expanded)
    return {name for name in names if "$" not in name}


def subcommands():
    """Words that may follow `quire`, from the program's source."""
    text = "".join(tree.read(p) for p in tree.files("apps"))
    return set(re.findall(r'add_subcommand\(\s*"([\w-]+)"', text))


def flags():
    """Flags of any command of the program, from its source."""
    text = "".join(tree.read(p) for p in tree.files("apps"))
    return {"--help", "--version"} | set(re.findall(r'["\w,](--[a-z][\w-]+)', text))


def exists(word, base=tree.ROOT):
    """Whether a path, which may have `*` in it, leads to something."""
    return any(base.glob(word)) if "*" in word else (base / word).exists()


def read(name):
    return (tree.ROOT / Path(name)).read_text(encoding="utf-8")
