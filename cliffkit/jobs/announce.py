"""Events to all who listen: the caller, every plugin with the hook `cliffkit_event`, processes that read the store."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

from cliffkit.components.load import Plugins
from cliffkit.errors import UserError
from cliffkit.events import Emit, Event, Notice, Progress, RunFacts
from cliffkit.store.artifacts import JobProgress
from cliffkit.store.job import Job
from cliffkit.store.store import Store

TELL_SECONDS = 0.5
"""Least time between two records of a job's progress."""


def announcer(plugins: Plugins, tell: Emit, run: RunFacts | None = None) -> Emit:
    """Make a function that tells an event to `tell` and to every plugin, as one of `run` where the event has no run.

    A plugin that fails to hear an event is named once, by a Notice to `tell`, however many events follow.
    """
    named: set[str] = set()

    def emit(event: Event) -> None:
        event = event if event.run else replace(event, run=run)
        tell(event)
        for plugin, reason in plugins.call("cliffkit_event", event=event).items():
            if plugin not in named:
                named.add(plugin)
                tell(Notice(f"plugin '{plugin}' failed to hear an event: {reason}"))

    return emit


def telling_store(job: Job, store: Store, emit: Emit) -> Emit:
    """Make a function that passes events to `emit`, and lets other processes see in the store how far the job is.

    Progress is written every TELL_SECONDS at most, with all notices since the job's start.
    """
    written_at = 0.0
    notices: list[str] = []

    def tell(event: Event) -> None:
        nonlocal written_at
        emit(event)
        if isinstance(event, Notice):
            notices.append(event.text)
        elif isinstance(event, Progress) and time.monotonic() - written_at > TELL_SECONDS:
            written_at = time.monotonic()
            with contextlib.suppress(UserError):  # a job must not end for want of this record
                done = (event.stage, event.done, event.total, event.unit, event.figures)
                store.tell_progress(job, JobProgress(*done, notices=tuple(notices)))

    return tell
