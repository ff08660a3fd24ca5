"""A disk that is full, read-only, closed or gone from some write on; once it is whole again the same bits are made."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from .child import Child, fault
from .kinds import Prepared
from .runs import Unbroken

WRITES = {"os.mkdir", "os.rename", "os.link", "os.truncate", "os.remove", "os.rmdir", "open"}
"""Events of Python's audit that change a folder, beside reading."""

REMOVALS = {"os.remove", "os.rmdir"}
"""Changes that a full disk takes."""

ERRORS = {"full": errno.ENOSPC, "read-only": errno.EROFS, "closed": errno.EACCES}

LIMIT = "limit of file sizes"

PAGE = 4096


def prepare(folder: Path) -> Prepared:
    unbroken = Unbroken.make(folder)
    writes = _count(unbroken)
    largest = max(path.stat().st_size for path in unbroken.runs.rglob("*") if path.is_file())
    whole = sum(-(-path.stat().st_size // PAGE) * PAGE for path in unbroken.runs.rglob("*") if path.is_file())
    cases: list[tuple[str, int]] = [(kind, n) for kind in (*ERRORS, "removed") for n in range(1, writes + 1)]
    cases += [(LIMIT, size) for size in range(0, largest, max(64, largest // 100))]
    if _can_mount(folder):
        cases += [("small disk", pages) for pages in range(3, whole // PAGE)]

    def case(number: int, random: Random) -> str | None:
        kind, n = cases[number]
        if kind == "small disk":
            finding = _small_disk(unbroken, folder / f"disk{number}", n)
        else:
            runs = unbroken.empty(number)
            work = unbroken.run(runs)
            harmed = _limited(work, n) if kind == LIMIT else _strike(work, runs, kind, n)
            code, output = Child(harmed).end()
            finding = fault(code, output) or _vague(output)
            if finding is None and code == 0 and kind != "removed" and not list(runs.glob("*/SHA256SUMS")):
                finding = f"ended well without a run folder: {output}"
            finding = finding or unbroken.going_on(runs)
        return f"{kind} at {n}: {finding}" if finding else None

    return Prepared(len(cases), case)


def _vague(output: str) -> str | None:
    """Whether a message lacks the cause, which the system has told."""
    return output if os.strerror(errno.EIO) in output else None


def _count(unbroken: Unbroken) -> int:
    """How many writes a run makes."""
    runs, counted = unbroken.empty("counted"), unbroken.folder / "writes"

    def work() -> None:
        numbers = _listen(runs, lambda number, event: None)
        try:
            unbroken.run(runs)()
        finally:
            counted.write_text(str(numbers[0]))

    code, output = Child(work).end()
    assert code == 0, output
    shutil.rmtree(runs)
    return int(counted.read_text())


def _listen(runs: Path, hear: Callable[[int, str], None]) -> list[int]:
    """Call `hear` with the number of every change below a folder, before it is made; it may raise. Gives the count."""
    numbers, inside = [0], f"{runs}{os.sep}"

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in WRITES or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        if f"{os.fsdecode(arguments[0])}{os.sep}".startswith(inside):
            numbers[0] += 1
            hear(numbers[0], event)

    sys.addaudithook(hook)
    return numbers


def _strike(work: Callable[[], None], runs: Path, kind: str, n: int) -> Callable[[], None]:
    """Let the n-th write fail, and all after it; or take the folder away before it."""

    def hear(number: int, event: str) -> None:
        if kind == "removed":
            if number == n:
                shutil.rmtree(runs, ignore_errors=True)
        elif number >= n and not (kind == "full" and event in REMOVALS):
            raise OSError(ERRORS[kind], os.strerror(ERRORS[kind]), str(runs))

    def struck() -> None:
        _listen(runs, hear)
        work()

    return struck


def _limited(work: Callable[[], None], size: int) -> Callable[[], None]:
    """Let no file be larger."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        work()

    return limited


def _mount(folder: Path, size: str) -> bool:
    folder.mkdir(exist_ok=True)
    how = ["remount"] if folder.is_mount() else []
    options = ",".join([*how, f"size={size}"])
    try:
        return not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "hostile", str(folder)], capture_output=True, check=False
        ).returncode
    except OSError:
        return False


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def _can_mount(folder: Path) -> bool:
    """Whether small file systems can be had here: as root, where mounting is allowed."""
    mounted = _mount(folder / "disk", "64k")
    if mounted:
        _unmount(folder / "disk")
    return mounted


def _small_disk(unbroken: Unbroken, folder: Path, pages: int) -> str | None:
    """Run on a file system of so many pages, then make room and go on."""
    _mount(folder, f"{pages * PAGE}")
    try:
        code, output = Child(unbroken.run(folder / "runs")).end()
        _mount(folder, "256m")
        return fault(code, output) or _vague(output) or unbroken.going_on(folder / "runs")
    finally:
        _unmount(folder)
