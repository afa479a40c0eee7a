"""The marks of a hardened build, as readelf finds them in the program and in the objects that it is made of. Each check is
also put before a program that was built without, and must find it lacking.

hardening_test.py PROGRAM BUILD_FOLDER COMPILER
"""

import functools
import json
import platform
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM, BUILD, CXX = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
CACHE = dict(
    re.findall(r"^(\w+):\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(encoding="utf-8"), re.MULTILINE)
)
IS_STATIC = CACHE["QUIRE_STATIC"] == "ON"
# Sanitizers take the place of the fortified functions, which need optimisation too.
IS_FORTIFIED = not CACHE["QUIRE_SANITIZE"] and CACHE["QUIRE_FUZZ"] == "OFF" and CACHE["CMAKE_BUILD_TYPE"] != "Debug"
HAS_CET = platform.machine() == "x86_64"
# Functions of the C library that check the sizes which the compiler knows.
FORTIFIED = re.compile(r"\b__(mem(cpy|move|set)|(v?f|vsn|sn)printf|read|recv|poll|realpath|strcpy|strncpy|readlink)_chk\b")
# What a bug in memory can do most with: fixed addresses, a table of functions and a stack that may be written and run.
UNPROTECTED = ("-no-pie", "-fno-pie", "-fno-stack-protector", "-fcf-protection=none", "-U_FORTIFY_SOURCE", "-O1",
               "-Wl,-z,norelro", "-Wl,-z,lazy", "-Wl,-z,execstack")
SOURCE = """
#include <cstdio>
#include <cstring>
int main(int count, char** words) {
  char text[8];
  std::strcpy(text, words[count - 1]);
  return std::puts(text);
}
"""


@functools.cache
def readelf(path, *flags):
    """What readelf says, each line that it would fold in one."""
    return subprocess.run(["readelf", "--wide", *flags, str(path)], capture_output=True, text=True, check=True).stdout


def is_position_independent(path):
    """The loader may put it anywhere."""
    return "DYN (" in readelf(path, "-h") and bool(re.search(r"FLAGS_1.*\bPIE\b", readelf(path, "-d")))


def has_full_relro(path):
    """All addresses of functions are found at the start, and their table is read-only from then on."""
    return "GNU_RELRO" in readelf(path, "-l") and bool(re.search(r"\bBIND_NOW\b|FLAGS_1.*\bNOW\b", readelf(path, "-d")))


def has_no_memory_to_write_and_run(path):
    """Neither the stack nor a part of the file may be both written and run."""
    rights = re.findall(r"^ +(LOAD|GNU_STACK)(?: +0x[0-9a-f]+){5} +([RWE ]{3})", readelf(path, "-l"), re.MULTILINE)
    kinds = [kind for kind, _ in rights]
    return "GNU_STACK" in kinds and "LOAD" in kinds and not any("W" in r and "E" in r for _, r in rights)


def has_no_relocated_text(path):
    return "TEXTREL" not in readelf(path, "-d")


def has_stack_protector(path):
    return "__stack_chk_fail" in readelf(path, "-s")


def has_fortified_functions(path):
    return bool(FORTIFIED.search(readelf(path, "-s")))


CHECKS = (is_position_independent, has_full_relro, has_no_memory_to_write_and_run, has_stack_protector,
          has_no_relocated_text, has_fortified_functions)


def objects_of(archive):
    """{object: the features of x86 that its note claims} of an archive."""
    return {
        name: set(re.findall(r"\b(IBT|SHSTK)\b", text))
        for name, text in re.findall(r"^File: .*\((.*)\)\n(.*?)(?=^File: |\Z)", readelf(archive, "-n"), re.M | re.S)
    }


class HardeningTest(unittest.TestCase):
    def test_the_program(self):
        for check in CHECKS:
            if check is not has_fortified_functions or IS_FORTIFIED:
                with self.subTest(check.__name__):
                    self.assertTrue(check(PROGRAM), f"{PROGRAM}: not so: {check.__name__}")

    def test_the_static_program_brings_its_loader(self):
        self.assertEqual("INTERP" not in readelf(PROGRAM, "-l"), IS_STATIC)

    @unittest.skipUnless(HAS_CET, "marks of x86")
    def test_indirect_jumps_and_returns_are_marked(self):
        # Whether the program carries the mark is up to the C library's own objects: the linker asks all of them.
        archives = sorted((BUILD / "src").rglob("libquire_*.a"))
        self.assertGreater(len(archives), 10)
        for archive in archives:
            for name, features in objects_of(archive).items():
                self.assertEqual(features, {"IBT", "SHSTK"}, f"{archive.name}: {name}")

    def test_every_file_is_compiled_with_the_flags(self):
        commands = json.loads((BUILD / "compile_commands.json").read_text(encoding="utf-8"))
        wanted = ["-fstack-protector-strong", "-fstack-clash-protection"] + ["-fcf-protection=full"] * HAS_CET
        fortified = subprocess.run([CXX, "-O2", "-dM", "-E", "-xc++", "/dev/null"], capture_output=True, text=True, check=True)
        if IS_FORTIFIED and "_FORTIFY_SOURCE" not in fortified.stdout:
            wanted.append("-D_FORTIFY_SOURCE=")
        for entry in commands:
            name, command = Path(entry["file"]).name, entry["command"]
            if name.startswith("imitated_"):  # stands for a library that is not ours
                continue
            for flag in wanted:
                self.assertIn(flag, command, name)
            self.assertRegex(command, " -fPIE | -fPIC ", name)

    def test_checks_see_what_is_missing(self):
        with tempfile.TemporaryDirectory() as folder:
            source, soft = Path(folder) / "soft.cpp", Path(folder) / "soft"
            source.write_text(SOURCE, encoding="utf-8")
            subprocess.run([CXX, *UNPROTECTED, source, "-o", soft], check=True, capture_output=True)
            for check in CHECKS:
                if check is not has_no_relocated_text:  # no linker makes that by itself
                    self.assertFalse(check(soft), f"takes any program for hardened: {check.__name__}")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]])
