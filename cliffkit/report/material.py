"""The material of a report: what every section of the page and of the Markdown may read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from cliffkit.report.gallery import Gallery
from cliffkit.report.tables import TextTable, text_table
from cliffkit.study.analysis import Analysis, Table
from cliffkit.study.results import Results
from cliffkit.study.study import Comparison


@dataclass(frozen=True)
class Material:
    """What a report is written from."""

    results: Results
    analysis: Analysis
    figures: Mapping[str, str]
    """SVG by name."""
    gallery: Gallery | str
    """Pictures, or the reason why there are none."""
    command: str
    """What the reader types to get the study again."""

    @property
    def study(self) -> Comparison:
        """What was compared."""
        return self.results.study

    @property
    def first(self) -> Table:
        """The table in the study's own metric and protocol."""
        return self.analysis.first(self.results)

    @cached_property
    def tables(self) -> dict[tuple[str, str], TextTable]:
        """Every table as text, by protocol and metric."""
        planned = self.first if self.study.adaptive is None else None
        return {key: text_table(self.results, table, table is planned) for key, table in self.analysis.tables.items()}
