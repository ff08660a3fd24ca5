"""What no machine can hold is refused before it is allocated; what fits passes."""

import time

import pytest
import torch

from cliffkit.errors import UserError
from cliffkit.method import memory
from cliffkit.method.assemble import build
from cliffkit.method.buildable import check_buildable
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.check import check_recipe
from cliffkit.recipe.override import override


@pytest.fixture
def recipe(tiny, registry):
    return lambda *settings: check_recipe(override(yamlstrict.parse(tiny, "tiny.yaml"), settings, registry), registry)


@pytest.mark.parametrize(
    ("setting", "label", "remedy"),
    [
        ("data.size=[100000, 100000]", "data.size: an image of 100000x100000 pixels", "data.size"),
        ("train.depth.batch=1000000000", "train.depth: a batch of 1000000000 images", "train.depth.batch or data.size"),
        ("train.embedding.batch=1000000000", "train.embedding: a batch of", "train.embedding.batch or data.size"),
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


def test_a_usual_recipe_passes_with_little_memory(recipe, monkeypatch):
    monkeypatch.setattr(memory, "memory_of", lambda device: 2**30)
    memory.check_images(recipe(), [(32, 48)], [torch.device("cpu")], 1)


def test_processes_share_a_batch(recipe, monkeypatch):
    batch = recipe("train.depth.batch=1000")
    needed = 1000 * 32 * 48 * memory.PIXEL_BYTES
    monkeypatch.setattr(memory, "memory_of", lambda device: needed - 1)
    with pytest.raises(UserError, match="a batch of 1000 images"):
        memory.check_images(batch, [], [torch.device("cpu")], 1)
    memory.check_images(batch, [], [torch.device("cpu")], 2)


def test_weights_and_features_are_counted(recipe, monkeypatch):
    built = recipe()
    network = build(built)
    monkeypatch.setattr(memory, "memory_of", lambda device: 1000)
    with pytest.raises(UserError) as caught:
        memory.check_network(built, network, [(32, 48)], [torch.device("cpu")])
    weights, features = str(caught.value).splitlines()
    assert "model: its weights, with a copy of the best takes at least" in weights
    assert "model: the features of an image of 32x48 pixels takes at least" in features


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
    part = getattr(tried, kind)

    def broken(self, *inputs):
        raise TypeError("unsupported operand")

    monkeypatch.setattr(part.component.load(), "forward", broken)
    with pytest.raises(UserError) as caught:
        check_buildable(tried, {})
    message = str(caught.value)
    assert message.startswith("tiny.yaml:")
    assert f"model.{kind}" in message
    assert part.component.plugin in message
    assert "TypeError: unsupported operand" in message


def test_a_factory_s_error_is_one_line_that_names_the_plugin(recipe):
    with pytest.raises(UserError) as caught:
        check_buildable(recipe("model.pyramid.channels=18446744073709551615"), {})
    (line,) = str(caught.value).splitlines()
    assert "pyramid 'symmetric' of plugin 'pyramids' cannot be built: " in line
    assert len(line) < 600
