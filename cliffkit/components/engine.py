"""Which source of the engine a process computes with.

A key names the engine by the versions of its stages, which whoever changes a number must raise. The hash tells of
changes without it, as by a researcher who edits a formula of the engine.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

ENGINE_SOURCE = "engine source"
"""Its name among the versions in a job's record."""

COMPUTING = (
    *("data", "interfaces", "method", "prediction", "scoring", "stages", "training"),
    *("cameras.py", "images.py", "layers.py", "protocols.py", "resizing.py"),
)
"""The folders and modules of the engine on which numbers depend."""


@functools.cache
def engine_source() -> str:
    """Hash the files, comments included, as they are when this process first asks."""
    engine, digest = Path(__file__).parents[1], hashlib.sha256()
    for name in COMPUTING:
        place = engine / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(path.relative_to(engine).as_posix().encode())
            digest.update(path.read_bytes() if path.exists() else b"")  # an installation may hold compiled files alone
    return digest.hexdigest()[:12]
