"""Follow the tutorials of docs/start at full size and write the answers of their commands into the pages.

`python docs/make/tutorials.py` takes some fifteen minutes on two cores. A test follows the same pages with few images
and steps, and writes nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pages import follow
from PIL import Image

START = Path(__file__).parents[1] / "start"
PAGES = ("first_run", "first_study", "judge")
"""Pages with answers, in the order in which a reader follows them, all in one folder. KITTI's page has none."""


def bash(script: str, folder: Path) -> str:
    """Give what a script prints, paths from the folder; raises CalledProcessError where it fails."""
    variables = {
        **os.environ,
        "COLUMNS": "110",
        "NO_COLOR": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env=variables, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "")


def main() -> None:
    """Follow each page, or those that are named, and write it anew."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(os.environ.get("TUTORIALS") or scratch)
        Image.linear_gradient("L").convert("RGB").save(folder / "photo.jpg")
        for name in sys.argv[1:] or PAGES:
            file = START / f"{name}.md"
            file.write_text(follow(file.read_text(encoding="utf-8"), folder, bash), encoding="utf-8")


if __name__ == "__main__":
    main()
