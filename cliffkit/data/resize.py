"""A sample at the size at which networks are trained: cropped and resized, its camera along with it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cliffkit.interfaces import Sample


def at_training_size(sample: Sample, size: tuple[int, int], crop: float) -> Sample:
    """Crop a sample's centre and resize it: the image with antialiasing, all maps by choosing pixels.

    A pixel of the result takes depth and extras of the source pixel at its centre. Where that has no depth and depth is
    known elsewhere in the area that the pixel covers, it takes the valid pixel that is nearest to its centre: sparse
    truth would lose most of its points otherwise. Depths are never averaged or copied to where none was, so no depth
    appears that the sensor did not see.
    """
    height, width = sample.image.shape[-2:]
    h, w = max(1, round(crop * height)), max(1, round(crop * width))
    top, left = (height - h) // 2, (width - w) // 2
    image = sample.image[:, top : top + h, left : left + w]
    if (h, w) != size:
        image = resize_image(image[None], size)[0]

    chosen = _chosen_pixels(sample.valid[0, top : top + h, left : left + w], size)
    rows, columns = top + chosen // w, left + chosen % w
    extras = {
        name: extra[:, rows, columns] if extra.ndim == 3 and extra.shape[-2:] == (height, width) else extra
        for name, extra in sample.extras.items()
    }

    intrinsics = sample.intrinsics
    if intrinsics is not None:
        # The origin is the corner of the image, not a pixel's centre: resizing only multiplies.
        corner = torch.tensor([0.0, 0.0, left, top])
        intrinsics = (intrinsics - corner) * torch.tensor([size[1] / w, size[0] / h, size[1] / w, size[0] / h])
    depth, valid = sample.depth[:, rows, columns], sample.valid[:, rows, columns]
    return Sample(image, depth, valid, sample.scene, intrinsics, extras)


def _chosen_pixels(valid: Tensor, size: tuple[int, int]) -> Tensor:
    """Choose the pixel of a map (h, w) that each pixel of a map of `size` takes, as (H, W) indices row * w + column."""
    h, w = valid.shape
    chosen = _nearest(h, size[0])[:, None] * w + _nearest(w, size[1])
    holes = ~valid.flatten()[chosen]
    if not holes.any() or not valid.any():
        return chosen

    # Every valid pixel falls into one pixel of the result. Those that fall into a hole are written to it, the farthest
    # from its centre first, so that the nearest stays; of equally near ones the first of the map.
    row, column = valid.nonzero(as_tuple=True)
    cell_row, row_off = _cells(row, h, size[0])
    cell_column, column_off = _cells(column, w, size[1])
    falls = holes[cell_row, cell_column]
    order = (row_off**2 + column_off**2)[falls].sort(stable=True).indices.flip(0)
    cells = (cell_row * size[1] + cell_column)[falls][order].numpy()
    filled = chosen.flatten().numpy()
    filled[cells] = (row * w + column)[falls][order].numpy()  # NumPy writes in order, torch in any
    return torch.from_numpy(filled).reshape(size)


def _cells(pixels: Tensor, length: int, target: int) -> tuple[Tensor, Tensor]:
    """Give the pixels of an axis of another length into which pixels fall, and how far from their centres, in pixels.

    Twice the numbers are whole, so that the border between two pixels is met exactly.
    """
    cells = (2 * pixels + 1) * target // (2 * length)
    return cells, (pixels + 0.5) - (cells + 0.5) * (length / target)


def _nearest(length: int, target: int) -> Tensor:
    """Give the indices of the pixels of an axis that are nearest to those of the axis at another length."""
    return F.interpolate(torch.arange(length).float()[None, None], target, mode="nearest-exact")[0, 0].long()


def resize_image(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B, 3, H, W) uint8 to (B, 3, *size) uint8, bilinear with antialiasing."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    resized = F.interpolate(image.float(), size, mode="bilinear", align_corners=False, antialias=True)
    return resized.round_().clamp_(0, 255).to(torch.uint8)
