"""Scores of given predictions as Python has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cliffkit.jobs.run_folder import SCORE_AGAIN, check_files
from cliffkit.scoring.metrics import METRICS
from cliffkit.store.artifacts import PANEL, GivenScores, PerImage, Summary
from cliffkit.verbs.rows import Rows


@dataclass(frozen=True)
class Scored:
    """Predictions that were given, with their scores. Files are read when asked for.

    Reading raises UserError where a file is not as it was written.
    """

    folder: Path

    @cached_property
    def record(self) -> GivenScores:
        """All that metrics.json says: scores per protocol, how predictions were read and matched, what is odd."""
        check_files(self.folder, [GivenScores.FILE], SCORE_AGAIN)
        return GivenScores.read(self.folder)

    @property
    def metrics(self) -> Mapping[str, Summary]:
        """Scores by protocol and metric: `metrics["eigen"]["abs_rel"]`; rmse in metres."""
        return self.record.metrics

    @property
    def baseline(self) -> Mapping[str, Summary]:
        """Scores of a constant prediction, the median of the test depths, by protocol and metric."""
        return self.record.baseline

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the predictions, a sentence each. Nothing of it was mended."""
        return self.record.predictions.warnings

    @property
    def missing(self) -> tuple[str, ...]:
        """Test images without a prediction, which count for no score."""
        return self.record.predictions.missing

    @cached_property
    def per_image(self) -> Rows:
        """Scores of each test image under each protocol: columns protocol, image, and one per metric."""
        check_files(self.folder, [PerImage.FILE], SCORE_AGAIN)
        return image_rows(self.folder)

    @property
    def panel(self) -> Path:
        """A picture of test images with their true and predicted depth (PNG)."""
        return self.folder / PANEL


def image_rows(folder: Path) -> Rows:
    """Read the scores of each image that a folder holds."""
    table = PerImage.read(folder)
    rows = [
        {
            "protocol": protocol,
            "image": image,
            **dict(zip(METRICS, row, strict=True)),
            **{name: float(values[i]) for name, values in table.extra_columns(protocol).items()},
        }
        for protocol, scores in table.scores.items()
        for i, (image, row) in enumerate(zip(table.images, scores.tolist(), strict=True))
    ]
    return Rows(rows, ["protocol", "image", *METRICS, *table.extra_names])
