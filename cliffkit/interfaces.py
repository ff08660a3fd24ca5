"""The contracts between the engine and its parts: one class per kind of component.

Each class here is abstract; a component is a final subclass of one of them. What the engine wires into a factory is
positional; the factory's keyword-only parameters are the component's options in a recipe, with their types and
defaults. Every docstring says which positional arguments the engine passes.

Shapes: B images, C channels, H x W pixels. Levels of features run from fine to coarse.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

Task = TypeVar("Task")
Result = TypeVar("Result")


class Sample(NamedTuple):
    """One image with its depth, or B of them collated (a leading batch axis on every field)."""

    image: Tensor
    """(3, H, W) uint8 RGB."""
    depth: Tensor
    """(1, H, W) float32 metres; meaningless, possibly NaN, where not valid."""
    valid: Tensor
    """(1, H, W) bool."""
    scene: Tensor
    """() int64 index into the dataset's scene types; -1 where unknown."""

    def filled_depth(self) -> Tensor:
        """Depth in metres with 0 in every invalid pixel: what embedding generators are shown of a map with holes."""
        return torch.where(self.valid, self.depth, torch.zeros_like(self.depth))

    def to(self, device: torch.device) -> Sample:
        """The same sample on another device, copied without waiting where the memory is pinned."""
        return Sample(*(field.to(device, non_blocking=True) for field in self))


class Backbone(nn.Module, ABC):
    """Image to features. Factory: `(*, options)`.

    Options that say where the weights come from are called `pretrained: bool` and `weights: Path | None`: the engine
    turns them off where it loads a trained network, and hashes the file that `weights` names.
    """

    channels: Sequence[int]
    """Channels of each level, fine to coarse."""
    strides: Sequence[int]
    """Input pixels per feature pixel of each level, fine to coarse."""

    @abstractmethod
    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) float RGB in [0, 1], H and W multiples of the coarsest stride, to (B, C_k, H/s_k, W/s_k) each.

        The backbone normalises the image itself, with the constants its weights were trained with.
        """


class Pyramid(nn.Module, ABC):
    """Features to features of one width. Factory: `(channels, strides, *, options)`, both as the backbone has them."""

    channels: int
    """Channels of every level that comes out."""

    @abstractmethod
    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Each level (B, C_k, H_k, W_k) to (B, channels, H_k, W_k)."""


class Fusion(nn.Module, ABC):
    """One step of the chain that carries coarse features into fine ones. Factory: `(channels, *, options)`.

    The engine builds one per pair of neighbouring levels, unshared, and runs them from coarse to fine.
    """

    @abstractmethod
    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Low (finer level) (B, C, H, W) and high (coarser level) (B, C, h, w) to (B, C, H, W)."""


class Embedding(nn.Module, ABC):
    """An embedding generator: the feature space in which depth maps are compared. Factory: `(scene_types, *, options)`.

    `scene_types` is the number of scene types that the data names, 0 where it names none. A generator that needs them
    raises ValueError when there are too few.
    """

    trained: ClassVar[bool] = True
    """Whether stage `embedding` fits it on the training split's depth; False for generators without parameters."""

    levels: int
    """How many feature maps `forward` gives; 0, said on the class, for a generator that adds no term to the loss."""

    @abstractmethod
    def forward(self, depth: Tensor) -> list[Tensor]:
        """(B, 1, H, W) metres, 0 where missing, to (B, C_k, H_k, W_k) each, shallow to deep."""

    @abstractmethod
    def objective(self, sample: Sample) -> Tensor:
        """The scalar that stage `embedding` minimises on a collated sample; no invalid pixel may change it."""


class Loss(nn.Module, ABC):
    """A term of the training loss in depth space. Factory: `(*, options)`."""

    @abstractmethod
    def forward(self, prediction: Tensor, sample: Sample) -> Tensor:
        """(B, 1, H, W) float32 metres and a collated sample to a float32 scalar: the mean over valid pixels.

        What stands in invalid pixels of either, NaN included, changes neither the value nor its gradient; without a
        valid pixel the value is 0.
        """


class Dataset(ABC):
    """One split of a data set at full size. Factory: `(split, root, *, options)`.

    `split` is "train", "val" or "test"; the three share no scene. `root` is the folder that the user named with
    `--data NAME=PATH` or the variable CLIFFKIT_DATA_NAME, None where none was named. Instances are picklable, so that
    several processes can read.
    """

    scene_types: Sequence[str]
    """Names of the scene types, the same in every split; empty where the data has none."""

    @abstractmethod
    def __init__(self, split: str, root: Path | None) -> None: ...

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """The index-th image with its depth, uncropped and unscaled."""

    @abstractmethod
    def name(self, index: int) -> str:
        """A name of the index-th image that is unique within the data set and the same on every machine."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of what this split holds: equal data, equal fingerprint; never of a path."""


class Place(NamedTuple):
    """Where one piece of a study's work runs."""

    device: str
    """As `--device` names it."""
    threads: int
    """Of the processor, for it alone."""


class Executor(ABC):
    """Where the jobs of a study run, each in a process of its own. Factory: `(workers, device, *, options)`.

    `workers` is how many jobs run at once, None where the user left that open; `device` is what `--device` says.
    """

    slots: int
    """How many pieces of work it runs at once; more are not given to it."""
    choices: Sequence[int]
    """Numbers of slots among which the engine chooses by measuring; `slots` alone where there is no choice."""
    place: Place
    """What the work in a slot is given; the first one's where they differ."""

    @abstractmethod
    def resize(self, slots: int) -> None:
        """Run so many at once from now on: one of `choices`. Called only while nothing runs."""

    @abstractmethod
    def submit(self, work: Callable[[Task, Place], Result], task: Task) -> Future[Result]:
        """Begin `work(task, place)` in another process; both are picklable, and both may run again elsewhere.

        The future raises UserError with the reason where the process died. Its death harms no other piece of work.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop every process at once, whatever runs there: jobs go on from their checkpoints another time."""
