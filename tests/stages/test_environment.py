"""What a fit is trained with is written down, fetched weights included."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cliffkit.interfaces import Network, Prediction
from cliffkit.stages.context import Context
from cliffkit.stages.environment import trained_with
from cliffkit.store.artifacts import Environment

from ..engine_fixtures import cpu


class Fetching(Network):
    """A network whose weights are the cache's."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.net = nn.Conv2d(3, 1, 1)
        nn.init.constant_(self.net.weight, 0.5)
        nn.init.constant_(self.net.bias, bias)
        self.note_fetched("weights of net", self.net)

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(self.net(image))


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path, {}, cpu(), {}, lambda event: None)


def written(context: Context, module: nn.Module) -> Environment:
    with trained_with(context, module):
        pass
    return Environment.read(context.folder)


def test_the_content_of_fetched_weights_stands_under_their_name(context: Context) -> None:
    first, again, other = (written(context, nn.Sequential(Fetching(bias))) for bias in (0.25, 0.25, 0.75))
    name = "weights of net"
    assert first.versions[name] == again.versions[name] != other.versions[name]
    assert first.flat()[name] == first.versions[name]
    assert name not in written(context, nn.Conv2d(3, 1, 1)).versions


def test_training_does_not_change_what_was_fetched(context: Context) -> None:
    network = Fetching(0.25)
    fetched = network.fetched
    with torch.no_grad():
        network.net.weight += 1
    assert written(context, network).versions["weights of net"] == fetched["weights of net"]


def test_an_operation_that_is_met_during_the_fit_is_listed_afterwards(context: Context) -> None:
    with trained_with(context, nn.Identity()):
        assert Environment.read(context.folder).nondeterministic == ()
        context.device.nondeterministic.append("scatter")
    assert Environment.read(context.folder).nondeterministic == ("scatter",)
    assert Environment.read(context.folder).flat()["nondeterministic"] == "scatter"
