"""A recipe is checked whole before any work: every fault at once, each with its place, its path, cause and remedy."""

import dataclasses
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliffkit.components.load import load_plugins
from cliffkit.components.registry import Component, Registry
from cliffkit.errors import RecipeError, UserError
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.check import check_part, check_recipe, load_recipe
from cliffkit.recipe.override import override

LINES = """\
name: a
data: {use: rooms, size: [32, 48]}
model:
  backbone: {use: handbuilt}
  pyramid: {use: symmetric}
  fusion: {use: cliff}
embedding: {use: heg_r, weights: [10, 15]}
loss: [{use: l1}]
train:
  embedding: {steps: 6}
  depth:
    steps: 6
    augment: {flip: 0.5}
evaluate: [full]
"""


@pytest.fixture(scope="module")
def check(registry):
    """`check(text, *sets)`: the recipe."""

    def load(text=LINES, *sets):
        return check_recipe(override(yamlstrict.parse(text, "f.yaml"), sets, registry), registry)

    return load


@pytest.fixture
def without_embeddings():
    """The registry of an installation whose plugin of embeddings is switched off."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLIFFKIT_DISABLE_PLUGINS", "embeddings")
        return load_plugins().registry


@pytest.fixture
def faults(check):
    """`faults((old, new), ...)`: what is wrong with LINES so changed, a text a fault."""

    def found(*changes, sets=()):
        text = LINES
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        with pytest.raises(RecipeError) as caught:
            check(text, *sets)
        assert str(caught.value).splitlines() == [str(fault) for fault in caught.value.faults]
        return [str(fault) for fault in caught.value.faults]

    return found


def test_the_unchanged_text_is_a_recipe(check):
    recipe = check()
    assert recipe.name == "a"
    assert [part.component.name for part in recipe.parts()] == [
        "rooms",
        "handbuilt",
        "symmetric",
        "cliff",
        "linear",
        "heg_r",
        "l1",
        *("adamw", "cosine", "flip", "color_jitter"),
        *("adamw", "cosine", "flip"),
        "full",
    ]
    assert recipe.data.engine == {"size": (32, 48), "crop": 1.0}
    loss = {"weights": [10.0, 15.0], "norm": "l1", "warmup_steps": 100}
    assert recipe.embedding.engine == {**loss, "scale": "none", "trained": True}
    assert recipe.seed == 0


ONE_FAULT = [
    # misspelt keys and names, each with what was meant
    ("name: a", "name: a\nlos: 1", "2: los: unknown key; did you mean 'loss'?"),
    (
        "name: a",
        "name: a\nzzz: 1",
        "2: zzz: unknown key; a recipe has: name, seed, data, model, embedding, loss, train",
    ),
    ("  pyramid:", "  bakbone: 1\n  pyramid:", "5: model.bakbone: unknown key; did you mean 'backbone'?"),
    ("use: cliff", "use: clif", "6: model.fusion.use: no fusion is called 'clif'; did you mean 'cliff'?"),
    ("use: rooms", "use: ruums", "2: data.use: no dataset is called 'ruums'; did you mean 'rooms'?"),
    ("use: l1", "use: zzz", "8: loss.0.use: no loss is called 'zzz'; there are: berhu, "),
    ("[full]", "[full, egen]", "14: evaluate.1: no protocol is called 'egen'; did you mean 'eigen'?"),
    (
        "[full]",
        "[full+flop]",
        "14: evaluate.0: protocol 'full+flop': no modifier is called 'flop'; did you mean 'flip'?",
    ),
    # misspelt options, with what the component takes
    (
        "use: cliff",
        "use: cliff, upsmaple: bilinear",
        "6: model.fusion.upsmaple: unknown option; `cliff` takes: upsample; did you mean 'upsample'?",
    ),
    ("use: handbuilt", "use: handbuilt, x: 1", "4: model.backbone.x: unknown option; `handbuilt` takes no options"),
    ("use: l1", "use: l1, wait: 1", "8: loss.0.wait: unknown option; `l1` takes: weight; did you mean 'weight'?"),
    ("    steps: 6", "    steps: 6\n    stepz: 6", "13: train.depth.stepz: unknown option; it has: steps, batch, "),
    (
        "{steps: 6}",
        "{steps: 6, select: rmse}",
        "10: train.embedding.select: unknown option; `select` is a key of `train.depth`; it has: steps, ",
    ),
    (
        "name: a",
        "name: a\nsteps: 1",
        "2: steps: unknown key; `steps` is a key of `train.depth` and of `train.embedding`; ",
    ),
    ("  pyramid:", "  size: 1\n  pyramid:", "5: model.size: unknown key; `size` is a key of `data`; model has: "),
    ("use: l1", "use: l1, seed: 1", "8: loss.0.seed: unknown option; `seed` is a key of the recipe itself and of "),
    ("{flip: 0.5}", "{flop: 1}", "13: train.depth.augment.flop: unknown option; it has: flip, brightness, contrast, "),
    (
        "train:\n",
        "train:\n  precison: auto\n",
        "10: train.precison: unknown option; it has: depth, embedding, precision",
    ),
    # wrong types and values
    ("name: a", "name: 3", "1: name: 3 is no name; "),
    ("name: a", "name: ../a", "1: name: '../a' is no name; "),
    ("name: a", "name: .a", "1: name: '.a' is no name; "),
    ("name: a", "name: a\nseed: 1.5", "2: seed: 1.5 is no seed; "),
    ("name: a", "name: a\nseed: true", "2: seed: True is no seed; "),
    ("name: a", "name: a\nseed: -1", "2: seed: -1 is no seed; "),
    ("name: a", f"name: a\nseed: {2**63}", f"2: seed: {2**63} is no seed; "),
    ("[32, 48]", "32", "2: data.size: 32 is no list; write one in brackets, as [1, 2]"),
    ("[32, 48]", "[32]", "2: data.size.1: is missing; the list is too short"),
    ("[32, 48]", "[32, 48, 3]", "2: data.size: [32, 48, 3]: "),
    ("[32, 48]", "[32, 0]", "2: data.size.1: 0: input should be greater than 0"),
    ("[32, 48]", "[32, 48.5]", "2: data.size.1: 48.5 is no whole number"),
    ("48]", "48], crop: 1.1", "2: data.crop: 1.1: input should be less than or equal to 1"),
    ("[10, 15]", "[10, many]", "7: embedding.weights.1: 'many' is no number"),
    ("[10, 15]", "[-1]", "7: embedding.weights.0: -1: input should be greater than or equal to 0"),
    (
        "use: cliff",
        "use: cliff, upsample: 3",
        "6: model.fusion.upsample: 3: input should be 'bilinear' or 'transposed'",
    ),
    ("use: l1", "use: l1, weight: .inf", "8: loss.0.weight: inf: input should be a finite number"),
    ("use: l1", "use: l1, weight: -1", "8: loss.0.weight: -1: input should be greater than or equal to 0"),
    ("{use: cliff}", "cliff", "6: model.fusion: name a fusion, as {use: NAME}; there are: add, cliff, concat"),
    ("{use: cliff}", "{use: 3}", "6: model.fusion: name a fusion, as {use: NAME}; there are: add, cliff, concat"),
    ("[{use: l1}]", "{use: l1}", "8: loss: write a list of losses"),
    ("[{use: l1}]", "[]", "8: loss: write a list of losses"),
    ("[{use: l1}]", "[l1]", "8: loss.0: name a loss, as {use: NAME}"),
    ("[full]", "full", "14: evaluate: write a list of protocols"),
    ("[full]", "[3]", "14: evaluate.0: no protocol is called '3'"),
    ("[full]", "[full, full]", "14: evaluate.1: 'full' stands twice; keep one"),
    ("[full]", "[hu+flip+median, hu+median+flip]", "14: evaluate.1: 'hu+flip+median' stands twice; keep one"),
    ("[full]", "[eigen, {use: eigen, cap_m: 10}]", "14: evaluate.1: 'eigen' stands twice; keep one"),
    (
        "[full]",
        "[{use: eigen, name: e, cap_m: 8}, {use: eigen, name: e}]",
        "14: evaluate.1: two protocols are called 'e'; give one another `name`",
    ),
    (
        "[full]",
        "[{use: eigen, cap: 8}]",
        "14: evaluate.0.cap: unknown option; `eigen` takes: name, flip, align, align_over, metrics, cap_m, ",
    ),
    ("[full]", "[{use: eigen, cap_m: far}]", "14: evaluate.0.cap_m: 'far' is no number"),
    (
        "[full]",
        "[{use: eigen, align: mean}]",
        "14: evaluate.0.align: 'mean': input should be 'none', 'median', 'scale'",
    ),
    ("[full]", "[{use: eigen, cap_m: 0}]", "14: evaluate.0: protocol 'eigen': true depths from 0.001 to 0 m and "),
    ("[full]", "[{use: eigen, name: a+b}]", "14: evaluate.0.name: 'a+b' is no name; use letters"),
    ("[full]", "[{use: eigen, name: full}]", "14: evaluate.0.name: 'full' is the name of a protocol already; "),
    ("{steps: 6}", "5", "10: train.embedding: 5 is no mapping; it has: steps, "),
    ("{flip: 0.5}", "5", "13: train.depth.augment: 5 is no list; write steps, as [{use: flip, probability: 0.5}]"),
    ("{flip: 0.5}", "{flip: 2}", "13: train.depth.augment.flip: 2: input should be less than or equal to 1"),
    ("    steps: 6", "    steps: yes", "12: train.depth.steps: 'yes' is no whole number"),
    ("    steps: 6", "    steps: 1e3", "12: train.depth.steps: 1000.0 is no whole number"),
    ("    steps: 6", "    steps: 0", "12: train.depth.steps: 0: input should be greater than 0"),
    ("    steps: 6", "    steps: 6\n    lr: 0", "13: train.depth.lr: 0: input should be greater than 0"),
    ("    steps: 6", "    steps: 6\n    ema: 1", "13: train.depth.ema: 1: input should be less than 1"),
    ("    steps: 6", "    steps: 6\n    select: acc", "13: train.depth.select: 'acc': input should be 'abs_rel', "),
    (
        "train:\n",
        "train:\n  precision: fp16\n",
        "10: train.precision: 'fp16': input should be 'auto', 'bf16' or 'fp32'",
    ),
    ("train:\n", "train:\n  deterministic: on\n", "10: train.deterministic: 'on' is neither true nor false"),
    ("use: l1", "use: l1, weight: 0", "8: loss: every weight is 0, and so is the embedding loss at the first step"),
    # what is missing
    ("name: a\n", "", "1: 'name' is missing; a recipe needs name, data, model, loss, train"),
    ("loss: [{use: l1}]\n", "", "1: 'loss' is missing; a recipe needs name, data, model, loss, train"),
    ("  fusion: {use: cliff}\n", "", "3: model.fusion: name a fusion, as {use: NAME}; there are: "),
    (", size: [32, 48]", "", "2: data.size: is missing; `rooms` takes: size, crop, "),
    ("use: handbuilt", "use: timm", "4: model.backbone.name: is missing; `timm` takes: name, "),
    ("    steps: 6\n", "", "11: train.depth.steps: is missing; it has: steps, "),
    ("  embedding: {steps: 6}\n", "", "9: train: 'embedding' is missing: `heg_r` is trained first; add {steps: 400}"),
    ("{steps: 6}", "null", "9: train: 'embedding' is missing: `heg_r` is trained first"),
    # what stands twice
    ("  fusion:", "  fusion: {use: add}\n  fusion:", "7: model.fusion: repeated key; it stands first in line 6"),
    ("name: a", "name: a\nname: b", "2: name: repeated key; it stands first in line 1"),
    # what is no YAML for a recipe
    ("{use: cliff}", "{use:cliff}", "6: model.fusion.use: 'use:cliff' is one word; write a blank after the colon, as"),
    ("{use: cliff}", "use:cliff", "6: model.fusion: name a fusion, as {use: NAME}; there are: add, cliff, concat; wri"),
    ("{use: cliff}", "!x {use: cliff}", "6: model.fusion: tag !x means nothing here; remove it"),
]


@pytest.mark.parametrize(("old", "new", "message"), ONE_FAULT, ids=[case[2].partition(";")[0] for case in ONE_FAULT])
def test_one_fault_is_one_message_with_line_path_cause_and_remedy(faults, old, new, message):
    found = faults((old, new))
    assert len(found) == 1, found
    assert found[0].startswith(f"f.yaml:{message}")


def test_every_fault_is_reported_at_once(faults):
    found = faults(
        ("name: a", "nmae: a"),
        ("[32, 48]", "[32, no]"),
        ("use: handbuilt", "use: handbilt"),
        ("use: cliff", "use: cliff, widht: 3"),
        ("[10, 15]", "[10, -1]"),
        ("[{use: l1}]", "[{use: l1, weight: big}, {use: silgo}]"),
        ("    steps: 6", "    steps: -6\n    steps: 7"),
        ("[full]", "[fool]"),
    )
    assert {fault.split(": ")[1] for fault in found if ": " in fault} == {
        "nmae",
        "'name' is missing; a recipe needs name, data, model, loss, train",
        "data.size.1",
        "model.backbone.use",
        "model.fusion.widht",
        "embedding.weights.1",
        "loss.0.weight",
        "loss.1.use",
        "train.depth.steps",
        "evaluate.0",
    }
    assert len(found) == 11  # train.depth.steps is both repeated and too small
    assert all(re.match(r"f\.yaml:\d+: ", fault) for fault in found)


def test_the_lines_of_a_file_with_comments_and_blocks(faults):
    found = faults(
        ("name: a", "# about\n\nname: a"),
        ("[{use: l1}]", "\n  - use: l1\n    # why\n    weight: -2\n  - {use: silgo}"),
        ("{flip: 0.5}", "\n      flip: 0.5\n      hue: 1"),
    )
    assert [fault.partition(": ")[0] for fault in found] == ["f.yaml:13", "f.yaml:14", "f.yaml:21"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty; write a recipe"),
        ("\n \n", "the file is empty"),
        ("# nothing\n", "has comments alone"),
        ("null\n", "a recipe is a mapping"),
        ("- name: a\n", "a recipe is a mapping"),
        ("just words\n", "a recipe is a mapping"),
        ("3\n", "a recipe is a mapping"),
    ],
)
def test_what_is_no_mapping_is_no_recipe(check, text, words):
    with pytest.raises(RecipeError, match=rf"^f\.yaml: {words}"):
        check(text)


def test_none_takes_no_weights(faults, check):
    assert [fault.partition(";")[0] for fault in faults(("use: heg_r", "use: none"))] == [
        "f.yaml:7: embedding.weights: unknown option"
    ]
    assert check(LINES.replace("{use: heg_r, weights: [10, 15]}", "{use: none}")).embedding is None


def test_without_an_embedding_none_is_meant_and_needs_no_training(check):
    text = LINES.replace("embedding: {use: heg_r, weights: [10, 15]}\n", "").replace("  embedding: {steps: 6}\n", "")
    recipe = check(text)
    assert recipe.embedding is None
    assert recipe.to_dict()["embedding"] == {"use": "none"}
    assert recipe.train.embedding is None
    assert "embedding" not in {part.component.kind for part in recipe.parts()}


def test_none_is_the_engines_own_word_and_needs_no_plugin(faults, without_embeddings):
    text = LINES.replace("{use: heg_r, weights: [10, 15]}", "{use: none}").replace("  embedding: {steps: 6}\n", "")
    assert check_recipe(yamlstrict.parse(text, "f.yaml"), without_embeddings).embedding is None
    with pytest.raises(RecipeError, match=r"7: embedding\.use: no embedding is called 'heg_r'; there are: none$"):
        check_recipe(yamlstrict.parse(LINES, "f.yaml"), without_embeddings)


def test_none_is_among_the_choices_of_who_misspells_an_embedding(faults):
    assert faults(("use: heg_r", "use: nome"))[0].endswith("no embedding is called 'nome'; did you mean 'none'?")
    (fault,) = faults(("{use: heg_r, weights: [10, 15]}", "none"))
    assert fault.endswith("name an embedding, as {use: NAME}; there are: filters, heg_r, heg_s, none, normals")


def test_something_must_have_a_weight(faults, check):
    nothing = faults(sets=["loss.0.weight=0", "embedding.weights=[0, 0]"])
    assert nothing == ["f.yaml:8: loss: every weight is 0, so there is nothing to learn from; give one loss a weight"]
    assert faults(sets=["loss.0.weight=0", "embedding.use=none"]) == nothing
    check(LINES, "loss=[{use: l1, weight: 0}, {use: l2}]")
    check(LINES, "loss.0.weight=0", "embedding.warmup_steps=0")  # the embedding loss alone


class TestSet:
    @pytest.mark.parametrize(
        ("text", "path", "value"),
        [
            ("seed=7", ("seed",), 7),
            ("name=b", ("name",), "b"),
            ("train.depth.lr=3e-4", ("train", "depth", "lr"), 3e-4),
            ("train.depth.groups={backbone: 0.1}", ("train", "depth", "groups"), {"backbone": 0.1}),
            ("train.depth.init=runs/a-1", ("train", "depth", "init"), "runs/a-1"),
            ("train.depth.optimizer=sgd", ("train", "depth", "optimizer", "use"), "sgd"),
            (
                "train.depth.schedule={use: poly, power: 2}",
                ("train", "depth", "schedule"),
                {"use": "poly", "power": 2.0},
            ),
            ("train.depth.augment.contrast=0.1", ("train", "depth", "augment", 1, "contrast"), 0.1),
            ("train.depth.augment=[flip]", ("train", "depth", "augment"), [{"use": "flip", "probability": 0.5}]),
            ("train.embedding.augment={flip: 0}", ("train", "embedding", "augment"), []),
            ("train.precision=fp32", ("train", "precision"), "fp32"),
            ("data.size=[64, 96]", ("data", "size"), [64, 96]),
            ("data.size.1=96", ("data", "size"), [32, 96]),
            ("data.train=5", ("data", "train"), 5),
            ("loss.0.use=l2", ("loss", 0, "use"), "l2"),
            ("loss.0.weight=0.5", ("loss", 0, "weight"), 0.5),
            ("loss.0={use: silog, weight: 2}", ("loss", 0, "weight"), 2.0),
            ("embedding.weights.1=0", ("embedding", "weights"), [10, 0]),
            ("evaluate=[eigen, hu+flip]", ("evaluate",), ["eigen", "hu+flip"]),
            ("evaluate=[{use: hu, align: median}]", ("evaluate",), ["hu+median"]),
            (
                "evaluate=[{use: eigen, cap_m: 8, flip: true, name: eigen8}]",
                ("evaluate", 0),
                {"use": "eigen", "name": "eigen8", "flip": True, "cap_m": 8.0, "min_depth_m": 1e-3, "crop": True},
            ),
            (" model.fusion.use = add", ("model", "fusion", "use"), "add"),
        ],
    )
    def test_sets_one_value(self, check, text, path, value):
        read = check(LINES, text).to_dict()
        for step in path:
            read = read[step]
        assert read == value

    def test_sets_nothing_else(self, check):
        plain, changed = check().to_dict(), check(LINES, "train.depth.lr=0.5").to_dict()
        assert plain["train"]["depth"].pop("lr") != changed["train"]["depth"].pop("lr")
        assert plain == changed

    def test_goes_in_order(self, check):
        recipe = check(LINES, "seed=1", "loss.0.use=l2", "loss.0.weight=3", "seed=2")
        assert recipe.seed == 2
        assert recipe.losses[0].to_dict() == {"use": "l2", "weight": 3.0}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("seed", "--set seed: write PATH=VALUE"),
            ("=3", "--set =3: write PATH=VALUE"),
            ("", "--set : write PATH=VALUE"),
            (
                "model.fuson.use=add",
                "--set model.fuson.use=add: model.fuson.use: no such place in the recipe: 'model.fuson' is "
                "not written in it; did you mean 'fusion'?",
            ),
            (
                "loss.1.use=l2",
                "--set loss.1.use=l2: loss.1.use: no such place in the recipe: 'loss' is a list of 1 entry, numbered "
                "from 0",
            ),
            ("loss.-1.use=l2", "--set loss.-1.use=l2: loss.-1.use: no such place in the recipe"),
            ("loss.first=l2", "--set loss.first=l2: loss.first: no such place in the recipe"),
            (
                "name.a=3",
                "--set name.a=3: name.a: no such place in the recipe: 'name' is 'a' there, no mapping",
            ),
            (
                "train.depth.optimizer.use=sgd",
                "--set train.depth.optimizer.use=sgd: train.depth.optimizer.use: no such place in the recipe: "
                "'train.depth.optimizer' is not written in it; write all of it, as train.depth.optimizer={use: ...}",
            ),
            ("loss=[{use: l2}", "--set loss=[{use: l2}: loss: not YAML: "),
            (
                "loss=[{use: l2, use: l1}]",
                "--set loss=[{use: l2, use: l1}]: loss.0.use: repeated key; keep one of the two",
            ),
            # what the file never said does not have the file's line
            ("seed=x", "--set seed=x: seed: 'x' is no seed"),
            ("sead=1", "--set sead=1: sead: unknown key; did you mean 'seed'?"),
            ("train.depth.steps=0", "--set train.depth.steps=0: train.depth.steps: 0: input should be greater than 0"),
            ("train.depth={steps: 0}", "--set train.depth={steps: 0}: train.depth.steps: 0: "),
            ("loss.0.use=silgo", "--set loss.0.use=silgo: loss.0.use: no loss is called 'silgo'"),
            ("data.size.1=no", "--set data.size.1=no: data.size.1: 'no' is no whole number"),
        ],
    )
    def test_what_cannot_be_set_names_itself(self, faults, text, message):
        found = faults(sets=[text])
        assert len(found) == 1, found
        assert found[0].startswith(message)

    def test_what_the_file_said_keeps_its_line(self, faults):
        found = faults(("[full]", "[fool]"), ("    steps: 6", "    steps: 0"), sets=["train.depth.lr=0"])
        assert [fault.partition(": ")[0] for fault in found] == [
            "f.yaml:12",
            "--set train.depth.lr=0",
            "f.yaml:14",
        ]

    def test_every_fault_of_every_override_is_reported(self, faults):
        assert len(faults(sets=["a", "b.c=1", "loss=[", "seed=1"])) == 3

    def test_another_component_does_not_inherit_options(self, check):
        text = LINES.replace("{use: cliff}", "{use: cliff, upsample: transposed}")
        assert check(text, "model.fusion.use=add").model["fusion"].to_dict() == {"use": "add"}
        assert check(text, "model.fusion.use=cliff").model["fusion"].options == {"upsample": "transposed"}
        assert check(text, "embedding.use=none").embedding is None

    def test_another_component_keeps_what_is_the_engines(self, check):
        text = LINES.replace("48]}", "48], crop: 0.9, train: 5}").replace("{use: l1}", "{use: berhu, weight: 2}")
        recipe = check(text, "data.use=pairs", "loss.0.use=l1")
        assert recipe.data.engine == {"size": (32, 48), "crop": 0.9}
        assert recipe.losses[0].engine == {"weight": 2.0}
        assert "train" not in recipe.data.options

    def test_the_document_is_left_as_it_was(self, registry):
        document = yamlstrict.parse(LINES, "f.yaml")
        override(document, ["seed=3", "loss.0.use=l2"], registry)
        assert document.data == yamlstrict.parse(LINES, "f.yaml").data
        assert document.replaced == {}


REGISTRY = load_plugins().registry
RECIPES = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True),
        "seed": st.integers(0, 2**63 - 1),
        "data": st.fixed_dictionaries(
            {"use": st.just("rooms"), "size": st.lists(st.integers(1, 999), min_size=2, max_size=2)},
            optional={"crop": st.floats(0.1, 1), "holes": st.booleans(), "train": st.integers(1, 10**6)},
        ),
        "model": st.fixed_dictionaries(
            {
                "backbone": st.sampled_from(
                    [{"use": "handbuilt"}, {"use": "timm", "name": "on", "weights": "~/a b: c.pt"}]
                ),
                "pyramid": st.builds(lambda n: {"use": "fpn", "channels": n}, st.integers(1, 512)),
                "fusion": st.sampled_from([{"use": "add"}, {"use": "cliff", "upsample": "transposed"}]),
            }
        ),
        "loss": st.lists(
            st.fixed_dictionaries({"use": st.sampled_from(["l1", "l2"])}, optional={"weight": st.floats(1e-9, 1e9)}),
            min_size=1,
            max_size=3,
        ),
        "train": st.fixed_dictionaries(
            {"depth": st.builds(lambda n, lr: {"steps": n, "lr": lr}, st.integers(1, 10**9), st.floats(1e-12, 10))},
            optional={"precision": st.sampled_from(["bf16", "fp32"]), "deterministic": st.booleans()},
        ),
        "evaluate": st.lists(
            st.sampled_from(
                [
                    *("full", "eigen+flip", "hu", {"use": "eigen", "cap_m": 8}),
                    {"use": "hu", "size": [9, 9], "flip": True},
                    {"use": "garg", "name": "garg50", "cap_m": 50.5, "align": "median"},
                ]
            ),
            min_size=1,
            unique_by=str,
        ),
    }
)


@settings(deadline=None)
@given(RECIPES)
def test_what_a_recipe_says_of_itself_is_an_equal_recipe(written):
    recipe = check_recipe(yamlstrict.Document("f.yaml", written, {}), REGISTRY)
    again = check_recipe(yamlstrict.parse(recipe.to_yaml(), "f.yaml"), REGISTRY)
    assert again.to_dict() == recipe.to_dict()
    assert again.to_yaml() == recipe.to_yaml()
    assert again.protocols == recipe.protocols
    said = recipe.to_dict()
    assert said["name"] == written["name"]
    assert said["train"]["depth"]["lr"] == written["train"]["depth"]["lr"]
    assert [loss["use"] for loss in said["loss"]] == [loss["use"] for loss in written["loss"]]


def test_the_recipe_says_every_default(check):
    said = check().to_dict()
    assert said["data"]["holes"] is False
    assert said["train"]["precision"] == "auto"
    depth, embedding = said["train"]["depth"], said["train"]["embedding"]
    flip = {"use": "flip", "probability": 0.5}
    assert depth["augment"] == [
        flip, {"use": "color_jitter", "brightness": 0.4, "contrast": 0.4, "saturation": 0.4},
    ]  # fmt: skip
    assert embedding["augment"] == [flip]
    assert depth["schedule"] == {"use": "cosine", "lowest": 0.0}
    assert depth["optimizer"] == embedding["optimizer"]
    assert depth["optimizer"]["use"] == "adamw"
    assert depth["clip_norm"] is None


def test_a_recipe_is_frozen(check):
    recipe = check()
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.seed = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.model["fusion"].place = ""
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.train.depth.schedule = recipe.model["fusion"]
    with pytest.raises(ValueError, match="frozen"):
        recipe.train.depth.settings.steps = 1


def test_a_recipe_file_is_named_in_its_faults(tmp_path, registry):
    path = tmp_path / "my.yaml"
    with pytest.raises(RecipeError, match=f"^{re.escape(str(path))}: no such file$"):
        load_recipe(path, registry)
    path.write_text(LINES.replace("cliff", "clif"), encoding="utf-8")
    with pytest.raises(RecipeError, match=f"^{re.escape(str(path))}:6: model.fusion.use: "):
        load_recipe(path, registry)


def test_what_a_factory_refuses_names_the_line(check):
    recipe = check(LINES.replace("{use: handbuilt}", "{use: timm, name: resnet81}"))
    with pytest.raises(UserError, match=r"^f\.yaml:4: model\.backbone \(timm\): .*no model 'resnet81'; did you mean"):
        recipe.model["backbone"].build()


@pytest.mark.parametrize("raised", ["TypeError", "RuntimeError", "KeyError", "AssertionError"])
def test_what_a_factory_fails_at_names_the_part_its_plugin_and_the_line(tmp_path, monkeypatch, check, raised):
    (tmp_path / "failing_parts.py").write_text(f"def fusion(channels, /):\n    raise {raised}('no such width')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "failing_parts", raising=False)
    component = Component("fusion", "odd", "failing_parts:fusion", "", "stranger", "1")
    part = dataclasses.replace(check().model["fusion"], component=component, options={})
    with pytest.raises(UserError) as caught:
        part.build(8)
    assert str(caught.value).startswith("f.yaml:6: model.fusion (cliff): fusion 'odd' of plugin 'stranger' cannot be ")
    assert f"{raised}: " in str(caught.value)
    assert (
        str(caught.value).endswith("no such width; change the part's options, or mend or uninstall the plugin")
        or raised == "KeyError"
    )


def test_a_part_without_its_weights(check):
    recipe = check(LINES.replace("{use: handbuilt}", "{use: timm, name: test_resnet, weights: a.pt}"))
    assert recipe.model["backbone"].without_weights().options == {
        "name": "test_resnet",
        "pretrained": False,
        "weights": None,
    }
    assert recipe.model["fusion"].without_weights() == recipe.model["fusion"]


class TestAPartAlone:
    def test_has_its_own_options_with_their_defaults_and_none_of_the_engines(self, registry):
        part = check_part("dataset", {"use": "rooms", "train": 3, "holes": True}, registry, "--set")
        assert part.options["train"] == 3
        assert part.options["holes"] is True
        assert part.options["seed"] == 0
        assert part.engine == {}
        assert part.to_dict() == {"use": "rooms", **part.options}

    @pytest.mark.parametrize("said", ["local", "{use: local}", {"use": "local"}])
    def test_is_a_name_or_a_mapping_or_its_text(self, registry, said):
        assert check_part("executor", said, registry, "--executor").component == registry.get("executor", "local")

    @pytest.mark.parametrize(
        ("said", "message"),
        [
            ({"use": "ruums"}, "--set: use: no dataset is called 'ruums'; did you mean 'rooms'?"),
            ("ruums", "--set: use: no dataset is called 'ruums'; did you mean 'rooms'?"),
            ({"use": "rooms", "trian": 3}, "--set: trian: unknown option; `rooms` takes: "),
            ("{use: rooms, size: [3, 4]}", "--set: size: unknown option; `rooms` takes: "),
            ({"use": "rooms", "train": "x"}, "--set: train: 'x' is no whole number"),
            ("[rooms]", "--set: name a dataset, as {use: NAME}; there are: "),
            ("{use: rooms, use: nyu}", "--set: use: repeated key; keep one"),
            ("{use: rooms", "--set: not YAML: "),
        ],
    )
    def test_faults(self, registry, said, message):
        with pytest.raises(RecipeError) as caught:
            check_part("dataset", said, registry, "--set")
        assert str(caught.value).startswith(message)


@pytest.mark.parametrize("factory", ["Kwargs", "Untyped", "Shadow"])
def test_a_component_that_cannot_be_checked_is_refused_by_name(tmp_path, monkeypatch, factory):
    (tmp_path / "stranger_parts.py").write_text(
        "class Kwargs:\n    def __init__(self, **kwargs): ...\n"
        "class Untyped:\n    def __init__(self, *, width=3): ...\n"
        "class Shadow:\n    def __init__(self, *, weight: float = 3): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry()
    registry.from_plugin("stranger", "1")
    registry.add("loss", "odd", f"stranger_parts:{factory}")
    for component in REGISTRY:
        if component.kind != "loss":
            registry.add(component.kind, component.name, component.reference)
    text = LINES.replace("use: l1", "use: odd")
    with pytest.raises(RecipeError) as caught:
        check_recipe(yamlstrict.parse(text, "f.yaml"), registry)
    assert len(caught.value.faults) == 1
    assert str(caught.value).startswith("f.yaml:8: loss.0.use: loss 'odd' of plugin 'stranger': parameter '")


def test_a_loss_that_needs_what_the_head_does_not_give_is_refused(check, faults):
    recipe = check(LINES.replace("[{use: l1}]", "[{use: l1}, {use: bins}]"), "model.head={use: bins, bins: 8}")
    assert recipe.model["head"].options["bins"] == 8
    assert faults(("[{use: l1}]", "[{use: l1}, {use: bins}]")) == [
        "f.yaml:8: loss.1: `bins` needs 'bin_centres', which head `linear` does not give; heads that do: bins"
    ]
    both = faults(("[{use: l1}]", "[{use: l11}, {use: bins}]"))
    assert [fault.partition(": ")[2].partition(":")[0] for fault in both] == ["loss.0.use", "loss.1"]


@pytest.mark.parametrize(("dataset", "protocol"), [("nyu", "eigen"), ("kitti", "garg"), ("rooms", "full")])
def test_without_evaluate_a_recipe_is_scored_as_the_field_scores_its_data(check, dataset, protocol):
    recipe = check(LINES.replace("use: rooms", f"use: {dataset}").replace("evaluate: [full]\n", ""))
    assert [one.name for one in recipe.protocols] == [protocol]
