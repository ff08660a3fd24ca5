"""The parts of a depth network: backbone, pyramid, fusion and head, or a whole network in their place."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn


class Pretrained(nn.Module, ABC):
    """A part that may start from weights of another training: a backbone or a network.

    Options that say where the weights come from are called `pretrained: bool` and `weights: Path | None`: the engine
    turns them off where it loads a trained network, and hashes the file that `weights` names.
    """

    fetched: Mapping[str, str] = MappingProxyType({})
    """Content of weights that no option names, as `note_fetched` hashes it, by name; recorded with the result."""

    def note_fetched(self, name: str, module: nn.Module) -> None:
        """Note the weights that a module has now, out of a cache or a network: no key knows which they are.

        `name` says which they should be. A report names cells that got others under one name.
        """
        digest = hashlib.sha256()
        for key, value in sorted(module.state_dict().items()):
            digest.update(key.encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        self.fetched = {**self.fetched, name: digest.hexdigest()[:12]}

    @classmethod
    def absent_weights(cls, options: Mapping[str, Any]) -> str | None:
        """Name the weights that a part of these options starts from, where they are not on this machine.

        None where none are missing. `validate` shows the words as a warning. Asks no network and builds nothing.
        """
        return None


class Backbone(Pretrained):
    """Image to features. Factory: `(*, options)`."""

    channels: Sequence[int]
    """Channels of each level, fine to coarse."""
    strides: Sequence[int]
    """Input pixels per feature pixel of each level, fine to coarse; each divides the coarsest."""
    multiple: int | None = None
    """Number of pixels that divides height and width of every image: the engine pads images below and on the right.

    None: the coarsest stride. 1: any size, as convolutions of stride 2 take it that pad their borders.
    """

    @abstractmethod
    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) float RGB in [0, 1], H and W multiples of `multiple`, to (B, C_k, H/s_k, W/s_k), rounded up.

        The backbone normalises the image itself, with the constants its weights were trained with.
        """


class Pyramid(nn.Module, ABC):
    """Features to features of one width. Factory: `(channels, strides, *, options)`, both as the backbone has them."""

    channels: int
    """Channels of every level that comes out."""
    scales: Sequence[float] | None = None
    """Height and width of each level that comes out, as a multiple of the level that goes in; None: all keep theirs.

    A transformer's levels are of one size, and a pyramid may make finer and coarser ones of them: (4, 2, 1, 0.5).
    """

    @abstractmethod
    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Each level (B, C_k, H_k, W_k) to (B, channels, s_k H_k, s_k W_k) with s_k of `scales`, rounded up."""


class Fusion(nn.Module, ABC):
    """One step of the chain that carries coarse features into fine ones. Factory: `(channels, *, options)`.

    The engine builds one per pair of neighbouring levels, unshared, and runs them from coarse to fine.
    """

    @abstractmethod
    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Fine level (B, C, H, W) and coarse level (B, C, h, w) to (B, C, H, W)."""


class Prediction(NamedTuple):
    """The output of a head or of a network."""

    depth: Tensor
    """(B, 1, h, w) float32 metres; of a head at the size of the finest features, of a network at any size."""
    extras: Mapping[str, Tensor] = MappingProxyType({})
    """What the part gives beside depth, by the names in its `gives`, for losses that need it.

    The engine brings a map (B, C, h, w), of whatever size, to the image's size bilinearly, as it does with depth; any
    other tensor, such as bin centres (B, n), reaches the losses as it is.
    """


class Head(nn.Module, ABC):
    """Fused features to depth. Factory: `(channels, *, options)`."""

    gives: ClassVar[Sequence[str]] = ()
    """Names of outputs beside depth, set on the class. A recipe whose loss needs other outputs is refused."""

    @abstractmethod
    def forward(self, fused: list[Tensor]) -> Prediction:
        """Fused features (B, channels, h_k, w_k), from fine to coarse, to depth at the size of the finest.

        `fused[0]` is what the last fusion gave, and all that most heads use; the last is the pyramid's coarsest level.
        """


class Network(Pretrained):
    """Image to depth: a whole network in place of backbone, pyramid, fusion and head. Factory: `(*, options)`.

    A subclass may hold any `nn.Module` that knows nothing of cliffkit.
    """

    multiple: int = 1
    """Number of pixels that divides height and width of every image: the engine pads images below and on the right."""
    gives: ClassVar[Sequence[str]] = ()
    """Names of outputs beside depth, set on the class. A recipe whose loss needs other outputs is refused."""

    @abstractmethod
    def forward(self, image: Tensor) -> Prediction:
        """(B, 3, H, W) float RGB in [0, 1], H and W multiples of `multiple`, to depth (B, 1, h, w) of any size.

        The network normalises the image itself. The engine brings the depth to the size of the image bilinearly.
        """
