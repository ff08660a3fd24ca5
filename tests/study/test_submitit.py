"""Studies as jobs of submitit: its local executor, and Slurm's commands played by scripts."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import psutil
import pytest

from cliffkit.components.load import load_plugins
from cliffkit.components.registry import Registry
from cliffkit.errors import Stopped, UserError
from cliffkit.interfaces import Executor, Place
from cliffkit.store.store import Store
from cliffkit.study.board import Board
from cliffkit.study.cells import jobs_of
from cliffkit.study.run import run_cells
from cliffkit.verbs.study_work import open_executor

from ..study_fixtures import BASE, run_small, small_study
from .submitit_work import saved_at_a_signal, visible_gpus

submitit = pytest.importorskip("submitit")

LONGER = BASE.replace("steps: 4, batch: 4, validate_every: 2", "steps: 80, batch: 4, validate_every: 40")
TEXT = "name: cluster\nbase: base.yaml\nseeds: [0]\naxes: {fusion: {cliff: {}, add: {model.fusion.use: add}}}"

Open = Callable[..., Executor]


@pytest.fixture
def open_submitit(tmp_path: Path) -> Iterator[Open]:
    """The executor by its options, for this machine's processor; closed at the end."""
    points = {point.name: point for point in entry_points(group="cliffkit")}
    points["submitit"] = EntryPoint("submitit", "cliffkit_submitit", "cliffkit")
    registry = load_plugins(entries=points.values()).registry
    opened: list[Executor] = []

    def build(workers: int | None = 1, **options: object) -> Executor:
        words = {"use": "submitit", "cluster": "local", "folder": str(tmp_path / "logs"), **options}
        opened.append(open_executor(registry, words, workers, "cpu"))
        return opened[-1]

    yield build
    for executor in opened:
        executor.close()


def test_a_study_survives_the_death_of_a_job(tmp_path: Path, registry: Registry, open_submitit: Open) -> None:
    """Its work is submitted again, goes on from its checkpoint, and ends with the scores of a run in this process."""
    _, cells = small_study(
        tmp_path, registry, TEXT, LONGER.replace("{use: heg_s, weights: [2, 3], warmup_steps: 2}", "{use: none}")
    )
    run_small(cells, tmp_path / "unbroken")
    lost = [f"{job.stage}-{job.key}*" for job in cells[1].jobs[-2:]]
    shutil.copytree(tmp_path / "unbroken", tmp_path / "runs", ignore=shutil.ignore_patterns(*lost))
    board = Board(cells, Store(tmp_path / "runs"))
    killed: list[int] = []

    def show(board: Board) -> None:
        fits = [entry for entry in board.unfinished() if entry.job.stage == "depth" and entry.progress]
        if fits and not killed:
            killed.append(_tasks()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    run_cells(board, open_submitit(), {}, show, checkpoint_every=5)
    assert killed, "a job died while it trained"
    assert board.count("done") == len(cells)
    for job in jobs_of(cells).values():
        if job.stage == "evaluate":
            unbroken, ours = (Store(tmp_path / runs).folder(job) / "per_image.csv" for runs in ("unbroken", "runs"))
            assert ours.read_bytes() == unbroken.read_bytes()


def _tasks() -> list[psutil.Process]:
    """The processes of jobs that this process submitted."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "submitit.core._submit" in child.cmdline()]


def _pid(folder: Path) -> int:
    """The process of the work above, once it runs."""
    deadline = time.monotonic() + 120
    while not (folder / "pid").exists() or not (folder / "pid").read_text(encoding="utf-8"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int((folder / "pid").read_text(encoding="utf-8"))


def test_work_saves_a_checkpoint_before_its_time_ends_and_is_submitted_again(
    tmp_path: Path, open_submitit: Open
) -> None:
    future = open_submitit().submit(saved_at_a_signal, tmp_path)
    os.kill(_pid(tmp_path), signal.SIGUSR2)
    assert future.result() == "went on"


def test_work_that_is_stopped_more_often_than_it_may_is_told_so(tmp_path: Path, open_submitit: Open) -> None:
    future = open_submitit(requeues=0).submit(saved_at_a_signal, tmp_path)
    os.kill(_pid(tmp_path), signal.SIGUSR2)
    assert isinstance(future.exception(), Stopped)


def test_close_lets_work_save_and_ends_it(tmp_path: Path, open_submitit: Open) -> None:
    executor = open_submitit()
    future = executor.submit(saved_at_a_signal, tmp_path)
    process = psutil.Process(_pid(tmp_path))
    executor.close()
    assert isinstance(future.exception(), Stopped)
    assert (tmp_path / "saved").exists()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


class Unknown:
    """A task that no other process can read."""

    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("import no_such_package",))


def test_an_error_before_the_work_begins_is_told_with_its_log(tmp_path: Path, open_submitit: Open) -> None:
    error = open_submitit().submit(saved_at_a_signal, Unknown()).exception()
    assert isinstance(error, UserError)
    before, _, log = str(error).partition("; its log: ")
    assert before.endswith("cannot begin its work: ModuleNotFoundError: No module named 'no_such_package'")
    assert "no_such_package" in Path(log).read_text(encoding="utf-8")


# ---- Slurm, by scripts in the place of its commands

SBATCH = """\
#!{python}
import os, shutil, subprocess, sys
root = {root!r}
if os.path.exists(root + "/refuse"):
    sys.exit("sbatch: error: invalid partition specified: nowhere")
number = str(len(os.listdir(root + "/jobs")) + 1)
shutil.copy(sys.argv[1], root + "/jobs/" + number)
environment = {{**os.environ, "SLURM_JOB_ID": number, "ROOT": root}}
quiet = {{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}}
process = subprocess.Popen(["bash", sys.argv[1]], env=environment, start_new_session=True, **quiet)
open(root + "/pids/" + number, "w").write(str(process.pid))
print("Submitted batch job", number)
"""
SRUN = """\
#!/bin/bash
while [[ $1 == --* ]]; do [[ $1 == --output ]] && { out=${2//%j/$SLURM_JOB_ID}; shift; }; shift; done
"$@" >>"${out//%t/0}" 2>&1 &
echo $! >"$ROOT/tasks/$SLURM_JOB_ID"
wait $!
"""
SACCT = """\
#!/bin/bash
echo 'JobID|State|NodeList'
for job in $(ls "{root}/jobs"); do
    state=$(cat "{root}/states/$job" 2>/dev/null || echo RUNNING)
    echo "$job|$state|node1"
done
"""
SCANCEL = """\
#!/bin/bash
echo 'CANCELLED by 1000' >"{root}/states/$1"
kill -TERM "$(cat "{root}/tasks/$1")" 2>/dev/null
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cluster of this machine: its folder has jobs' scripts, and their states where a test sets them."""
    from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob

    monkeypatch.setattr(SlurmJob, "watcher", SlurmInfoWatcher())  # knows no states of another test's jobs
    root = tmp_path / "slurm"
    for name in ("bin", "jobs", "pids", "tasks", "states"):
        (root / name).mkdir(parents=True)
    scripts = {
        "sbatch": SBATCH.format(python=sys.executable, root=str(root)),
        "srun": SRUN,
        "sacct": SACCT.format(root=root),
        "scancel": SCANCEL.format(root=root),
    }
    for name, text in scripts.items():
        path = root / "bin" / name
        path.write_text(text, encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return root


def test_options_reach_the_cluster(tmp_path: Path, slurm: Path, open_submitit: Open) -> None:
    executor = open_submitit(
        None, cluster="auto", partition="gpu", account="lab", qos="long", constraint="a100|h100", cpus=4, memory_gb=32,
        minutes=90, grace_seconds=200, setup=["module() { :; }", "module load cuda"],
    )  # fmt: skip
    assert (executor.slots, executor.place) == (8, Place("cpu", 4))
    (slurm / "bin" / "srun").write_text("#!/bin/bash\n", encoding="utf-8")
    executor.submit(saved_at_a_signal, tmp_path)
    script = (slurm / "jobs" / "1").read_text(encoding="utf-8")
    for line in (
        "--partition=gpu", "--account=lab", "--qos=long", "--constraint='a100|h100'", "--cpus-per-task=4", "--mem=32GB",
        "--time=90", "--signal=USR2@200", "--no-requeue", "--job-name=cliffkit",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in script
    assert "gpus" not in script
    assert "\nmodule load cuda\n" in script


def test_a_gpu_is_asked_for_unless_the_device_is_the_processor(tmp_path: Path, slurm: Path) -> None:
    from cliffkit_submitit.executor import Submitit

    (slurm / "bin" / "srun").write_text("#!/bin/bash\n", encoding="utf-8")
    executor = Submitit(3, "auto", folder=tmp_path / "logs")
    assert (executor.slots, executor.place) == (3, Place("cuda", 1))
    executor.submit(saved_at_a_signal, tmp_path)
    assert "#SBATCH --gpus-per-node=1\n" in (slurm / "jobs" / "1").read_text(encoding="utf-8")
    executor.close()
    assert Submitit(3, "auto", folder=tmp_path / "logs", gpus=0).place == Place("cpu", 1)


@pytest.fixture
def gpus_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs of this machine, which are not there; the user shows these two of more."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-5ac3")


def test_jobs_of_this_machine_have_a_gpu_each_of_those_that_the_user_shows(tmp_path: Path, gpus_here: None) -> None:
    from cliffkit_submitit.executor import Submitit

    executor = Submitit(None, "auto", cluster="local", folder=tmp_path / "logs")
    try:
        assert (executor.slots, executor.place) == (2, Place("cuda", 1))
        futures = [executor.submit(visible_gpus, tmp_path / "go") for _ in range(2)]
        (tmp_path / "go").touch()
        assert [future.result() for future in futures] == ["3", "GPU-5ac3"]
        assert executor.submit(visible_gpus, tmp_path / "go").result() == "3", "a job that ended has none"
    finally:
        executor.close()


def test_a_gpu_of_this_machine_that_is_named_is_the_one(
    tmp_path: Path, gpus_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cliffkit_submitit.executor import Submitit

    (tmp_path / "go").touch()
    executor = Submitit(3, "cuda:1", cluster="local", folder=tmp_path / "logs")
    try:
        assert (executor.slots, executor.place) == (3, Place("cuda", 1, 3))
        assert executor.submit(visible_gpus, tmp_path / "go").result() == "GPU-5ac3"
    finally:
        executor.close()
    with pytest.raises(UserError, match="--device cuda:2: torch sees no such device here; use --device auto or cpu"):
        Submitit(3, "cuda:2", cluster="local", folder=tmp_path / "logs")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert Submitit(5, "cuda", cluster="local", folder=tmp_path / "logs").place == Place("cuda", 1, 3)


def test_a_preempted_job_is_submitted_again(tmp_path: Path, slurm: Path, open_submitit: Open) -> None:
    future = open_submitit(cluster="slurm").submit(saved_at_a_signal, tmp_path)
    pid = _pid(tmp_path)
    (slurm / "states" / "1").write_text("PREEMPTED\n", encoding="utf-8")
    os.kill(pid, signal.SIGTERM)
    assert future.result() == "went on"
    assert sorted(path.name for path in (slurm / "jobs").iterdir()) == ["1", "2"]


def test_a_job_that_somebody_cancelled_is_not(tmp_path: Path, slurm: Path, open_submitit: Open) -> None:
    future = open_submitit(cluster="slurm").submit(saved_at_a_signal, tmp_path)
    _pid(tmp_path)
    os.system("scancel 1")
    assert isinstance(future.exception(), Stopped)
    assert (tmp_path / "saved").exists()
    assert [path.name for path in (slurm / "jobs").iterdir()] == ["1"]


def test_close_cancels_jobs_of_the_cluster(tmp_path: Path, slurm: Path, open_submitit: Open) -> None:
    executor = open_submitit(cluster="slurm")
    future = executor.submit(saved_at_a_signal, tmp_path)
    _pid(tmp_path)
    executor.close()
    assert isinstance(future.exception(), Stopped)
    assert (slurm / "states" / "1").read_text(encoding="utf-8") == "CANCELLED by 1000\n"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("OUT_OF_MEMORY", "job 1 ran out of memory; raise memory_gb; its log: "),
        ("FAILED", "job 2 died in state FAILED; "),
    ],
)
def test_a_job_without_a_result_is_told_with_its_state_and_log(
    tmp_path: Path, slurm: Path, open_submitit: Open, monkeypatch: pytest.MonkeyPatch, state: str, message: str
) -> None:
    from submitit.core.core import Job

    monkeypatch.setattr(Job, "_results_timeout_s", 0)
    for number in ("1", "2"):
        (slurm / "states" / number).write_text(f"{state}\n", encoding="utf-8")
    (slurm / "bin" / "srun").write_text("#!/bin/bash\nexit 1\n", encoding="utf-8")
    error = open_submitit(cluster="slurm").submit(saved_at_a_signal, tmp_path).exception()
    assert str(error).startswith(message)
    assert str(error).endswith("_log.out")


def test_what_sbatch_refuses_is_told(tmp_path: Path, slurm: Path, open_submitit: Open) -> None:
    (slurm / "refuse").touch()
    with pytest.raises(UserError, match=r"takes no job: .*invalid partition specified: nowhere; change the options of"):
        open_submitit(cluster="slurm", partition="nowhere").submit(saved_at_a_signal, tmp_path)


def test_a_machine_without_slurm_is_told(open_submitit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match=r"executor 'submitit': .*srun.*; run it where `srun` is, as on a login node"):
        open_submitit(cluster="slurm")


def test_the_missing_extra_is_named(open_submitit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"needs submitit; install it with: pip install 'cliffkit\[submitit\]'"):
        open_submitit()
