"""Evaluation protocols: everything that a score depends on beside the prediction and the truth, as one object.

A score without its protocol means nothing, so the object is stored with the score and a table never mixes two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Literal

from cliffkit.components.near import meant
from cliffkit.errors import UserError
from cliffkit.scoring.views import Crop, View, describe_crop, describe_view


@dataclass(frozen=True)
class Protocol:
    """How predictions are scored. Two scores may be compared where their protocols are equal, and only there."""

    name: str
    source: str = field(compare=False)
    """Whose protocol it is; words only, so that mending them makes no two scores incomparable."""
    view: View = View()  # noqa: RUF009 - frozen
    crop: Crop | None = None
    min_depth_m: float = 0.0
    """True depth must exceed this, strictly."""
    max_depth_m: float | None = None
    """True depth must stay below this, strictly; None: any finite depth."""
    clamp_low_m: float | None = None
    clamp_high_m: float | None = None
    replace_nonfinite: bool = False
    """Count a predicted NaN or -inf as `clamp_low_m`, +inf as `clamp_high_m`; else such a prediction is an error."""
    floor_m: float = 1e-6
    """Logarithms and ratios see predictions below this as this, so that those of 0 m or less stay defined: wrong."""
    flip: bool = False
    """Average the prediction with that of the mirrored image, mirrored back."""
    align: Literal["none", "median"] = "none"
    """`median`: scale the prediction by median(truth) / median(prediction) of each image, before the clamp."""
    averaging: Literal["image"] = "image"
    """`image`: metrics of each image, then their mean, every image counting the same."""
    delta_inclusive: bool = False
    """delta_k counts ratios <= 1.25^k instead of <."""
    rmse_pooled: bool = False
    """rmse is the root of the images' mean squared error instead of the mean of their roots."""

    def __post_init__(self) -> None:
        if self.align not in ("none", "median") or self.averaging != "image":
            raise UserError(f"protocol '{self.name}': unknown alignment '{self.align}' or averaging '{self.averaging}'")
        if not 0 < self.view.region <= 1 or self.min_depth_m < 0 or not self.floor_m > 0:
            raise UserError(f"protocol '{self.name}': needs 0 < region <= 1, min_depth_m >= 0 and floor_m > 0")
        if self.replace_nonfinite and (self.clamp_low_m is None or self.clamp_high_m is None):
            raise UserError(f"protocol '{self.name}': replace_nonfinite needs clamp_low_m and clamp_high_m")

    def to_dict(self) -> dict[str, Any]:
        """Every field in plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Protocol:
        """The protocol that `to_dict` wrote, through JSON or not. Raises UserError where fields differ from ours."""
        _same_fields(cls, stored)
        _same_fields(View, stored["view"])
        size = stored["view"]["size"]
        crop = stored["crop"]
        if crop is not None:
            _same_fields(Crop, crop)
            height, width = crop["frame"]
            crop = Crop(**{**crop, "frame": (height, width)})
        view = View(stored["view"]["region"], None if size is None else (size[0], size[1]))
        return cls(**{**stored, "view": view, "crop": crop})

    def describe(self) -> str:
        """One sentence for above a score: size, crop, range, clamp, flip, alignment, averaging, source."""
        return f"{self.name}: " + ", ".join(self._clauses()) + f"; {self.source}"

    def _clauses(self) -> list[str]:
        low, high = self.clamp_low_m, self.clamp_high_m
        if low is None and high is None:
            clamp = f"prediction not clamped (at least {self.floor_m:g} m in logarithms and ratios)"
        elif high is None:
            clamp = f"prediction clamped to >= {low:g} m"
        elif low is None:
            clamp = f"prediction clamped to <= {high:g} m"
        else:
            clamp = f"prediction clamped to [{low:g}, {high:g}] m"
        if self.replace_nonfinite:
            clamp += f" (NaN counts as {low:g} m, inf as {high:g} m)"
        if self.max_depth_m is None:
            truth = f"truth d > {self.min_depth_m:g} m"
        else:
            truth = f"truth {self.min_depth_m:g} < d < {self.max_depth_m:g} m"
        return [
            describe_view(self.view),
            describe_crop(self.crop),
            truth,
            clamp,
            "averaged with the mirrored prediction" if self.flip else "no flip average",
            "scaled per image by the ratio of medians" if self.align == "median" else "no alignment",
            "mean over images of per-image metrics" + (" except rmse = sqrt(mean mse)" if self.rmse_pooled else ""),
            f"delta {'<=' if self.delta_inclusive else '<'} 1.25^k",
        ]


def _same_fields(cls: type[Protocol | View | Crop], stored: Mapping[str, Any]) -> None:
    ours = {each.name for each in fields(cls)}
    if ours != set(stored):
        unknown, missing = sorted(set(stored) - ours), sorted(ours - set(stored))
        raise UserError(
            f"stored {cls.__name__.lower()} '{stored.get('name', '?')}' is not of this version of cliffkit: unknown "
            f"{unknown}, missing {missing}; score again with `cliffkit run`"
        )


_CENTRE = View(region=0.95, size=(228, 304))

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        protocol.name: protocol
        for protocol in (
            Protocol(
                "eigen",
                "as on NYU in BTS (without flip), AdaBins and MDE-Toolbox (with flip)",
                crop=Crop(45, 471, 41, 601, frame=(480, 640)),
                min_depth_m=1e-3,
                max_depth_m=10.0,
                clamp_low_m=1e-3,
                clamp_high_m=10.0,
                replace_nonfinite=True,
            ),
            Protocol(
                "cliffnet",
                "after the CLIFFNet release, which also counts d = 0 by adding 1e-3 m",
                view=_CENTRE,
                clamp_low_m=0.0,
                clamp_high_m=10.0,
            ),
            Protocol("hu", "as Hu et al., WACV 2019", view=_CENTRE, delta_inclusive=True, rmse_pooled=True),
            Protocol(
                "garg",
                "the Garg crop as used on KITTI",
                crop=Crop(0.40810811, 0.99189189, 0.03594771, 0.96405229),
                min_depth_m=1e-3,
                max_depth_m=80.0,
                clamp_low_m=1e-3,
                clamp_high_m=80.0,
                replace_nonfinite=True,
            ),
            Protocol("full", "cliffkit: every valid pixel", min_depth_m=1e-3, clamp_low_m=1e-3),
        )
    }
)
"""The protocols that a recipe can name; `protocol` also takes modifiers."""


MODIFIERS = ("flip", "median")
"""What may follow a protocol's name, each after a `+`: average with the mirrored prediction, align by medians."""


def protocol(spec: str) -> Protocol:
    """The protocol called `eigen`, `eigen+flip`, `full+flip+median` and so on.

    The name of what comes back has its modifiers in the order of MODIFIERS, so that equal protocols have equal names.
    Raises UserError with the near miss and the list for an unknown name or modifier, and for a repeated modifier.
    """
    name, *modifiers = spec.split("+")
    if name not in PROTOCOLS:
        raise UserError(_missing("protocol", name, tuple(PROTOCOLS)) + f"; each takes {_modifier_list()}")
    for modifier in modifiers:
        if modifier not in MODIFIERS:
            raise UserError(f"protocol '{spec}': " + _missing("modifier", modifier, MODIFIERS))
    if len(set(modifiers)) < len(modifiers):
        raise UserError(f"protocol '{spec}' repeats a modifier; name each of {_modifier_list()} once at most")
    base = PROTOCOLS[name]
    return replace(
        base,
        name="+".join([name, *(modifier for modifier in MODIFIERS if modifier in modifiers)]),
        flip=base.flip or "flip" in modifiers,
        align="median" if "median" in modifiers else base.align,
    )


def _missing(what: str, name: str, known: tuple[str, ...]) -> str:
    hint = meant(name, known)
    return f"no {what} is called '{name}'; {hint}{' ' if hint else ''}there are: {', '.join(known)}"


def _modifier_list() -> str:
    return ", ".join(f"+{modifier}" for modifier in MODIFIERS)
