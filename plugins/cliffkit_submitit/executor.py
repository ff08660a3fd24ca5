"""Jobs of a Slurm cluster, submitted by submitit. A job that ended before its work did is submitted again."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from cliffkit.errors import Stopped, UserError, cause
from cliffkit.interfaces import Executor, Place, Result, Task
from cliffkit.workers import available_cores
from cliffkit_submitit.piece import Piece

DEATHS = 1
"""How often work is submitted again after its process died: work that kills its process must end."""

QUEUED = 8
"""Jobs at once on a cluster where `--workers` does not say."""

GRACE_SECONDS = 10.0
"""Seconds for jobs on this machine to save a checkpoint when a study ends."""

Count = Annotated[int, Field(gt=0)]


class Submitit(Executor):
    """One Slurm job for each job of a study, on a GPU or on processors.

    Every node must see the working folder and the runs folder under the same paths, on a shared file system with
    locks. A job saves a checkpoint before its time limit or a preemption, and is submitted again.

    Options:
        cluster: Where jobs run: `slurm`, `local` for processes of this machine, or `auto`, Slurm where there is `srun`.
        folder: Folder of logs, seen by every node.
        partition: Partition of the cluster; empty for the cluster's default.
        account: Account that is charged; empty for yours.
        qos: Quality of service; empty for the default.
        constraint: Features that nodes must have, as `a100|h100`.
        gpus: GPUs of each job, 0 or 1; none with --device cpu, nor on a local machine without one.
        cpus: Processors of each job.
        memory_gb: Memory of each job, GB; null for the cluster's default.
        minutes: Time limit of each job.
        grace_seconds: Seconds before the time limit at which a job saves a checkpoint and ends; 30 where it is local.
        requeues: How often work is submitted again after a time limit or a preemption.
        setup: Lines of shell that a job of Slurm runs first, as `module load cuda`.
    """

    def __init__(
        self,
        workers: int | None,
        device: str,
        *,
        cluster: Literal["auto", "slurm", "local"] = "auto",
        folder: Path = Path("submitit"),
        partition: str = "",
        account: str = "",
        qos: str = "",
        constraint: str = "",
        gpus: Literal[0, 1] = 1,
        cpus: Count = 1,
        memory_gb: Annotated[float, Field(gt=0)] | None = None,
        minutes: Count = 240,
        grace_seconds: Count = 120,
        requeues: Annotated[int, Field(ge=0)] = 20,
        setup: list[str] | None = None,
    ) -> None:
        self._cluster = _open(folder, None if cluster == "auto" else cluster)
        self._local = self._cluster.cluster == "local"
        on_gpu = bool(gpus) and device != "cpu" and (not self._local or torch.cuda.is_available())
        self._cluster.update_parameters(
            name="cliffkit",
            timeout_min=minutes,
            cpus_per_task=cpus,
            gpus_per_node=1 if on_gpu else None,
            mem_gb=memory_gb,
            stderr_to_stdout=True,
            slurm_partition=partition or None,
            slurm_account=account or None,
            slurm_qos=qos or None,
            slurm_constraint=constraint or None,
            slurm_signal_delay_s=grace_seconds,
            slurm_setup=setup,
            slurm_additional_parameters={"no-requeue": True},  # the executor itself submits again
        )
        self._requeues = requeues
        self._jobs: dict[Any, str | None] = {}  # each with its GPU
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._gpus = _gpus_here(device) if on_gpu and self._local else []
        here = len(self._gpus) or max(1, available_cores() // cpus)
        self.slots = workers or (here if self._local else QUEUED)
        self.choices = [self.slots]
        sharing = -(-self.slots // len(self._gpus)) if self._gpus else 1
        self.place = Place("cuda" if on_gpu else "cpu" if device == "auto" else device, cpus, sharing)

    def resize(self, slots: int) -> None:
        """Take the number; the cluster decides when a job runs."""
        self.slots = slots

    def submit(self, work: Callable[[Task, Place], Result], task: Task) -> Future[Result]:
        """Submit a piece of work as a job; a thread waits for its result."""
        piece = Piece(work, task, self.place)
        job = self._begin(piece)
        future: Future[Result] = Future()
        future.set_running_or_notify_cancel()
        threading.Thread(target=self._follow, args=(piece, job, future), name="submitit", daemon=True).start()
        return future

    def close(self) -> None:
        """Cancel every job that has not ended; those that run save a checkpoint."""
        with self._lock:
            self._closed.set()
            left = [job for job in self._jobs if not job.done()]
        for job in left:
            if self._local:
                os.kill(int(job.job_id), signal.SIGTERM)  # to submitit's process, which hands it on to the work
            else:
                job.cancel(check=False)
        deadline = time.monotonic() + GRACE_SECONDS
        while self._local and time.monotonic() < deadline and not all(job.done() for job in left):
            time.sleep(0.05)
        for job in left:
            if self._local and not job.done():
                job.cancel()

    def _begin(self, piece: Piece) -> Any:
        """Submit a piece of work, on this machine with the GPU that the fewest jobs have.

        Raises Stopped where the executor is closed, UserError where the cluster refuses.
        """
        with self._lock:
            if self._closed.is_set():
                raise Stopped(signal.SIGTERM)
            gpu = min(self._gpus, key=list(self._jobs.values()).count, default=None)
            try:
                job = self._cluster.submit(replace(piece, gpu=gpu))
            except (RuntimeError, OSError) as error:  # what sbatch says
                raise UserError(
                    f"executor 'submitit': the cluster takes no job: {cause(error)}; change the options of --executor"
                ) from error
            self._jobs[job] = gpu
        return job

    def _follow(self, piece: Piece, job: Any, future: Future[Any]) -> None:
        """Wait for the result of a piece of work, over as many jobs as it takes."""
        from cliffkit_submitit.outcome import DiedError, outcome

        stops = deaths = 0
        try:
            while True:
                result, error = outcome(job, self._local, self._closed)
                with self._lock:
                    del self._jobs[job]
                stops += isinstance(error, Stopped)
                deaths += isinstance(error, DiedError)
                if error is None:
                    break
                if not isinstance(error, Stopped | DiedError) or stops > self._requeues or deaths > DEATHS:
                    raise error
                job = self._begin(piece)
        except BaseException as error:
            future.set_exception(error)
        else:
            for path in (job.paths.submitted_pickle, job.paths.result_pickle):
                path.unlink(missing_ok=True)
            future.set_result(result)


def _gpus_here(device: str) -> list[str]:
    """List the GPUs that torch sees here, or the one that a device names, as CUDA_VISIBLE_DEVICES names them.

    Raises UserError where the machine has no such GPU.
    """
    count = torch.cuda.device_count()
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    names = (visible or [str(index) for index in range(count)])[:count]
    number = device.partition(":")[2]
    if not number:
        return names
    if not number.isdecimal() or int(number) >= count:
        raise UserError(f"--device {device}: torch sees no such device here; use --device auto or cpu")
    return [names[int(number)]]


def _open(folder: Path, cluster: str | None) -> Any:
    """Open submitit's executor. Raises UserError where submitit or the cluster is missing."""
    try:
        import submitit
    except ImportError as error:
        message = "executor 'submitit' needs submitit; install it with: pip install 'cliffkit[submitit]'"
        raise UserError(message) from error
    try:
        return submitit.AutoExecutor(folder, cluster=cluster)
    except RuntimeError as error:
        raise UserError(
            f"executor 'submitit': {error}; run it where `srun` is, as on a login node, or say cluster: local"
        ) from error
