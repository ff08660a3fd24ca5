"""The engine's own sections of a recipe, and the schema that a component's signature is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from cliffkit.protocols import Alignment

Positive = Annotated[int, Field(gt=0)]

MAX_SEED = 2**63 - 1
"""The largest that every random generator takes."""

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of a recipe whose keys the engine knows."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataOptions(Section):
    """What the engine does to every data set."""

    size: tuple[Positive, Positive]
    """Height and width at which the network is trained."""
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Centre share of each side that is kept before resizing; 456x608 of 480x640 is 0.95."""


class LossOptions(Section):
    """What the engine does to every loss."""

    weight: Annotated[float, Field(ge=0)] = 1.0


class EmbeddingOptions(Section):
    """The hierarchical embedding loss, for generators that have levels."""

    weights: list[Annotated[float, Field(ge=0)]] = [10.0, 15.0]
    """One per level, shallow to deep; 0 leaves the level out."""
    norm: Literal["l1", "l2"] = "l1"
    warmup_steps: Annotated[int, Field(ge=0)] = 100


class ProtocolOptions(Section):
    """What the engine does to every protocol; None: what the protocol itself says."""

    name: str | None = None
    """What its scores are called; None: the protocol's name with all that is changed of it."""
    flip: bool | None = None
    """Average each prediction with that of the mirrored image."""
    align: Alignment | None = None
    """How a prediction is brought to the scale of the truth."""


class Augment(Section):
    """What is done to a training batch, on the device."""

    flip: Share = 0.5
    """Probability of mirroring an image."""
    brightness: Share = 0.4
    """Factors are drawn uniformly from 1 - x to 1 + x, per image; so for the next two."""
    contrast: Share = 0.4
    saturation: Share = 0.4


class Fit(Section):
    """How the one training loop runs."""

    steps: Positive
    batch: Positive = 16
    """Images per optimiser step, over all processes and micro-batches."""
    micro_batch: Positive | None = None
    """Images per forward pass and process; None: the whole share of a process at once."""
    lr: Annotated[float, Field(gt=0)] = 1e-3
    optimizer: Literal["adam", "adamw"] = "adamw"
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """Not on biases and normalisation."""
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    milestones: list[Positive] = []
    """Steps at which schedule `step` multiplies the rate by `decay`."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.1
    reload_best: bool = False
    """Go back to the best weights so far at each milestone."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps over which the rate rises linearly from zero."""
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the weights' running average, which is what is validated and kept; 0: none."""
    validate_every: Positive = 250
    augment: Augment = Augment()


class EmbeddingFit(Fit):
    """Stage `embedding`. Its seed is its own, so that replicates of a study share one generator."""

    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    augment: Augment = Augment(brightness=0, contrast=0, saturation=0)


Metric = Literal["abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog", "delta1", "delta2", "delta3"]


class DepthFit(Fit):
    """Stage `depth`."""

    select: Metric = "abs_rel"
    """The score on the validation split by which the best weights are chosen."""


class Train(Section):
    """Both trained stages."""

    depth: DepthFit
    embedding: EmbeddingFit | None = None
    """Needed where the embedding generator is trained."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """`auto`: bf16 where the processor or GPU computes in it, else fp32."""
    deterministic: bool = False
    """Ask torch for deterministic kernels on a GPU too, at some cost; a CPU is deterministic anyway."""


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
    """The schema of a component's options: its keyword-only parameters, with the engine's own options beside them.

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
    """The parameters of a factory; none of a class that has no `__init__` of its own, only torch's or Python's."""
    if isinstance(factory, type):
        giver = next(base for base in factory.__mro__ if "__init__" in vars(base))
        if giver is object or giver.__module__.startswith("torch."):
            return ()
    return inspect.signature(factory, eval_str=True).parameters.values()
