"""The check of networks fails for a network that breaks its contract, and says how."""

import pytest
import torch
from torch import nn

from cliffkit.interfaces import Head, Network, Prediction
from cliffkit.layers import in_float32
from cliffkit.testing import check_network


class Good(Network):
    """Depth at half of the size."""

    multiple = 2

    def __init__(self):
        super().__init__()
        self.metres = nn.Conv2d(3, 1, 3, stride=2, padding=1)

    def forward(self, image):
        return Prediction(in_float32(self.metres, image))


class WithDoubt(Good):
    gives = ("doubt",)

    def forward(self, image):
        depth = super().forward(image).depth
        return Prediction(depth, {"doubt": depth.mean((2, 3))})


class Bare(Good):
    def forward(self, image):
        return super().forward(image).depth


class Squeezed(Good):
    def forward(self, image):
        return Prediction(super().forward(image).depth[:, 0])


class Unsaid(WithDoubt):
    gives = ()


class NoBatchAxis(WithDoubt):
    def forward(self, image):
        return Prediction(super().forward(image).depth, {"doubt": image.mean()[None]})


class Zero(Good):
    multiple = 0


class Exact(Good):
    """Takes no size but multiples of four, and says two."""

    def forward(self, image):
        rows = image.unflatten(2, (-1, 4))
        return Prediction(super().forward(rows.flatten(2, 3)).depth)


class InMixedPrecision(Good):
    def forward(self, image):
        return Prediction(self.metres(image))


class InFloat64(Good):
    def forward(self, image):
        return Prediction(super().forward(image).depth.double())


class Unused(Good):
    def __init__(self):
        super().__init__()
        self.mask = nn.Parameter(torch.zeros(3))


class OfTheBatch(Good):
    def forward(self, image):
        return Prediction(super().forward(image - image.mean()).depth)


class NoNetwork(Head):
    def forward(self, fused):
        return Prediction(fused[0])


@pytest.mark.parametrize("network", [Good, WithDoubt])
def test_a_good_network_passes(network):
    check_network(network)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (NoNetwork, r"NoNetwork: is no cliffkit\.interfaces\.Network; subclass it"),
        (Zero, r"Zero: multiple is 0; it must be a whole number of pixels, 1 where any size will do"),
        (Bare, r"Bare: forward gives a Tensor, expected a cliffkit\.interfaces\.Prediction"),
        (Squeezed, r"Squeezed on 64x66: depth: outputs have shapes \[\(2, 32, 33\)\], expected \[\(2, 1, 33\)\]"),
        (Unsaid, r"Unsaid: gives \['doubt'\] beside depth, and `gives` says \[\]"),
        (NoBatchAxis, r"NoBatchAxis: what it gives beside depth must have a leading batch axis"),
        (Exact, r"Exact on 34x32: .*; mend its forward, or raise `multiple`, which is 2"),
        (InMixedPrecision, r"InMixedPrecision: depth is torch\.bfloat16 under autocast"),
        (InFloat64, r"InFloat64: output 0 is torch\.float64, expected torch\.float32"),
        (Unused, r"Unused: no gradient reaches mask; leave unused parameters out or freeze them"),
        (OfTheBatch, r"OfTheBatch: in evaluation mode the output for an image depends on the rest of its batch"),
    ],
)
def test_a_broken_network_fails(network, message):
    with pytest.raises(AssertionError, match=message):
        check_network(network)
