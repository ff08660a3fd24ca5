"""Starting the command line: whole processes against the interpreter and against what torch and timm take alone."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import Row, paired, progress, quartiles, row

from cliffkit.store.store import Store

RECIPE = Path(__file__).parents[2] / "recipes" / "cliff_hegR.yaml"
PAIRS = 9
TORCH_PAIRS = 4
CLI = ("-m", "cliffkit")


def rows() -> list[Row]:
    """Seconds more than an empty interpreter, and times what importing torch and timm takes."""
    found = []
    for words in (("--help",), ("list",), ("plugins",)):
        progress(f"starting: {' '.join(words)}")
        pairs = paired(lambda words=words: _start(*CLI, *words), lambda: _start("-c", "pass"), PAIRS)
        more = sorted(ours - theirs for ours, theirs in pairs)
        found.append(
            Row(
                f"`cliffkit {' '.join(words)}`: seconds more",
                "`python -c pass`",
                more[len(more) // 2],
                quartiles(more),
                "<= 0.3",
                f"{PAIRS} pairs",
            )
        )
    with tempfile.TemporaryDirectory() as folder:
        Store(Path(folder))  # makes an empty one
        for what, *arguments in (
            ("validate", str(RECIPE)),
            ("plan", str(RECIPE), "--runs", folder),
            ("store list", "--runs", folder),
        ):
            words = (*what.split(), *arguments)
            progress(f"starting: {what}")
            pairs = paired(
                lambda words=words: _start(*CLI, *words), lambda: _start("-c", "import torch, timm"), TORCH_PAIRS
            )
            found.append(row(f"`cliffkit {what}`", "`import torch, timm`", pairs, "<= 1.2", unit="s"))
    return found


def _start(*words: str) -> None:
    """A whole process, without the benchmarks' folder on its path."""
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env=os.environ)
