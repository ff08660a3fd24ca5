"""A virtual environment made for a test, in which packages are installed as users install them."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the commands that users have. The running one's packages lie beneath it, so that
    torch need not be installed again and nothing is fetched; what is installed in it goes before them."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, *, with_cliffkit: bool) -> Self:
        """Make an environment; `pip install` there takes local folders and files alone.

        `with_cliffkit`: the running environment's cliffkit is a command in it.
        """
        venv.create(folder, with_pip=False)
        python = folder / "bin" / "python"
        (packages,) = folder.glob("lib/python*/site-packages")
        beneath = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        # `addsitedir`, not bare paths: cliffkit may itself be installed by a .pth file
        lines = [f"import site; site.addsitedir({path!r})\n" for path in beneath]
        (packages / "beneath.pth").write_text("".join(lines), encoding="utf-8")
        pip = f"'{sys.executable}' -m pip --python '{python}' --disable-pip-version-check"
        offline = "--no-index --no-deps --no-build-isolation"
        commands = {
            "pytest": f"exec '{python}' -P -m pytest -p no:cacheprovider \"$@\"",
            "pip": f'case "$1" in install|wheel) exec {pip} "$@" {offline};; *) exec {pip} "$@";; esac',
        }
        if with_cliffkit:
            commands["cliffkit"] = f"exec '{python}' -m cliffkit \"$@\""
        for name, command in commands.items():
            file = folder / "bin" / name
            file.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
            file.chmod(0o755)
        return cls(folder)

    def bash(self, script: str, cwd: Path, *, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a script with the environment's commands first on the PATH; it must end with `expect`."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        variables = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == expect, f"{script}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done
