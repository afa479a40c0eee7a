"""Every folder, file, heading, test and command that the documents name exists; the map of HACKING.md is complete."""

import re
import unittest

import documents as docs
import source_tree as tree

NOT_OURS = {"build", "out", ".git"}


def is_ours(folder):
    """Whether a folder of the root is of the project, and no build or environment of somebody who works on it."""
    made = any((folder / name).exists() for name in ("CMakeCache.txt", "pyvenv.cfg"))
    return folder.is_dir() and folder.name not in NOT_OURS and not made


FOLDERS = {p.name for p in tree.ROOT.iterdir() if is_ours(p)}
CODE = re.compile(r"\.(h|cpp|py|cmake)$")
MAP, TO_ADD = "The map", "Where to add what"  # headings of HACKING.md


def our_files():
    return [p for folder in FOLDERS for p in (tree.ROOT / folder).rglob("*") if p.is_file()]


def folders_of_the_map():
    """The folders that a newcomer meets: those of the root, the libraries of src, and groups of tests."""
    root = {name for name in FOLDERS if not name.startswith(".")}
    below = {f"{top}/{p.name}" for top in ("src", "tests", "src/targets") for p in (tree.ROOT / top).iterdir() if p.is_dir()}
    return (root | below) - {"src/targets"}


def words_of(cell):
    """Paths in backticks of a cell of a table."""
    return [word for _, word in docs.paths_in(cell)]


def why_wrong(command, folder=tree.ROOT):
    """What is wrong with a command of a document in that folder, or an empty string."""
    words = command.split()
    if words[0] == "ctest":
        wanted = re.search(r"-R\s+(?:'([^']+)'|(\S+))", command)
        pattern = wanted and (wanted.group(1) or wanted.group(2))
        if pattern and not any(re.search(pattern, name) for name in docs.registered_tests()):
            return f"no test matches {pattern}"
    elif re.fullmatch(r"(build/\w+/apps/)?quire", words[0]) and len(words) > 1 and re.fullmatch(r"[a-z]\w*", words[1]):
        if words[1] not in docs.subcommands():
            return f"quire has no command {words[1]}"
        unknown = set(re.findall(r"(?<!\S)--[a-z][\w-]*", command.partition("#")[0])) - docs.flags()
        if unknown:
            return f"quire has no flag {', '.join(sorted(unknown))}"
    elif words[0] == "python3" and "-c" not in words:
        script = next((w for w in words[1:] if w.endswith(".py")), None)
        if script and not (docs.exists(script) or docs.exists(script, folder)):
            return f"there is no {script}"
    elif words[0].startswith("scripts/") and not docs.exists(words[0]):
        return f"there is no {words[0]}"
    return ""


def faults_of_checklist(text):
    """Lines of the checklist that lack a place or a test."""
    items = [" ".join(item.split()) for item in re.findall(r"^- (.+?)(?=^- |^\S|^\n|\Z)", text, re.MULTILINE | re.DOTALL)]
    has_all = lambda item: "*Sends everything:*" in item or ("*In* " in item and "*Sent by* " in item)
    return [item[:60] for item in items if not has_all(item)]


class DocsFilesTest(unittest.TestCase):
    def test_named_files_exist(self):
        names = {p.name for p in our_files()}
        for document in docs.documents():
            for number, word in docs.paths_in(document.read_text(encoding="utf-8")):
                where = f"{docs.name_of(document)}:{number} names {word}, which does not exist"
                if "/" in word and word.split("/")[0] in FOLDERS:
                    self.assertTrue(docs.exists(word), where)
                elif "/" not in word and CODE.search(word) and "*" not in word and not word.startswith("."):
                    self.assertTrue(word in names or word == "my_app.cpp", where)

    def test_named_identifiers_stand_in_their_files(self):
        files, num_found = our_files(), 0
        for document in docs.documents():
            for name, path in docs.identifiers_in(document.read_text(encoding="utf-8")):
                places = [tree.ROOT / path] if "/" in path else [p for p in files if p.name == path]
                num_found += 1
                is_there = any(re.search(rf"\b{name}\b", place.read_text(encoding="utf-8")) for place in places)
                self.assertTrue(is_there, f"{docs.name_of(document)} says that {name} stands in {path}")
        self.assertGreater(num_found, 20, "the scan has gone blind")

    def test_links_lead_somewhere(self):
        for document in docs.documents():
            for number, target in docs.links_in(document.read_text(encoding="utf-8")):
                path, _, anchor = target.partition("#")
                leads_to = document.parent / path if path else document
                where = f"{docs.name_of(document)}:{number} links to {target}"
                self.assertTrue(leads_to.exists(), where)
                if anchor:
                    self.assertIn(anchor, docs.anchors(leads_to.read_text(encoding="utf-8")), where)

    def test_documents_that_the_source_names_exist(self):
        sources = [p for p in our_files() if p.suffix in {".h", ".cpp", ".py", ".cmake", ".txt", ".js", ".sh", ""}]
        num_found = 0
        for path in sources:
            if "golden" in path.parts or "corpus" in path.parts:
                continue
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
            for name in re.findall(r"(?<![\w/.\"])docs/[\w/-]+\.(?:md|svg|png)", text):
                num_found += 1
                if name != "docs/x.md":  # an example in this test
                    self.assertTrue(docs.exists(name), f"{path.relative_to(tree.ROOT)} names {name}, which does not exist")
        self.assertGreater(num_found, 3, "the scan has gone blind")

    def test_no_conflict_of_a_merge_is_left(self):
        for path in our_files() + docs.documents():
            if path.suffix in {".md", ".h", ".cpp", ".py", ".txt", ".cmake", ".js", ".json"}:
                text = path.read_text(encoding="utf-8", errors="replace")
                where = re.search(r"(?m)^(<{7}|>{7}) ", text)
                self.assertIsNone(where, f"{path.relative_to(tree.ROOT)}: {where}")

    def test_commands_exist(self):
        num_found = 0
        for document in docs.documents():
            for number, command in docs.commands_in(document.read_text(encoding="utf-8")):
                num_found += 1
                where = f"{docs.name_of(document)}:{number}: {command}"
                self.assertEqual(why_wrong(command, document.parent), "", where)
        self.assertGreater(num_found, 40, "the scan has gone blind")


class HackingTest(unittest.TestCase):
    def setUp(self):
        self.text = docs.read("HACKING.md")

    def rows(self, wanted):
        return [row for heading, rows in docs.tables(self.text) if heading == wanted for row in rows[2:]]

    def test_the_map_names_every_folder(self):
        named = {word for _, cells in self.rows(MAP) for word in words_of(cells[0])}
        self.assertEqual(sorted(folders_of_the_map() - named), [], "folders that the map leaves out")
        self.assertEqual(sorted(word for word in named if not docs.exists(word)), [], "folders that are not there")

    def test_each_line_of_where_to_add_names_files_and_a_check(self):
        rows = self.rows(TO_ADD)
        self.assertGreater(len(rows), 12)
        for number, cells in rows:
            where = f"HACKING.md:{number}: {cells[0]}"
            self.assertEqual(len(cells), 3, where)
            paths = [word for word in words_of(cells[1]) if "/" in word]
            self.assertTrue(paths, f"{where} names no file")
            for path in paths:
                self.assertTrue(docs.exists(path), f"{where} names {path}, which does not exist")
            commands = [command for _, command in docs.commands_in(cells[2])]
            self.assertTrue(commands, f"{where} names no command that checks it")
            for command in commands:
                self.assertEqual(why_wrong(command), "", f"{where}: {command}")


class LayersTest(unittest.TestCase):
    """The table of layers in docs/architecture.md says of each library what CMake says."""

    def test_the_table_of_layers_is_what_cmake_declares(self):
        declared, found = tree.declared_libraries(), {}
        for heading, rows in docs.tables(docs.read("docs/architecture.md")):
            if heading == "Layers":
                found = {cells[0].strip("`").removeprefix("src/"): cells[1] for _, cells in rows[2:]}
        self.assertEqual(set(found), set(declared))
        for folder, known in found.items():
            if known.startswith("all of the above"):
                continue
            named = set(re.findall(r"[\w/]+", known)) & set(declared)
            self.assertEqual(named, declared[folder], f"docs/architecture.md: what {folder} knows")


class FamiliesTest(unittest.TestCase):
    def test_the_documents_name_the_families_that_run(self):
        families = set(re.findall(r'\.architecture = "(\w+)"', tree.read("src/files/model_config.cpp")))
        self.assertGreater(len(families), 3)
        for name in ("README.md", "docs/models.md"):
            self.assertEqual(set(re.findall(r"`(\w+ForCausalLM)`", docs.read(name))), families, name)


class ScanTest(unittest.TestCase):
    def test_the_checklist_names_places_and_tests(self):
        """Each line of the list of what comes from outside has a place that sees to it and a test that sends it, and all are there."""
        text = (tree.ROOT / "docs/outside-input.md").read_text(encoding="utf-8")
        files = {path.name for folder in ("src", "apps", "tests", "scripts") for path in (tree.ROOT / folder).rglob("*") if path.is_file()}
        named = re.findall(r"`([\w./-]+\.(?:cpp|h|py|json))`", text)
        self.assertGreater(len(named), 60, "the pattern that finds files has gone stale")
        for name in named:
            found = (tree.ROOT / name).exists() if "/" in name else name in files
            self.assertTrue(found, f"docs/outside-input.md names {name}, which does not exist")
        self.assertGreater(text.count("*Sent by*"), 40)
        self.assertEqual(faults_of_checklist(text), [])
        self.assertEqual(len(faults_of_checklist("## Requests\n- **X**: must be refused. *In* `a.cpp`.\n- **Y**: no.\n")), 2)

    def test_the_scan_finds_names(self):
        text = ("see `src/base/check.h` and `quire run src/nowhere.cpp`, [here](docs/x.md#a-b), [there](https://a.b), "
                "`src/{a,b}/y.h`, `src/*_test.cpp:12`\n```\n`not/this.h` [nor](this.md)\n```\n`check.h`")
        self.assertEqual([word for _, word in docs.paths_in(text) if "." in word],
                         ["src/base/check.h", "src/nowhere.cpp", "src/*_test.cpp", "check.h"])
        self.assertEqual([target for _, target in docs.links_in(text)], ["docs/x.md#a-b"])
        self.assertEqual(list(docs.identifiers_in("`A::b()` in\n`src/c.h`, `D` (`e.cpp`), `f` of `g.h`")), [("b", "src/c.h"), ("D", "e.cpp")])
        self.assertEqual(docs.anchors("# A b, c\n```\n# no\n```\n## `x` (y)"), {"a-b-c", "x-y"})

    def test_the_scan_finds_commands(self):
        text = "say `quire serve\n--rate 4` or\n| `quire a` | `ctest -R 'x\\|y'` |\n```\nquire b  # c\nls\n```\n`ls`"
        self.assertEqual(list(docs.commands_in(text)),
                         [(1, "quire serve --rate 4"), (3, "quire a"), (3, "ctest -R 'x|y'"), (5, "quire b  # c")])

    def test_wrong_commands_are_found(self):
        for right in ("ctest --preset ci -R layering", "ctest -R '(json|dtype)_test'", "quire info", "quire --version",
                      "quire COMMAND --help", "python3 -B tests/unit/layering/layering_test.py", "scripts/test -R x"):
            self.assertEqual(why_wrong(right), "", right)
        for wrong in ("ctest --preset ci -R nowhere_to_be_found", "quire fly", "quire run --fast", "python3 -B tests/nowhere.py", "scripts/nowhere"):
            self.assertNotEqual(why_wrong(wrong), "", wrong)
        self.assertIn("cli_help_test", docs.registered_tests())
        self.assertIn("json_test", docs.registered_tests())


if __name__ == "__main__":
    unittest.main()
