"""What `check_data` saw of a data set as a picture: some images of each split, and every note and fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cliffkit.interfaces import Sample
from cliffkit.pictures.contact import Contact, contact_sheet
from cliffkit.store.files import writing


def draw_sheet(path: Path, report: Mapping[str, Any], contacts: Mapping[str, Sequence[tuple[str, Sample]]]) -> None:
    """Draw a contact sheet of a report by `check_data` to a PNG. Raises UserError where it cannot be written."""
    splits, remarks = [], []
    for split, facts in report["splits"].items():
        dealt = f": {facts['dealt']}" if facts.get("dealt") else ""
        splits.append((f"{split}, {facts['images']} images{dealt}", [_contact(*kept) for kept in contacts[split]]))
        remarks += [f"note: {note}" for note in facts.get("notes", ())]
        if facts.get("protocol"):
            remarks.append(f"note: the field scores this data set by `{facts['protocol']}`")
    remarks += [f"wrong: {problem}" for problem in report["problems"]] or ["nothing wrong found"]
    with writing(path):
        contact_sheet(path, splits, report["dataset"]["use"], list(dict.fromkeys(remarks)))


def _contact(name: str, sample: Sample) -> Contact:
    depth = torch.where(sample.valid, sample.depth, torch.nan)[0]
    return Contact(name, sample.image.permute(1, 2, 0).numpy(), depth.numpy())
