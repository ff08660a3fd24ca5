"""The depth network, whatever components it is made of: backbone, pyramid, fusion chain and head, or one whole part."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cliffkit.errors import UserError
from cliffkit.interfaces import Backbone, Fusion, Head, Network, Prediction, Pyramid
from cliffkit.layers import level_size, resize

Shape = tuple[int, ...]


class DepthNetwork(nn.Module, ABC):
    """Image to depth in metres. A part whose output has the wrong shape is an error that names the part."""

    def __init__(self, givers: Mapping[str, str] | None = None) -> None:
        """Take what says in words, by kind, which component of which plugin a part is, for errors."""
        super().__init__()
        self._givers = givers or {}

    @property
    @abstractmethod
    def multiple(self) -> int:
        """Number of pixels that divides height and width of a padded image."""

    @abstractmethod
    def parts(self) -> list[tuple[str, nn.Module]]:
        """List the parts with their kinds, in the order in which an image passes them."""

    @abstractmethod
    def computed(self, image: Tensor) -> Prediction:
        """Predict from a padded image (B, 3, H, W) in [0, 1], at whatever size the parts give."""

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) RGB, uint8 or float in [0, 1], of any size, to (B, 1, H, W) float32 metres."""
        return self.predict(image).depth

    def predict(self, image: Tensor) -> Prediction:
        """Predict as `forward` does, and give what is predicted beside depth too, its maps at the image's size.

        Raises UserError for a part whose output has the wrong shape.
        """
        height, width = image.shape[-2:]
        image = image.float() / 255 if image.dtype == torch.uint8 else image
        multiple = self.multiple
        if height % multiple or width % multiple:
            image = F.pad(image, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        prediction = self.computed(image)

        def at_size(tensor: Tensor) -> Tensor:
            return resize(tensor, image)[..., :height, :width] if tensor.ndim == 4 else tensor

        extras = {name: at_size(tensor) for name, tensor in prediction.extras.items()}
        return Prediction(at_size(prediction.depth), extras)

    def giver(self, kind: str) -> str:
        """Say in words which component of which plugin the part of a kind is."""
        return self._givers.get(kind, kind)

    def _expect(self, kind: str, outputs: Sequence[Tensor], shapes: Sequence[Shape]) -> None:
        output_shapes = [tuple(output.shape) for output in outputs]
        if output_shapes != shapes:
            giver = self.giver(kind)
            padding = ", or raise its `multiple`" if kind == "backbone" else ""
            raise UserError(
                f"{giver} gives features of shapes {output_shapes}, expected {list(shapes)}; mend the {kind}{padding}: "
                f"`cliffkit.testing.check_{kind}` shows where"
            )


class WholeNetwork(DepthNetwork):
    """A network that is one part."""

    def __init__(self, network: Network, givers: Mapping[str, str] | None = None) -> None:
        super().__init__(givers)
        self.network = network

    @property
    def multiple(self) -> int:
        """Number of pixels, as the part says it."""
        return self.network.multiple

    def parts(self) -> list[tuple[str, nn.Module]]:
        """List the one part."""
        return [("network", self.network)]

    def computed(self, image: Tensor) -> Prediction:
        """Predict at whatever size the part gives."""
        prediction = self.network(image)
        if not isinstance(prediction, Prediction):
            raise UserError(
                f"{self.giver('network')} gives a {type(prediction).__name__}, expected a Prediction; end its forward "
                "with `return cliffkit.interfaces.Prediction(depth)`"
            )
        self._expect("network", [prediction.depth], [(image.shape[0], 1, *prediction.depth.shape[2:4])])
        return prediction


class ChainNetwork(DepthNetwork):
    """A network of backbone, pyramid, fusions and head.

    The chain starts at the coarsest level of the pyramid and takes in one finer level per fusion; the head turns the
    result into depth.
    """

    def __init__(
        self,
        backbone: Backbone,
        pyramid: Pyramid,
        fusions: Sequence[Fusion],
        head: Head,
        givers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(givers)
        self.backbone = backbone
        self.pyramid = pyramid
        self.fusions = nn.ModuleList(fusions)
        """From fine to coarse, one fewer than the levels: `fusions[k]` carries level k + 1 into level k."""
        self.head = head

    @property
    def multiple(self) -> int:
        """Number of pixels, as the backbone says it."""
        return self.backbone.multiple or max(self.backbone.strides)

    def parts(self) -> list[tuple[str, nn.Module]]:
        """List backbone, pyramid, fusions from coarse to fine, and head."""
        fusions: list[tuple[str, nn.Module]] = [("fusion", fusion) for fusion in reversed(self.fusions)]
        return [("backbone", self.backbone), ("pyramid", self.pyramid), *fusions, ("head", self.head)]

    def computed(self, image: Tensor) -> Prediction:
        """Predict at the size of the finest level."""
        fused = self._fused(image)
        prediction: Prediction = self.head(fused)
        self._expect("head", [prediction.depth], [(image.shape[0], 1, *fused[0].shape[-2:])])
        return prediction

    def _fused(self, image: Tensor) -> list[Tensor]:
        """Fuse features: (B, C, h, w) of each level, fine to coarse; the coarsest is the pyramid's own."""
        batch, backbone = image.shape[0], self.backbone
        levels = backbone(image)
        shapes = zip(backbone.channels, backbone.strides, strict=True)
        self._expect("backbone", levels, [(batch, c, *level_size(image.shape[-2:], stride)) for c, stride in shapes])

        scales = self.pyramid.scales or [1] * len(levels)
        sizes = [
            tuple(math.ceil(side * scale) for side in level.shape[-2:])
            for level, scale in zip(levels, scales, strict=True)
        ]
        levels = self.pyramid(levels)
        self._expect("pyramid", levels, [(batch, self.pyramid.channels, *size) for size in sizes])

        fused = [levels[-1]]
        for fusion, level in zip(reversed(self.fusions), reversed(levels[:-1]), strict=True):
            fused.insert(0, fusion(level, fused[0]))
            self._expect("fusion", fused[:1], [tuple(level.shape)])
        return fused


def build_network(
    backbone: Backbone,
    pyramid_factory: Callable[[Sequence[int], Sequence[int]], Pyramid],
    fusion_factory: Callable[[int], Fusion],
    head_factory: Callable[[int], Head],
    givers: Mapping[str, str] | None = None,
) -> ChainNetwork:
    """Wire a backbone to a pyramid, to one fusion, unshared, per pair of neighbouring levels, and to a head.

    The factories have their options bound already. Raises ValueError for a backbone of fewer than two levels.
    """
    count = len(backbone.channels)
    if count < 2:
        raise ValueError(
            f"{type(backbone).__name__} gives {count} level of features, and there is nothing to fuse; "
            "use a backbone with at least two levels"
        )
    pyramid = pyramid_factory(backbone.channels, backbone.strides)
    fusions = [fusion_factory(pyramid.channels) for _ in range(count - 1)]
    return ChainNetwork(backbone, pyramid, fusions, head_factory(pyramid.channels), givers)
