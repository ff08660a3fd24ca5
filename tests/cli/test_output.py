"""The streams of a command: any terminal, pipe, disk, locale and home folder."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LIST = [sys.executable, "-m", "cliffkit", "list"]
NEEDS_FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")


def streams(code: str, **options: object) -> subprocess.CompletedProcess[str]:
    """A process whose streams are opened as a command's are, and which does then what `code` says."""
    text = f"import sys\nfrom cliffkit.cli.output import close_stdout, open_streams\nopen_streams()\n{code}"
    return subprocess.run([sys.executable, "-c", text], text=True, check=False, **options)


@NEEDS_FULL
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_answer_that_cannot_be_written_is_one_message(unbuffered: str) -> None:
    with open("/dev/full", "w") as full:
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        ran = subprocess.run(LIST, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    expected = "Error: stdout: No space left on device; what was done is kept, make room and repeat the command\n"
    assert (ran.returncode, ran.stderr) == (74, expected)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_answer_that_nobody_reads_ends_quietly(unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    ran = subprocess.run(LIST, stdout=writer, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (141, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_no_fault(closed: str) -> None:
    ran = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *LIST], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ("fusion" in ran.stdout) == (closed == "2>&-")


def test_no_file_is_opened_in_the_place_of_a_closed_stream() -> None:
    code = "import os; os.close(1); open_streams(); file = open(sys.executable, 'rb'); sys.exit(file.fileno())"
    assert streams(code).returncode > 2


@NEEDS_FULL
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_stderr_that_cannot_be_written_stops_no_work(unbuffered: str) -> None:
    code = "for n in range(3): print('progress', file=sys.stderr, flush=True)\nprint('done')"
    with open("/dev/full", "w") as full:
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        ran = streams(code, stderr=full, stdout=subprocess.PIPE, env=environment)
    assert (ran.returncode, ran.stdout) == (0, "done\n")


def test_a_terminal_without_a_character_shows_another() -> None:
    text = ascii("█░ ↑ 2×3 … é \udcff")
    code = f"for file in (sys.stdout, sys.stderr): print({text}, file=file)"
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ran = streams(code, capture_output=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ran.stderr == "#. ^ 2x3 ... \\xe9 \\udcff\n"


def test_what_is_printed_after_the_answer_goes_to_stderr() -> None:
    code = "import atexit\natexit.register(print, 'late')\nprint('answer')\nclose_stdout()"
    ran = streams(code, capture_output=True)
    assert (ran.stdout, ran.stderr) == ("answer\n", "late\n")


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="this system has no folder that root cannot write")
@pytest.mark.parametrize("module", ["cliffkit.pictures.png", "cliffkit.pictures.panel", "cliffkit.report.figures"])
def test_a_home_that_cannot_be_written_is_no_matter(module: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("MPLCONFIGDIR", "XDG_CACHE_HOME")}
    ran = subprocess.run([sys.executable, "-c", f"import {module}"], env={**environment, "HOME": "/proc"},
                         capture_output=True, text=True, check=False)  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
