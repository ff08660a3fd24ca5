"""Scale-and-shift-invariant loss."""

from __future__ import annotations

import torch
from torch import Tensor

from cliffkit.interfaces import Batch, Loss
from cliffkit_losses.masking import masked, mean_over
from cliffkit_losses.slopes import mean_slope

FLAT_M = 1e-3
"""Smallest mean deviation from the median that a map is divided by, metres: a map that varies less is flat."""

STEPS = (1, 2, 4, 8)
"""Scales of the gradient term: every pixel, every second, every fourth, every eighth."""


class SSI(Loss):
    """Mean |R| over valid pixels, where R is the aligned prediction minus the aligned truth; without unit.

    Each map d of an image is aligned as (d - t) / s, where t is the median of its valid pixels (of an even number the
    lower of the two in the middle) and s is the mean of their |d - t|. So a prediction may be shifted, and stretched by
    a positive factor, at no cost. Metric depth is therefore left undetermined: use this loss beside another, or score
    by a protocol that aligns, as `full+median`.

    Where `gradient` is not 0, `gradient` times the sum over s = 1, 2, 4, 8 of the mean |difference of R between
    neighbours| is added, of every s-th pixel, over the pairs beside or below each other whose pixels are both valid.

    Source: Ranftl et al., "Towards Robust Monocular Depth Estimation", arXiv 1907.01341, with depth in place of inverse
    depth, and a plain mean in place of half of it.

    Raises ValueError for a negative weight.

    Options:
        gradient: Weight of the multi-scale gradient term; the paper's is 0.5.
    """

    def __init__(self, *, gradient: float = 0.0) -> None:
        super().__init__()
        if not gradient >= 0:
            raise ValueError(f"ssi: gradient is {gradient}; it must be >= 0")
        self.gradient = gradient

    def forward(self, prediction: Tensor, batch: Batch) -> Tensor:
        """(B, 1, H, W) metres and a batch to a scalar without unit."""
        valid = batch.valid
        residual = _aligned(prediction, valid) - _aligned(batch.depth, valid)
        value = mean_over(residual.abs(), valid)
        if not self.gradient:
            return value
        slopes = [mean_slope(residual[..., ::step, ::step], valid[..., ::step, ::step]) for step in STEPS]
        return value + self.gradient * torch.stack(slopes).sum()


def _aligned(depth: Tensor, valid: Tensor) -> Tensor:
    """Shift and scale maps (B, 1, H, W) to median 0 and mean deviation 1, each by its valid pixels."""
    values, known = masked(depth, valid).flatten(1), valid.flatten(1)
    count = known.sum(1, keepdim=True)
    ascending = masked(values, known, fill=torch.inf).sort(dim=1).values
    middle = ascending.gather(1, (count.clamp(min=1) - 1) // 2)
    centred = values - masked(middle, count > 0)  # infinite in an image without a valid pixel
    deviation = masked(centred, known).abs().sum(1, keepdim=True) / count.clamp(min=1)
    return (centred / deviation.clamp(min=FLAT_M)).view_as(depth)
