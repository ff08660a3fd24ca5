"""Evaluation protocols: everything that a score depends on beside the prediction and the truth, as one value.

A score without its protocol means nothing, so the protocol is stored with the score and a table never mixes two.

A plugin gives a protocol as a function `(*, options) -> Protocol`, registered under the kind `protocol`. The engine
names the protocol after the component and after the options that differ from their defaults. `name`, `flip`, `align`
and `align_over` stand beside the options of every protocol in a recipe and are applied by the engine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal

from cliffkit.errors import UserError

Alignment = Literal["none", "median", "scale", "affine", "affine_disparity", "log"]
"""How a prediction is brought to the truth before it is scored."""

ALIGNMENTS: Mapping[str, str] = MappingProxyType(
    {
        "none": "no alignment",
        "median": "scaled {over} by the ratio of medians (robust)",
        "scale": "scaled {over} by least squares of depth (not robust)",
        "affine": "scaled and shifted {over} by least squares of depth (not robust)",
        "affine_disparity": "scaled and shifted as disparity {over} by least squares of disparity (not robust)",
        "log": "scaled {over} by least squares of log depth (not robust)",
    }
)
"""Every alignment in words, with a place for what it is taken over. `cliffkit.scoring.alignments` has the formulas."""

OVER: Mapping[str, str] = MappingProxyType({"image": "per image", "set": "once for all test images"})
"""What an alignment may be taken over, in words."""


@dataclass(frozen=True)
class View:
    """How an image is framed before its depth is predicted; protocols of one view share one prediction.

    Hu et al. shrink 480x640 to 240x320 and cut its centre 228x304, which is the centre 456x608 at half scale. Here the
    centre is a share of the sides, so that it applies to other sizes too: our generalisation, where theirs says
    nothing.
    """

    region: float = 1.0
    """Share of each side, about the centre, that is shown."""
    size: tuple[int, int] | None = None
    """(height, width) at which truth and prediction are compared; None: as many pixels as the region has."""
    squeezed: bool = False
    """Whether the network sees the region at the size at which it was trained, whatever part of an image that size
    showed in training; else it sees the region at the scale at which it was trained."""

    def describe(self) -> str:
        """Put the view into words."""
        size = "native size" if self.size is None else f"{self.size[0]}x{self.size[1]}"
        region = "whole image" if self.region == 1 else f"centre {100 * self.region:g}% of each side"
        return f"{region} at {size}" + (", shown to the network at its training size" if self.squeezed else "")


@dataclass(frozen=True)
class Crop:
    """The rectangle of a view that is scored: half-open, in units of a reference frame, stretched to the view's size.

    Edges that fall between pixels are rounded down, as the reference implementations of the Garg crop do.
    """

    top: float
    bottom: float
    left: float
    right: float
    frame: tuple[int, int] = (1, 1)
    """(height, width) of the reference frame; (1, 1): the edges are shares of the sides."""
    window: tuple[int, int] | None = None
    """(height, width), pixels, of the part of the view that the edges are stretched to: its lowest rows and centre
    columns, as much of them as there is; an odd margin is wider on the right. None: the whole view."""

    def slices(self, height: int, width: int) -> tuple[slice, slice]:
        """Give the rows and columns to keep of a map of height x width pixels."""
        (y, x), (top, left) = self.frame, (0, 0)
        if self.window is not None:
            rows, columns = min(height, self.window[0]), min(width, self.window[1])
            top, left, height, width = height - rows, (width - columns) // 2, rows, columns
        return (
            slice(top + math.floor(self.top * height / y), top + math.floor(self.bottom * height / y)),
            slice(left + math.floor(self.left * width / x), left + math.floor(self.right * width / x)),
        )

    def describe(self) -> str:
        """Put the crop into words."""
        window = "" if self.window is None else f" of the lowest, central {self.window[0]}x{self.window[1]}"
        if self.frame == (1, 1):
            return f"rows {self.top}h:{self.bottom}h and columns {self.left}w:{self.right}w{window}"
        edges = f"rows {self.top}:{self.bottom} and columns {self.left}:{self.right}"
        return f"{edges} of {self.frame[0]}x{self.frame[1]} (other sizes in proportion){window}"


@dataclass(frozen=True)
class ExtraMetric:
    """A metric beside the nine, as a protocol asks for it: which code computes it, and how its values are read."""

    name: str
    reference: str
    """`package.module:Class`."""
    options: str = "{}"
    """JSON of its options, every default written out."""
    unit: str = ""
    higher_is_better: bool = False
    code: str = ""
    """Identity of its code: scores by other code are not compared."""


@dataclass(frozen=True)
class Protocol:
    """How predictions are scored. Two scores may be compared where their protocols are equal, and only there."""

    name: str
    source: str = field(compare=False)
    """Origin of the protocol in words. It is not compared, so that better words leave scores comparable."""
    view: View = View()
    crop: Crop | None = None
    min_depth_m: float = 0.0
    """Lower bound, exclusive, of the true depths that are scored, metres."""
    max_depth_m: float | None = None
    """Upper bound, exclusive, of the true depths that are scored, metres; None: any finite depth."""
    clamp_low_m: float | None = None
    """Smallest prediction, metres; smaller predictions are raised to it. None: no such clamp."""
    clamp_high_m: float | None = None
    """Largest prediction, metres; larger predictions are lowered to it. None: no such clamp."""
    replace_nonfinite: bool = False
    """Count a predicted NaN or -inf as `clamp_low_m`, +inf as `clamp_high_m`; else such a prediction is an error."""
    floor_m: float = 1e-6
    """Smallest prediction used in logarithms and ratios. A prediction of 0 m or less is thus scored as very wrong, not
    undefined."""
    flip: bool = False
    """Average the prediction with that of the mirrored image, mirrored back."""
    align: Alignment = "none"
    """How the prediction is brought to the truth, over the scored pixels and before the clamp: `median` scales it by
    median(truth) / median(prediction), `scale` by the factor of least squares, `log` by that of log depth; `affine`
    scales and shifts depth, `affine_disparity` disparity."""
    align_over: Literal["image", "set"] = "image"
    """`image`: each image is aligned by itself. `set`: one alignment for all test images, of all their scored pixels;
    of `median` it is the median of the images' ratios."""
    averaging: Literal["image"] = "image"
    """`image`: metrics of each image, then their mean, every image counting the same."""
    delta_inclusive: bool = False
    """delta_k counts ratios <= 1.25^k instead of <."""
    rmse_pooled: bool = False
    """rmse is the root of the images' mean squared error instead of the mean of their roots."""
    metrics: tuple[ExtraMetric, ...] = ()
    """Metrics that are computed beside the nine."""

    def __post_init__(self) -> None:
        if self.align not in ALIGNMENTS or self.averaging != "image":
            raise UserError(f"protocol '{self.name}': unknown alignment '{self.align}' or averaging '{self.averaging}'")
        if self.align_over not in OVER or (self.align_over == "set" and self.align == "none"):
            raise UserError(
                f"protocol '{self.name}': align_over is '{self.align_over}'; it is one of {', '.join(OVER)}, and `set` "
                f"needs an alignment, as `align: scale`"
            )
        if not 0 < self.view.region <= 1 or self.min_depth_m < 0 or not self.floor_m > 0:
            raise UserError(f"protocol '{self.name}': needs 0 < region <= 1, min_depth_m >= 0 and floor_m > 0")
        if self.view.size is not None and min(self.view.size) < 1:
            raise UserError(f"protocol '{self.name}': size is {list(self.view.size)}; both sides need a pixel at least")
        if self.replace_nonfinite and (self.clamp_low_m is None or self.clamp_high_m is None):
            raise UserError(f"protocol '{self.name}': replace_nonfinite needs clamp_low_m and clamp_high_m")
        if not self._low_m() < self._high_m():
            raise UserError(
                f"protocol '{self.name}': true depths from {self.min_depth_m:g} to {_bound(self.max_depth_m)} m and "
                f"predictions clamped to [{_bound(self.clamp_low_m)}, {_bound(self.clamp_high_m)}] m leave no depth "
                "that could be right; mend the bounds"
            )

    def _low_m(self) -> float:
        """Depth above which truth and prediction may agree."""
        return self.min_depth_m if self.clamp_low_m is None else max(self.min_depth_m, self.clamp_low_m)

    def _high_m(self) -> float:
        """Depth below which truth and prediction may agree."""
        return min((bound for bound in (self.max_depth_m, self.clamp_high_m) if bound is not None), default=math.inf)

    def to_dict(self) -> dict[str, Any]:
        """Give every field in plain JSON types.

        Fields that came later, `squeezed`, `align_over`, `window` and `metrics`, are given only where they differ from
        their defaults: earlier scores have none.
        """
        stored = asdict(self)
        if not self.view.squeezed:
            del stored["view"]["squeezed"]
        if self.align_over == "image":
            del stored["align_over"]
        if not self.metrics:
            del stored["metrics"]
        if self.crop is not None and self.crop.window is None:
            del stored["crop"]["window"]
        return stored

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Protocol:
        """Read what `to_dict` wrote, through JSON or not. Raises UserError where fields differ from ours."""
        stored = {"align_over": "image", "metrics": (), **stored}
        _check_fields(cls, stored)
        framing = {"squeezed": False, **stored["view"]}
        _check_fields(View, framing)
        size = framing["size"]
        crop = stored["crop"]
        if crop is not None:
            crop = {"window": None, **crop}
            _check_fields(Crop, crop)
            height, width = crop["frame"]
            window = None if crop["window"] is None else (crop["window"][0], crop["window"][1])
            crop = Crop(**{**crop, "frame": (height, width), "window": window})
        view = View(framing["region"], None if size is None else (size[0], size[1]), framing["squeezed"])
        for metric in stored["metrics"]:
            _check_fields(ExtraMetric, metric)
        metrics = tuple(ExtraMetric(**metric) for metric in stored["metrics"])
        return cls(**{**stored, "view": view, "crop": crop, "metrics": metrics})

    def describe(self) -> str:
        """Put the protocol into one sentence for above a score: size, crop, range, clamp, flip, alignment, source."""
        return f"{self.name}: " + ", ".join(self._clauses()) + f"; {self.source}"

    def _clauses(self) -> list[str]:
        return [
            self.view.describe(),
            "no crop" if self.crop is None else self.crop.describe(),
            self._truth(),
            self._clamp(),
            "averaged with the mirrored prediction" if self.flip else "no flip average",
            ALIGNMENTS[self.align].format(over=OVER[self.align_over]),
            "mean over images of per-image metrics" + (" except rmse = sqrt(mean mse)" if self.rmse_pooled else ""),
            f"delta {'<=' if self.delta_inclusive else '<'} 1.25^k",
            *([f"with {' and '.join(metric.name for metric in self.metrics)}"] if self.metrics else []),
        ]

    def _truth(self) -> str:
        """Put the range of scored truth into words."""
        if self.max_depth_m is None:
            return f"truth d > {self.min_depth_m:g} m"
        return f"truth {self.min_depth_m:g} < d < {self.max_depth_m:g} m"

    def _clamp(self) -> str:
        """Say in words how predictions out of bounds are treated."""
        low, high = self.clamp_low_m, self.clamp_high_m
        if low is None and high is None:
            clamp = f"prediction not clamped (at least {self.floor_m:g} m in logarithms and ratios)"
        elif high is None:
            clamp = f"prediction clamped to >= {low:g} m"
        elif low is None:
            clamp = f"prediction clamped to <= {high:g} m"
        else:
            clamp = f"prediction clamped to [{low:g}, {high:g}] m"
        return clamp + (f" (NaN counts as {low:g} m, inf as {high:g} m)" if self.replace_nonfinite else "")


def _bound(value: float | None) -> str:
    """Write a bound that may be absent."""
    return "any" if value is None else f"{value:g}"


def _check_fields(cls: type[Protocol | View | Crop | ExtraMetric], stored: Mapping[str, Any]) -> None:
    ours = {entry.name for entry in fields(cls)}
    if ours != set(stored):
        unknown, missing = sorted(set(stored) - ours), sorted(ours - set(stored))
        raise UserError(
            f"stored {cls.__name__.lower()} '{stored.get('name', '?')}' is not of this version of cliffkit: unknown "
            f"{unknown}, missing {missing}; score again with `cliffkit run`"
        )
