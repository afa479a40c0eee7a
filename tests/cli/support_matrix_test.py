"""The matrix of targets, formats and features in the documents is what the program answers, and what it says to have run has run.

What a target can do is asked of the program (`quire info --markdown`); of a GPU that is not here, of the lane emulator, which has
the rules of its chip. Where it ran stands in tests/conformance/where_it_ran.json: the program cannot know. In a document the
matrix stands between the lines <!-- support-matrix --> and <!-- /support-matrix -->. `support_matrix_test.py QUIRE --write` brings
it up to date.
"""

import json
import re
import sys
import unittest

from program import OK, ROOT, ProgramTest, run

SECTION = re.compile(r"(<!-- support-matrix -->\n)(.*?)(<!-- /support-matrix -->)", re.S)
EVIDENCE = ROOT / "tests/conformance/where_it_ran.json"
STATES = ("executed", "emulated", "compiled", "untried")
FORMAT = re.compile(r"[a-z]+\d+")  # f32, bf16: rows that name a format and no feature
BACKEND = "unified"


def documents():
    return [p for p in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]) if SECTION.search(p.read_text(encoding="utf-8"))]


def evidence():
    return json.loads(EVIDENCE.read_text(encoding="utf-8"))


def answers(device):
    """{feature: {backend: "yes" or "no"}} that the program gives for a device, in its order."""
    result = run("info", "--markdown", "--device", device)
    if result.returncode != 0:
        raise LookupError(f"quire info --device {device}: {result.stderr.strip()}")
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in result.stdout.splitlines()]
    return {row[0]: dict(zip((name.strip("`") for name in header[1:]), row[1:])) for row in rows}


def cell(entry, feature, answer):
    return entry.get("except", {}).get(feature, entry["state"]) if answer == "yes" else "no"


def matrix():
    """The table as documents carry it: formats first, then features; a column for each entry of the evidence."""
    columns = [(entry, answers(entry["asked_as"])) for entry in evidence()]
    features = list(columns[0][1])
    lines = ["| | " + " | ".join(f"`{entry['target']}` {entry['level']}" for entry, _ in columns) + " |",
             "|---|" + "---|" * len(columns)]
    for feature in [*filter(FORMAT.fullmatch, features), *(f for f in features if not FORMAT.fullmatch(f))]:
        cells = [cell(entry, feature, said[feature][BACKEND]) for entry, said in columns]
        lines.append(f"| {feature} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


class SupportMatrixTest(ProgramTest):
    def setUp(self):
        try:
            answers("emulator:sm_80")
        except LookupError as e:
            self.skipTest(f"this build has no emulated chips to ask: {e}")

    def test_docs_are_current(self):
        self.assertTrue(documents(), "no document carries the support matrix")
        current = matrix()
        for document in documents():
            for section in SECTION.finditer(document.read_text(encoding="utf-8")):
                self.assertEqual(section.group(2).strip(), current, f"{document.relative_to(ROOT)}: run {sys.argv[0]} QUIRE --write")


class EvidenceTest(ProgramTest):
    def test_words_and_features_are_known(self):
        features = answers("cpu")
        for entry in evidence():
            for state in [entry["state"], *entry.get("except", {}).values()]:
                self.assertIn(state, STATES, entry)
            self.assertEqual(set(entry.get("except", {})) - set(features), set(), entry)
            self.assertRegex(entry["how"], r"\w")

    # The self-test and the test of features run at every level that the processor has: those are executed.
    def test_levels_of_this_processor_are_said_to_be_executed(self):
        said = {level: entry["state"] for entry in evidence() for level in entry.get("levels", [])}
        text = self.expect(OK, "info").stdout
        section = re.search(r"(?m)^  cpu .*\n((?: {11}.*\n)+)", text)
        self.assertIsNotNone(section, text)
        levels = [line.split() for line in section.group(1).splitlines()]
        self.assertTrue(levels)
        for words in levels:
            self.assertIn(words[0], said)
            if not re.search(r"\b(lacks|absent|missing|not)\b", " ".join(words)):
                self.assertEqual(said[words[0]], "executed", " ".join(words))

    # Chips that are compiled for are those of the compile gate; what is emulated has kernels in the emulator.
    def test_chips_are_compiled_and_emulated(self):
        gate = (ROOT / "tests/conformance/cuda_compile_test.cpp").read_text(encoding="utf-8")
        compiled = set(re.findall(r'\{"(sm_\w+)", \d+,', gate))
        places = (ROOT / "tests/conformance/feature_matrix_test.cpp").read_text(encoding="utf-8")
        emulated = set(re.findall(r'"(sm_\w+)"', places))
        self.assertTrue(compiled and emulated)
        for entry in evidence():
            for chip in entry.get("chips", []):
                self.assertIn(chip, compiled, entry)
                if entry["state"] in ("emulated", "executed"):
                    self.assertIn(chip, emulated, entry)

    def test_the_matrix_agrees_with_info(self):
        text = self.expect(OK, "info").stdout
        for feature, said in answers("cpu").items():
            self.assertRegex(text, rf"(?m)^  {re.escape(feature)} +{' +'.join(said.values())}$")

    def test_a_no_and_an_exception_show(self):
        entry = {"state": "executed", "except": {"sinks": "emulated"}}
        self.assertEqual([cell(entry, "causal", "yes"), cell(entry, "causal", "no"), cell(entry, "sinks", "yes")],
                         ["executed", "no", "emulated"])


def write():
    current = matrix() + "\n"
    for document in documents():
        text = document.read_text(encoding="utf-8")
        document.write_text(SECTION.sub(lambda m: m.group(1) + current + m.group(3), text), encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write()
    else:
        unittest.main()
