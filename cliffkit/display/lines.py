"""Events on stderr: bars in a terminal or notebook, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from cliffkit.display.screen import can_redraw, screen
from cliffkit.events import (
    Event,
    JobFinished,
    JobSetAside,
    JobSkipped,
    JobStarted,
    Notice,
    Progress,
    TrackerFailed,
    Validated,
)
from cliffkit.text import printable

LINE_SECONDS = 10.0


class Terminal:
    """Shows events; a context, since bars must be taken down."""

    def __init__(self, active: bool = True) -> None:
        self._active = active
        console = screen()
        self._bars = Bars(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not (active and can_redraw(console)),
        )
        self._tasks: dict[str, TaskID] = {}
        self._last_line: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, event: Event) -> None:
        """Show one event."""
        if not self._active:
            return
        match event:
            case JobSkipped(stage, key):
                self._line(f"{stage:<9} done already ({key[:8]})")
            case JobStarted(stage, key, resumed_at):
                again = "" if resumed_at is None else f", going on from step {resumed_at}"
                self._line(f"{stage:<9} begins ({key[:8]}){again}")
            case JobSetAside() | TrackerFailed():
                self._line(str(event))
            case JobFinished(stage, _, seconds):
                self._line(f"{stage:<9} done in {seconds:.1f} s")
            case Validated(stage, step, scores, best):
                score = "  ".join(f"{name} {value:.4f}" for name, value in list(scores.items())[:1])
                self._line(f"{stage:<9} step {step}: val {score}{'  (best so far)' if best else ''}")
            case Notice(text):
                self._line(text)
            case Progress():
                self._progress(event)

    def _progress(self, event: Progress) -> None:
        figures = "  ".join(f"{name} {value:.4g}" for name, value in event.figures.items())
        if not self._bars.disable:
            if event.stage not in self._tasks:
                self._tasks[event.stage] = self._bars.add_task(event.stage, total=event.total, figures=figures)
            self._bars.update(self._tasks[event.stage], completed=event.done, total=event.total, figures=figures)
            return
        now = time.monotonic()
        if event.done == event.total or now - self._last_line.setdefault(event.stage, now) >= LINE_SECONDS:
            self._last_line[event.stage] = now
            self._line(f"{event.stage:<9} {event.done}/{event.total} {event.unit}s  {figures}")

    def _line(self, text: str) -> None:
        text = printable(text)
        if self._bars.disable:
            print(text, file=sys.stderr, flush=True)
        else:
            self._bars.console.print(text, markup=False)
