"""A project that takes the sources as a part of its own, with add_subdirectory and with FetchContent: it gets the library
alone, and no flag, folder, test or installed file of ours. What is built stays in the build folder for the next time.

subproject_test.py BUILD_FOLDER COMPILER CMAKE
"""

import re
import shlex
import subprocess
import sys
import unittest
from pathlib import Path

from outside import ROOT, flags_of, write_programs

BUILD, CXX, CMAKE = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
DEMO = ROOT / "models/demo"
PROJECT = """cmake_minimum_required(VERSION 3.25)
project(outside VERSION 3.2.1 LANGUAGES CXX)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
enable_testing()
if(TAKEN_BY STREQUAL "FetchContent")
  include(FetchContent)
  FetchContent_Declare(quire SOURCE_DIR "@ROOT@")
  FetchContent_MakeAvailable(quire)
else()
  add_subdirectory("@ROOT@" quire EXCLUDE_FROM_ALL)
endif()
foreach(name readme attention generate)
  add_executable(${name} ${name}.cpp)
  target_link_libraries(${name} PRIVATE quire::quire)
endforeach()
install(TARGETS readme)
foreach(variable CMAKE_BUILD_TYPE CMAKE_CXX_FLAGS CMAKE_CXX_STANDARD CMAKE_CXX_COMPILER_LAUNCHER PROJECT_VERSION)
  message(STATUS "${variable} is [${${variable}}]")
endforeach()
get_property(targets DIRECTORY "@ROOT@" PROPERTY BUILDSYSTEM_TARGETS)
message(STATUS "their targets: ${targets}")
"""


def run(*command, **options):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    if result.returncode != 0:
        raise AssertionError(f"{shlex.join(map(str, command))}: {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result.stdout + result.stderr


class SubprojectTest(unittest.TestCase):
    def configure(self, taken_by):
        source, build = BUILD / "outside/source", BUILD / "outside" / taken_by
        source.mkdir(parents=True, exist_ok=True)
        write_programs(source)
        lists = source / "CMakeLists.txt"
        text = PROJECT.replace("@ROOT@", str(ROOT))
        if not lists.exists() or lists.read_text(encoding="utf-8") != text:
            lists.write_text(text, encoding="utf-8")
        # One instruction-set level: others are the same sources.
        return build, run(CMAKE, "-G", "Ninja", "-S", source, "-B", build, f"-DCMAKE_CXX_COMPILER={CXX}",
                          f"-DTAKEN_BY={taken_by}", "-DQUIRE_CPU_LEVELS=v2" if HAS_LEVELS else "-DQUIRE_CPU_LEVELS=")

    def expect_the_library_alone(self, build, said):
        for variable, value in (("CMAKE_BUILD_TYPE", ""), ("CMAKE_CXX_FLAGS", ""), ("CMAKE_CXX_STANDARD", ""),
                                ("CMAKE_CXX_COMPILER_LAUNCHER", ""), ("PROJECT_VERSION", "3.2.1")):
            self.assertIn(f"{variable} is [{value}]", said)
        self.assertEqual(flags_of(build, "readme.cpp"), [f"-I{ROOT}/include"])
        self.assertEqual(re.search(r"their targets: (.*)", said).group(1).strip(), "quire_options;quire_archive")
        self.assertIn("Total Tests: 0", run(Path(CMAKE).with_name("ctest"), "-N", cwd=build))
        installs = (build / "cmake_install.cmake").read_text(encoding="utf-8")
        self.assertIn("readme", installs)
        for script in build.rglob("cmake_install.cmake"):
            self.assertNotIn("quire.pc", script.read_text(encoding="utf-8"), script)
        commands = (build / "compile_commands.json").read_text(encoding="utf-8")
        for folder in ("apps", "tests", "src/server", "src/selftest", "src/measure", "src/load"):
            self.assertNotIn(f"{ROOT}/{folder}/", commands)

    def test_fetch_content(self):
        self.expect_the_library_alone(*self.configure("FetchContent"))

    def test_add_subdirectory(self):
        build, said = self.configure("add_subdirectory")
        self.expect_the_library_alone(build, said)
        run(CMAKE, "--build", build)
        self.assertRegex(run(build / "attention"), r"largest error of 7 tokens: \d")
        if (DEMO / "model.safetensors").exists():
            self.assertIn("Bob", run(build / "readme", cwd=ROOT))
            self.assertIn("Release", run(build / "generate", DEMO), "the library is built for speed, whatever they build")


HAS_LEVELS = "levels/v2.cpp" in (BUILD / "compile_commands.json").read_text(encoding="utf-8")

if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]])
