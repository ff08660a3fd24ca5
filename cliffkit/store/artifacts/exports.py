"""What stands beside an exported network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from cliffkit.store.artifacts.facts import Fact


@dataclass(frozen=True)
class ExportFacts(Fact):
    """What an exported file takes and gives, and how far it was from `predict` when it was made.

    It is written as FILE.json beside the exported FILE.
    """

    FILE: ClassVar[str] = "export.json"

    run: str
    """The run's name."""
    key: str
    """Of the run's last job."""
    format: str
    """As `--to` names it."""
    sha256: str
    """Of the exported file."""
    image: str
    """Type of the input `image`, (B, 3, height, width) RGB: uint8, or float32 in [0, 1]."""
    depth: str
    """Type of the output `depth_m`, (B, height, width) metres."""
    free: tuple[str, ...]
    """Axes of the image whose length is free: batch, height, width."""
    size: tuple[int, int] | None
    """Height and width of images where these are fixed."""
    reason: str
    """Why an axis is fixed; empty where none is."""
    fed: tuple[int, int]
    """Height and width at which the network sees every image."""
    difference_m: float
    """Largest difference from `predict`, in metres."""
    difference: float
    """Largest difference as a share of the depth, and of 1 m for depths below 1 m."""
    tolerance: float
    """Largest share that is let pass."""
    compared: tuple[tuple[int, ...], ...]
    """Shapes of the images that were compared."""
    versions: Mapping[str, str]
    """By distribution."""
