"""Show depth in a part of the image."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cliffkit.interfaces import Augment, Batch

Share = Annotated[float, Field(ge=0, le=1)]


class CutDepth(Augment):
    """Replace a rectangle of an image by its depth, from black at 0 m to white at the image's largest depth.

    Where depth is not valid the image stays. Source: Ishii and Yamashita, "CutDepth: Edge-aware Data Augmentation in
    Depth Estimation", 2021.

    Options:
        probability: Share of images that get a rectangle.
        largest: Largest share of the way from the rectangle's top left corner to the image's edges that it covers.
    """

    draws = 5

    def __init__(self, *, probability: Share = 0.5, largest: Share = 0.75) -> None:
        self.probability, self.largest = probability, largest

    def __call__(self, batch: Batch, draws: Tensor) -> Batch:
        """Draw per image whether it gets a rectangle, the rectangle's left, top, width and height."""
        device, (height, width) = batch.image.device, batch.image.shape[-2:]
        chosen, across, down, wide, high = draws.to(device, non_blocking=True)[:, :, None, None, None]
        columns = _span(across, wide * self.largest, torch.arange(width, device=device))
        rows = _span(down, high * self.largest, torch.arange(height, device=device)[:, None])

        depth = batch.filled_depth()
        deepest = depth.amax(dim=(2, 3), keepdim=True).clamp_min(torch.finfo(depth.dtype).tiny)
        shown = (chosen < self.probability) & rows & columns & batch.valid
        return batch._replace(image=torch.where(shown, depth / deepest, batch.image))


def _span(begin: Tensor, share: Tensor, index: Tensor) -> Tensor:
    """Tell which indices lie within a share of what follows `begin`, a share of the whole; at least one does."""
    count = index.numel()
    first = (begin * count).floor()
    length = ((count - begin * count) * share).floor().clamp_min(1)
    return (index >= first) & (index < first + length)
