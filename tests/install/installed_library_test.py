"""The C++ example of README.md and the programs of examples/, built as a project of their own against an installed and then
moved copy of the library: with find_package, and with pkg-config. Neither brings a flag or a folder of ours with it.

installed_library_test.py BUILD_FOLDER COMPILER CMAKE
"""

import re
import shlex
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from outside import ROOT, flags_of, write_programs

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
foreach(name readme attention generate)
  add_executable(${{name}} ${{name}}.cpp)
  target_link_libraries(${{name}} PRIVATE quire::quire)
endforeach()
"""
PROGRAMS = ("readme", "attention", "generate")


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
        write_programs(cls.source)

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

    def expect_they_run(self, folder):
        self.assertRegex(self.run_tool(folder / "attention"), r"largest error of 7 tokens: \d")
        if (DEMO / "model.safetensors").exists():
            self.assertIn("Bob", self.run_tool(folder / "readme", cwd=ROOT))
            self.assertGreater(len(self.run_tool(folder / "generate", DEMO).strip()), 40)
        text = self.run_tool(folder / "generate", self.folder / "nowhere", code=1)
        self.assertRegex(text, r"^not found: .*nowhere")

    def test_find_package(self):
        build, said = self.configure(VERSION)
        self.assertIn(f"found quire {VERSION}", said)
        self.run_tool(CMAKE, "--build", build)
        self.assertEqual(flags_of(build, "readme.cpp"), ["-isystem", str(self.prefix / "include")])
        self.expect_they_run(build)

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
        by_hand = self.folder / "by_hand"
        by_hand.mkdir()
        for name in PROGRAMS:
            self.run_tool(CXX, "-std=c++20", self.source / f"{name}.cpp", "-o", by_hand / name, *flags)
        self.expect_they_run(by_hand)

    def test_no_path_of_this_build_is_installed(self):
        texts = [p for p in self.prefix.rglob("*") if p.suffix in {".cmake", ".pc", ".h"}]
        self.assertGreater(len(texts), 10)
        for path in texts:
            text = path.read_text(encoding="utf-8")
            for place in (str(ROOT), BUILD, str(self.folder / "first")):
                self.assertNotIn(place, text, path)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]])
