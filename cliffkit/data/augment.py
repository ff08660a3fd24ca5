"""Augmentation of a whole batch on the device."""

from __future__ import annotations

import torch
from torch import Tensor

from cliffkit.interfaces import Batch, Sample
from cliffkit.recipe.schema import Augment

GREY = (0.299, 0.587, 0.114)
"""Luma of ITU-R BT.601, as ColorJitter weighs the channels."""


DRAWS = 4
"""Random numbers that one image takes."""


def augment(sample: Sample, settings: Augment, draws: Tensor) -> Batch:
    """Mirror images with their depth and vary brightness, contrast and saturation, in this order, per image.

    `draws` are (DRAWS, B) numbers in [0, 1). The image comes out as float in [0, 1].
    """
    draws = draws[:, :, None, None, None]
    mirrored = (draws[0] < settings.flip).to(sample.image.device, non_blocking=True)
    image, depth, valid = (torch.where(mirrored, field.flip(-1), field) for field in sample[:3])
    batch = Batch.of(sample._replace(image=image, depth=depth, valid=valid))
    image = batch.image  # ours alone from here on, so changed in place
    spreads = (settings.brightness, settings.contrast, settings.saturation)
    brightness, contrast, saturation = (
        (1 + (2 * draw - 1) * spread).to(image.device, non_blocking=True)
        for draw, spread in zip(draws[1:], spreads, strict=True)
    )
    if settings.brightness:
        image.mul_(brightness).clamp_(0, 1)
    if settings.contrast:
        mean = _grey(image.mean(dim=(2, 3), keepdim=True))
        image.mul_(contrast).add_(mean * (1 - contrast)).clamp_(0, 1)
    if settings.saturation:
        grey = _grey(image)
        image.mul_(saturation).add_(grey * (1 - saturation)).clamp_(0, 1)
    return batch


def _grey(image: Tensor) -> Tensor:
    red, green, blue = image[:, 0:1], image[:, 1:2], image[:, 2:3]
    return (GREY[0] * red).add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2])
