"""What training minimises: losses on depth, and embedding generators, in whose features depth maps are compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from cliffkit.interfaces.sample import Batch


class Embedding(nn.Module, ABC):
    """An embedding generator: the feature space in which depth maps are compared. Factory: `(scene_types, *, options)`.

    `scene_types` is the number of scene types that the data names, 0 where it names none. A generator that needs them
    raises ValueError when there are too few.
    """

    trained: ClassVar[bool] = True
    """Whether stage `embedding` fits it on the training split's depth; False for generators without parameters."""

    takes_cameras: ClassVar[bool] = False
    """Whether `forward` takes cameras too: `forward(depth, intrinsics)`, intrinsics (B, 4) as in `Batch`."""

    default_weights: ClassVar[Sequence[float]] = (10.0, 15.0)
    """Weights of its levels where a recipe writes none, shallow to deep; the authors' for two levels."""

    levels: int
    """How many feature maps `forward` gives, at least one."""

    @abstractmethod
    def forward(self, depth: Tensor) -> list[Tensor]:
        """Depth (B, 1, H, W) metres, filled by `layers.fill_holes`, to levels (B, C_k, H_k, W_k), shallow to deep."""

    def objective(self, batch: Batch) -> Tensor:
        """Compute the scalar that stage `embedding` minimises on a batch; no invalid pixel may change it.

        Needed where `trained` is True, and only there; a recipe whose generator lacks it is refused before any work.
        """
        raise NotImplementedError  # not abstract, since generators without training have none

    def classify(self, depth: Tensor) -> Tensor:
        """Score each scene type, (B, scene_types), from depth (B, 1, H, W) in metres as `forward` gets it.

        Only for generators that learn scene types. Stage `embedding` then keeps a tenth of the training images out of
        their training, chooses the weights on these images, and says how often the largest score is that of the right
        type. A generator classifies where its class overrides this method: the engine compares
        `type(embedding).classify` with this one, and does not call it to find out.
        """
        raise NotImplementedError  # not abstract, since most generators have no scene types to learn


def features_of(embedding: Embedding, depth: Tensor, intrinsics: Tensor) -> list[Tensor]:
    """Call a generator as it wants to be called: with cameras, (B, 4) as in `Batch`, or with depth alone."""
    levels: list[Tensor] = embedding(depth, intrinsics) if embedding.takes_cameras else embedding(depth)
    return levels


class Loss(nn.Module, ABC):
    """A term of the training loss in depth space. Factory: `(*, options)`.

    Parameters that a loss has are trained with the network and saved beside it. A loss that draws random numbers takes
    them from torch's own generator, which the engine seeds anew in every step.
    """

    needs: ClassVar[Sequence[str]] = ()
    """Names of the head's outputs beside depth that the loss needs, set on the class; passed as keyword arguments."""

    @abstractmethod
    def forward(self, *given: Any, **needed: Any) -> Tensor:
        """Give the mean over valid pixels, a float32 scalar, of `(prediction, batch)`, predictions (B, 1, H, W) metres.

        A loss with `needs` takes these outputs too, as keyword-only parameters: `(prediction, batch, *, bin_centres)`.
        Values in invalid pixels of prediction or batch, NaN included, change neither the result nor its gradient.
        Without a valid pixel the result is 0.
        """
