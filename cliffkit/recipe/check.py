"""One YAML file, one network: load it, check it whole, report every fault with its line."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from cliffkit.components.registry import Component, Registry
from cliffkit.errors import Fault, RecipeError, UserError
from cliffkit.protocols import Protocol
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.options import engine_options
from cliffkit.recipe.override import override
from cliffkit.recipe.recipe import MODEL, Part, PathInRecipe, Recipe, is_trained
from cliffkit.recipe.schema import (
    MAX_SEED,
    Published,
    Section,
    Train,
    options_schema,
)
from cliffkit.recipe.yamlstrict import Document, dotted
from cliffkit.scoring.protocols import build_protocol, spelled_out

TOP = ("name", "seed", "data", "model", "embedding", "loss", "train", "evaluate", "published")

NO_NAME = "{!r} is no name; use letters, digits, '.', '_' and '-', a letter or digit first"

DEFAULTS = {"head": {"use": "linear"}}
"""Parts of the model that a recipe need not name."""
NEEDED = ("name", "data", "model", "loss", "train")


def load_recipe(path: Path, registry: Registry, overrides: Iterable[str] = ()) -> Recipe:
    """Read and check a recipe with its `--set` overrides. Raises RecipeError with every fault."""
    return check_recipe(override(yamlstrict.load(path), overrides, registry), registry)


Known = dict[tuple[Any, ...], Any]
"""Parts and sections of recipes that were found right, by what they say and where they stand."""


def check_recipe(document: Document, registry: Registry, known: Known | None = None) -> Recipe:
    """Turn a document into a recipe. Raises RecipeError with every fault, each at its line.

    What is `known` is not checked again; what is found right becomes known, and recipes share it.
    """
    return _Check(document, registry, known).recipe()


def check_dataset(name: str, options: Mapping[str, Any], registry: Registry) -> Part:
    """A data set outside any recipe, its options checked. Raises RecipeError."""
    document = Document("--set", {"use": name, **options}, {})
    check = _Check(document, registry)
    part = check.part("dataset", (), {"size": [1, 1], **document.data}, True)
    if part is None or check.faults:
        raise RecipeError(check.faults)
    return replace(part, place=name)


def check_protocol(spec: str | Mapping[str, Any], registry: Registry) -> Protocol:
    """A protocol outside any recipe, from its short name or its mapping. Raises RecipeError."""
    check = _Check(Document("protocol", spec, {}), registry)
    scored = check.protocol((), dict(spec) if isinstance(spec, Mapping) else spec)
    if scored is None:
        raise RecipeError(check.faults)
    return scored[1]


class _Check:
    """One pass over a document that gathers faults instead of stopping at the first."""

    def __init__(self, document: Document, registry: Registry, known: Known | None = None) -> None:
        self.document = document
        self.registry = registry
        self.known: Known = {} if known is None else known
        self.faults = list(document.faults)

    def recipe(self) -> Recipe:
        data = self.document.data
        if not isinstance(data, dict):
            raise RecipeError(
                [*self.faults, Fault(self.document.file, "", "a recipe is a mapping; see `cliffkit --help`")]
            )
        for key in data:
            if key not in TOP:
                self.fault((key,), f"unknown key; {_near(key, TOP, 'a recipe has')}")
        for key in NEEDED:
            if key not in data:
                self.fault((), f"'{key}' is missing; a recipe needs {', '.join(NEEDED)}")
        name: Any = data.get("name")
        if "name" in data and not is_name(name):
            self.fault(("name",), NO_NAME.format(name))
        seed = data.get("seed", 0)
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
            self.fault(("seed",), f"{seed!r} is no seed; write a whole number from 0 to {MAX_SEED}")
        dataset = self.part("dataset", ("data",), data.get("data"), "data" in data)
        model = data.get("model")
        parts: dict[str, Part | None] = dict.fromkeys(MODEL)
        if isinstance(model, dict):
            for key in model:
                if key not in MODEL:
                    self.fault(("model", key), f"unknown key; {_near(key, MODEL, 'model has')}")
            for kind in MODEL:
                parts[kind] = self.part(kind, ("model", kind), model.get(kind, DEFAULTS.get(kind)), True)
        elif "model" in data:
            self.fault(("model",), f"{model!r} is no mapping; it has {', '.join(MODEL)}")
        embedding = self.part("embedding", ("embedding",), data.get("embedding", {"use": "none"}), True)
        losses = self.losses(data.get("loss"), "loss" in data)
        train = self.train(data.get("train"), "train" in data)
        scored = self.protocols(data.get("evaluate", ["full"]))
        evaluate, protocols = tuple(part for part, _ in scored), tuple(protocol for _, protocol in scored)
        published = self.published(data.get("published", []), protocols)
        if train is not None and embedding is not None and train.embedding is None and is_trained(embedding):
            message = f"'embedding' is missing: `{embedding.component.name}` is trained first; add {{steps: 400}}"
            self.fault(("train",), message)
        if losses and embedding is not None and not any(loss.engine["weight"] for loss in losses):
            self.unweighted(embedding)
        if parts["head"] is not None:
            self.needs(losses, parts["head"])
        if self.faults:
            raise RecipeError(self.faults)
        backbone, pyramid, fusion, head = (parts[kind] for kind in MODEL)
        assert dataset
        assert backbone
        assert pyramid
        assert fusion
        assert head
        assert embedding
        assert train
        return Recipe(
            name,
            seed,
            dataset,
            backbone,
            pyramid,
            fusion,
            head,
            embedding,
            losses,
            train,
            protocols,
            evaluate,
            published,
        )

    def fault(self, path: PathInRecipe, message: str) -> None:
        self.faults.append(Fault(self.document.place(path), dotted(path), message))

    def part(self, kind: str, path: PathInRecipe, data: Any, present: bool) -> Part | None:
        if not present:
            return None
        if not isinstance(data, dict) or not isinstance(data.get("use"), str):
            self.fault(path, f"name a {kind}, as {{use: NAME}}; there are: {', '.join(self.registry.names(kind))}")
            return None
        use = data["use"]
        place = f"{self.document.place((*path, 'use'))}: {dotted(path)} ({use})"
        key = (kind, place, json.dumps(data))
        if key in self.known:
            known: Part = self.known[key]
            return known
        try:
            component = self.registry.get(kind, use)
        except UserError as error:
            self.fault((*path, "use"), str(error))
            return None
        try:
            factory = component.load()
            engine = engine_options(kind, factory)
            schema = options_schema(factory, engine)
        except UserError as error:
            self.fault((*path, "use"), str(error))
            return None
        except TypeError as error:
            self.fault((*path, "use"), f"{kind} '{use}' of plugin '{component.plugin}': {error}")
            return None
        model = self.validated(
            schema, path, {key: value for key, value in data.items() if key != "use"}, f"`{use}` takes"
        )
        if model is None:
            return None
        options = dict(model)
        owned = engine.model_fields if engine else {}
        part = self.known[key] = Part(
            component,
            {name: value for name, value in options.items() if name not in owned},
            {name: options[name] for name in owned},
            place,
        )
        return part

    def losses(self, data: Any, present: bool) -> tuple[Part, ...]:
        if not present:
            return ()
        if not isinstance(data, list) or not data:
            self.fault(("loss",), "write a list of losses, as [{use: l1}]")
            return ()
        parts = (self.part("loss", ("loss", i), item, True) for i, item in enumerate(data))
        return tuple(part for part in parts if part is not None)

    def needs(self, losses: Iterable[Part], head: Part) -> None:
        """A loss that needs what the head does not give beside depth."""
        gives = set(getattr(head.component.load(), "gives", ()))
        for i, loss in enumerate(losses):
            for name in getattr(loss.component.load(), "needs", ()):
                if name not in gives:
                    able = [c.name for c in self.registry if c.kind == "head" and self.gives(c, name)]
                    message = (
                        f"`{loss.component.name}` needs '{name}', which head `{head.component.name}` does not give; "
                        f"heads that do: {', '.join(able) or 'none'}"
                    )
                    self.fault(("loss", i), message)

    def gives(self, head: Component, name: str) -> bool:
        """Whether a head gives something; one that cannot be imported gives nothing."""
        try:
            return name in getattr(head.load(), "gives", ())
        except UserError:
            return False

    def unweighted(self, embedding: Part) -> None:
        """No loss has a weight: the embedding loss must drive the network, from the first step on."""
        if not any(embedding.engine.get("weights", ())):
            self.fault(("loss",), "every weight is 0, so there is nothing to learn from; give one loss a weight")
        elif embedding.engine["warmup_steps"]:
            message = "every weight is 0, and so is the embedding loss at the first step; set embedding.warmup_steps=0"
            self.fault(("loss",), message)

    def train(self, data: Any, present: bool) -> Train | None:
        if not present:
            return None
        model = self.validated(Train, ("train",), data, "it has")
        assert model is None or isinstance(model, Train)
        return model

    def protocols(self, data: Any) -> tuple[tuple[Part, Protocol], ...]:
        if not isinstance(data, list) or not data:
            self.fault(("evaluate",), "write a list of protocols, as [full]")
            return ()
        found: list[tuple[Part, Protocol]] = []
        for i, spec in enumerate(data):
            scored = self.protocol(("evaluate", i), spec)
            if scored is None:
                continue
            for _, other in found:
                if scored[1] == other:
                    self.fault(("evaluate", i), f"'{other.name}' stands twice; keep one")
                elif scored[1].name == other.name:
                    self.fault(("evaluate", i), f"two protocols are called '{other.name}'; give one another `name`")
            found.append(scored)
        return tuple(found)

    def protocol(self, path: PathInRecipe, spec: Any) -> tuple[Part, Protocol] | None:
        """A protocol from its short name or its mapping."""
        key = (Protocol, json.dumps(spec))
        if key in self.known:
            known: tuple[Part, Protocol] = self.known[key]
            return known
        try:
            mapping = spec if isinstance(spec, dict) else spelled_out(str(spec), self.registry)
        except UserError as error:
            self.fault(path, str(error))
            return None
        part = self.part("protocol", path, mapping, True)
        if part is None:
            return None
        name = part.engine["name"]
        if name is not None and not is_name(name):
            self.fault((*path, "name"), NO_NAME.format(name))
            return None
        if name in self.registry.names("protocol"):
            self.fault((*path, "name"), f"'{name}' is the name of a protocol already; leave it out or write another")
            return None
        try:
            protocol = build_protocol(part.component, part.options, part.engine)
        except ValueError as error:
            self.fault(path, str(error))
            return None
        self.known[key] = part, protocol
        return part, protocol

    def published(self, data: Any, protocols: Iterable[Protocol]) -> tuple[Published, ...]:
        if not isinstance(data, list):
            self.fault(("published",), "write a list, as [{metric: rmse, protocol: eigen, value: 0.392, source: ...}]")
            return ()
        found = []
        for i, item in enumerate(data):
            one = self.validated(Published, ("published", i), item, "it has")
            if isinstance(one, Published):
                found.append(one)
                scored = [protocol.name for protocol in protocols]
                if one.protocol not in scored:
                    message = f"'{one.protocol}' is not under `evaluate`; {_near(one.protocol, scored, 'there are')}"
                    self.fault(("published", i, "protocol"), message)
        return tuple(found)

    def validated(self, schema: type[Section], path: PathInRecipe, data: Any, has: str) -> Section | None:
        key = (schema, json.dumps(data))
        if key in self.known:
            known: Section = self.known[key]
            return known
        try:
            section = self.known[key] = schema.model_validate_json(key[1])
            return section
        except ValidationError as error:
            for one in error.errors():
                self.fault((*path, *_written(data, one["loc"], one["type"] == "missing")), _message(schema, one, has))
            return None


def is_name(name: Any) -> bool:
    """Whether a recipe or study can be called so: its name becomes a folder's."""
    return isinstance(name, str) and bool(name) and set(name) <= _NAME and name[0].isalnum()


_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def _near(key: Any, known: Iterable[str], intro: str) -> str:
    known = list(known)
    near = difflib.get_close_matches(str(key), known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"{intro}: {', '.join(known) or 'no options'}"


def _written(data: Any, location: tuple[Any, ...], missing: bool) -> PathInRecipe:
    """The steps of pydantic's location that are written in the data; for unions and tuples it adds some of its own."""
    path: list[str | int] = []
    for step in location:
        if not ((isinstance(data, dict) and step in data) or (isinstance(data, list) and step in range(len(data)))):
            break
        path.append(step)
        data = data[step]
    return (*path, location[-1]) if missing else tuple(path)


def _message(schema: type[BaseModel], error: Any, has: str) -> str:
    within = error["loc"] if error["type"] == "model_type" else error["loc"][:-1]
    fields = list(_section(schema, within).model_fields)
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(error["loc"][-1]), fields, n=1)
        takes = f"{has}: {', '.join(fields)}" if fields else f"{has} no options"
        return f"unknown option; {takes}" + (f"; did you mean '{near[0]}'?" if near else "")
    if error["type"] == "missing" and isinstance(error["loc"][-1], int):
        return "is missing; the list is too short"
    if error["type"] == "missing":
        return f"is missing; {has}: {', '.join(fields)}"
    if error["type"] == "model_type":
        return f"{error['input']!r} is no mapping; {has}: {', '.join(fields)}"
    text = str(error["msg"])
    return f"{error['input']!r}: {text[0].lower()}{text[1:]}"


def _section(schema: type[BaseModel], steps: Iterable[str | int]) -> type[BaseModel]:
    """The nested section that a location lies in."""
    for step in steps:
        field = schema.model_fields.get(str(step))
        candidates = [] if field is None else [field.annotation, *getattr(field.annotation, "__args__", ())]
        inner = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not inner:
            break
        schema = inner[0]
    return schema
