"""Folders of given predictions as the cells of a comparison, and what a reader must know of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cliffkit.errors import UserError
from cliffkit.store.artifacts import GivenScores
from cliffkit.study.cells import Replicate
from cliffkit.verbs.judge import Rules
from cliffkit.verbs.scored import Scored


@dataclass(frozen=True)
class GivenCell(Replicate):
    """One folder of predictions, a seed of its variant."""

    place: Path
    scored: Scored

    @property
    def keys(self) -> Mapping[str, str]:
        """The key of its scores."""
        return {"evaluate": self.scored.record.key}


def remarks(cells: Sequence[GivenCell]) -> list[str]:
    """Say what is odd about the predictions, what is missing, and which variants share predictions.

    Raises UserError where two places of one variant hold the same.
    """
    texts: list[str] = []
    first: dict[str, GivenCell] = {}
    for cell in cells:
        record: GivenScores = cell.scored.record
        facts = record.predictions
        texts += [f"{cell.name} ({cell.place}): {warning}." for warning in facts.warnings]
        if facts.missing:
            texts.append(f"{cell.name}: {len(facts.missing)} test images have no prediction and count for nothing.")
        other = first.setdefault(facts.digest, cell)
        if other is not cell and other.variant is cell.variant:
            raise UserError(
                f"{cell.place}: holds the very predictions of {other.name}; a copy is no replicate, and would make "
                "intervals too narrow; give the predictions of another training"
            )
        if other is not cell:
            texts.append(f"{cell.name} holds the very predictions of {other.name}.")
    return texts


def on_other_images(cells: Sequence[GivenCell], rules: Rules) -> list[str]:
    """Say over which images a pooled rmse is taken where folders lack different ones.

    Raises UserError for a protocol that aligns all images at once: equal predictions would get other scores.
    """
    if len({cell.scored.missing for cell in cells}) == 1:
        return []
    aligned = [protocol.name for protocol in rules.protocols if protocol.align_over == "set"]
    if aligned:
        each = ", ".join(f"{cell.name} {len(cell.scored.missing)}" for cell in cells)
        raise UserError(
            f"protocol {aligned[0]} aligns all images of a folder at once, and folders lack different ones ({each}): "
            "equal predictions would get other scores; predict the missing ones, take their images out of all "
            "folders, or align each image by itself"
        )
    pooled = [protocol.name for protocol in rules.protocols if protocol.rmse_pooled]
    over = f"rmse under {', '.join(pooled)} is a root over all images, here over those that every folder has."
    return [over] if pooled else []
