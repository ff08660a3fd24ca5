"""A factory's signature is the schema of its options; the registry is the one table of factories."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from cliffkit.components.registry import KINDS, Component, NameClashError, Registry
from cliffkit.errors import UserError
from cliffkit.recipe.options import describe_options, engine_options, explain_options
from cliffkit.recipe.schema import (
    MAX_SEED,
    DataOptions,
    DepthSettings,
    EmbeddingOptions,
    EmbeddingSettings,
    LossOptions,
    options_schema,
)


def named(wired, /, *, width: int, depth: float = 0.5, kind: Literal["a", "b"] = "a", weights: Path | None = None):
    """A factory with options of every sort."""


class Plain:
    def __init__(self, channels, strides): ...


def test_options_are_the_keyword_only_parameters():
    schema = options_schema(named)
    assert list(schema.model_fields) == ["width", "depth", "kind", "weights"]
    assert dict(schema(width=3)) == {"width": 3, "depth": 0.5, "kind": "a", "weights": None}
    assert options_schema(Plain).model_fields == {}


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, "missing"),
        ({"width": "3"}, "int_type"),
        ({"width": 3.0}, "int_type"),
        ({"width": True}, "int_type"),
        ({"width": 3, "depth": "1"}, "float_type"),
        ({"width": 3, "depth": float("nan")}, "finite_number"),
        ({"width": 3, "kind": "c"}, "literal_error"),
        ({"width": 3, "wide": 1}, "extra_forbidden"),
    ],
)
def test_options_are_checked_strictly(given, kind):
    with pytest.raises(ValidationError) as caught:
        options_schema(named)(**given)
    assert [error["type"] for error in caught.value.errors()] == [kind]


def test_a_whole_number_is_a_float_and_text_is_a_path():
    read = options_schema(named).model_validate_json('{"width": 1, "depth": 2, "weights": "a/b.pt"}')
    assert isinstance(read.depth, float)
    assert read.weights == Path("a/b.pt")


def test_the_engines_options_stand_beside_the_components():
    def loss(*, threshold: float = 0.2): ...

    assert dict(options_schema(loss, LossOptions)()) == {"weight": 1.0, "threshold": 0.2}


def refused(factory, engine=None):
    with pytest.raises(TypeError) as caught:
        options_schema(factory, engine)
    return str(caught.value)


def test_kwargs_are_refused():
    def anything(*, width: int = 3, **options): ...

    assert "parameter 'options' of" in refused(anything)
    assert "`**kwargs` cannot be checked" in refused(anything)


def test_an_option_without_a_type_is_refused():
    def untyped(*, width=3): ...

    assert "parameter 'width' of" in refused(untyped)
    assert "has no type; annotate it" in refused(untyped)


@pytest.mark.parametrize(
    ("option", "engine"), [("use", None), ("weight", LossOptions), ("size", DataOptions), ("norm", EmbeddingOptions)]
)
def test_an_option_with_a_name_of_the_engines_is_refused(option, engine):
    namespace: dict[str, object] = {}
    exec(f"def shadow(*, {option}: int = 3): ...", namespace)
    message = refused(namespace["shadow"], engine)
    assert f"parameter '{option}' of shadow has the name of an option of the engine; rename it" in message


def test_only_its_own_kinds_engine_options_bind_a_component():
    def fusion(*, weight: float = 2.0, size: int = 3): ...

    assert dict(options_schema(fusion)()) == {"weight": 2.0, "size": 3}


def test_annotations_in_quotes_are_read():
    def quoted(*, width: "int" = 3): ...

    with pytest.raises(ValidationError):
        options_schema(quoted)(width="3")


def test_the_engine_has_options_beside_those_of_four_kinds():
    assert [kind for kind in KINDS if engine_options(kind)] == ["embedding", "loss", "dataset", "protocol", "metric"]


def test_every_registered_component_describes_its_options(registry):
    for component in registry:
        described = describe_options(component)
        schema = options_schema(component.load(), engine_options(component.kind))
        assert list(described) == list(schema.model_fields)
        for name, text in described.items():
            needed = schema.model_fields[name].is_required()
            assert text.endswith(", needed") if needed else ", default " in text


def test_every_option_of_every_built_in_component_has_a_line_of_help(registry):
    own = [component for component in registry if component.distribution == "cliffkit"]
    bare = [
        f"{component.kind} {component.name}: {name}"
        for component in own
        for name in describe_options(component)
        if not explain_options(component).get(name)
    ]
    assert bare == []
    assert len(own) > 40


def test_help_is_of_options_that_there_are(registry):
    for component in registry:
        assert set(explain_options(component)) <= set(describe_options(component)), component


def test_help_is_the_engine_s_and_that_of_the_docstring_each_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "explained_parts.py").write_text(
        '''def huber(*, threshold: float = 0.2, floor: float = 0.0, unsaid: int = 3):
    """A loss. Options: none is meant here.

    Options:
        threshold: Where one part ends
            and the other begins: at a share.
        floor: Least error.
    """
'''
    )
    monkeypatch.syspath_prepend(tmp_path)
    component = Component("loss", "huber", "explained_parts:huber", "", "own", "1")
    assert explain_options(component) == {
        "weight": "Factor of the term in the sum that training minimises.",
        "threshold": "Where one part ends and the other begins: at a share.",
        "floor": "Least error.",
    }


def test_described_options_of_one(registry):
    said = describe_options(registry.get("dataset", "rooms"))
    assert said["size"] == "tuple[int, int], needed"
    assert said["crop"] == "float > 0 <= 1, default 1.0"
    assert said["holes"] == "bool, default False"
    assert describe_options(registry.get("backbone", "handbuilt")) == {}


@pytest.mark.parametrize(
    ("option", "good", "bad"),
    [
        ("steps", [1], [0, -1, 1.5, "6", True]),
        ("batch", [1], [0]),
        ("micro_batch", [None, 1], [0]),
        ("lr", [1e-9, 1], [0, -1, float("inf")]),
        ("weight_decay", [0], [-1]),
        ("warmup_steps", [0], [-1]),
        ("clip_norm", [None, 0.1], [0]),
        ("ema", [0, 0.999], [1, -0.1]),
        ("validate_every", [1], [0]),
        ("groups", [{}, {"backbone": 0.1}], [{"backbone": 0}, {"backbone": "x"}, ["backbone"]]),
        (
            "groups",
            [{"backbone": {"layer_decay": 0.75}, "head": 2}, {"backbone": {"rate": 0.1, "layer_decay": 1}}],
            [{"backbone": {"rate": 0.1}}, {"backbone": {"layer_decay": 1.1}}, {"backbone": {"layer_decay": 0}}],
        ),
        ("freeze", [[], ["backbone", "*.bias"]], ["backbone", [3]]),
        ("init", [None], [3]),
    ],
)
@pytest.mark.parametrize("stage", [EmbeddingSettings, DepthSettings])
def test_bounds_of_the_training_loop(stage, option, good, bad):
    for value in good:
        stage.model_validate({"steps": 5, option: value})
    for value in bad:
        with pytest.raises(ValidationError):
            stage.model_validate({"steps": 5, option: value})


def test_stages_have_what_is_theirs():
    with pytest.raises(ValidationError):
        DepthSettings.model_validate({"steps": 1, "seed": 1})  # the recipe's
    with pytest.raises(ValidationError):
        EmbeddingSettings.model_validate({"steps": 1, "select": "rmse"})


def test_every_generator_takes_the_largest_seed():
    torch.Generator().manual_seed(MAX_SEED)
    np.random.default_rng([MAX_SEED, 0])
    EmbeddingSettings(steps=1, seed=MAX_SEED)
    EmbeddingSettings(steps=1, seed="replicate")
    for text in ("cell", "0"):
        with pytest.raises(ValidationError):
            EmbeddingSettings.model_validate({"steps": 1, "seed": text})
    with pytest.raises(ValidationError):
        EmbeddingSettings(steps=1, seed=MAX_SEED + 1)


class TestRegistry:
    @pytest.fixture
    def table(self):
        table = Registry()
        table.from_plugin("first", "1.0")
        table.add("fusion", "cliff", "json:loads", "one line")
        table.add("fusion", "add", "json:dumps")
        table.add("backbone", "net", "json:JSONDecoder")
        return table

    def test_holds_what_was_added(self, table):
        assert table.get("fusion", "cliff") == Component("fusion", "cliff", "json:loads", "one line", "first", "1.0")
        assert table.names("fusion") == ["add", "cliff"]
        assert [component.name for component in table] == ["net", "add", "cliff"]
        assert table.get("backbone", "net").load() is __import__("json").JSONDecoder

    def test_a_name_given_twice_names_both_givers(self, table):
        table.from_plugin("second", "2.0")
        with pytest.raises(NameClashError) as caught:
            table.add("fusion", "cliff", "other:Cliff")
        message = str(caught.value)
        assert "fusion 'cliff'" in message
        for part in ("'first' (json:loads)", "'second' (other:Cliff)", "CLIFFKIT_DISABLE_PLUGINS"):
            assert part in message
        table.add("loss", "cliff", "other:Cliff")  # another kind, another name

    def test_what_is_missing_is_explained(self, table):
        table.failures["broken"] = "ImportError: no cuda"
        with pytest.raises(UserError) as caught:
            table.get("fusion", "clif")
        assert str(caught.value) == (
            "no fusion is called 'clif'; did you mean 'cliff'?; plugin 'broken' failed to load: ImportError: no cuda"
        )
        with pytest.raises(UserError, match="there are: none"):
            table.get("dataset", "x")

    @pytest.mark.parametrize("reference", ["json", "json:", ":loads", ""])
    def test_a_malformed_reference_is_refused(self, table, reference):
        with pytest.raises(UserError, match=r"plugin 'first': .* is no object reference"):
            table.add("loss", "x", reference)

    def test_an_unknown_kind_is_refused(self, table):
        with pytest.raises(UserError, match=r"plugin 'first' registers unknown kind 'neck'; the kinds are backbone, "):
            table.add("neck", "x", "json:loads")

    def test_no_component_is_called_none(self, table):
        with pytest.raises(UserError, match=r"plugin 'first': no embedding can be called 'none', .*; rename it"):
            table.add("embedding", "none", "json:loads")

    def test_none_is_a_choice_where_a_recipe_can_do_without(self, table):
        assert table.choices("fusion") == ["add", "cliff"]
        assert table.choices("embedding") == ["none"]

    def test_a_plugin_goes_with_all_it_gave(self, table):
        table.from_plugin("second", "1")
        table.add("loss", "l3", "json:loads")
        table.remove_plugin("first")
        assert [component.name for component in table] == ["l3"]

    @pytest.mark.parametrize("reference", ["no_such_module_at_all:X", "json:no_such_name"])
    def test_what_cannot_be_imported_names_its_plugin(self, reference):
        component = Component("loss", "odd", reference, "", "stranger", "1")
        with pytest.raises(UserError, match=rf"loss 'odd' of plugin 'stranger' cannot be imported from {reference}: "):
            component.load()
