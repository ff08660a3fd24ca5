"""A small share of the hostile cases, by the command that tries them all."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from .kinds import kinds


def test_a_share_of_the_hostile_cases_finds_nothing() -> None:
    command = [sys.executable, str(Path(__file__).parent), "--suite", "--processes", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = [f"{name} {kind.suite}" for name, kind in kinds().items()]
    assert re.findall(r"^(\w+) +(\d+) of [\d,]+ cases, 0 findings", done.stdout, re.MULTILINE) == [
        tuple(count.split()) for count in counts
    ]
    assert done.stdout.endswith("0 findings in all; seed 0\n")
