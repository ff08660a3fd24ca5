"""Common random numbers: what two recipes share starts alike, whatever else they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cliffkit.components.load import load_plugins
from cliffkit.components.registry import Registry
from cliffkit.interfaces import Batch, Fusion, Loss
from cliffkit.method.assemble import assemble, build
from cliffkit.method.drawn import drawn

from ..engine_fixtures import engine_recipe

State = Mapping[str, Tensor]


class Wasteful(Fusion):
    """A fusion that draws many numbers for its one weight."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(1000).mean())

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        return fine * self.weight


class Balanced(Loss):
    """A loss that learns how much it weighs, from a random start."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(()))

    def forward(self, prediction: Tensor, batch: Batch) -> Tensor:
        return self.scale * prediction.mean()


@pytest.fixture(scope="module")
def parts() -> Registry:
    """The built-in components and the two above."""
    registry = load_plugins().registry
    registry.from_plugin("alike", "1")
    registry.add("fusion", "wasteful", f"{__name__}:Wasteful")
    registry.add("loss", "balanced", f"{__name__}:Balanced")
    return registry


def starts(folder: Path, registry: Registry, *changes: str) -> State:
    """The weights with which training begins, of network, losses and generator."""
    modules = assemble(engine_recipe(folder, registry, *changes), 14)
    assert modules.hierarchical is not None
    state = dict(modules.network.state_dict())
    for name, _, loss in modules.losses:
        state |= {f"loss {name}.{key}": value for key, value in loss.state_dict().items()}
    return state | {f"embedding.{key}": value for key, value in modules.hierarchical.embedding.state_dict().items()}


def random(state: State, part: str) -> dict[str, Tensor]:
    """Weights of a part that are drawn: neither constants nor what normalisation counts."""
    return {
        name: value
        for name, value in state.items()
        if name.startswith(f"{part}.") and value.is_floating_point() and (value.numel() == 1 or value.std() > 0)
    }


def alike(ours: State, theirs: State, part: str) -> bool:
    """Whether a part has the same random weights in both, to the bit."""
    a, b = random(ours, part), random(theirs, part)
    assert a, f"{part} has random weights"
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def differ(ours: State, theirs: State, part: str) -> bool:
    """Whether no random tensor of a part is the same in both."""
    a, b = random(ours, part), random(theirs, part)
    assert a.keys() == b.keys(), part
    return not any(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("fusion", ["add", "concat", "wasteful"])
def test_networks_that_differ_in_their_fusion_start_alike_in_all_other_parts(
    tmp_path: Path, parts: Registry, fusion: str
) -> None:
    cliff, other = (starts(tmp_path, parts, f"model.fusion.use={name}") for name in ("cliff", fusion))
    assert all(alike(cliff, other, part) for part in ("backbone", "pyramid", "head", "embedding"))


def test_networks_that_differ_in_their_encoder_start_alike_behind_it(tmp_path: Path, parts: Registry) -> None:
    built, other = (
        starts(tmp_path, parts, f"model.backbone={backbone}", "model.pyramid={use: fpn, channels: 8}")
        for backbone in ("{use: handbuilt}", "{use: timm, name: resnet10t, pretrained: false}")
    )
    assert all(alike(built, other, part) for part in ("fusions.0", "fusions.1", "fusions.2", "head"))


def test_losses_and_generators_start_alike_beside_others(tmp_path: Path, parts: Registry) -> None:
    few = starts(tmp_path, parts, "loss=[{use: balanced}]", "model.fusion.use=wasteful", "embedding.use=heg_r")
    more = starts(tmp_path, parts, "loss=[{use: l1}, {use: balanced, weight: 2}]", "embedding.use=heg_r")
    assert alike(few, more, "loss balanced")
    assert alike(few, more, "embedding")


def test_two_fusions_of_a_network_start_differently(tmp_path: Path, parts: Registry) -> None:
    state = starts(tmp_path, parts)
    first, second = (list(random(state, f"fusions.{k}").values()) for k in (0, 1))
    assert [value.shape for value in first] == [value.shape for value in second]
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_another_seed_starts_every_part_of_the_network_anew(tmp_path: Path, parts: Registry) -> None:
    balanced = "loss=[{use: balanced}]"
    zero, one = (starts(tmp_path, parts, balanced, f"seed={seed}") for seed in (0, 1))
    assert all(differ(zero, one, part) for part in ("backbone", "pyramid", "fusions", "head", "loss balanced"))
    assert alike(zero, one, "embedding"), "the generator has a seed of its own"
    assert differ(zero, starts(tmp_path, parts, balanced, "train.embedding.seed=1"), "embedding")


def test_what_was_drawn_before_and_is_drawn_later_has_nothing_to_do_with_the_parts(
    tmp_path: Path, parts: Registry
) -> None:
    recipe = engine_recipe(tmp_path, parts)
    torch.manual_seed(5)
    first, later = build(recipe).state_dict(), torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), later)
    assert all(torch.equal(first[name], value) for name, value in build(recipe).state_dict().items())


def test_the_numbers_of_a_part_are_listed() -> None:
    """On any machine and in any process: a hash that changes from process to process would fail here."""
    assert drawn(3, "head 0", lambda: torch.rand(2)).tolist() == pytest.approx(
        [0.5044816732406616, 0.36748766899108887], abs=1e-7
    )
