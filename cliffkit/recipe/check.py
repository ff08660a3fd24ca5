"""One YAML file, one network: load it, check it whole, report every fault with its line."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cliffkit.components.near import near
from cliffkit.components.registry import NONE, Component, Registry
from cliffkit.errors import UserError
from cliffkit.protocols import Protocol
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.check_fit import check_train
from cliffkit.recipe.checker import Checker, Known
from cliffkit.recipe.evaluate import check_protocols
from cliffkit.recipe.faults import Faults
from cliffkit.recipe.override import override
from cliffkit.recipe.part import Part, is_trained
from cliffkit.recipe.recipe import MODEL, NETWORK, PLACED, Recipe
from cliffkit.recipe.schema import Published, Section
from cliffkit.recipe.sections import TOP, belongs
from cliffkit.recipe.yamlstrict import Document
from cliffkit.text import excerpt

DEFAULTS = {"head": {"use": "linear"}}
"""Parts of the model that a recipe need not name."""
NEEDED = ("name", "data", "model", "loss", "train")


def load_recipe(path: Path, registry: Registry, overrides: Iterable[str] = ()) -> Recipe:
    """Read and check a recipe with its `--set` overrides. Raises RecipeError with every fault."""
    return check_written(yamlstrict.load(path), registry, overrides)


def check_written(document: Document, registry: Registry, overrides: Iterable[str] = ()) -> Recipe:
    """Check a recipe as it was written, with its `--set` overrides. Raises RecipeError with every fault."""
    if is_study(document.data):
        raise Faults(document).stop(f"is a study, no recipe; use {_command('ablate', document)}")
    return check_recipe(override(document, overrides, registry), registry)


def is_study(data: Any) -> bool:
    """Say whether a document's data are meant to be a study."""
    return isinstance(data, Mapping) and "model" not in data and bool({"base", "axes"} & data.keys())


def refuse_recipe(document: Document) -> None:
    """Raise RecipeError for a document that is meant to be a recipe, where a study is needed."""
    data = document.data
    if isinstance(data, Mapping) and "model" in data and not {"base", "axes"} & data.keys():
        raise Faults(document).stop(f"is a recipe, no study; use {_command('run', document)}")


def _command(name: str, document: Document) -> str:
    """Write a command for the document's file; for a document that is no file, the function of that name."""
    return f"`cliffkit {name} {shlex.quote(document.file)}`" if document.lines else f"`cliffkit.{name}`"


def check_recipe(document: Document, registry: Registry, cache: Known | None = None) -> Recipe:
    """Turn a document into a recipe. Raises RecipeError with every fault, each at its line.

    Values in `cache` are right and are not checked again. New values that are right are added to it.
    """
    data, faults = document.data, Faults(document)
    if not isinstance(data, dict):
        raise faults.stop(no_mapping(document, "a recipe is a mapping; see `cliffkit --help`"))
    checker = Checker(document, registry, faults, {} if cache is None else cache)

    # each check adds its faults and goes on, so that a reader sees all of them at once
    _keys(faults, data)
    seed = data.get("seed", 0)
    faults.seed(("seed",), seed)
    dataset = checker.part("dataset", ("data",), data["data"]) if "data" in data else None
    model = _model(checker, data["model"]) if "model" in data else {}
    embedding = _embedding(checker, data.get("embedding", {"use": NONE}))
    losses = _losses(checker, data["loss"]) if "loss" in data else {}
    train = check_train(checker, data["train"]) if "train" in data else None
    scored = check_protocols(checker, data.get("evaluate", _customary(dataset)))
    protocols = tuple(one.protocol for one in scored)
    published = _published(checker, data.get("published", []), protocols)

    # faults that only several values together can have
    if train and embedding and train.embedding is None and is_trained(embedding):
        message = f"'embedding' is missing: `{embedding.component.name}` is trained first; add {{steps: 400}}"
        faults.add(("train",), message)
    if train and train.embedding and train.embedding.settings.init and embedding and not embedding.engine["trained"]:
        message = "embedding.trained is false, so the generator keeps random weights; leave `init` out"
        faults.add(("train", "embedding", "init"), message)
    if losses and not any(loss.engine["weight"] for loss in losses.values()):
        _unweighted(faults, embedding)

    for kind in ("head", NETWORK):
        if kind in model:
            _needs(checker, losses, model[kind])

    faults.check()
    assert dataset
    assert train
    evaluate = tuple(one.part for one in scored)
    metrics = tuple(metric for one in scored for metric in one.metrics)
    parts = (dataset, model, embedding, tuple(losses.values()))
    places = {path: document.place(tuple(path.split("."))) for path in PLACED}
    return Recipe(data["name"], seed, *parts, train, protocols, evaluate, published, places, metrics)


def no_mapping(document: Document, otherwise: str) -> str:
    """Say that a file says nothing; `otherwise` where it says something that is no mapping."""
    if document.data is not None or document.lines:
        return otherwise
    cause = "has comments alone" if document.text.strip() else "the file is empty"
    return f"{cause}; write a recipe or study, as `cliffkit recipes copy cliff_none` gives one"


def check_part(kind: str, part: str | Mapping[str, Any], registry: Registry, place: str) -> Part:
    """Check a part that stands outside any recipe: a name, or `{use: NAME, OPTION: VALUE}`, also as YAML text.

    It has its own options alone, none of the engine's. `place` names it in faults, as `--executor`. Raises RecipeError.
    """
    written = yamlstrict.parse_value(part, place) if isinstance(part, str) else part
    data = {"use": written} if isinstance(written, str) else written
    document = Document(place, data, {})
    faults = Faults(document)
    checked = Checker(document, registry, faults, {}).part(kind, (), data, alone=True)
    faults.check()
    assert checked
    return replace(checked, place=checked.component.name)


def _customary(dataset: Part | None) -> list[str]:
    """Give what is scored where a recipe names no protocol: as the field scores the data set, else `full`."""
    protocol = None if dataset is None else getattr(dataset.component.load(), "protocol", None)
    return [protocol if isinstance(protocol, str) and protocol else "full"]


def _keys(faults: Faults, data: Mapping[str, Any]) -> None:
    """Add a fault for each unknown and each missing key, and check the name."""
    for key in data:
        if key not in TOP:
            faults.add((key,), f"unknown key; {belongs(key)}{near(key, TOP, 'a recipe has')}")
    for key in NEEDED:
        if key not in data:
            faults.add((), f"'{key}' is missing; a recipe needs {', '.join(NEEDED)}")
    if "name" in data:
        faults.name(("name",), data["name"])


def _model(checker: Checker, data: Any) -> dict[str, Part]:
    """Give the parts of the network that are right, by kind: a `network`, or the four that one is made of."""
    if not isinstance(data, dict):
        checker.faults.add(("model",), f"{excerpt(data)} is no mapping; it has {', '.join(MODEL)}, or {NETWORK} alone")
        return {}
    for key in data:
        if key not in (*MODEL, NETWORK):
            hint = near(key, (*MODEL, NETWORK), "model has")
            checker.faults.add(("model", key), f"unknown key; {belongs(key)}{hint}")
    beside = [kind for kind in MODEL if kind in data]
    if NETWORK in data and beside:
        verb = "is" if len(beside) == 1 else "are"
        message = f"stands in place of {', '.join(MODEL)}, and {', '.join(beside)} {verb} named too; leave one out"
        checker.faults.add(("model", NETWORK), message)
    kinds = (NETWORK,) if NETWORK in data else MODEL
    parts = {kind: checker.part(kind, ("model", kind), data.get(kind, DEFAULTS.get(kind))) for kind in kinds}
    return {kind: part for kind, part in parts.items() if part is not None}


def _embedding(checker: Checker, data: Any) -> Part | None:
    """Check the embedding generator; None also for a recipe without one, `{use: none}`, which takes no options."""
    if not isinstance(data, dict) or data.get("use") != NONE:
        return checker.part("embedding", ("embedding",), data)
    checker.section(
        Section, ("embedding",), {key: value for key, value in data.items() if key != "use"}, "`none` takes"
    )
    return None


def _losses(checker: Checker, data: Any) -> dict[int, Part]:
    """Give the losses that are right, by their position."""
    if not isinstance(data, list) or not data:
        checker.faults.add(("loss",), "write a list of losses, as [{use: l1}]")
        return {}
    parts = {i: checker.part("loss", ("loss", i), item) for i, item in enumerate(data)}
    return {i: part for i, part in parts.items() if part is not None}


def _needs(checker: Checker, losses: Mapping[int, Part], giver: Part) -> None:
    """Add a fault for each loss that needs what the head, or the network, does not give beside depth."""
    kind = giver.component.kind
    for i, loss in losses.items():
        for name in getattr(loss.component.load(), "needs", ()):
            if not _gives(giver.component, name):
                able = [c.name for c in checker.registry if c.kind == kind and _gives(c, name)]
                message = (
                    f"`{loss.component.name}` needs '{name}', which {kind} `{giver.component.name}` does not give; "
                    f"{kind}s that do: {', '.join(able) or 'none'}"
                )
                checker.faults.add(("loss", i), message)


def _gives(giver: Component, name: str) -> bool:
    """Tell whether a part gives something beside depth; one that cannot be imported gives nothing."""
    try:
        return name in getattr(giver.load(), "gives", ())
    except UserError:
        return False


def _unweighted(faults: Faults, embedding: Part | None) -> None:
    """Check a recipe whose losses have no weight: the embedding loss must drive the network from the first step on."""
    if embedding is None or not any(embedding.engine["weights"]):
        faults.add(("loss",), "every weight is 0, so there is nothing to learn from; give one loss a weight")
    elif embedding.engine["warmup_steps"]:
        message = "every weight is 0, and so is the embedding loss at the first step; set embedding.warmup_steps=0"
        faults.add(("loss",), message)


def _published(checker: Checker, data: Any, protocols: Iterable[Protocol]) -> tuple[Published, ...]:
    if not isinstance(data, list):
        message = "write a list, as [{metric: rmse, protocol: eigen, value: 0.392, source: ...}]"
        checker.faults.add(("published",), message)
        return ()
    scored = [protocol.name for protocol in protocols]
    numbers = []
    for i, item in enumerate(data):
        number = checker.section(Published, ("published", i), item, "it has")
        if isinstance(number, Published):
            numbers.append(number)
            if number.protocol not in scored:
                message = f"'{number.protocol}' is not under `evaluate`; {near(number.protocol, scored, 'there are')}"
                checker.faults.add(("published", i, "protocol"), message)
    return tuple(numbers)
