"""The plainest fusion, the baseline of the ablation."""

from __future__ import annotations

from torch import Tensor

from cliffkit.interfaces import Fusion
from cliffkit.layers import resize


class Add(Fusion):
    """Upsample the coarse features and add them. Without parameters."""

    def __init__(self, channels: int, /) -> None:
        super().__init__()

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Fine (B, C, H, W) and coarse (B, C, h, w) to (B, C, H, W)."""
        return fine + resize(coarse, fine)
