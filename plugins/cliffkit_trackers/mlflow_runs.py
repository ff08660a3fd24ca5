"""Runs in MLflow, on a server or in a file of SQLite."""

from __future__ import annotations

import logging
import os
import re
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit.events import RunFacts
from cliffkit.interfaces import Parameter, Point, State, Tracker

KEY = "cliffkit.key"
"""The tag by which a run is found again."""

ROOM, PARAMETERS, LONGEST = 1000, 100, 6000
"""Most metrics and most parameters that MLflow takes at once, and most characters of a parameter's value."""

SERVERS = ("http:", "https:", "databricks")
"""Beginnings of the addresses of servers; all others are stores that this process opens by itself."""

STATUS = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED", "open": "RUNNING"}

SURROUNDINGS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
                "MLFLOW_DISABLE_TELEMETRY": "true"}  # fmt: skip
"""Settings of MLflow where the user's environment has none: its own are seven retries of two minutes, and reports of
its use to its makers."""


class MlflowRuns(Tracker):
    """MLflow: a run for each run, with tags `study`, `variant` and `seed` to group by.

    Look at the runs with `mlflow ui --backend-store-uri sqlite:///RUNS/mlflow.db`, which needs the whole of MLflow
    (`pip install mlflow`).

    Options:
        uri: Address of the server or the store, as `http://host:5000`; by default that of the environment variable
            MLFLOW_TRACKING_URI, else the file mlflow.db in the folder of runs.
        experiment: Name of the experiment; by default the study's, else cliffkit.
    """

    def __init__(self, *, uri: str = "", experiment: str = "") -> None:
        for name, value in SURROUNDINGS.items():
            os.environ.setdefault(name, value)
        try:
            import mlflow.entities
            import sqlalchemy  # noqa: F401  # MLflow's small package does without, its stores do not
        except ImportError as error:
            remedy = "install it with: pip install 'cliffkit[mlflow]'"
            raise UserError(f"tracker 'mlflow' needs MLflow ({error}); {remedy}") from error
        for name in ("mlflow.store.db.utils", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)  # they tell of tables that they make, and of each retry
        self._mlflow: Any = mlflow
        self._uri = uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        self._experiment = experiment
        self._client: Any = None
        self._run = ""
        self._status = ""

    def begin(self, run: RunFacts, parameters: Mapping[str, Parameter]) -> Mapping[str, int]:
        """Find the run by its key, or create it; look up the last steps of its metrics."""
        uri = self._uri or f"sqlite:///{run.runs / 'mlflow.db'}"
        self.look = uri if uri.startswith(SERVERS) else f"mlflow ui --backend-store-uri {shlex.quote(uri)}"
        # Two workers would each make the tables, the experiment, or a run of one key.
        with self._said(), FileLock(run.runs / ".mlflow.lock"):
            self._client = self._mlflow.MlflowClient(uri)
            experiment = self._find_experiment(run)
            found = self._client.search_runs([experiment], f"tags.`{KEY}` = '{run.key}'", max_results=1)
            entry = found[0] if found else self._create(experiment, run)
            self._run, self._status = entry.info.run_id, entry.info.status

            # Of a run that was there too: who created it may have been killed before this.
            named = {_name(name): str(value)[:LONGEST] for name, value in parameters.items()}
            make = self._mlflow.entities.Param
            rows = [make(name, value) for name, value in named.items() if name not in entry.data.params]
            for k in range(0, len(rows), PARAMETERS):
                self._client.log_batch(self._run, params=rows[k : k + PARAMETERS])
            return self._last_steps(entry.data.metrics)

    def points(self, stage: str, points: Sequence[Point]) -> None:
        """Record points, as many at once as MLflow takes."""
        self._resume()
        now = int(time.time() * 1000)
        batch: list[Any] = []
        for point in points:
            rows = [
                self._mlflow.entities.Metric(_name(f"{stage}/{name}"), value, now, point.step)
                for name, value in point.values.items()
            ]
            if len(batch) + len(rows) > ROOM:
                self._record(batch)
                batch = []
            batch += rows
        self._record(batch)

    def picture(self, name: str, step: int, pixels: NDArray[np.uint8]) -> None:
        """Record a picture, which MLflow shows by its step."""
        self._resume()
        with self._said():
            self._client.log_image(self._run, pixels, key=name, step=step)

    def end(self, state: State, reason: str = "") -> None:
        """Give the run its status."""
        if self._status == STATUS[state]:
            return
        with self._said():
            if reason:
                self._client.set_tag(self._run, "cliffkit.reason", reason[:LONGEST])
            if state == "open":
                self._client.update_run(self._run, status="RUNNING")
            else:
                self._client.set_terminated(self._run, STATUS[state])
        self._status = STATUS[state]

    def _record(self, metrics: Sequence[Any]) -> None:
        if metrics:
            with self._said():
                self._client.log_batch(self._run, metrics=metrics)

    def _resume(self) -> None:
        if self._status != "RUNNING":
            with self._said():
                self._client.update_run(self._run, status="RUNNING")
            self._status = "RUNNING"

    def _create(self, experiment: str, run: RunFacts) -> Any:
        tags = {KEY: run.key, "cliffkit.folder": str(run.folder), "study": run.study, "variant": run.variant}
        return self._client.create_run(experiment, run_name=run.name, tags={**tags, "seed": str(run.seed)})

    def _find_experiment(self, run: RunFacts) -> str:
        name = self._experiment or run.study or "cliffkit"
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        # A server knows a place for pictures. Without one MLflow would take the working folder.
        beside = (run.runs / "mlflow-artifacts" / _name(name).replace("/", "_")).as_uri()
        place = None if self._uri.startswith(SERVERS) else beside
        return str(self._client.create_experiment(name, artifact_location=place))

    def _last_steps(self, metrics: Mapping[str, float]) -> dict[str, int]:
        """Give the last step by stage; all values of a step are recorded at once, so one metric tells it."""
        last = {}
        for stage in {name.partition("/")[0] for name in metrics}:
            names = sorted(name for name in metrics if name.partition("/")[0] == stage)
            name = next((name for name in names if name == f"{stage}/loss"), names[0])
            last[stage] = max(metric.step for metric in self._client.get_metric_history(self._run, name))
        return last

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Turn what MLflow raises into an error that names the place."""
        try:
            yield
        except (self._mlflow.MlflowException, OSError) as error:
            where = self._uri or "mlflow.db in the folder of runs"
            reason = " ".join(str(error).split())
            raise UserError(f"MLflow at {where}: {reason}; see that it answers and can be written") from error


def _name(text: str) -> str:
    """Replace characters that MLflow does not take in a name."""
    return re.sub(r"[^\w\-./: ]", "_", text)
