"""What stage evaluate leaves of the regions of its images."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.regions import REGIONS
from cliffkit.store.artifacts.facts import damaged
from cliffkit.store.files import write_atomic


@dataclass(frozen=True, eq=False)
class RegionScores:
    """Scores of the regions of every test image under every protocol: compressed arrays of NumPy."""

    FILE: ClassVar[str] = "regions.npz"

    scenes: tuple[str, ...]
    """Scene type of each image, in the order of `PerImage`; empty where it is unknown."""
    scores: Mapping[str, NDArray[np.float32]]
    """By protocol (images, REGIONS, METRICS); NaN where a region is absent."""

    def write(self, folder: Path) -> None:
        """Write the file, atomically."""
        write_atomic(folder / self.FILE, self._write)

    def _write(self, path: Path) -> None:
        scores = np.stack([np.asarray(scores, np.float32) for scores in self.scores.values()])
        with path.open("wb") as file:
            np.savez_compressed(file, protocols=list(self.scores), scenes=list(self.scenes), scores=scores)

    @classmethod
    def read(cls, folder: Path) -> RegionScores:
        """Read the file of a folder. Raises UserError where the file is missing or damaged."""
        path = folder / cls.FILE
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                protocols, scenes, scores = (arrays[name] for name in ("protocols", "scenes", "scores"))
            if scores.shape != (len(protocols), len(scenes), len(REGIONS), len(METRICS)):
                raise ValueError(f"scores of shape {scores.shape}")
        except OSError as error:
            raise damaged(path, f"cannot be read: {error.strerror or error}") from error
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise damaged(path, f"holds no scores of regions: {error}") from error
        return cls(tuple(map(str, scenes)), {str(name): table for name, table in zip(protocols, scores, strict=True)})
