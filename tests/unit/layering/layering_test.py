"""Dependencies point downwards only: includes keep to the declared DEPS, and DEPS to the order of the layers."""

import unittest

import source_tree as tree

# Device code: headers that belong to no library. Host code sees of it only plain data and the index maps.
DEVICE_CODE = {"tile", "kernels"}
OPEN_TO_HOST = {"kernels/catalogue.h", "kernels/params.h", "kernels/visibility.h", "tile/ranges.h", "tile/lanes/facts.h"}
# Only the assembly of an engine and the program choose targets; the emulator runs another target's kernels. What run-time-compiled
# targets share stands below them.
MAY_NAME_TARGETS = {"apps", "assembly", "facade", "targets/all", "targets/cuda", "targets/emulator"}
# The public headers stand in include/ and belong to the engine, but for these.
PUBLIC_OWNER = "engine"
PUBLIC_OF_OTHERS = {"quire/error.h": "base", "quire/tensor.h": "base", "quire/version.h": "version",
                    "quire/attention.h": "facade", "quire/model.h": "facade", "quire/quire.h": "facade"}


def folder_of(include, folders):
    """The library folder that an include path points into."""
    parts = include.split("/")
    for length in (2, 1):
        candidate = "/".join(parts[:length])
        if candidate in folders and len(parts) > length:
            return candidate
    return parts[0]


class LayeringTest(unittest.TestCase):
    def setUp(self):
        self.allowed = tree.declared_libraries()
        self.order = tree.layer_order()

    def test_every_folder_is_one_library_in_the_order(self):
        folders = {p.parent.relative_to("src").parts[0] for p in tree.files("src")}
        libraries = {folder.split("/")[0] for folder in self.allowed}
        self.assertEqual(folders - DEVICE_CODE - {"targets"}, libraries - {"apps", "targets"})
        self.assertEqual(set(self.allowed), set(self.order))

    def test_dependencies_point_downwards(self):
        for folder, deps in self.allowed.items():
            for dep in deps:
                self.assertLess(self.order.index(dep), self.order.index(folder), f"{folder} must not depend on {dep}")
                if dep.startswith("targets/"):
                    self.assertIn(folder, MAY_NAME_TARGETS, f"{folder} must not know {dep}")

    def check_includes(self, path, folder):
        for line, include in tree.includes(path):
            if include in OPEN_TO_HOST or (include.startswith("apps/") and folder == "apps"):
                continue
            public = PUBLIC_OF_OTHERS.get(include, PUBLIC_OWNER)
            target = public if include.startswith("quire/") else folder_of(include, self.allowed)
            where = f"{path}:{line} includes {include}"
            if target in DEVICE_CODE:
                self.assertTrue(folder.startswith("targets/"), f"{where}: host code sees only {sorted(OPEN_TO_HOST)}")
                continue
            self.assertIn(target, self.allowed[folder] | {folder}, f"{where}: not in the DEPS of {folder}")

    def test_includes_keep_to_declared_dependencies(self):
        for path in tree.files("src"):
            folder = folder_of(path.relative_to("src").as_posix(), self.allowed)
            if folder not in DEVICE_CODE:
                self.check_includes(path, folder)
        for path in tree.files("apps"):
            self.check_includes(path, "apps")

    def test_public_headers_include_public_headers_only(self):
        paths = tree.files("include")
        self.assertGreater(len(paths), 4)
        for path in paths:
            for line, include in tree.includes(path):
                self.assertTrue((tree.ROOT / "include" / include).is_file(), f"{path}:{line} includes {include}")

    def test_device_code_includes_nothing_but_itself(self):
        for path in tree.files("src/kernels", "src/tile"):
            for line, include in tree.includes(path):
                allowed = {"kernels", "tile"} if path.parts[1] == "kernels" else {"tile"}  # targets' tile text follows the target
                self.assertIn(include.split("/")[0], allowed, f"{path}:{line} includes {include}")

    def test_environment_is_read_in_apps_only(self):
        self.check_words(r"\b(secure_)?getenv\b|\benviron\b", "read the environment in apps/ and pass options down")

    def test_libraries_never_end_the_process(self):
        self.check_words(r"(?<![\w.>])(exit|_exit|quick_exit|abort|terminate|assert)\s*\(", "throw quire::Error instead")

    def check_words(self, pattern, advice):
        for path in tree.files("src", "include"):
            for number, line in enumerate(tree.bare(tree.read(path)).splitlines(), 1):
                self.assertNotRegex(line, pattern, f"{path}:{number}: {advice}")


if __name__ == "__main__":
    unittest.main()
