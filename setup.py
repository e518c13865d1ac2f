"""Build step that pyproject.toml cannot express: the source distribution keeps the link `kernels`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from setuptools import setup
from setuptools.command.sdist import sdist


class SdistWithLink(sdist):  # type: ignore[misc] # setuptools has no types
    """A source distribution in which `kernels` is the same relative link as in the repository.

    setuptools leaves a link to a folder out, or copies what is behind it, depending on the manifest.
    """

    def make_release_tree(self, base_dir: str, files: Sequence[str]) -> None:
        """Adds the link to the tree that becomes the archive."""
        super().make_release_tree(base_dir, files)
        os.symlink("intsim/kernels", os.path.join(base_dir, "kernels"))


setup(cmdclass={"sdist": SdistWithLink})
