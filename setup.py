"""Puts the notebooks into the package when it is built; all else is in pyproject.toml."""

import pathlib

import setuptools
from setuptools.command import build_py

# with the conftest.py that tells nbval how to compare them
NOTEBOOKS = [str(path) for path in sorted(pathlib.Path("notebooks").glob("*.*"))]


class BuildWithNotebooks(build_py.build_py):
    """Copies the notebooks, which git has once, to ``leukkit/notebooks`` of what is built."""

    def run(self):
        """Build as ever, then copy; an editable install runs those of the checkout."""
        super().run()
        if not self.editable_mode:
            target = pathlib.Path(self.build_lib, "leukkit", "notebooks")
            self.mkpath(str(target))
            for notebook in NOTEBOOKS:
                self.copy_file(notebook, str(target))

    def get_source_files(self):
        """Name the notebooks, too, so that a source distribution holds them."""
        return [*super().get_source_files(), *NOTEBOOKS]


setuptools.setup(cmdclass={"build_py": BuildWithNotebooks})
