"""Budgets: small files, short functions, few parameters, short lines; the attention kernel and each target as wholes.

`size_budget_test.py --write` writes the list of files with long lines anew; it should only ever get shorter.
"""

import re
import sys
import unittest
from pathlib import Path

import source_tree as tree

FILE_LINES, FUNCTION_LINES, ATTENTION_LINES = 500, 60, 1000  # to stay below
FUNCTION_PARAMETERS, TEMPLATE_PARAMETERS = 8, 6
# What is a target's own, its tile text and its host half, has to stay below.
TARGET_LINES, OTHER_TARGET_LINES = {"cpu": 3000, "cuda": 3500}, 2500
SHARED_BY_TARGETS = {"jit"}  # of src/targets: what targets whose kernels are compiled at run time have in common
# Targets that are beyond their budget, with the lines that they may have until they are not. To be emptied.
OVER_BUDGET = {}
LINE_CHARACTERS = 110  # of .clang-format
LONG_LINES = Path(__file__).with_name("long_lines.txt")  # files that have longer ones, and how many
CODE = ("src", "include", "apps", "tests")

NOT_A_FUNCTION = re.compile(r"^\s*(?:else\s+)?(?:if|for|while|switch|catch|do|namespace|extern)\b|\b(class|struct|enum|union)\s+[\w:<>, ]*(?:final\s*)?(?::[^:()]|$)|=\s*$|^\s*$")
FOREIGN = re.compile(r"(cu[A-Z]|stubLt)\w+$")  # of vendors' libraries, imitated for tests: their parameters are given
TRANSPARENT = re.compile(r"\b(namespace|class|struct|union|extern)\b")


def split_top(text):
    """The text cut at commas that stand in no bracket."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        if c in "(<[{":
            depth += 1
        elif c in ")]}" or (c == ">" and text[i - 1:i] != "-"):
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return [p for p in parts if p.strip()]


def closing(text, start, opener, closer):
    """Index of the bracket that closes the one at `start`."""
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] == opener) - (text[i] == closer)
        if depth == 0:
            return i
    return len(text) - 1


def without_templates(header):
    """The header without its template<...> prefixes."""
    while True:
        match = re.match(r"\s*template\s*<", header)
        if not match:
            return header
        header = header[closing(header, match.end() - 1, "<", ">") + 1:]


def parameters(header):
    """Number of parameters of a function header, or None if it is none. A constructor's initialisers do not count."""
    header = without_templates(header)
    if NOT_A_FUNCTION.search(header):
        return None
    match = re.search(r"(?:operator\s*\(\s*\)|operator\s*[^\s\w(]+|~?\w+)\s*\(", header)
    if not match:
        return None
    end = closing(header, match.end() - 1, "(", ")")
    rest = header[end + 1:].strip()
    if rest and not re.match(r"(const|noexcept|override|final|mutable|->|:|&|&&|requires|try)", rest):
        return None
    return len(split_top(header[match.end():end]))


def is_inside_header(header):
    """Whether a brace behind this text belongs to the header: a default argument, or a member's initialiser."""
    if header.count("(") > header.count(")"):
        return True
    return bool(re.search(r"\)[\w\s]*:[^:]", header) and re.search(r"[\w>]\s*$", header))


def functions(text):
    """(first line, number of lines, number of parameters, name) of each function definition; lambdas belong to their function."""
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: "\n" * m.group().count("\n"), tree.bare(text), flags=re.M)
    found, i, start = [], 0, 0
    while i < len(code):
        header = code[start:i]
        if code[i] == "{" and is_inside_header(header):
            i = closing(code, i, "{", "}")
        elif code[i] == "{":
            count = parameters(header)
            if count is not None:
                end = closing(code, i, "{", "}")
                first = start + len(header) - len(header.lstrip())
                name = re.search(r"([\w:~]+|operator\S+)\s*\(", without_templates(header)).group(1)
                found.append((code.count("\n", 0, first) + 1, code.count("\n", first, end) + 1, count, name))
                i = end
            elif not TRANSPARENT.search(without_templates(header)):
                i = closing(code, i, "{", "}")  # an initialiser, enumerators
            start = i + 1
        elif code[i] in ";}" or (code[i] == ":" and re.search(r"\b(public|private|protected)\s*$", header)):
            start = i + 1
        i += 1
    return found


def template_lists(text):
    """(line, number of parameters) of each template<...>."""
    code = tree.bare(text)
    for match in re.finditer(r"\btemplate\s*<", code):
        end = closing(code, match.end() - 1, "<", ">")
        yield code.count("\n", 0, match.start()) + 1, len(split_top(code[match.end():end]))


def num_lines(paths):
    return sum(len(tree.read(p).splitlines()) for p in paths)


def target_sizes():
    """{target: lines of its tile text and its host half}. The tile text stands in either of two places."""
    names = {p.name for p in (tree.ROOT / "src/targets").iterdir() if p.is_dir()} - SHARED_BY_TARGETS
    return {name: num_lines(tree.files(f"src/tile/target_{name}", f"src/targets/{name}")) for name in names}


def long_lines():
    """{path: number of its lines that are too long}, of those files that have such."""
    counts = {p.as_posix(): sum(len(line) > LINE_CHARACTERS for line in tree.read(p).splitlines()) for p in tree.files(*CODE)}
    return {path: number for path, number in counts.items() if number > 0}


def read_long_lines():
    return {path: int(number) for number, path in map(str.split, LONG_LINES.read_text(encoding="utf-8").splitlines())}


def write_long_lines():
    LONG_LINES.write_text("".join(f"{number} {path}\n" for path, number in long_lines().items()), encoding="utf-8")


def kernel_closure(path, seen):
    """The file and all kernel files that it includes."""
    seen.add(path)
    for _, include in tree.includes(path):
        next_path = next((p for p in tree.files("src/kernels") if p.as_posix() == f"src/{include}"), None)
        if next_path is not None and next_path not in seen:
            kernel_closure(next_path, seen)
    return seen


class SizeBudgetTest(unittest.TestCase):
    def test_files_are_small(self):
        for path in tree.files(*CODE):
            self.assertLess(num_lines([path]), FILE_LINES, path)

    def test_functions_are_short_and_take_few_parameters(self):
        num_found = 0
        for path in tree.files(*CODE):
            for line, lines, count, name in functions(tree.read(path)):
                num_found += 1
                self.assertLess(lines, FUNCTION_LINES, f"{path}:{line} {name} has {lines} lines")
                if not FOREIGN.match(name):
                    self.assertLessEqual(count, FUNCTION_PARAMETERS, f"{path}:{line} {name} takes {count} parameters")
        self.assertGreater(num_found, 500, "the scan has gone blind")

    def test_templates_take_few_parameters(self):
        for path in tree.files(*CODE):
            for line, count in template_lists(tree.read(path)):
                self.assertLessEqual(count, TEMPLATE_PARAMETERS, f"{path}:{line}")

    def test_no_macro_takes_a_statement(self):
        for path in tree.files(*CODE):
            for number, line in enumerate(tree.bare(tree.read(path)).splitlines(), 1):
                self.assertNotRegex(line, r"#\s*define\s+\w+\([^)]*\b(body|stmt|statement|code)\b", f"{path}:{number}")

    def test_attention_kernel_is_small(self):
        attention = next(p for p in tree.files("src/kernels") if p.name == "paged_attention.h")
        paths = kernel_closure(attention, set())
        self.assertLess(num_lines(paths), ATTENTION_LINES, sorted(p.as_posix() for p in paths))

    def test_targets_are_small(self):
        sizes = target_sizes()
        self.assertGreaterEqual(set(sizes), {"cpu", "cuda", "emulator"} | set(OVER_BUDGET))
        for target, lines in sizes.items():
            budget = TARGET_LINES.get(target, OTHER_TARGET_LINES)
            if target in OVER_BUDGET:
                self.assertGreaterEqual(lines, budget, f"{target} keeps its budget now: take it out of OVER_BUDGET")
                budget = OVER_BUDGET[target]
            self.assertLess(lines, budget, target)

    def test_lines_are_short(self):
        listed = read_long_lines()
        for path, number in long_lines().items():
            self.assertLessEqual(number, listed.get(path, 0), f"{path} has {number} lines of more than {LINE_CHARACTERS} characters")
        for path in listed:
            self.assertTrue((tree.ROOT / path).exists(), f"{LONG_LINES.name} names {path}, which does not exist")

    def test_the_scan_counts_right(self):
        text = """namespace a {
class B : public C {
 public:
  B(int x, std::vector<std::pair<int, int>> y) : x_(x), y_{1, 2} {
    if (x) { y(); }
  }
  int get() const { return x_; }
 private:
  int z_ = 0;
  std::vector<int> w_{1, 2};
};
template <class T, int N = 3>
T long_one(const T& a, std::function<void(int, int)> f = {},
           int b = 1) {
  const auto g = [&](int i) {
    return i;
  };
  for (int i = 0; i < N; ++i) {
    g(i);
  }
  return a;
}
enum class E { kOne, kTwo };
constexpr Thing kThings[] = {{"x {", 1}, {"y", 2}};
struct D { int a; bool operator==(const D& d) const { return a == d.a; } };
}"""
        self.assertEqual([(n, l, c, name) for n, l, c, name in functions(text)],
                         [(4, 3, 2, "B"), (7, 1, 0, "get"), (12, 11, 3, "long_one"), (25, 1, 1, "operator==")])
        self.assertEqual(list(template_lists(text)), [(12, 2)])


if __name__ == "__main__":
    if "--write" in sys.argv:
        write_long_lines()
    else:
        unittest.main()
