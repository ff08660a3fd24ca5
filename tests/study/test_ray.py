"""A study on a real Ray cluster of two nodes on this machine, one of which is killed midway."""

from __future__ import annotations

import sys
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cliffkit.components.registry import Registry
from cliffkit.interfaces import Place
from cliffkit.store.store import Store
from cliffkit.study.board import Board
from cliffkit.study.cells import jobs_of
from cliffkit.study.run import run_cells
from cliffkit.verbs.study_work import open_executor
from cliffkit_ray.executor import RayCluster

from ..study_fixtures import BASE, run_small, small_study

ray = pytest.importorskip("ray")

LONGER = BASE.replace("steps: 4, batch: 4, validate_every: 2", "steps: 400, batch: 4, validate_every: 200")


def test_a_study_survives_the_death_of_a_node(tmp_path: Path, registry: Registry) -> None:
    """The cells that were on it are done on the other one, every job once, to the bits of a run on this process."""
    from ray.cluster_utils import Cluster

    text = "name: ray\nbase: base.yaml\nseeds: [0]\naxes: {fusion: {cliff: {}, add: {model.fusion.use: add}}}"
    _, cells = small_study(tmp_path, registry, text, LONGER)
    run_small(cells, tmp_path / "unbroken")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    executor = None
    try:
        other = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        executor = open_executor(registry, {"use": "ray", "address": cluster.address}, None, "cpu")
        assert executor.slots == 2
        board = Board(cells, Store(tmp_path / "runs"))
        killed: list[float] = []

        def show(board: Board) -> None:
            fits = [each for each in board.unfinished() if each.job.stage == "depth" and each.progress]
            if len(fits) == 2 and not killed:
                cluster.remove_node(other, allow_graceful=False)
                killed.append(time.monotonic())

        run_cells(board, executor, {}, show)
        assert killed, "the node died while both trained"
        assert board.count("done") == len(cells)
    finally:
        if executor is not None:
            executor.close()
        cluster.shutdown()
    for job in jobs_of(cells).values():
        if job.stage == "evaluate":
            a, b = (
                (Store(tmp_path / runs).folder(job) / "per_image.csv").read_bytes() for runs in ("unbroken", "runs")
            )
            assert a == b


class Recorded(SimpleNamespace):
    """What the executor asks of Ray, of a cluster that is not there."""

    def __init__(self, **resources: int) -> None:
        super().__init__(resources=resources, exceptions=ray.exceptions, asked=[])

    def init(self, **options: Any) -> None:
        self.asked.append(options)

    def cluster_resources(self) -> dict[str, int]:
        return self.resources

    def remote(self, **options: Any) -> Any:
        self.asked.append(options)
        done: Future[str] = Future()
        done.set_result("done")
        return lambda work: SimpleNamespace(remote=lambda task, place: SimpleNamespace(future=lambda: done))


@pytest.mark.parametrize(
    ("resources", "device", "slots", "place", "asked"),
    [
        ({"CPU": 9}, "auto", 2, Place("cpu", 4), {"num_cpus": 4}),
        ({"CPU": 2}, "auto", 1, Place("cpu", 4), {"num_cpus": 4}),
        ({"CPU": 64, "GPU": 3}, "auto", 3, Place("cuda", 4), {"num_cpus": 4, "num_gpus": 1}),
        ({"CPU": 9, "GPU": 3}, "auto", 2, Place("cuda", 4), {"num_cpus": 4, "num_gpus": 1}),
        ({"CPU": 9, "GPU": 3}, "cpu", 2, Place("cpu", 4), {"num_cpus": 4}),
    ],
)
def test_each_job_gets_the_processors_that_were_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    registry: Registry,
    resources: dict[str, int],
    device: str,
    slots: int,
    place: Place,
    asked: dict[str, int],
) -> None:
    cluster = Recorded(**resources)
    monkeypatch.setitem(sys.modules, "ray", cluster)
    executor = open_executor(registry, "{use: ray, address: 'ray://head:10001', cpus: 4}", None, device)
    assert isinstance(executor, RayCluster)
    assert (executor.slots, executor.choices, executor.place) == (slots, [slots], place)
    assert executor.submit(lambda task, place: "done", "task").result() == "done"
    assert cluster.asked[0]["address"] == "ray://head:10001"
    assert {name: cluster.asked[1][name] for name in cluster.asked[1] if name != "max_retries"} == asked
