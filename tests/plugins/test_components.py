"""Every component that is registered, built in or not, keeps its contract: a new one is tested because it exists."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cliffkit import testing
from cliffkit.components.load import load_plugins

from .layout_files import (
    write_diode,
    write_h5,
    write_hypersim,
    write_kitti,
    write_mix,
    write_nyu_sync,
    write_sunrgbd,
    write_ultralytics,
    write_vkitti2,
)
from .nyu_file import write_nyu
from .test_pairs import rows, write_pairs

CHECKS = {
    "backbone": testing.check_backbone,
    "pyramid": testing.check_pyramid,
    "fusion": testing.check_fusion,
    "embedding": testing.check_embedding,
    "loss": testing.check_loss,
    "protocol": testing.check_protocol,
    "head": testing.check_head,
    "augment": testing.check_augment,
    "optimizer": testing.check_optimizer,
    "schedule": testing.check_schedule,
}
OPTIONS: dict[tuple[str, str], list[dict[str, Any]]] = {
    # One per family: convolutions, ConvNeXt, EfficientNet, vision transformer.
    ("backbone", "timm"): [
        {"name": name} for name in ("test_resnet", "test_convnext", "test_efficientnet", "test_vit", "test_vit3")
    ],
    ("augment", "random_crop"): [{}, {"keep": "focal"}],
    ("fusion", "cliff"): [{}, {"upsample": "transposed"}],
    ("loss", "bins"): [{"given": {"bin_centres": torch.linspace(0.5, 6, 8).expand(3, 8)}}],
    ("optimizer", "sgd"): [{}, {"momentum": 0.0}, {"nesterov": True}],
    ("schedule", "step"): [{}, {"milestones": (3, 5), "decay": 0.5}],
    ("pyramid", "fpn"): [{"channels": 12}],  # the default of 256 only takes longer
    ("pyramid", "dpt"): [{"channels": 12, "one_stride": True}],
    ("pyramid", "simple"): [{"channels": 12, "one_stride": True, "last_alone": True}],
}
# Data sets that read files, and what makes them a tiny folder.
NEED_DATA: dict[str, Callable[[Path], object]] = {
    "diode": write_diode,
    "h5": write_h5,
    "hypersim": write_hypersim,
    "kitti": write_kitti,
    "mix": write_mix,
    "nyu": write_nyu,
    "nyu_sync": write_nyu_sync,
    "sunrgbd": write_sunrgbd,
    "ultralytics": write_ultralytics,
    "vkitti2": write_vkitti2,
    "pairs": lambda root: write_pairs(root, rows()),
}
REGISTRY = load_plugins(strict=True).registry
CASES = [
    pytest.param(
        component,
        options,
        id="-".join([component.kind, component.name, *(str(v) for v in options.values() if not isinstance(v, dict))]),
    )
    for component in REGISTRY
    if component.kind in CHECKS
    for options in OPTIONS.get((component.kind, component.name), [{}])
]


@pytest.mark.parametrize(("component", "options"), CASES)
def test_component_keeps_its_contract(component, options):
    CHECKS[component.kind](component.load(), **options)


@pytest.mark.parametrize("name", REGISTRY.names("executor"))
def test_executor_keeps_its_contract(name, tmp_path):
    if name in ("ray", "submitit"):
        pytest.importorskip(name)
    factory = REGISTRY.get("executor", name).load()
    options = {"cluster": "local", "folder": tmp_path / "logs"} if name == "submitit" else {}
    testing.check_executor(lambda: factory(2, "cpu", **options))


@pytest.mark.parametrize("name", REGISTRY.names("dataset"))
def test_dataset_keeps_its_contract(name, tmp_path):
    factory = REGISTRY.get("dataset", name).load()
    root = None
    if name in NEED_DATA:
        root = tmp_path / name
        NEED_DATA[name](root)
    testing.check_dataset(lambda split: factory(split, root))


def test_the_options_above_are_those_of_registered_components():
    assert set(OPTIONS) <= {(component.kind, component.name) for component in REGISTRY}
    assert set(REGISTRY.names("dataset")) >= set(NEED_DATA)


def test_every_kind_of_torch_component_has_one():
    assert {component.kind for component in REGISTRY} >= set(CHECKS)


@pytest.mark.parametrize("component", list(REGISTRY), ids=lambda component: f"{component.kind}-{component.name}")
def test_the_docstring_helps_with_every_option_in_the_order_of_the_signature(component):
    factory = component.load()
    options = [p.name for p in inspect.signature(factory).parameters.values() if p.kind is p.KEYWORD_ONLY]
    _, _, section = inspect.getdoc(factory).partition("\n\nOptions:\n")
    assert re.findall(r"^    (\w+): [A-Z]", section, re.MULTILINE) == options
    assert all(line.startswith("    ") for line in section.splitlines())
    assert len(re.findall(r"\.$", section, re.MULTILINE)) == len(options)
