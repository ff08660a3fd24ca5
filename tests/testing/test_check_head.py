"""The check of heads fails for a head that breaks its contract, and says how."""

import pytest
import torch
from torch import nn

from cliffkit.interfaces import Head, Prediction
from cliffkit.layers import in_float32
from cliffkit.testing import check_head


class GoodHead(Head):
    def __init__(self, channels):
        super().__init__()
        self.metres = nn.Conv2d(channels, 1, 1)

    def forward(self, fused):
        return Prediction(in_float32(self.metres, fused[0]))


class EveryLevel(GoodHead):
    """Deep supervision: a coarser depth beside the finest."""

    gives = ("coarser",)

    def forward(self, fused):
        coarser = in_float32(self.metres, fused[1])
        return Prediction(super().forward(fused).depth + coarser.mean((1, 2, 3), keepdim=True), {"coarser": coarser})


class JustATensor(GoodHead):
    def forward(self, fused):
        return super().forward(fused).depth


class AtTheImage(GoodHead):
    def forward(self, fused):
        return Prediction(nn.functional.interpolate(super().forward(fused).depth, scale_factor=4))


class Unsaid(GoodHead):
    def forward(self, fused):
        return super().forward(fused)._replace(extras={"variance": fused[0].mean(1)})


class Promised(GoodHead):
    gives = ("variance",)


class NoBatchAxis(GoodHead):
    gives = ("centres",)

    def forward(self, fused):
        return super().forward(fused)._replace(extras={"centres": fused[0].mean((0, 2, 3))})


class InMixedPrecision(GoodHead):
    def forward(self, fused):
        return Prediction(self.metres(fused[0]))


class Unused(GoodHead):
    def __init__(self, channels):
        super().__init__(channels)
        self.other = nn.Parameter(torch.zeros(3))


@pytest.mark.parametrize("head", [GoodHead, EveryLevel])
def test_a_good_head_passes(head):
    check_head(head)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (JustATensor, r"JustATensor: forward gives a Tensor, expected a cliffkit\.interfaces\.Prediction"),
        (AtTheImage, r"AtTheImage on features of \(12, 16\): depth: outputs have shapes .*, expected "),
        (Unsaid, r"Unsaid: gives \['variance'\] beside depth, and `gives` says \[\]"),
        (Promised, r"Promised: gives \[\] beside depth, and `gives` says \['variance'\]"),
        (NoBatchAxis, r"NoBatchAxis: what it gives beside depth must have a leading batch axis"),
        (InMixedPrecision, r"InMixedPrecision: depth is torch\.bfloat16 under autocast"),
        (Unused, r"Unused: no gradient reaches other"),
    ],
)
def test_a_broken_head_fails(head, message):
    with pytest.raises(AssertionError, match=message):
        check_head(head)
