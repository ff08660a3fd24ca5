"""Trackers beside the work: threads of their own that read the store, so that training waits for no tracker."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from cliffkit.components.isolate import explain
from cliffkit.errors import Stopped, UserError, cause
from cliffkit.events import Emit, Event, JobStarted, Notice, TrackerFailed, Validated
from cliffkit.interfaces import Point, State, Tracker
from cliffkit.jobs.course import TEST, Course, FitLog
from cliffkit.recipe.part import Part
from cliffkit.stages import TRAINED

LOOK_SECONDS, LONGEST_LOOK = 5.0, 60.0
"""Seconds between looks at the logs, and their most after a tracker failed again and again."""

BATCH = 100
"""Largest number of points in one call of a tracker."""

HELD = 8
"""Largest number of pictures that wait for their step to be told; older ones are dropped."""

PATIENCE_SECONDS, STOPPING_SECONDS = 30.0, 4.0
"""Seconds for which the end of a job waits without any answer of a tracker, and of a job that was asked to stop."""

MOST_SECONDS = 120.0
"""Seconds after which the end of a job waits no longer, whatever a tracker answers."""


class Follower:
    """A tracker that is told of a run, in a thread of its own."""

    def __init__(self, part: Part, course: Course) -> None:
        self.part, self.course = part, course
        self.reason = ""
        """Why the tracker failed last; empty while it does not."""
        self.look = ""
        """How people look at the runs; empty until the entry is open."""
        self.pictures: deque[tuple[int, NDArray[np.uint8]]] = deque(maxlen=HELD)
        """Pictures of validations with their steps, which wait until the log tells these steps."""
        self._tracker: Tracker | None = None
        self._logs: list[FitLog] = []
        self._known: Mapping[str, int] = {}
        self._ended: tuple[State, str] | None = None
        self._asked = self._answered = time.monotonic()
        self._is_given_up = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"tracker {part.component.name}", daemon=True)

    def start(self) -> None:
        """Begin to follow the run, unless that is done already."""
        if self._thread.ident is None:
            self._thread.start()

    def ask_to_end(self, state: State, reason: str = "") -> None:
        """Let it tell what is left, close the entry, and end."""
        self._ended, self._asked = (state, reason), time.monotonic()
        self._wake.set()

    def await_end(self, patience_s: float = PATIENCE_SECONDS) -> None:
        """Wait for the end as long as the tracker answers. Leaves in `reason` why the entry is not whole."""
        while self._thread.is_alive():
            now = time.monotonic()
            if now - max(self._answered, self._asked) > patience_s or now - self._asked > MOST_SECONDS:
                self.reason = f"it is too slow, no end after {now - self._asked:.0f} s"
                self._is_given_up = True
                return
            self._thread.join(0.02)

    def _follow(self) -> None:
        pause = 0.0
        while not self._is_given_up:
            self._wake.wait(pause)
            ended = self._ended
            try:
                self._tell()
                if ended:
                    self._open().end(*ended)
                self.reason, pause = "", LOOK_SECONDS
            except _GivenUpError:
                return
            except BaseException as error:  # whatever a stranger's tracker raises, in a thread of its own
                self.reason = self._why(error)
                self._tracker, pause = None, min(LONGEST_LOOK, max(LOOK_SECONDS, 2 * pause))
            if ended:
                return

    def _why(self, error: BaseException) -> str:
        if isinstance(error, UserError):
            return str(error)
        return cause(error) if isinstance(error, OSError) else explain(error, [self.part.component])

    def _open(self) -> Tracker:
        """Open the entry, and find what is left to tell."""
        if self._tracker is None:
            tracker: Tracker = self.part.build()
            self._known = tracker.begin(self.course.run, self.course.parameters())
            fits, store = self.course.fits, self.course.store
            self._logs = [FitLog(job, store, self._known.get(job.stage, 0)) for job in fits]
            self._tracker, self.look = tracker, tracker.look
            self._answered = time.monotonic()
        return self._tracker

    def _tell(self) -> None:
        """Tell all that the store has and the entry has not."""
        tracker = self._open()
        for log in self._logs:
            self._points(log.job.stage, log.read())
            if log.job.stage == "depth":
                while self.pictures and self.pictures[0][0] <= log.told:
                    step, pixels = self.pictures.popleft()
                    if step > self._known.get("depth", 0):
                        tracker.picture("val", step, pixels)
        if self.course.is_scored and TEST not in self._known:
            scores = self.course.scores()
            tracker.picture(TEST, scores.step, self.course.panel())
            self._points(TEST, [scores])  # last: with them the entry is whole
            self._known = {**self._known, TEST: scores.step}

    def _points(self, stage: str, points: Iterable[Point]) -> None:
        coming = iter(points)
        while batch := list(islice(coming, BATCH)):
            self._open().points(stage, batch)
            self._answered = time.monotonic()
            if self._is_given_up:  # another process may follow the run by now
                raise _GivenUpError


class _GivenUpError(Exception):
    """Nobody waits for the tracker any more."""


@contextmanager
def followed(course: Course | None, trackers: Sequence[Part], emit: Emit) -> Iterator[Emit]:
    """Let trackers follow a run while the work within goes on; gives `emit` for the work, through which they see it.

    They begin with the first fit or evaluation that begins, and are told what is left at the end. A notice to `emit`
    says once how people look at what they are told; a tracker that fails is named by an event TrackerFailed, once.
    """
    followers = [Follower(part, course) for part in trackers] if course else []
    named: set[Follower] = set()
    shown: set[Follower] = set()

    def report() -> None:
        for follower in followers:
            name = follower.part.component.name
            if follower.look and follower not in shown:
                shown.add(follower)
                emit(Notice(f"tracker '{name}' is told of this run; look with: {follower.look}"))
            if follower.reason and follower not in named:
                named.add(follower)
                emit(TrackerFailed(name, follower.reason))

    def tell(event: Event) -> None:
        if isinstance(event, JobStarted) and event.stage in (*TRAINED, "evaluate"):
            for follower in followers:
                follower.start()
        if isinstance(event, Validated) and event.picture is not None:
            for follower in followers:
                follower.pictures.append((event.step, event.picture))
        emit(event)
        report()

    def end(state: State, reason: str = "", patience_s: float = PATIENCE_SECONDS) -> None:
        for follower in followers:
            follower.ask_to_end(state, reason)
        for follower in followers:
            follower.await_end(patience_s)
        report()

    try:
        yield tell
    except (KeyboardInterrupt, Stopped):
        end("stopped", patience_s=STOPPING_SECONDS)
        raise
    except BaseException as error:
        end("failed", str(error) if isinstance(error, UserError) else cause(error))
        raise
    for follower in followers:
        follower.start()
    end("done" if course and course.is_scored else "open")


def tell_ended(ended: Sequence[tuple[Course, State, str]], trackers: Sequence[Part], emit: Emit) -> None:
    """Tell trackers of runs that have ended, what they were not told. One that fails is named, and told no more."""
    left = list(trackers)
    for course, state, reason in ended:
        for part in list(left):
            follower = Follower(part, course)
            follower.start()
            follower.ask_to_end(state, reason)
            follower.await_end()
            if follower.reason:
                left.remove(part)
                emit(TrackerFailed(part.component.name, follower.reason))
