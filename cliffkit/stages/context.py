"""The inputs of a stage beside its job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cliffkit.data.splits import Roots
from cliffkit.events import Emit
from cliffkit.training.device import Device


@dataclass(frozen=True)
class Context:
    """Where a stage works and what it may read."""

    folder: Path
    """The job's own folder. Its content is the result when the stage returns."""
    needs: Mapping[str, Path]
    """The folders of the jobs it needs, by stage."""
    device: Device
    roots: Roots
    """Where the data lie."""
    emit: Emit
    checkpoint_every: int | None = None
    """Steps after which a fit saves a checkpoint, beside those by the clock."""
    pictured: bool = False
    """Whether a fit of the network draws predictions at every validation."""
