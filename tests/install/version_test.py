"""The commit that a build carries: as git says it, "unknown" without a repository, and written only when it has changed, so
that a new commit compiles one file.

version_test.py CMAKE COMPILER
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CMAKE, CXX = sys.argv[1:3]
GIT = shutil.which("git")
PROJECT = """cmake_minimum_required(VERSION 3.25)
project(quire VERSION 7.8.9 LANGUAGES CXX)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_BUILD_TYPE Release)
function(quire_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
endfunction()
add_subdirectory(src/version)
add_executable(says main.cpp)
target_link_libraries(says PRIVATE quire_version)
"""
MAIN = '#include <cstdio>\n#include "quire/version.h"\nint main() { std::puts(quire::build_text().c_str()); }\n'


def run(*command, **options):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    if result.returncode != 0:
        raise AssertionError(f"{command}: {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result.stdout


def git(folder, *args):
    return run(GIT, "-C", folder, "-c", "user.name=test", "-c", "user.email=test@localhost", *args).strip()


class VersionTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.source = self.folder / "source"
        shutil.copytree(ROOT / "cmake", self.source / "cmake")
        shutil.copytree(ROOT / "src/version", self.source / "src/version")
        (self.source / "include/quire").mkdir(parents=True)
        shutil.copy(ROOT / "include/quire/version.h", self.source / "include/quire")
        (self.source / "CMakeLists.txt").write_text(PROJECT, encoding="utf-8")
        (self.source / "main.cpp").write_text(MAIN, encoding="utf-8")

    def commit(self):
        output = self.folder / "commit.cpp"
        script = self.source / "cmake/write_commit.cmake"
        run(CMAKE, f"-DSOURCE={self.source}", f"-DOUTPUT={output}", "-P", script)
        return re.search(r'kCommit = "(.*)"', output.read_text(encoding="utf-8")).group(1)

    def make_repository(self, folder):
        git(folder, "init", "-q")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "first")

    def test_no_repository(self):
        self.assertEqual(self.commit(), "unknown")

    def test_an_archive_brings_its_commit(self):
        (self.source / "cmake/commit.txt").write_text("0123abc\n", encoding="utf-8")
        self.assertEqual(self.commit(), "0123abc")

    @unittest.skipUnless(GIT, "git is not installed")
    def test_git_fills_in_the_commit_of_an_archive(self):
        shutil.copy(ROOT / ".gitattributes", self.source)
        self.make_repository(self.source)
        archive = self.folder / "archive.tar"
        git(self.source, "archive", "-o", archive, "HEAD")
        shutil.rmtree(self.source)
        self.source.mkdir()
        shutil.unpack_archive(archive, self.source)
        self.assertRegex(self.commit(), r"^[0-9a-f]{7,}$")

    @unittest.skipUnless(GIT, "git is not installed")
    def test_a_repository(self):
        self.make_repository(self.source)
        self.assertEqual(self.commit(), git(self.source, "rev-parse", "--short=12", "HEAD"))
        (self.source / "main.cpp").write_text("int main() {}\n", encoding="utf-8")
        self.assertRegex(self.commit(), r"^[0-9a-f]{12}-dirty$")

    @unittest.skipUnless(GIT, "git is not installed")
    def test_a_repository_around_it_is_another_project(self):
        self.make_repository(self.folder)
        self.assertEqual(self.commit(), "unknown")

    @unittest.skipUnless(GIT, "git is not installed")
    def test_a_file_that_is_right_is_left_alone(self):
        self.make_repository(self.source)
        self.commit()
        output = self.folder / "commit.cpp"
        os.utime(output, (1, 1))
        self.commit()
        self.assertEqual(output.stat().st_mtime, 1)

    @unittest.skipUnless(GIT, "git is not installed")
    def test_a_new_commit_compiles_one_file(self):
        self.make_repository(self.source)
        build = self.folder / "build"
        run(CMAKE, "-G", "Ninja", "-S", self.source, "-B", build, f"-DCMAKE_CXX_COMPILER={CXX}")
        run(CMAKE, "--build", build)
        first = git(self.source, "rev-parse", "--short=12", "HEAD")
        said = run(build / "says").strip()
        self.assertRegex(said, rf"^7\.8\.9 \(commit {first}, \w+ [\d.]+, Release\)$")
        self.assertNotIn("Building", run(CMAKE, "--build", build), "nothing has changed")
        git(self.source, "commit", "-qm", "second", "--allow-empty")
        steps = re.findall(r"Building CXX object .*?(\w+\.cpp)\.o", run(CMAKE, "--build", build))
        self.assertEqual(steps, ["commit.cpp"])
        self.assertIn(git(self.source, "rev-parse", "--short=12", "HEAD"), run(build / "says"))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
