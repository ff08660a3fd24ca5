"""Patterns of parameters: which are frozen, which have a rate of their own, which decay."""

from __future__ import annotations

import pytest
import timm
from timm.optim import param_groups_layer_decay
from torch import nn

from cliffkit.errors import UserError
from cliffkit.recipe.schema import LayerRates
from cliffkit.training.layers import number_layers
from cliffkit.training.parameters import check_patterns, divide, freeze_parameters, matches
from cliffkit_backbones.timm_model import TimmModel

LAYERS = LayerRates(rate=0.5, layer_decay=0.8)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.InstanceNorm2d(4, track_running_stats=True)
        )
        self.backbone2 = nn.Conv2d(4, 4, 1)
        self.head = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Dropout())


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("backbone.0.weight", "backbone", True),
        ("backbone.0.weight", "backbone.0", True),
        ("backbone.0.weight", "backbone.0.weight", True),
        ("backbone2.weight", "backbone", False),
        ("backbone.10.weight", "backbone.1", False),
        ("backbone.0.weight", "0", False),
        ("backbone.0.weight", "*.weight", True),
        ("backbone.0.weight", "backbone.*.bias", False),
        ("backbone.0.weight", "back*", True),
        ("backbone.0.weight", "Backbone", False),
        ("backbone.3.weight", "backbone.[0-3].*", True),
    ],
)
def test_a_pattern_is_the_beginning_of_a_dotted_name_or_a_shell_pattern(
    name: str, pattern: str, expected: bool
) -> None:
    assert matches(name, pattern) == expected


@pytest.mark.parametrize(
    ("groups", "freeze", "message"),
    [
        (["bakbone"], [], r"train\.depth\.groups: 'bakbone' matches no parameter; did you mean 'backbone'\?"),
        ([], ["backbone.0.wieght"], r"train\.depth\.freeze: .*; did you mean 'backbone\.0\.weight'\?"),
        ([], ["head", "encoder"], r"'encoder' matches no parameter; there are: backbone, backbone2, head"),
        ({"back*": LAYERS}, [], r"train\.depth\.groups: 'back\*' has layer_decay and is no module; name one"),
        ({"backbone2": LAYERS}, [], r"'backbone2' has layer_decay and a single layer; write a factor"),
        ([], ["head", "backbone*"], r"train\.depth\.freeze: every parameter is frozen; leave one out"),
    ],
)
def test_a_pattern_that_means_nothing_or_everything_is_refused(
    groups: list[str] | dict[str, LayerRates], freeze: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        check_patterns(Net(), groups if isinstance(groups, dict) else dict.fromkeys(groups, 0.1), freeze, "depth")


def test_good_patterns_are_none_to_complain_about() -> None:
    check_patterns(Net(), {"backbone": LAYERS, "head.*": 0.5}, ["backbone.1", "*.bias"], "depth")


@pytest.mark.parametrize(
    ("patterns", "frozen", "still"),
    [
        (["backbone"], {"backbone.0.weight", "backbone.0.bias", "backbone.1.weight", "backbone.1.bias"}, ["1", "2"]),
        (["backbone.1"], {"backbone.1.weight", "backbone.1.bias"}, ["1"]),
        (["backbone.1.weight"], {"backbone.1.weight"}, []),
        (["backbone.1.*"], {"backbone.1.weight", "backbone.1.bias"}, ["1"]),
        (["backbone.2", "*2.bias"], {"backbone2.bias"}, ["2"]),
        ([], set(), []),
    ],
)
def test_what_is_frozen_has_no_gradient_and_its_normalisation_is_named(
    patterns: list[str], frozen: set[str], still: list[str]
) -> None:
    net = Net()
    kept = freeze_parameters(net, patterns)
    assert {name for name, parameter in net.named_parameters() if not parameter.requires_grad} == frozen
    assert [id(module) for module in kept] == [id(net.backbone[int(i)]) for i in still]


def test_groups_are_by_rate_and_decay_and_the_last_pattern_counts() -> None:
    net = Net()
    objective = nn.ModuleDict({"net": net, "loss": nn.Linear(2, 2)})
    freeze_parameters(net, ["head.1"])
    groups = divide(objective, net, {"backbone": 0.1, "backbone.1": 3.0})
    names = {id(parameter): name for name, parameter in objective.named_parameters()}
    assert [
        ([names[id(p)].removeprefix("net.") for p in group.parameters], group.factor, group.decays) for group in groups
    ] == [
        (["backbone.0.weight"], 0.1, True),
        (["backbone.0.bias"], 0.1, False),
        (["backbone.1.weight", "backbone.1.bias"], 3.0, False),
        (["backbone2.weight", "head.0.weight", "loss.weight"], 1.0, True),
        (["backbone2.bias", "head.0.bias", "loss.bias"], 1.0, False),
    ]


def test_without_factors_there_are_two_groups() -> None:
    net = Net()
    groups = divide(net, net, {})
    assert [(len(group.parameters), group.factor, group.decays) for group in groups] == [
        (3, 1.0, True),
        (7, 1.0, False),
    ]
    assert {id(p) for group in groups for p in group.parameters} == {id(p) for p in net.parameters()}


def factors(net: nn.Module, **rates: float | LayerRates) -> dict[str, float]:
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    return {names[id(p)]: group.factor for group in divide(net, net, rates) for p in group.parameters}


def test_a_transformers_rates_fall_by_layer_as_those_of_timm_do() -> None:
    net = nn.ModuleDict({"backbone": TimmModel(name="test_vit")})
    ours = factors(net, backbone=LayerRates(rate=0.8, layer_decay=0.8))
    assert len(set(ours.values())) > 3
    model = timm.create_model("test_vit")
    scales = {
        id(p): group["lr_scale"] for group in param_groups_layer_decay(model, layer_decay=0.8) for p in group["params"]
    }
    theirs = {f"backbone.net.model.{name}": scales[id(p)] for name, p in model.named_parameters()}
    assert ours == pytest.approx({name: theirs[name] for name in ours})  # theirs has a head for one more layer


def test_layers_are_the_members_of_the_outermost_lists_and_what_follows_them() -> None:
    net = nn.ModuleDict(
        {
            "stem": nn.Conv2d(3, 4, 1, bias=False),
            "first": nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.ReLU(), nn.Linear(2, 2)),
            "norm": nn.LayerNorm(2),
            "second": nn.ModuleList([nn.Linear(2, 2)]),
        }
    )
    layers = number_layers(net)
    assert {name.removesuffix(".weight"): number for name, number in layers.items() if name.endswith("weight")} == {
        "stem": 0, "first.0.0": 1, "first.0.1": 1, "first.2": 2, "norm": 2, "second.0": 3,
    }  # fmt: skip
    assert factors(net, first=LayerRates(layer_decay=0.5), norm=0.25) == {
        "stem.weight": 1.0,
        **{f"first.0.{i}.{name}": 0.5 for i in (0, 1) for name in ("weight", "bias")},
        **{f"first.2.{name}": 1.0 for name in ("weight", "bias")},
        **{f"norm.{name}": 0.25 for name in ("weight", "bias")},
        **{f"second.0.{name}": 1.0 for name in ("weight", "bias")},
    }
