"""The wrapper: what cliffkit needs of a network, around a model that knows nothing of cliffkit."""

from pathlib import Path
from typing import Annotated, final

from cliffkit.interfaces import Network, Prediction
from cliffkit.layers import in_float32
from pydantic import Field
from torch import Tensor

from cliffkit_foreign.unet import DEPTH, MEAN, STD, UNet, load_checkpoint

Metres = Annotated[float, Field(gt=0)]


@final
class UNetDepth(Network):
    """A U-Net whose disparity becomes depth between two bounds.

    Options:
        width: Channels at full size.
        weights: File of weights to start from, .pt or .safetensors; null for a random start.
        nearest_m: Depth at disparity 1, metres.
        farthest_m: Depth at disparity 0, metres.
    """

    multiple = 2**DEPTH

    def __init__(
        self, *, width: int = 32, weights: Path | None = None, nearest_m: Metres = 0.5, farthest_m: Metres = 10.0
    ) -> None:
        super().__init__()
        self.net, self.near, self.far = UNet(width), 1 / nearest_m, 1 / farthest_m
        if weights is not None:
            load_checkpoint(self.net, weights.expanduser())

    def forward(self, image: Tensor) -> Prediction:
        """(B, 3, H, W) RGB in [0, 1] to metres (B, 1, H, W)."""
        mean, std = (image.new_tensor(constants)[:, None, None] for constants in (MEAN, STD))
        disparity = in_float32(self.net, (image - mean) / std)[:, None]  # bfloat16 would round depth to centimetres
        return Prediction(1 / (self.far + (self.near - self.far) * disparity))
