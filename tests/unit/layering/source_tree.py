"""The source tree as the tests of its rules see it: files, their text without comments and strings, and what CMake declares."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SUFFIXES = {".h", ".cpp"}


def files(*folders):
    """C++ files of the folders, as paths relative to the root, sorted."""
    found = []
    for folder in folders:
        found += [p.relative_to(ROOT) for p in (ROOT / folder).rglob("*") if p.suffix in SUFFIXES]
    return sorted(found)


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


_NOISE = re.compile(
    r'R"(?P<mark>[^()\\ ]{0,16})\(.*?\)(?P=mark)"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'', re.S)


def bare(text):
    """The text with comments gone and strings emptied; line numbers stay what they were."""

    def blank(match):
        kept = "" if match.group().startswith("/") else '""'
        return kept + "\n" * match.group().count("\n")

    return _NOISE.sub(blank, text)


def includes(path):
    """Quoted includes of a file with their line numbers."""
    for number, line in enumerate(read(path).splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if match:
            yield number, match.group(1)


def _cmake_words(path):
    return re.sub(r"#[^\n]*", "", read(path))


def declared_libraries():
    """{folder: set of folders it may include}, from the DEPS of each quire_library."""
    folder_of, deps_of = {}, {}
    for path in sorted(p.relative_to(ROOT) for p in [*(ROOT / "src").rglob("CMakeLists.txt"), ROOT / "apps/CMakeLists.txt"]):
        for name, body in re.findall(r"quire_library\(\s*(\w+)(.*?)\)", _cmake_words(path), re.S):
            folder = path.parent.relative_to("src") if path.parts[0] == "src" else path.parent
            folder_of[name] = folder.as_posix()
            deps_of[name] = re.findall(r"\bquire_\w+", body.partition("DEPS")[2])
    return {folder_of[name]: {folder_of[dep] for dep in deps} for name, deps in deps_of.items()}


def layer_order():
    """Folders in the order of src/CMakeLists.txt, which is that of the layers; the program is on top."""
    return re.findall(r"add_subdirectory\(([\w/]+)\)", _cmake_words("src/CMakeLists.txt")) + ["apps"]
