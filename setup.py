"""What pyproject.toml cannot say: a wheel carries configs and tools in ``uniformer_mm/.mim``."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildPyWithMim(build_py):
    """Copies what mim looks for into the build folder, never into the checkout."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        mim = Path(self.build_lib, 'uniformer_mm', '.mim')
        if mim.exists():  # of an earlier build: a file deleted since must not come back
            shutil.rmtree(mim)
        for folder in ('configs', 'tools'):
            shutil.copytree(
                ROOT / folder,
                mim / folder,
                ignore=shutil.ignore_patterns('__pycache__', '*.py[cod]'),
            )
        (mim / 'requirements').mkdir()
        for file in ('model-index.yml', 'pyproject.toml', 'requirements/constraints.txt'):
            shutil.copy2(ROOT / file, mim / file)  # the last two are for tools/check_env.py


setup(cmdclass={'build_py': BuildPyWithMim})
