"""The C++ example of README.md, built as a project of its own against an installed and then moved copy of the library:
with find_package, and with pkg-config. Neither brings a flag or a folder of ours with it.

installed_library_test.py BUILD_FOLDER COMPILER CMAKE
"""

import json
import re
import shlex
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "models/demo"
BUILD, CXX, CMAKE = sys.argv[1:4]
VERSION = re.search(
    r"project\(quire VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
).group(1)
PROJECT = """cmake_minimum_required(VERSION 3.25)
project(outside LANGUAGES CXX)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
find_package(quire {version} REQUIRED)
message(STATUS "found quire ${{quire_VERSION}}")
add_executable(outside main.cpp)
target_link_libraries(outside PRIVATE quire::quire)
"""


def readme_example():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.search(r"```cpp\n(#include.*?int main.*?)```", text, re.S).group(1)


class InstalledLibraryTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.run_tool(
            CMAKE, "--install", BUILD, "--prefix", cls.folder / "first", "--component", "development"
        )
        cls.prefix = cls.folder / "moved/prefix"
        cls.prefix.parent.mkdir()
        (cls.folder / "first").rename(cls.prefix)
        cls.source = cls.folder / "outside"
        cls.source.mkdir()
        (cls.source / "main.cpp").write_text(readme_example(), encoding="utf-8")

    @classmethod
    def run_tool(cls, *command, code=0, **options):
        result = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, timeout=240, check=False, **options
        )
        if result.returncode != code:
            raise AssertionError(
                f"{shlex.join(map(str, command))}: {result.returncode}\n{result.stdout}\n{result.stderr}"
            )
        return result.stdout + result.stderr

    def configure(self, version, code=0):
        (self.source / "CMakeLists.txt").write_text(PROJECT.format(version=version), encoding="utf-8")
        build = self.folder / "build"
        return build, self.run_tool(
            CMAKE,
            "-G",
            "Ninja",
            "-S",
            self.source,
            "-B",
            build,
            f"-DCMAKE_PREFIX_PATH={self.prefix}",
            f"-DCMAKE_CXX_COMPILER={CXX}",
            code=code,
        )

    def expect_it_runs(self, program):
        if (DEMO / "model.safetensors").exists():
            self.assertGreater(len(self.run_tool(program, DEMO).strip()), 40)
        text = self.run_tool(program, self.folder / "nowhere", code=1)
        self.assertRegex(text, r"^not found: .*nowhere")

    def test_find_package(self):
        build, said = self.configure(VERSION)
        self.assertIn(f"found quire {VERSION}", said)
        self.run_tool(CMAKE, "--build", build)
        command = shlex.split(
            json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))[0]["command"]
        )
        command = [
            word for word in command if not re.fullmatch(r"-std=(c|gnu)\+\+20|-o|-c|.*main\.cpp(\.o)?", word)
        ]
        self.assertEqual(command[1:], ["-isystem", str(self.prefix / "include")])
        self.expect_it_runs(build / "outside")

    def test_another_version_is_not_taken(self):
        _, said = self.configure("9.1", code=1)
        self.assertIn(f"version: {VERSION}", said)

    def test_pkg_config(self):
        config = next(self.prefix.rglob("quire.pc"))
        ask = ("pkg-config", "--with-path", config.parent)
        self.assertEqual(self.run_tool(*ask, "--modversion", "quire").strip(), VERSION)
        flags = self.run_tool(*ask, "--cflags", "--libs", "quire").split()
        folders = [Path(word[2:]).resolve() for word in flags if word.startswith("-I")]
        self.assertEqual(folders, [(self.prefix / "include").resolve()])
        self.run_tool(CXX, "-std=c++20", self.source / "main.cpp", "-o", self.folder / "by_hand", *flags)
        self.expect_it_runs(self.folder / "by_hand")

    def test_no_path_of_this_build_is_installed(self):
        texts = [p for p in self.prefix.rglob("*") if p.suffix in {".cmake", ".pc", ".h"}]
        self.assertGreater(len(texts), 10)
        for path in texts:
            text = path.read_text(encoding="utf-8")
            for place in (str(ROOT), BUILD, str(self.folder / "first")):
                self.assertNotIn(place, text, path)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]])
