"""Tables and the picture that scored images leave in a folder, whoever predicted them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit.events import Emit, Notice
from cliffkit.pictures.panel import panel
from cliffkit.prediction.scored import Row, ScoredImage
from cliffkit.protocols import Protocol
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.regions import REGIONS
from cliffkit.scoring.scores import Unscored, summarise
from cliffkit.store.artifacts import PANEL, PerImage, ProtocolScores, RegionScores
from cliffkit.store.files import write_atomic

PANEL_ROWS = 6
"""Images in the panel, spread evenly."""

ABSENT = np.full((len(REGIONS), len(METRICS)), math.nan)
"""Scores of the regions of an image without a prediction."""


def spread(count: int) -> list[int]:
    """Choose the images of the panel among `count`."""
    chosen: list[int] = np.linspace(0, count - 1, min(PANEL_ROWS, count)).round().astype(int).tolist()
    return chosen


def leave_tables(
    folder: Path, protocols: Sequence[Protocol], names: Sequence[str], images: Sequence[ScoredImage | None], emit: Emit
) -> tuple[dict[str, ProtocolScores], dict[str, str]]:
    """Write per_image.csv and regions.npz of images; return summaries by protocol, and why others cannot score them.

    None stands for an image without a prediction. It has no scores in the tables and counts for no summary. Raises
    UserError where no protocol can score the images.
    """
    present = {name: image for name, image in zip(names, images, strict=True) if image is not None}
    summaries, failures = _summaries(protocols, list(present), list(present.values()), emit)
    usable = [k for k, protocol in enumerate(protocols) if protocol.name in summaries]
    rows = {protocols[k].name: [None if image is None else image.scores[k] for image in images] for k in usable}
    tables = {name: _table(_rows(names, of)) for name, of in rows.items()}
    extras = {protocols[k].name: _extras(protocols[k], _rows(names, rows[protocols[k].name])) for k in usable}
    PerImage(tuple(names), tables, {name: of for name, of in extras.items() if of}).write(folder)
    regions = {
        protocols[k].name: np.array([ABSENT if image is None else image.regions[k] for image in images], np.float32)
        for k in usable
    }
    RegionScores(tuple("" if image is None else image.scene for image in images), regions).write(folder)
    return summaries, failures


def leave_panel(folder: Path, images: Sequence[ScoredImage | None], title: str, protocol: Protocol) -> None:
    """Write panel.png of the images that were kept for it."""
    pictures = [image.picture for image in images if image is not None and image.picture is not None]
    write_atomic(folder / PANEL, lambda path: panel(path, pictures, title, protocol.describe()))


def _summaries(
    protocols: Sequence[Protocol], names: Sequence[str], images: Sequence[ScoredImage], emit: Emit
) -> tuple[dict[str, ProtocolScores], dict[str, str]]:
    """Summarise the images under each protocol, by its name; and why others cannot score them.

    Raises UserError where no protocol can.
    """
    summaries, failures = {}, {}
    for k, protocol in enumerate(protocols):
        try:
            summaries[protocol.name] = _summary(k, protocol, names, images, emit)
        except UserError as error:
            failures[protocol.name] = str(error)
    if not summaries:
        raise UserError("; ".join(failures.values()))
    for name, reason in failures.items():
        emit(Notice(f"{name} is not scored: {reason}"))
    return summaries, failures


def _summary(
    k: int, protocol: Protocol, names: Sequence[str], images: Sequence[ScoredImage], emit: Emit
) -> ProtocolScores:
    """Summarise the images under the k-th protocol; say how many have no scored pixel."""
    metrics = summarise(_rows(names, [image.scores[k] for image in images]), protocol)
    baseline = summarise(_rows(names, [image.baseline[k] for image in images]), protocol)
    if metrics["absent"]:
        emit(Notice(f"{protocol.name}: {metrics['absent']:.0f} of {len(images)} images have no scored pixel"))
    fit = images[0].fits.get(k)
    assert not isinstance(fit, Unscored), "else no image has a row"
    return ProtocolScores(protocol, protocol.describe(), metrics, baseline, fit)


def _rows(names: Sequence[str], rows: Sequence[Row]) -> list[dict[str, float] | None]:
    """Give the rows of images under one protocol. Raises UserError that names an image which it cannot score."""
    reasons = [f"{name}: {row.reason}" for name, row in zip(names, rows, strict=True) if isinstance(row, Unscored)]
    if reasons:
        more = f" ({len(reasons)} of {len(rows)} images)" if len(reasons) > 1 else ""
        raise UserError(f"test image {reasons[0]}{more}")
    return [row for row in rows if not isinstance(row, Unscored)]


def _extras(protocol: Protocol, rows: Sequence[dict[str, float] | None]) -> dict[str, NDArray[np.float64]]:
    """Gather the metrics that a protocol asks for beside the nine, (images,) each, by name."""
    names = sorted({metric.name for metric in protocol.metrics})
    return {name: np.array([math.nan if row is None else row[name] for row in rows]) for name in names}


def _table(rows: Sequence[dict[str, float] | None]) -> NDArray[np.float64]:
    """Gather the metrics of images, (images, METRICS), NaN where no pixel is scored."""
    return np.array([[math.nan if row is None else row[metric] for metric in METRICS] for row in rows])
