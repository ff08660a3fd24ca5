"""Does a data set hold what the engine expects? Counts, units, scene types, and everything found wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cliffkit.data.splits import data_root
from cliffkit.data.traps import traps
from cliffkit.errors import UserError
from cliffkit.interfaces import Dataset, Sample
from cliffkit.recipe.part import Part

SPLITS = ("train", "val", "test")

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)

PIXELS_PER_IMAGE = 20_000
"""Depths kept of each image for the percentiles."""

CONTACTS = 4
"""Images of each split on a contact sheet."""

PLAUSIBLE_MEDIAN_M = (0.2, 100.0)


def check_data(
    part: Part,
    roots: dict[str, Path],
    sample: int,
    progress: Callable[[str, int, int], None],
    contacts: dict[str, list[tuple[str, Sample]]] | None = None,
    chosen: Sequence[str] = SPLITS,
) -> dict[str, Any]:
    """Look into at most `sample` images of each split that is `chosen`, evenly spread.

    Gives `splits` (facts by split) and `problems` (sentences). `progress` hears split, images looked at, and how many
    will be. `contacts`, where given, receives some images of each split by name, for a contact sheet.
    """
    root = data_root(part.component.name, roots)
    problems: list[str] = []
    refused: dict[str, list[str]] = {}
    splits: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}
    for split in (split for split in SPLITS if split in chosen):
        try:
            dataset = part.build(split, root)
        except UserError as error:
            refused.setdefault(str(error), []).append(split)
            continue
        kept: list[tuple[str, Sample]] = []
        facts, faults = _look(dataset, sample, partial(progress, split), kept)
        if contacts is not None:
            contacts[split] = kept
        splits[split] = facts
        problems += [f"{split}: {problem}" for problem in faults]
        for i in range(len(dataset)):
            other = names.setdefault(dataset.name(i), split)
            if other != split:
                problems.append(f"{dataset.name(i)} is in {other} and in {split}")
    problems = [*(f"{', '.join(of)}: {why}" for why, of in refused.items()), *problems]
    return {"dataset": part.to_dict(), "splits": splits, "problems": list(dict.fromkeys(problems))}


def _look(
    dataset: Dataset, sample: int, progress: Callable[[int, int], None], contacts: list[tuple[str, Sample]]
) -> tuple[dict[str, Any], list[str]]:
    """Give the facts of one split, and its faults; put some images into `contacts`."""
    if len(dataset) == 0:
        return {"images": 0, "looked_at": 0}, ["the split is empty"]
    chosen = sorted(set(np.linspace(0, len(dataset) - 1, min(sample, len(dataset))).round().astype(int).tolist()))
    depths: list[Any] = []
    sizes: Counter[str] = Counter()
    scenes: Counter[str] = Counter()
    valid_shares: list[float] = []
    problems: list[str] = []
    shown = chosen[:: max(1, -(-len(chosen) // CONTACTS))]
    for done, index in enumerate(chosen, 1):
        try:
            read = dataset[index]
        except UserError as error:
            problems.append(str(error))
            continue
        if index in shown:
            contacts.append((dataset.name(index), read))
        depth, faults = _depths(read)
        problems += [f"{dataset.name(index)}: {problem}" for problem in faults]
        depths.append(depth)
        sizes["x".join(str(side) for side in reversed(read.image.shape[-2:]))] += 1
        scenes[dataset.scene_types[int(read.scene)] if int(read.scene) >= 0 else "unknown"] += 1
        valid_shares.append(float(read.valid.float().mean()))
        progress(done, len(chosen))
    together = np.concatenate(depths) if depths else np.empty(0, np.float32)
    facts: dict[str, Any] = {
        "images": len(dataset),
        "looked_at": len(chosen),
        "dealt": dataset.dealt(),
        "protocol": dataset.protocol,
        "notes": list(dataset.notes()),
        "sizes": dict(sizes.most_common()),
        "scene_types": dict(scenes.most_common()),
        "units": "metres",
        "valid_share": float(np.mean(valid_shares)) if valid_shares else 0.0,
    }
    if together.size:
        values = np.percentile(together, PERCENTILES)
        facts["depth_percentiles_m"] = {str(p): float(v) for p, v in zip(PERCENTILES, values, strict=True)}
        facts["depth_range_m"] = [float(together.min()), float(together.max())]
        median_m, (low, high) = float(np.median(together)), PLAUSIBLE_MEDIAN_M
        if not low <= median_m <= high:
            problems.append(f"the median depth is {median_m:g} m; are the depths in metres, or the depth scale wrong?")
        problems += traps(depths)
    else:
        problems.append("no image looked at has a pixel with a valid depth")
    return facts, problems


def _depths(sample: Sample) -> tuple[Any, list[str]]:
    """Give some valid depths of one image, and its faults."""
    depth = sample.depth[sample.valid].numpy()
    if not depth.size:
        return depth, ["no pixel has a valid depth"]
    if not np.isfinite(depth).all() or (depth <= 0).any():
        return depth[np.isfinite(depth) & (depth > 0)], ["some depths marked valid are NaN, infinite, zero or negative"]
    return depth[:: max(1, depth.size // PIXELS_PER_IMAGE)], []


def describe(facts: dict[str, Any], most: int = 8) -> Sequence[tuple[str, str]]:
    """Put a split's facts into words, label and text."""
    lines = [("images", f"{facts['images']}, {facts['looked_at']} of them looked at")]
    if "sizes" not in facts:
        return lines
    if facts["dealt"]:
        lines.append(("dealt", facts["dealt"]))
    for label, key in (("width x height", "sizes"), ("scene types", "scene_types")):
        items = list(facts[key].items())
        more = f" and {len(items) - most} more" if len(items) > most else ""
        lines.append((label, ", ".join(f"{name} ({count})" for name, count in items[:most]) + more))
    lines.append(("valid", f"{facts['valid_share']:.1%} of pixels"))
    if "depth_percentiles_m" in facts:
        low, high = facts["depth_range_m"]
        lines.append(("depth", f"{low:.3f} to {high:.3f} m"))
        values = facts["depth_percentiles_m"].items()
        lines.append(("percentiles", ", ".join(f"{p}%: {value:.2f}" for p, value in values) + " m"))
    if facts["protocol"]:
        lines.append(("protocol", f"the field scores this data set by `{facts['protocol']}`"))
    return lines + [("note", note) for note in facts["notes"]]
