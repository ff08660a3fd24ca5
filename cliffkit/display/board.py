"""How far a study is, on stderr: a live table in a terminal, a line for every cell that ends elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.live import Live
from rich.table import Table
from rich.text import Text

from cliffkit.display.screen import can_redraw, screen
from cliffkit.events import Event, JobSetAside, Notice, TrackerFailed
from cliffkit.study.board import Board, JobState, seconds_left
from cliffkit.study.cells import Cell
from cliffkit.text import duration, printable

LINE_SECONDS = 30.0
STYLES = {"done": "green", "failed": "bold red", "running": "bold", "elsewhere": "cyan", "waiting": "dim"}
BAR = 20


class BoardView:
    """Shows a board whenever it is told to; a context, since a live table must be taken down."""

    def __init__(self, name: str, active: bool = True) -> None:
        self._name, self._active = name, active
        self._console = screen()
        live = active and can_redraw(self._console)
        self._live = Live(console=self._console, auto_refresh=False) if live else None
        self._noticed: set[tuple[str, str]] = set()
        self._board: Board | None = None
        self._printed: dict[tuple[str, int], str] = {}
        self._reasons: dict[str, str] = {}
        self._last_summary = time.monotonic()

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str) -> None:
        """Show a line above the table."""
        if not self._active:
            return
        text = printable(text)
        if self._live:
            self._live.console.print(text, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def hear(self, event: Event) -> None:
        """Show what an event tells the user; the table shows everything else."""
        if isinstance(event, Notice):
            self.say(event.text)
        elif isinstance(event, JobSetAside | TrackerFailed):
            self.say(str(event))

    def show(self, board: Board) -> None:
        """Show how far everything is."""
        if not self._active:
            return
        active = board.unfinished()
        for entry in active:
            for notice in entry.progress.notices if entry.progress else ():
                if (entry.job.key, notice) not in self._noticed:
                    self._noticed.add((entry.job.key, notice))
                    self.say(f"{_label(board, entry)}: {notice}")
        if self._live:
            self._live.update(self._table(board, active), refresh=True)
            return
        if self._board is not board:  # what ended before this study went on is no news
            self._board = board
            self._printed = {(cell.variant.name, cell.seed): board.cell_state(cell) for cell in board.needed}
            self._all(board, active)
        for cell in board.needed:
            state = board.cell_state(cell)
            if state in ("done", "failed") and self._printed.get((cell.variant.name, cell.seed)) != state:
                self._printed[cell.variant.name, cell.seed] = state
                self.say(f"{cell.name}: {state} {self._news(cell, board.cell_reason(cell))}".rstrip())
                self._summary(board)
        if time.monotonic() - self._last_summary > LINE_SECONDS:
            self._all(board, active)

    def _summary(self, board: Board) -> None:
        self._last_summary = time.monotonic()
        self.say(summary(board, self._name))

    def _all(self, board: Board, active: list[JobState]) -> None:
        self._summary(board)
        for entry in active:
            how_far = "begins" if entry.progress is None else " ".join(filter(None, _progress(entry)))
            self.say(f"  {_label(board, entry)}: {how_far}")

    def _news(self, cell: Cell, reason: str) -> str:
        """Give the reason why a cell failed; of a reason that was said before, the cell that had it."""
        first = self._reasons.setdefault(reason, cell.name)
        return f"for the same reason as {first}" if reason and first != cell.name else reason

    def _table(self, board: Board, active: list[JobState]) -> Table:
        table = Table(box=None, pad_edge=False, title=summary(board, self._name), title_justify="left")
        for column in ("variant", "seed", "state", "", "speed", "left"):
            table.add_column(column, justify="right" if column in ("seed", "speed", "left") else "left")
        busy = {entry.job.key: entry for entry in active}
        for entry in active:
            if entry.job.key not in board.only_cell:
                table.add_row(f"shared by cells: {entry.job.stage}", "", _styled(entry.state), *_progress(entry))
        cells = _fitting(board, self._console.height - 5 - table.row_count)
        for cell in cells:
            current = next((busy[job.key] for job in cell.jobs if job.key in busy and job.key in board.only_cell), None)
            state = board.cell_state(cell)
            detail = _progress(current) if current else (board.cell_reason(cell).splitlines() or [""])[0][:60]
            texts = detail if isinstance(detail, tuple) else (Text(printable(detail)), "", "")
            table.add_row(Text(printable(cell.variant.name)), str(cell.seed), _styled(state), *texts)
        if len(cells) < len(board.needed):
            table.add_row(f"… {len(board.needed) - len(cells)} more", style="dim")
        return table


def summary(board: Board, name: str) -> str:
    """Say in one line how many cells are in each state, and when the study will be done."""
    counts = board.counts()
    parts = [f"{counts['done']} of {len(board.needed)} {board.noun} done"]
    words = {"running": "running", "elsewhere": "in another process", "failed": "failed"}
    parts += [f"{counts[state]} {word}" for state, word in words.items() if counts[state]]
    seconds = seconds_left(board)
    parts += [f"at most {board.may_follow} more may follow"] * bool(board.may_follow)
    return f"{name}: {', '.join(parts)}" + ("" if not seconds else f"; about {duration(seconds)} left")


def _fitting(board: Board, rows: int) -> list[Cell]:
    """Give the cells that fit into `rows`, in the study's order. Where not all fit, running cells go first."""
    if len(board.needed) <= rows:
        return list(board.needed)
    order = ("running", "elsewhere", "failed", "waiting", "done")
    ranked = sorted(board.needed, key=lambda cell: order.index(board.cell_state(cell)))
    kept = {id(cell) for cell in ranked[: max(1, rows - 1)]}
    return [cell for cell in board.needed if id(cell) in kept]


def _label(board: Board, entry: JobState) -> str:
    cell = board.only_cell.get(entry.job.key)
    return f"{entry.job.stage} of {cell.name}" if cell else f"{entry.job.stage}, shared by cells"


def _progress(entry: JobState) -> tuple[str, str, str]:
    """Give bar, speed and time left."""
    progress = entry.progress
    if progress is None:
        return entry.job.stage, "", ""
    share = progress.done / max(1, progress.total)
    bar = "█" * round(BAR * share) + "░" * (BAR - round(BAR * share))
    speed = progress.figures.get("images_per_s")
    batch = entry.job.inputs["train"]["batch"] if "train" in entry.job.inputs and speed else None
    seconds = (progress.total - progress.done) * batch / speed if batch and speed else None
    return (
        f"{entry.job.stage} {bar} {progress.done}/{progress.total}",
        f"{speed:.0f} img/s" if speed else "",
        "" if seconds is None else duration(seconds),
    )


def _styled(state: str) -> Text:
    return Text(state, STYLES[state])
