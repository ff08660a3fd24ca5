"""Training may be written short, and as recipes wrote it before its parts were components; each means a full form."""

import pytest

from cliffkit.errors import RecipeError
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.check import check_recipe

TEXT = """\
name: a
data: {use: rooms, size: [32, 48]}
model: {backbone: {use: handbuilt}, pyramid: {use: symmetric}, fusion: {use: cliff}}
embedding: {use: heg_r}
loss: [{use: l1}]
train:
  embedding:
    steps: 6
    {embedding}
  depth:
    steps: 6
    {depth}
"""
FLIP = {"use": "flip", "probability": 0.5}
STEP = {"use": "step", "milestones": [2, 4], "decay": 0.1}


@pytest.fixture(scope="module")
def trained(registry):
    """`trained(depth, embedding)`: what a recipe says of both stages when these lines stand in it."""

    def read(depth="", embedding=""):
        text = TEXT.replace("{depth}", depth.replace("\n", "\n    ")).replace("{embedding}", embedding)
        return check_recipe(yamlstrict.parse(text, "f.yaml"), registry).train.to_dict()

    return read


@pytest.fixture
def faults(trained):
    def found(depth):
        with pytest.raises(RecipeError) as caught:
            trained(depth)
        return [str(fault) for fault in caught.value.faults]

    return found


@pytest.mark.parametrize("kind", ["optimizer", "schedule"])
def test_a_bare_name_is_a_part_without_options(trained, kind):
    name = {"optimizer": "sgd", "schedule": "constant"}[kind]
    assert trained(f"{kind}: {name}") == trained(f"{kind}: {{use: {name}}}")
    assert trained(f"{kind}: {name}")["depth"][kind]["use"] == name


def test_a_step_of_augmentation_may_be_a_bare_name(trained):
    assert trained("augment: [flip, rotate]") == trained("augment: [{use: flip}, {use: rotate}]")


def test_options_of_schedule_step_may_stand_beside_its_name(trained):
    assert trained("schedule: step\nmilestones: [2, 4]\ndecay: 0.1")["depth"]["schedule"] == STEP
    assert trained("schedule: {use: step, milestones: [2, 4]}")["depth"]["schedule"] == STEP


def test_beside_another_schedule_they_mean_nothing(trained):
    """So that `--set train.depth.schedule=cosine`, and the recipe.yaml of older runs, need nothing else."""
    assert trained("schedule: cosine\nmilestones: [2, 4]\ndecay: 0.1") == trained()
    assert trained("milestones: []\ndecay: 0.5") == trained()


@pytest.mark.parametrize(
    ("written", "steps"),
    [
        ("{}", [FLIP, {"use": "color_jitter", "brightness": 0.4, "contrast": 0.4, "saturation": 0.4}]),
        (
            "{flip: 0.25, contrast: 0}",
            [
                {"use": "flip", "probability": 0.25},
                {"use": "color_jitter", "brightness": 0.4, "contrast": 0.0, "saturation": 0.4},
            ],
        ),
        ("{brightness: 0, contrast: 0, saturation: 0}", [FLIP]),
        ("{flip: 0, brightness: 0, contrast: 0, saturation: 0}", []),
    ],
)
def test_a_mapping_of_shares_is_a_list_of_steps(trained, written, steps):
    assert trained(f"augment: {written}")["depth"]["augment"] == steps


def test_colours_keep_their_random_numbers_where_nothing_is_mirrored(trained):
    first, second = trained("augment: {flip: 0}")["depth"]["augment"]
    assert first == {"use": "flip", "probability": 0.0}
    assert second["use"] == "color_jitter"


def test_the_embedding_generator_is_shown_no_colours_unless_they_are_written(trained):
    assert trained()["embedding"]["augment"] == [FLIP]
    assert trained("", "augment: {flip: 0}")["embedding"]["augment"] == []


@pytest.mark.parametrize(
    ("depth", "message"),
    [
        ("optimizer: sdg", "12: train.depth.optimizer: no optimizer is called 'sdg'; did you mean 'sgd'?"),
        ("optimizer: {use: sdg}", "12: train.depth.optimizer.use: no optimizer is called 'sdg'; did you mean 'sgd'?"),
        ("optimizer: 3", "12: train.depth.optimizer: name an optimizer, as {use: NAME}; there are: adam, adamw, sgd"),
        ("schedule: {use: poly, powr: 2}", "12: train.depth.schedule.powr: unknown option; `poly` takes: power"),
        ("optimiser: sgd", "12: train.depth.optimiser: unknown option; it has: steps, "),
        # options beside a name are told of where they stand
        ("schedule: step\ndecay: 2", "13: train.depth.decay: 2: input should be less than or equal to 1"),
        ("schedule: step\nmilestones: [0]", "13: train.depth.milestones.0: 0: input should be greater than 0"),
        ("schedule: {use: step}\ndecay: 0.5", "13: train.depth.decay: unknown option; it has: steps, "),
        ("augment:\n  flip: 2", "13: train.depth.augment.flip: 2: input should be less than or equal to 1"),
        ("augment:\n  contrast: x", "13: train.depth.augment.contrast: 'x' is no number"),
        ("augment: [{use: flop}]", "12: train.depth.augment.0.use: no augment is called 'flop'; did you mean 'flip'?"),
        ("augment: [3]", "12: train.depth.augment.0: name an augment, as {use: NAME}; there are: "),
        ("augment: flip", "12: train.depth.augment: 'flip' is no list; write steps, as "),
        (
            "schedule: cosine\nmilestones: [2]\nreload_best: true",
            "13: train.depth.milestones: schedule `cosine` has no milestones, at which reload_best acts; write ",
        ),
    ],
)
def test_a_fault_stands_where_it_was_written(faults, depth, message):
    (fault,) = faults(depth)
    assert fault.startswith(f"f.yaml:{message}")


def test_a_near_miss_of_a_part_is_named(faults):
    (fault,) = faults("optimiser: sgd")
    assert fault.endswith("optimizer, schedule, augment; did you mean 'optimizer'?")
