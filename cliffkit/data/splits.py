"""A recipe's data set, opened: one split at full size."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from cliffkit.errors import UserError
from cliffkit.interfaces import Dataset
from cliffkit.recipe.recipe import Recipe
from cliffkit.text import cut

Roots = Mapping[str, Path]


def open_split(recipe: Recipe, split: str, roots: Roots) -> Dataset:
    """Open one split of a recipe's data set. Raises UserError where it is missing, wrong or empty."""
    dataset = recipe.data.build(split, data_root(recipe.data.component.name, roots))
    assert isinstance(dataset, Dataset)
    if len(dataset) == 0:
        raise UserError(f"{recipe.data.place}: the {split} split is empty; every split needs an image")
    if split == "test":
        check_names(dataset, recipe.data.place)
    return dataset


def check_names(dataset: Dataset, place: str) -> None:
    """Raise UserError where two test images have one name: scores of images are found by it."""
    names = [dataset.name(index) for index in range(len(dataset))]
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise UserError(
            f"{place}: {names.count(twice)} test images are called '{cut(twice)}'; give each image a name of its own"
        )


def data_root(name: str, roots: Roots) -> Path | None:
    """Find the folder of a data set: `--data NAME=PATH`, else the variable CLIFFKIT_DATA_NAME, else None."""
    if name in roots:
        return roots[name]
    variable = os.environ.get(f"CLIFFKIT_DATA_{name.upper().replace('-', '_')}")
    return Path(variable) if variable else None
