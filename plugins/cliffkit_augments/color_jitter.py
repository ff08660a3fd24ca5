"""Vary colours."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from cliffkit.interfaces import Augment, Batch

GREY = (0.299, 0.587, 0.114)
"""Luma of ITU-R BT.601, as torchvision's ColorJitter weighs the channels."""

Spread = Annotated[float, Field(ge=0, le=1)]


class ColorJitter(Augment):
    """Vary brightness, contrast and saturation of an image, in this order; each factor lies within 1 - x and 1 + x.

    Options:
        brightness: Spread x of the factor of all colours.
        contrast: Spread x of the factor of distances to the image's mean grey.
        saturation: Spread x of the factor of distances to each pixel's own grey.
    """

    draws = 3

    def __init__(self, *, brightness: Spread = 0.4, contrast: Spread = 0.4, saturation: Spread = 0.4) -> None:
        self.spreads = (brightness, contrast, saturation)

    def __call__(self, batch: Batch, draws: Tensor) -> Batch:
        """Draw a factor per image for each of the three; those of spread 0 cost nothing."""
        image = batch.image.clone()  # changed in place from here on
        brightness, contrast, saturation = (
            (1 + (2 * draw - 1) * spread)[:, None, None, None].to(image.device, non_blocking=True)
            for draw, spread in zip(draws, self.spreads, strict=True)
        )

        if self.spreads[0]:
            image.mul_(brightness).clamp_(0, 1)
        if self.spreads[1]:
            mean = _grey(image.mean(dim=(2, 3), keepdim=True))
            image.mul_(contrast).add_(mean * (1 - contrast)).clamp_(0, 1)
        if self.spreads[2]:
            grey = _grey(image)
            image.mul_(saturation).add_(grey * (1 - saturation)).clamp_(0, 1)
        return batch._replace(image=image)


def _grey(image: Tensor) -> Tensor:
    red, green, blue = image[:, 0:1], image[:, 1:2], image[:, 2:3]
    return (GREY[0] * red).add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2])
