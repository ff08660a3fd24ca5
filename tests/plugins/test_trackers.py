"""TensorBoard's files and MLflow's store keep the contract, and are read back by their own libraries."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cliffkit
from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.events import RunFacts
from cliffkit.interfaces import Point
from cliffkit.testing import check_tracker
from cliffkit_trackers.event_files import EventFiles
from cliffkit_trackers.mlflow_runs import MlflowRuns

from ..conftest import Finished
from ..tracker_fixtures import close, curves_in, read_back


def facts(runs: Path, seed: int = 0, variant: str = "none + add") -> RunFacts:
    key = f"{seed}123456789abcdef0123"
    return RunFacts(f"study.s{seed}", key, variant, seed, "study", runs / "cells" / f"s{seed}", runs)


def test_tensorboard_keeps_the_contract(tmp_path: Path) -> None:
    check_tracker(EventFiles, tmp_path / "default")
    check_tracker(EventFiles, tmp_path / "elsewhere", folder=str(tmp_path / "files"))
    assert sorted(path.name for path in (tmp_path / "files/study/none-+-add").iterdir()) == [
        "s0-00123456",
        "s1-10123456",
    ]


def test_tensorboard_groups_the_seeds_of_a_variant_and_knows_the_recipe(tmp_path: Path) -> None:
    from tensorboard.plugins.hparams import metadata

    starts, ends = [], []
    for seed in (0, 1):
        tracker = EventFiles()
        tracker.begin(facts(tmp_path, seed), {"name": f"study.s{seed}", "seed": seed, "loss.0.use": "l1", "steps": 40})
        tracker.points("depth", [Point(1, {"loss": 2.0})])
        tracker.end("done")
        said = read_back(tmp_path / f"tensorboard/study/none-+-add/s{seed}-{seed}1234567")
        content = {tag: said.SummaryMetadata(tag).plugin_data.content for tag in said.Tags()["tensors"]}
        starts.append(metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG]))
        ends.append(metadata.parse_session_end_info_plugin_data(content[metadata.SESSION_END_INFO_TAG]))
    assert {start.group_name for start in starts} == {"study none + add"}
    assert {name: value.WhichOneof("kind") for name, value in starts[0].hparams.items()} == {
        "loss.0.use": "string_value",
        "steps": "number_value",
    }
    assert [end.status for end in ends] == [1, 1], "STATUS_SUCCESS"


def test_tensorboard_shows_a_run_that_failed_and_was_mended_as_done(tmp_path: Path) -> None:
    from tensorboard.plugins.hparams import metadata

    def status() -> int:
        said = read_back(tmp_path / "tensorboard/study/none-+-add/s0-01234567")
        content = said.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
        return int(metadata.parse_session_end_info_plugin_data(content).status)

    for step, state, shown in ((1, "failed", 2), (2, "stopped", None), (3, "done", 1)):
        tracker = EventFiles()
        assert tracker.begin(facts(tmp_path), {}) == ({"depth": step - 1} if step > 1 else {})
        tracker.points("depth", [Point(step, {"loss": 1.0})])
        tracker.end(state)  # type: ignore[arg-type]
        if shown is None:
            with pytest.raises(KeyError):
                status()
        else:
            assert status() == shown


def test_tensorboard_files_whose_end_was_cut_off_are_gone_on_from_their_last_whole_step(tmp_path: Path) -> None:
    run, tracker = facts(tmp_path), EventFiles()
    tracker.begin(run, {})
    tracker.points("depth", [Point(step, {"loss": 1.0, "l1": 0.5}) for step in (1, 2, 3)])
    (file,) = (tmp_path / "tensorboard").rglob("events*")
    file.write_bytes(file.read_bytes()[:-9])
    again = EventFiles()
    assert again.begin(run, {}) == {"depth": 2}
    again.points("depth", [Point(3, {"loss": 1.0, "l1": 0.5})])
    for name in ("depth/loss", "depth/l1"):
        assert [event.step for event in read_back(file.parent).Scalars(name)] == [1, 2, 3]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's, of SQLAlchemy
def test_mlflow_keeps_the_contract_and_its_client_reads_a_run_back(
    own_run: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one test: the tables of a new store take seconds to make."""
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("cliffkit.jobs.track.PATIENCE_SECONDS", 120.0)
    for _ in range(2):
        finished = cliffkit.run(own_run.recipe, runs=own_run.runs, device="cpu", track="mlflow", progress=False)
    uri = f"sqlite:///{own_run.runs}/mlflow.db"
    client = MlflowClient(uri)
    (experiment,) = (each for each in client.search_experiments() if each.name != "Default")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (experiment.name, found.info.run_name, found.info.status) == ("cliffkit", "tiny", "FINISHED")
    tags = {"cliffkit.key": finished.key, "variant": "tiny", "seed": "0", "study": ""}
    assert found.data.tags.items() >= tags.items()
    assert found.data.params["model.fusion.use"] == "cliff"
    assert found.data.params["data.size"] == "[32, 48]"

    names = [name for name in found.data.metrics if not name.startswith("test/")]
    history = {name: client.get_metric_history(found.info.run_id, name) for name in found.data.metrics}
    curves = {name: [(metric.step, metric.value) for metric in history[name]] for name in names}
    assert close(curves, curves_in(own_run.folder / "log.jsonl"))
    assert [metric.value for metric in history["test/full/abs_rel"]] == [finished.metrics["full"]["abs_rel"]]
    (picture,) = (own_run.runs / "mlflow-artifacts/cliffkit" / found.info.run_id).rglob("*.png")
    assert np.array_equal(np.asarray(Image.open(picture)), np.asarray(Image.open(finished.panel).convert("RGB")))

    check_tracker(MlflowRuns, tmp_path / "check", uri=uri, experiment="checked")
    (checked,) = (each for each in client.search_experiments() if each.name == "checked")
    runs = {run.data.tags["seed"]: run for run in client.search_runs([checked.experiment_id])}
    assert {run.data.tags["variant"] for run in runs.values()} == {"none + add"}
    assert [runs[seed].info.status for seed in ("0", "1")] == ["FINISHED", "FAILED"]
    assert runs["1"].data.tags["cliffkit.reason"] == "stage depth, step 3: the term 'l1' is nan"
    _check_workers(own_run.runs, uri, client)
    assert not (tmp_path / "mlruns").exists(), "nothing is left in the working folder"


def _check_workers(runs: Path, uri: str, client: object) -> None:
    """Several that begin one run, of a new experiment, at once make one."""
    from mlflow import MlflowClient

    trackers = [MlflowRuns(uri=uri, experiment="new") for _ in range(4)]
    threads = [threading.Thread(target=tracker.begin, args=(facts(runs), {"loss.0.use": "l1"})) for tracker in trackers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert isinstance(client, MlflowClient)
    (experiment,) = (each for each in client.search_experiments() if each.name == "new")
    assert len(client.search_runs([experiment.experiment_id])) == 1


def test_mlflow_says_where_it_failed_and_which_extra_is_missing(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException

    def refuse(uri: str) -> None:
        raise MlflowException("the server\nis away")

    monkeypatch.setattr("mlflow.MlflowClient", refuse)
    tracker = MlflowRuns(uri="http://host:5000")
    with pytest.raises(UserError, match=r"^MLflow at http://host:5000: the server is away; see that it answers"):
        tracker.begin(facts(tmp_path), {})
    monkeypatch.setitem(sys.modules, "mlflow.entities", None)
    with pytest.raises(UserError, match=r"tracker 'mlflow' needs MLflow .*pip install 'cliffkit\[mlflow\]'"):
        registry.get("tracker", "mlflow").load()()
