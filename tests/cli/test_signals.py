"""A command that is stopped says in one line how to go on, and leaves nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cliffkit.errors import Stopped
from cliffkit.workers import stoppable

from ..study_fixtures import BASE, write_study

LONG = BASE.replace("steps: 4, batch: 4, validate", "steps: 100000, batch: 4, validate")
PROGRESS = "runs/jobs/depth-*/progress.json"


def heed() -> None:
    """Let signals act that are ignored where the tests run in a shell's background, or under nohup."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def stopped(
    arguments: list[str], folder: Path, how: signal.Signals, sign: str = PROGRESS
) -> tuple[int, str, list[psutil.Process]]:
    """`cliffkit ARGUMENTS`, stopped when a file shows that it works: exit code, stderr, processes that live on."""
    with subprocess.Popen(
        [sys.executable, "-m", "cliffkit", *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=heed,
    ) as process:  # fmt: skip
        give_up = time.monotonic() + 90
        while not list(folder.glob(sign)) and time.monotonic() < give_up and process.poll() is None:
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(how)
        try:
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    _, alive = psutil.wait_procs(children, timeout=5)
    return process.returncode, errors, alive


@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda value: str(value)
)
@pytest.mark.parametrize("command", ["run", "ablate"])
def test_a_stop_is_one_line_and_an_exit_code(tmp_path: Path, command: str, how: signal.Signals, code: int) -> None:
    study = write_study(tmp_path, base=LONG)
    which = [str(study), "--workers", "1"] if command == "ablate" else [str(tmp_path / "base.yaml")]
    ended, errors, alive = stopped([command, *which, "--runs", "runs", "--device", "cpu"], tmp_path, how)
    assert ended == code, errors
    assert not alive
    assert "Traceback" not in errors
    assert "Aborted" not in errors
    assert errors.splitlines()[-1] == f"stopped by {how.name}; the same command goes on where this one was"
    assert not list(tmp_path.glob("runs/jobs/*.failed*"))
    assert list(tmp_path.glob("runs/jobs/depth-*/checkpoint*")), "what was trained so far is saved"


def test_within_stoppable_the_first_signal_is_an_exception_and_the_second_is_nothing() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]

    def work() -> None:
        with stoppable():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                os.kill(os.getpid(), signal.SIGHUP)

    with pytest.raises(Stopped, match="stopped by SIGTERM") as caught:
        work()
    assert caught.value.exit_code == 143
    assert not isinstance(caught.value, Exception)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before


def test_under_nohup_a_hangup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
