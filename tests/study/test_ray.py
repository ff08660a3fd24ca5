"""A study on a real Ray cluster of two nodes on this machine, one of which is killed midway."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cliffkit.components.registry import Registry
from cliffkit.store.store import Store
from cliffkit.study.board import Board
from cliffkit.study.cells import jobs_of
from cliffkit.study.run import run_cells

from ..study_fixtures import BASE, run_small, small_study

ray = pytest.importorskip("ray")

LONGER = BASE.replace("steps: 4, batch: 4, validate_every: 2", "steps: 400, batch: 4, validate_every: 200")


def test_a_study_survives_the_death_of_a_node(tmp_path: Path, registry: Registry) -> None:
    """The cells that were on it are done on the other one, every job once, to the bits of a run on this process."""
    from ray.cluster_utils import Cluster

    from cliffkit_ray.executor import RayCluster

    text = "name: ray\nbase: base.yaml\nseeds: [0]\naxes: {fusion: {cliff: {}, add: {model.fusion.use: add}}}"
    _, cells = small_study(tmp_path, registry, text, LONGER)
    run_small(cells, tmp_path / "unbroken")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    executor = None
    try:
        other = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        executor = RayCluster(None, "cpu", address=cluster.address)
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
