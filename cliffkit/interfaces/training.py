"""How a network is trained: augmentation, optimiser, schedule of the learning rate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from cliffkit.interfaces.sample import Batch


class Augment(ABC):
    """One step of augmentation, applied to a whole batch on the device. Factory: `(*, options)`.

    A pure function of its draws: equal batches and draws give equal results, whatever ran before.
    """

    draws: int
    """How many random numbers one image takes."""

    @abstractmethod
    def __call__(self, batch: Batch, draws: Tensor) -> Batch:
        """Change a batch by uniform numbers in [0, 1), (draws, B) float32 on the CPU; shapes stay as they are.

        Depth stays metric: where the picture is zoomed, either the focal lengths grow with it or the depth shrinks.
        """


OptimizerFactory = Callable[..., Optimizer]
"""An optimiser's factory: `(groups, lr, *, options)` gives a `torch.optim.Optimizer`.

`groups` are torch's parameter groups: dictionaries with `params`, `weight_decay`, and `lr` where a group has a rate of
its own. The engine sets every group's rate before each step. The optimiser's state must be tensors and numbers, so that
a checkpoint restores it to the bit.
"""
ParameterGroup = dict[str, Any]


class Schedule(ABC):
    """The learning rate over the steps of a fit. Factory: `(steps, *, options)`, `steps` being the fit's length."""

    milestones: Sequence[int] = ()
    """Steps after which `train.depth.reload_best` goes back to the best weights so far."""

    @abstractmethod
    def __call__(self, step: int) -> float:
        """Give the factor of the learning rate for the step that follows `step` finished ones, 0 <= step < steps.

        A function of the step alone, so that a fit goes on as if it had never stopped.
        """
