"""Structural dissimilarity of depth maps."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from cliffkit.interfaces import Batch, Loss
from cliffkit_losses.masking import masked, mean_over


class SSIM(Loss):
    """(1 - SSIM) / 2, mean over valid pixels, from 0 (equal) to 1.

    Each valid pixel has a square window around it, `window` pixels wide with equal weights, and the statistics of a
    window are those of its valid pixels alone: holes and borders take nothing away and add nothing. Source: Wang et
    al., "Image Quality Assessment: From Error Visibility to Structural Similarity", TIP 2004.

    Raises ValueError for a window that is even or below 3, or a range that is not positive.

    Options:
        window: Side of the square window, in pixels; odd.
        max_depth_m: Range of depths that the two constants of the formula refer to, in metres; give that of the data,
            since for depths far beyond it rounding is no longer small beside the constants.
    """

    def __init__(self, *, window: int = 7, max_depth_m: float = 10.0) -> None:
        super().__init__()
        if window < 3 or window % 2 == 0:
            raise ValueError(f"ssim: window is {window}; it must be odd and >= 3")
        if not max_depth_m > 0:
            raise ValueError(f"ssim: max_depth_m is {max_depth_m}; it must be > 0")
        self.window = window
        self.c1, self.c2 = (0.01 * max_depth_m) ** 2, (0.03 * max_depth_m) ** 2  # the paper's K1 and K2

    def forward(self, prediction: Tensor, batch: Batch) -> Tensor:
        """(B, 1, H, W) metres and a batch to a scalar without unit."""
        valid = batch.valid
        x, y = masked(prediction, valid), masked(batch.depth, valid)
        share = self._box(valid.float()).clamp(min=0.5 / self.window**2)  # below one pixel's share: only where none is

        def mean(values: Tensor) -> Tensor:
            return self._box(values) / share

        mean_x, mean_y = mean(x), mean(y)
        variances = mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2
        covariance = mean(x * y) - mean_x * mean_y
        ssim = ((2 * mean_x * mean_y + self.c1) * (2 * covariance + self.c2)) / (
            (mean_x**2 + mean_y**2 + self.c1) * (variances + self.c2)
        )
        return mean_over((1 - ssim) / 2, valid)

    def _box(self, values: Tensor) -> Tensor:
        """Mean over each window, 0 outside of the image."""
        return F.avg_pool2d(values, self.window, stride=1, padding=self.window // 2)
