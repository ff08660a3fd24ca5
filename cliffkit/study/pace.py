"""How fast this machine does a kind of work: learnt from finished jobs, kept in the store.

A machine is a processor and its cores; on a GPU also the GPU, and how many workers share it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from cliffkit.data.full_size import PIXELS
from cliffkit.interfaces import Place
from cliffkit.stages import TRAINED, is_fit
from cliffkit.store.artifacts import WEIGHTS, FitFacts, read_json
from cliffkit.store.files import write_json
from cliffkit.store.job import Job
from cliffkit.store.store import Store
from cliffkit.training.device import processor_name


class Pace(NamedTuple):
    """The measured cost of a job."""

    seconds: float
    """Time per step of a fit, or of any other job as a whole."""
    memory_bytes: int
    """Largest memory of the process; on a GPU, the memory that torch allocated there."""
    kept_bytes: int = 0
    """Bytes of the weights or of the test images that it leaves."""
    halved: bool = False
    """Whether memory ended in a probe, so that it went on with smaller passes."""


def slowest(paces: Sequence[Pace]) -> Pace:
    """Give the slowest of paces that were measured beside each other; halved where any of them is."""
    return max(paces)._replace(halved=any(pace.halved for pace in paces))


def kind_of_work(job: Job, place: Place) -> str:
    """Name the kind of work under which the pace of a job is kept.

    Jobs of one kind take about equally long per unit, on this machine. The code of parts does not tell kinds apart: the
    pace of an edited part need not be measured again, and the first job done with the new code corrects it.
    """
    inputs = {name: value for name, value in job.inputs.items() if name not in ("seed", "needs", "version")}
    if is_fit(job):
        inputs["train"] = {name: inputs["train"].get(name) for name in ("batch", "micro_batch", "speed")}
    if job.stage in TRAINED:
        inputs["data"] = job.needs["pack"].inputs["data"]
    if job.stage == "evaluate":
        inputs["model"] = job.needs["depth"].inputs["model"]
        inputs["size"] = job.needs["pack"].inputs["data"]["size"]
    device = torch.device(place.device)
    machine = [processor_name(), os.cpu_count(), device.type, place.threads]
    if device.type == "cuda":
        machine += [*_gpu(device), place.sharing]
    text = json.dumps([_without_code(inputs), machine], sort_keys=True)
    return f"{job.stage}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def _gpu(device: torch.device) -> tuple[str, int]:
    """Name a GPU and count its memory's bytes; empty and 0 where this process sees none, as on a login node."""
    if not torch.cuda.is_available():
        return "", 0
    facts = torch.cuda.get_device_properties(device)
    return facts.name, facts.total_memory


def _without_code(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_code(inner) for name, inner in value.items() if name != "code"}
    return [_without_code(inner) for inner in value] if isinstance(value, list | tuple) else value


def units(job: Job) -> int:
    """Count the units of a job that its pace refers to: the steps of a fit, else 1."""
    return int(job.inputs["train"]["steps"]) if is_fit(job) else 1


class Paces:
    """The paces measured on this machine, kept in a store; `fresh` ones begin with none and are not kept."""

    def __init__(self, store: Store, *, fresh: bool = False) -> None:
        self._path = store.root / "paces.json"
        self._fresh = fresh
        self._paces: dict[str, list[Any]] = {}
        if self._path.exists() and not fresh:
            self._paces = read_json(self._path)
        self._kinds: dict[tuple[str, Place], str] = {}

    def kind(self, job: Job, place: Place) -> str:
        """Give `kind_of_work` from a cache: a study asks for the paces of all its jobs again and again."""
        key = job.key, place
        if key not in self._kinds:
            self._kinds[key] = kind_of_work(job, place)
        return self._kinds[key]

    def get(self, job: Job, place: Place) -> Pace | None:
        """Give the pace of a job at a place, None where no job of its kind was measured."""
        values = self._paces.get(self.kind(job, place))
        return None if values is None else Pace(*values)

    def learn(self, measured: Mapping[str, Pace]) -> None:
        """Keep measured paces, by kind of work, beside those that other processes have kept since."""
        if self._path.exists() and not self._fresh:
            self._paces = {**self._paces, **read_json(self._path)}
        self._paces.update({kind: list(pace if pace.halved else pace[:-1]) for kind, pace in measured.items()})
        if not self._fresh:
            write_json(self._path, self._paces)


def learn_from(job: Job, place: Place, memory_bytes: int, store: Store, paces: Paces) -> None:
    """Keep the pace of a job that was done just now."""
    folder = store.folder(job)
    seconds = FitFacts.read(folder).seconds / units(job) if is_fit(job) else store.record(job).seconds
    large = WEIGHTS if job.stage in TRAINED else PIXELS if job.stage == "images" else None
    kept = (folder / large).stat().st_size if large else 0
    paces.learn({kind_of_work(job, place): Pace(seconds, memory_bytes, kept)})
