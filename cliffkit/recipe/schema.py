"""The engine's own sections of a recipe, and the schema that a component's signature is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, create_model

from cliffkit.protocols import Alignment

Positive = Annotated[int, Field(gt=0)]

MAX_SEED = 2**63 - 1
"""The largest that every random generator takes."""


class Section(BaseModel):
    """A part of a recipe whose keys the engine knows."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class DataOptions(Section):
    """What the engine does to every data set."""

    size: tuple[Positive, Positive]
    """Height and width at which the network is trained."""
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Centre share of each side that is kept before resizing; 456x608 of 480x640 is 0.95."""


class LossOptions(Section):
    """What the engine does to every loss."""

    weight: Annotated[float, Field(ge=0)] = 1.0
    """Factor of the term in the sum that training minimises."""


LevelWeight = Annotated[float, Field(ge=0)]


class EmbeddingOptions(Section):
    """The hierarchical embedding loss, for generators that have levels."""

    weights: list[LevelWeight] = [10.0, 15.0]
    """One per level, shallow to deep; 0 leaves the level out."""
    norm: Literal["l1", "l2"] = "l1"
    """Norm of the difference of features: absolute values or squares."""
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    """Steps over which the term grows from nothing to its full weight."""
    scale: Literal["unit", "none"] = "none"
    """`unit`: each level is divided by its mean difference between two random training maps."""
    trained: bool = True
    """Whether a generator that learns is trained; false: it keeps the random weights that it starts with."""


class ProtocolOptions(Section):
    """What the engine does to every protocol; None: what the protocol itself says."""

    name: str | None = None
    """What its scores are called; None: the protocol's name with all that is changed of it."""
    flip: bool | None = None
    """Average each prediction with that of the mirrored image."""
    align: Alignment | None = None
    """How a prediction is brought to the truth."""
    align_over: Literal["image", "set"] | None = None
    """Whether each image is aligned by itself, or all test images at once."""
    metrics: list[str | dict[str, Any]] | None = None
    """Metrics beside the nine, each a name or a mapping."""


class MetricOptions(Section):
    """What the engine does to every metric that a protocol asks for."""

    name: str | None = None
    """What its scores are called; None: the metric's name."""


Factor = Annotated[float, Field(gt=0)]


class LayerRates(Section):
    """Rates that fall from the last layer of a module to its first.

    Source of the rule: Bao et al., "BEiT: BERT Pre-Training of Image Transformers", ICLR 2022.
    """

    rate: Factor = 1.0
    """Factor of the learning rate of the last layer."""
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    """Factor from each layer to the one before it."""


def _form_of_rates(value: Any) -> str:
    return "layers" if isinstance(value, dict | LayerRates) else "number"


Rates = Annotated[
    Annotated[Factor, Tag("number")] | Annotated[LayerRates, Tag("layers")],
    Discriminator(_form_of_rates),
]
"""What `groups` says of the parameters that a pattern matches."""


class FitSettings(Section):
    """How the one training loop runs, whatever it trains."""

    steps: Positive
    """Optimiser steps."""
    batch: Positive = 16
    """Images per optimiser step, over all processes and micro-batches."""
    micro_batch: Positive | None = None
    """Images per forward pass and process; None: the whole share of a process at once."""
    lr: Annotated[float, Field(gt=0)] = 1e-3
    """Learning rate where the schedule's factor is 1."""
    groups: dict[str, Rates] = {}
    """Factors of the learning rate, by patterns of parameters' names; a mapping with `layer_decay`: layer by layer."""
    freeze: list[str] = []
    """Patterns of the names of parameters that are not trained."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """Decay of the weights; biases and normalisation do not decay."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps over which the rate rises linearly from zero."""
    reload_best: bool | Literal["all"] = False
    """Whether to go back to the best weights so far at each milestone of the schedule; `all`: with the optimiser's
    state of that step."""
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """Largest norm of the gradient; None: unlimited."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the weights' running average, which is what is validated and kept; 0: none."""
    validate_every: Positive = 250
    """Steps from one validation to the next."""
    init: Path | None = None
    """Folder of a run, or file of weights, to start from; None: start at random."""


class EmbeddingSettings(FitSettings):
    """Stage `embedding`. Its seed is a number of its own, or `replicate`."""

    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | Literal["replicate"] = 0
    """Seed of weights, batch order and augmentation; `replicate`: the recipe's, so that each seed of a study has a
    generator of its own."""


Metric = Literal["abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog", "delta1", "delta2", "delta3"]


Speed = Literal["eager", "compile", "graphs", "compile+graphs"]


class DepthSettings(FitSettings):
    """Stage `depth`."""

    speed: Speed = "eager"
    """How a step is computed. `compile`: each part of the network by torch.compile; `graphs`: the pass and its gradient
    replayed from CUDA graphs, on one GPU."""
    select: Metric = "abs_rel"
    """The score on the validation split by which the best weights are chosen."""


class TrainSettings(Section):
    """What both trained stages share."""

    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """`auto`: bf16 where the processor or GPU computes in it, else fp32."""
    deterministic: bool = False
    """Whether to ask torch for deterministic kernels on a GPU too, at some cost; a CPU is deterministic anyway."""


class Published(Section):
    """A number that others report for this network: shown beside ours, marked as theirs, and never compared by test."""

    metric: Metric
    protocol: str
    """The name of the protocol under which they say they scored."""
    value: float
    source: Annotated[str, Field(min_length=1)]
    """Where it stands: paper and table, or address."""


RESERVED = ("use", "code")
"""Names that no option has: in a job's inputs they stand beside a part's options."""


def options_schema(factory: Callable[..., Any], engine: type[Section] | None = None) -> type[Section]:
    """Give the schema of a component's options: its keyword-only parameters, with the engine's own options beside them.

    Raises TypeError where the signature takes `**kwargs`, leaves a type out, or redefines an engine's option.
    """
    return _options_schema(factory, engine)


@functools.cache
def _options_schema(factory: Callable[..., Any], engine: type[Section] | None) -> type[Section]:
    fields: dict[str, Any] = {}
    for parameter in _parameters(factory):
        where = f"parameter '{parameter.name}' of {getattr(factory, '__qualname__', factory)}"
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            raise TypeError(f"{where}: options must be named, `**kwargs` cannot be checked")
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if parameter.annotation is inspect.Parameter.empty:
            raise TypeError(f"{where} has no type; annotate it, the signature is the recipe's schema")
        if parameter.name in RESERVED or (engine is not None and parameter.name in engine.model_fields):
            raise TypeError(f"{where} has the name of an option of the engine; rename it")
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[parameter.name] = (parameter.annotation, default)
    return create_model("Options", __base__=engine or Section, **fields)


def _parameters(factory: Callable[..., Any]) -> Iterable[inspect.Parameter]:
    """Give the parameters of a factory; none of a class that has no `__init__` of its own, only torch's or Python's."""
    if isinstance(factory, type):
        giver = next(base for base in factory.__mro__ if "__init__" in vars(base))
        if giver is object or giver.__module__.startswith("torch."):
            return ()
    return inspect.signature(factory, eval_str=True).parameters.values()
