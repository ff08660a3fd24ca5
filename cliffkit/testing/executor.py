"""Checks of executors."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from cliffkit.errors import UserError
from cliffkit.interfaces import Executor, Place
from cliffkit.testing.common import expect


def check_executor(make: Callable[[], Executor]) -> None:
    """Check an executor: `make()` builds it, for this machine's processor and with its workers bound already.

    Work is done in other processes, as many pieces at once as there are slots; what it raises comes back; a process
    that dies fails its own work and no other. Takes as long as starting and killing a few processes.
    """
    executor = make()
    subject = type(executor).__name__
    try:
        expect(isinstance(executor, Executor), f"{subject}: is no cliffkit.interfaces.Executor")
        expect(executor.slots in executor.choices, f"{subject}: {executor.slots} slots, choices {executor.choices}")
        expect(isinstance(executor.place, Place), f"{subject}: place is {executor.place!r}")
        for slots in executor.choices:
            executor.resize(slots)
            expect(executor.slots == slots, f"{subject}: {executor.slots} slots after resize({slots})")
            numbers = list(range(slots))
            futures = [executor.submit(_where, number) for number in numbers]
            done = [future.result() for future in futures]
            expect([number for number, _, _ in done] == numbers, f"{subject}: results are not those of the work given")
            expect(os.getpid() not in {process for _, process, _ in done}, f"{subject}: works in the caller's process")
            places = [place for _, _, place in done]
            expect(all(isinstance(place, Place) for place in places), f"{subject}: work is given {places}")
        error = executor.submit(_refuse, "no").exception()
        expect(isinstance(error, UserError) and str(error) == "no", f"{subject}: work raised UserError, came {error!r}")
        if executor.slots > 1:
            beside = executor.submit(_where, 1)
        death = executor.submit(_die, None).exception()
        expect(isinstance(death, UserError), f"{subject}: a process died, the future raised {death!r}")
        if executor.slots > 1:
            expect(beside.result()[0] == 1, f"{subject}: a process died and took the work of another with it")
        expect(executor.submit(_where, 2).result()[0] == 2, f"{subject}: does no more work after a process died")
    finally:
        executor.close()


def _where(number: int, place: Place) -> tuple[int, int, Place]:
    return number, os.getpid(), place


def _refuse(reason: str, place: Place) -> None:
    raise UserError(reason)


def _die(nothing: None, place: Place) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
