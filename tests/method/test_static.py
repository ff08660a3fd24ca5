"""What `train.depth.speed` asks of parts, tried before any training."""

from pathlib import Path

import pytest
import torch

from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.interfaces import Loss
from cliffkit.method.assemble import assemble
from cliffkit.method.buildable import check_buildable
from cliffkit.method.static import check_static

from ..engine_fixtures import engine_recipe

SHORT = ("data.train=8", "data.val=2", "data.test=2")


def recipe_of(folder: Path, registry: Registry, speed: str, *changes: str):
    return engine_recipe(folder, registry, *SHORT, f"train.depth.speed={speed}", *changes)


def test_every_loss_of_ours_can_be_recorded(tmp_path: Path, registry: Registry) -> None:
    every = ", ".join(f"{{use: {name}}}" for name in registry.names("loss"))
    check_buildable(recipe_of(tmp_path, registry, "graphs", f"loss=[{every}]", "model.head={use: bins}"), {})


def test_every_head_and_generator_of_ours_can_be_recorded(tmp_path: Path, registry: Registry) -> None:
    for head in registry.names("head"):
        check_buildable(recipe_of(tmp_path, registry, "graphs", f"model.head={{use: {head}}}"), {})
    for generator in registry.names("embedding"):
        check_buildable(recipe_of(tmp_path, registry, "graphs", f"embedding={{use: {generator}}}"), {})


def test_deterministic_resizing_can_be_recorded(tmp_path: Path, registry: Registry) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        check_buildable(recipe_of(tmp_path, registry, "graphs"), {})
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("pyramid", ["dpt", "simple"])
def test_a_transformer_and_its_pyramids_can_be_recorded(tmp_path: Path, registry: Registry, pyramid: str) -> None:
    parts = ("model.backbone={use: timm, name: test_vit}", f"model.pyramid={{use: {pyramid}, channels: 8}}")
    check_buildable(recipe_of(tmp_path, registry, "graphs", *parts), {})


@pytest.mark.parametrize("pyramid", ["{use: fpn, channels: 8}", "{use: symmetric, channels: 8}"])
@pytest.mark.parametrize("fusion", ["cliff", "add", "concat"])
def test_every_pyramid_and_fusion_of_ours_can_be_recorded(
    tmp_path: Path, registry: Registry, pyramid: str, fusion: str
) -> None:
    changes = (f"model.pyramid={pyramid}", f"model.fusion.use={fusion}")
    check_buildable(recipe_of(tmp_path, registry, "graphs", *changes), {})


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_vit"])
def test_backbones_of_timm_can_be_recorded(tmp_path: Path, registry: Registry, name: str) -> None:
    check_buildable(recipe_of(tmp_path, registry, "graphs", f"model.backbone={{use: timm, name: {name}}}"), {})


def test_our_parts_are_one_graph_each(tmp_path: Path, registry: Registry) -> None:
    if torch.__version__ < "2.14":  # versions are compared, not texts
        with pytest.raises(UserError, match=r"cannot be compiled as one graph.*use eager"):
            check_buildable(recipe_of(tmp_path, registry, "compile"), {})
        return
    check_buildable(recipe_of(tmp_path, registry, "compile"), {})


def asks(module, inputs, output):
    """A hook that brings a value to the host."""
    first = output[0] if isinstance(output, list | tuple) else output
    return output if float(first.sum()) > 0 else None


@pytest.mark.parametrize(
    ("speed", "what"),
    [("graphs", "cannot be recorded as a CUDA graph"), ("compile", "cannot be compiled as one graph")],
)
@pytest.mark.parametrize("kind", ["backbone", "pyramid", "fusion", "head"])
def test_a_part_that_asks_for_a_value_is_named(
    tmp_path: Path, registry: Registry, speed: str, what: str, kind: str
) -> None:
    recipe = recipe_of(tmp_path, registry, speed)
    modules = assemble(recipe, 14)
    part = modules.network.fusions[1] if kind == "fusion" else getattr(modules.network, kind)
    part.register_forward_hook(asks)
    place = rf"engine\.yaml:\d+.*{kind} '{recipe.model[kind].component.name}' .*{what}"
    with pytest.raises(UserError, match=rf"{place}, as train\.depth\.speed '{speed}' needs it: .*use eager"):
        check_static(recipe, modules)


class OnTheHost(Loss):
    """A constant that was forgotten on the processor."""

    def forward(self, prediction, batch):
        return (prediction * torch.ones(prediction.shape[-2:], device="cpu")).mean()


class Uploads(Loss):
    """A constant that is copied to the GPU in every step."""

    def forward(self, prediction, batch):
        return (prediction * torch.tensor([0.5], device=prediction.device)).mean()


@pytest.mark.parametrize("wrong", [OnTheHost, Uploads])
def test_a_loss_with_a_constant_on_the_host_is_named(tmp_path: Path, registry: Registry, wrong: type[Loss]) -> None:
    recipe = recipe_of(tmp_path, registry, "graphs")
    modules = assemble(recipe, 14)
    modules.losses.append(("forgotten", 1.0, wrong()))
    with pytest.raises(UserError, match="loss forgotten cannot be recorded as a CUDA graph"):
        check_static(recipe, modules)
