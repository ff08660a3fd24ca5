"""The inputs of a fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from cliffkit.data.pack import Pack
from cliffkit.events import Emit
from cliffkit.recipe.fit import Fit
from cliffkit.recipe.schema import Speed
from cliffkit.training.device import Device


@dataclass(frozen=True)
class Goal:
    """The validation score by which the best weights are chosen."""

    score: str
    higher_is_better: bool
    validate: Callable[[], Mapping[str, float]]
    """Scores of the module as it stands, the same on every process."""
    picture: Callable[[], NDArray[np.uint8]] | None = None
    """Draws predictions of the module as it stands, (H, W, 3) RGB; None where nobody wants to see them."""

    def better(self, new: float, old: float | None) -> bool:
        """Tell whether a score beats the best so far; NaN never does."""
        if math.isnan(new):
            return False
        return old is None or (new > old if self.higher_is_better else new < old)


@dataclass(frozen=True)
class FitJob:
    """A fit with all that it depends on."""

    module: nn.Module
    """The module whose weights are kept."""
    objective: nn.Module
    """A module around it: `objective(batch, step)` gives the weighted terms of the loss by name."""
    pack: Pack
    """The training split."""
    training: Fit
    """Settings and parts, as the recipe has them."""
    goal: Goal
    stage: str
    """Name of the stage, for messages and the log."""
    seed: int
    """Seed of everything random in every step."""
    folder: Path
    """Folder of the checkpoint, the log and the weights."""
    device: Device
    emit: Emit
    losses: Mapping[str, nn.Module] = field(default_factory=dict)
    """Losses with parameters, by name: trained with the module, and saved beside it."""
    checkpoint_every: int | None = None
    """Steps after which a checkpoint is saved, beside those by the clock."""
    speed: Speed = "eager"
    """How a step is computed (`training/speed`)."""
    regions: Sequence[tuple[str, nn.Module]] = ()
    """Parts of the module with their kinds, each of which is compiled for itself where `speed` asks for that."""
