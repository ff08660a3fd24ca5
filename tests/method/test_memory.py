"""What no machine can hold is refused before it is allocated; what fits passes."""

import time
from dataclasses import replace

import pytest
import torch

from cliffkit.components.registry import Component
from cliffkit.errors import PartError, RecipeError, UserError
from cliffkit.interfaces import Fusion
from cliffkit.method import memory
from cliffkit.method.assemble import build
from cliffkit.method.buildable import check_buildable
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.check import check_recipe
from cliffkit.recipe.override import override

CPU = torch.device("cpu")


class NoSum(Fusion):
    """A fusion with a slip of the pen in it."""

    def __init__(self, channels, /):
        super().__init__()

    def forward(self, fine, coarse):
        return fine + None


@pytest.fixture
def recipe(tiny, registry):
    return lambda *settings: check_recipe(override(yamlstrict.parse(tiny, "tiny.yaml"), settings, registry), registry)


@pytest.mark.parametrize(
    ("setting", "label", "remedy"),
    [
        ("data.size=[100000, 100000]", "data.size: an image of 100000x100000 pixels", "data.size"),
        ("train.depth.batch=1000000000", "batch: a batch of 1000000000 images", "train.depth.batch or data.size"),
        ("train.embedding.batch=1000000000", "embedding.batch: a batch of", "train.embedding.batch or data.size"),
        ("model.pyramid.channels=1000000", "model.pyramid (symmetric): a tensor of shape (1000000, ", "channels"),
    ],
)
def test_what_no_machine_can_hold_is_refused_with_the_estimate_and_what_to_lower(recipe, setting, label, remedy):
    started = time.monotonic()
    with pytest.raises(UserError) as caught:
        check_buildable(recipe(setting), {})
    message = str(caught.value)
    assert label in message
    assert remedy in message
    assert any(f" {unit} of memory" in message for unit in ("GB", "TB", "PB"))
    assert time.monotonic() - started < 60  # nothing of that size was touched


def test_a_size_or_batch_is_named_where_it_is_written(recipe, monkeypatch):
    monkeypatch.setattr(memory, "memory_of", lambda device: 4 * 32 * 48 * memory.PIXEL_BYTES - 1)
    with pytest.raises(RecipeError) as caught:
        memory.check_images(recipe("train.embedding.batch=5", "data.crop=0.5"), [CPU])
    assert [fault.place for fault in caught.value.faults] == ["tiny.yaml:13", "--set train.embedding.batch=5"]
    with pytest.raises(RecipeError, match=r"^tiny\.yaml:4: data\.size: an image of 320x480 pixels takes at least"):
        memory.check_images(recipe("data.crop=0.1"), [CPU])


def test_a_usual_recipe_passes_with_little_memory(recipe, monkeypatch):
    monkeypatch.setattr(memory, "memory_of", lambda device: 2**30)
    memory.check_images(recipe(), [CPU])


def test_processes_share_a_batch(recipe, monkeypatch):
    batch = recipe("train.depth.batch=1000")
    needed = 1000 * 32 * 48 * memory.PIXEL_BYTES
    monkeypatch.setattr(memory, "memory_of", lambda device: needed - 1)
    with pytest.raises(UserError, match="a batch of 1000 images"):
        memory.check_images(batch, [CPU], 1)
    memory.check_images(batch, [CPU], 2)


def test_weights_and_features_are_counted(recipe, monkeypatch):
    built = recipe()
    network = build(built)
    monkeypatch.setattr(memory, "memory_of", lambda device: 1000)
    with pytest.raises(UserError) as caught:
        memory.check_network(built, network, [CPU])
    weights, features = str(caught.value).splitlines()
    assert "the network with a copy of its best weights takes at least" in weights
    assert features.startswith("tiny.yaml:4: data.size: an image of 32x48 pixels with its features takes at least")


@pytest.mark.parametrize(
    ("channels", "place"), [(64, "tiny.yaml:7: model.pyramid"), (1, "tiny.yaml:6: model.backbone")]
)
def test_weights_that_are_too_many_are_a_fault_of_the_backbone_or_of_the_pyramid_s_width(
    recipe, monkeypatch, channels, place
):
    built = recipe(f"model.pyramid.channels={channels}")
    network = build(built)
    monkeypatch.setattr(memory, "memory_of", lambda device: 1000)
    with pytest.raises(UserError, match=f"^{place}"):
        memory.check_network(built, network, [CPU])


def test_the_guard_sees_tensors_made_by_shape_alone():
    with memory.Guard(2**40):
        assert torch.empty(3).shape == (3,)
        with pytest.raises(UserError, match=r"a tensor of shape \(1000000, 1000000, 9\) takes 36\.0 TB of memory"):
            torch.empty(1_000_000, 1_000_000, 9)
        with pytest.raises(UserError, match=r"takes 9\.0 TB"):
            torch.zeros((1_000_000, 1_000_000, 9), dtype=torch.uint8)


def test_a_container_s_limit_counts(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    limit.write_text("1000000\n")
    monkeypatch.setattr(memory, "CGROUP_LIMITS", (limit, tmp_path / "absent"))
    swap = memory.psutil.swap_memory().total
    assert memory.memory_of(torch.device("cpu")) == 1_000_000 + swap
    limit.write_text("max\n")
    assert memory.memory_of(torch.device("cpu")) == memory.psutil.virtual_memory().total + swap


@pytest.mark.parametrize("kind", ["backbone", "pyramid", "fusion", "head"])
def test_whatever_a_part_raises_when_it_is_tried_names_part_and_plugin(recipe, monkeypatch, kind):
    tried = recipe()
    part = tried.model[kind]

    def broken(self, *inputs):
        raise TypeError("unsupported operand")

    monkeypatch.setattr(part.component.load(), "forward", broken)
    with pytest.raises(UserError) as caught:
        check_buildable(tried, {})
    message = str(caught.value)
    assert message.startswith("tiny.yaml:")
    assert f"model.{kind}" in message
    assert part.component.plugin in message
    assert "fails on an image of 32x48 pixels: TypeError: unsupported operand, in " in message
    assert "mend or uninstall the plugin" in message
    assert "data.size" not in message


def test_the_line_of_a_part_that_fails_is_named(recipe):
    tried = recipe()
    component = Component("fusion", "no_sum", f"{__name__}:NoSum", "", "mine", "1")
    place = r"^tiny\.yaml:8: model\.fusion \(cliff\): fails on an image of 32x48 pixels: "
    why = r"TypeError: .*, in fusion 'no_sum' of plugin 'mine' \(test_memory\.py:\d+\); mend or uninstall the plugin$"
    fusion = replace(tried.model["fusion"], component=component, options={})
    with pytest.raises(PartError, match=place + why):
        check_buildable(replace(tried, model={**tried.model, "fusion": fusion}), {})


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ValueError("too odd"),
            r"does not take an image of 32x48 pixels: too odd; change data\.size or the part's opt",
        ),
        (
            MemoryError(),
            r"an image of 32x48 pixels takes more memory than there is; lower data\.size or the part's opt",
        ),
    ],
)
def test_a_refusal_and_too_little_memory_are_for_the_user_to_mend(recipe, monkeypatch, error, message):
    tried = recipe()

    def refuse(self, *inputs):
        raise error

    monkeypatch.setattr(tried.model["pyramid"].component.load(), "forward", refuse)
    with pytest.raises(UserError, match=rf"^tiny\.yaml:7: model\.pyramid \(symmetric\): .*{message}") as caught:
        check_buildable(tried, {})
    assert not isinstance(caught.value, PartError)
    assert "mend" not in str(caught.value)


def test_a_factory_s_error_is_one_line_that_names_the_plugin(recipe):
    with pytest.raises(UserError) as caught:
        check_buildable(recipe("model.pyramid.channels=18446744073709551615"), {})
    (line,) = str(caught.value).splitlines()
    assert "pyramid 'symmetric' of plugin 'pyramids' cannot be built: " in line
    assert len(line) < 600
