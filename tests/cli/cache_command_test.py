"""Kernels on disk as users meet them, and a machine without NVIDIA's driver: said by info, in the way of nothing else."""

import ctypes
import os
import tempfile
import unittest
from pathlib import Path

from program import OK, ProgramTest, USAGE


def loads(*names):
    for name in names:
        try:
            ctypes.CDLL(name)
            return True
        except OSError:
            pass
    return False


HAS_DRIVER = loads("libcuda.so.1")
NVRTC = os.environ.get("QUIRE_NVRTC", "")  # a file or its folder; empty: the usual places
NAMES = [NVRTC] if Path(NVRTC).is_file() else [str(Path(NVRTC, f"libnvrtc.so{end}")) for end in (".13", ".12", "")]
HAS_COMPILER = loads(*NAMES, *([] if NVRTC else ["/usr/local/cuda/lib64/libnvrtc.so"]))


class CacheCommandTest(ProgramTest):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.cache = Path(self.folder.name) / "kernels"

    def test_an_empty_cache(self):
        self.assertRegex(self.expect(OK, "cache", "list", "--kernel-cache", self.cache).stdout, r"^0 kernels in ")
        self.assertRegex(self.expect(OK, "cache", "clear", "--kernel-cache", self.cache).stdout, r"^0 kernels removed from ")
        self.assertFalse(self.cache.exists(), "looking makes no folder")

    def test_where_it_lies(self):
        home, cache = {"HOME": self.folder.name, "XDG_CACHE_HOME": ""}, {"HOME": "/nowhere", "XDG_CACHE_HOME": self.folder.name}
        self.assertIn(self.folder.name + "/.cache/quire,", self.expect(OK, "cache", "list", env=home).stdout)
        self.assertIn(self.folder.name + "/quire,", self.expect(OK, "cache", "list", env=cache).stdout)
        self.assertIn("/flag,", self.expect(OK, "cache", "list", "--kernel-cache", "/flag", env=cache).stdout)
        self.assertIn("/variable,", self.expect(OK, "cache", "list", env={"QUIRE_KERNEL_CACHE": "/variable"}).stdout)
        self.expect_error(USAGE, "no folder for kernels", "cache", "list", env={"HOME": "", "XDG_CACHE_HOME": ""})

    def test_damaged_files_are_named_and_cleared(self):
        self.cache.mkdir()
        (self.cache / ("0" * 64 + ".kernel")).write_bytes(b"not a kernel")
        (self.cache / "notes.txt").write_text("mine", encoding="utf-8")
        self.assertRegex(self.expect(OK, "cache", "list", "--kernel-cache", self.cache).stdout, r"(?m)^damaged .*\n1 kernel in ")
        self.assertRegex(self.expect(OK, "cache", "clear", "--kernel-cache", self.cache).stdout, r"^1 kernel removed")
        self.assertEqual([path.name for path in self.cache.iterdir()], ["notes.txt"])

    def test_wrong_architectures_are_refused(self):
        for words, arch in (("written like sm_90a", "hopper"), ("no kernels for sm_75", "sm_75")):
            self.expect_error(USAGE, words, "cache", "fill", "--arch", arch, "--kernel-cache", self.cache)

    def test_a_missing_compiler_is_named(self):
        self.expect_error(USAGE, "libnvrtc not found", "cache", "fill", "--arch", "sm_80", "--nvrtc", "/nowhere/libnvrtc.so",
                          "--kernel-cache", self.cache)


class NoDriverTest(ProgramTest):
    @unittest.skipIf(HAS_DRIVER, "this machine has an NVIDIA driver")
    def test_info_says_why_and_the_rest_works(self):
        text = self.expect(OK, "info").stdout
        self.assertRegex(text, r"(?m)^  cuda +libcuda\.so\.1 not found: no NVIDIA driver on this machine")
        self.assertRegex(text, r"(?m)^  cpu +found$")
        self.expect_error(USAGE, "target cuda cannot run here: libcuda.so.1 not found", "info", "--device", "cuda")
        self.expect(OK, "selftest", "--quick", "--scale", "0.02")


@unittest.skipUnless(HAS_COMPILER, "libnvrtc is not here")
class CompilerTest(ProgramTest):
    @unittest.skipIf(HAS_DRIVER, "this machine has an NVIDIA driver")
    def test_filling_for_the_gpu_that_is_here_needs_one(self):
        with tempfile.TemporaryDirectory() as folder:
            self.expect_error(USAGE, "no NVIDIA driver", "cache", "fill", "--nvrtc", NVRTC, "--kernel-cache", folder)

    def test_filling_for_a_named_chip_needs_none(self):
        with tempfile.TemporaryDirectory() as folder:
            fill = ("cache", "fill", "--arch", "sm_80", "--only", "take_tokens", "--nvrtc", NVRTC, "--kernel-cache", folder)
            self.assertRegex(self.expect(OK, *fill).stdout, r"^sm_80: kernels: 1, compiled by nvrtc \S+: 1 in .* s, from disk: 0\n$")
            self.assertRegex(self.expect(OK, *fill).stdout, r": 0 in .* s, from disk: 1\n$")
            self.assertRegex(self.expect(OK, "cache", "list", "--kernel-cache", folder).stdout, r"(?m)^take_tokens_f32\S* .*\n1 kernel in ")


if __name__ == "__main__":
    unittest.main()
