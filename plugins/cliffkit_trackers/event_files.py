"""Files that TensorBoard shows, written with TensorBoard's own records; TensorFlow is not needed."""

from __future__ import annotations

import io
import os
import re
import shlex
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cliffkit.errors import UserError
from cliffkit.events import RunFacts
from cliffkit.interfaces import Parameter, Point, State, Tracker

LONGEST_NAME = 90
"""Characters of a variant in its folder's name."""

VERSION = "brain.Event:2"
"""What the first record of a file of events says."""

STATUS = {"done": "STATUS_SUCCESS", "failed": "STATUS_FAILURE"}

FAILED = ".failed"
"""Ending of a file that says only that a run failed. It goes when the run goes on, since TensorBoard keeps to the first
end that it reads."""


class EventFiles(Tracker):
    """TensorBoard: a folder of event files for each run, `STUDY/VARIANT/sSEED-KEY`.

    Look at all runs with `tensorboard --logdir FOLDER`. The page HParams groups the seeds of a variant.

    Options:
        folder: Folder of all event files; by default `tensorboard` in the folder of runs.
    """

    def __init__(self, *, folder: str = "") -> None:
        try:
            from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError as error:
            remedy = "install it with: pip install 'cliffkit[tensorboard]'"
            raise UserError(f"tracker 'tensorboard' needs the package tensorboard ({error}); {remedy}") from error
        self._loader, self._recorder, self._event, self._summary = (
            RawEventFileLoader, RecordWriter, event_pb2.Event, summary_pb2.Summary,
        )  # fmt: skip
        self._statuses, self._hparams, self._data = api_pb2.Status, metadata, plugin_data_pb2
        self._root = folder
        self._folder = Path()
        self._start: Any = None
        self._file: Path | None = None
        self._is_new = True

    def begin(self, run: RunFacts, parameters: Mapping[str, Parameter]) -> Mapping[str, int]:
        """Find the run's folder, and the last steps in its files."""
        self._file = None
        root = Path(self._root).expanduser() if self._root else run.runs / "tensorboard"
        self.look = f"tensorboard --logdir {shlex.quote(str(root))}"
        self._folder = root / _word(run.study) / _word(run.variant) / f"s{run.seed}-{run.key[:8]}"
        group = f"{run.study} {run.variant}".strip()
        self._start = self._data.SessionStartInfo(group_name=group, start_time_secs=time.time())
        for name, value in parameters.items():
            if name not in ("name", "seed"):  # they differ within a group
                field = {bool: "bool_value", int: "number_value", float: "number_value"}.get(type(value))
                setattr(self._start.hparams[name], field or "string_value", value if field else str(value))

        last: dict[str, int] = {}
        self._is_new = True
        for event in self._events():
            self._is_new = False
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    stage = value.tag.partition("/")[0]
                    last[stage] = max(event.step, last.get(stage, 0))
        return last

    def points(self, stage: str, points: Sequence[Point]) -> None:
        """Write one record for each step, which is thereby whole or absent."""
        make = self._summary.Value
        self._write(
            (point.step, [make(tag=f"{stage}/{name}", simple_value=value) for name, value in point.values.items()])
            for point in points
        )

    def picture(self, name: str, step: int, pixels: NDArray[np.uint8]) -> None:
        """Write a picture."""
        png = io.BytesIO()
        Image.fromarray(pixels).save(png, format="png")
        height, width = pixels.shape[:2]
        image = self._summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png.getvalue())
        self._write([(step, [self._summary.Value(tag=f"pictures/{name}", image=image)])])

    def end(self, state: State, reason: str = "") -> None:
        """Say how the run ended, unless that stands there: nothing was said since `begin`."""
        if state in STATUS and (self._file is not None or self._is_new):
            status = self._statuses.Value(STATUS[state])
            info = self._data.SessionEndInfo(status=status, end_time_secs=time.time())
            if state == "failed":
                self._file = self._new_file(FAILED)
            self._write([(0, [self._session(self._hparams.SESSION_END_INFO_TAG, session_end_info=info)])])

    def _events(self) -> Iterator[Any]:
        """Read the events that are there; a file whose end was cut off is read up to there."""
        for path in sorted(self._folder.glob("events.out.tfevents.*")):
            for record in self._loader(str(path)).Load():
                yield self._event.FromString(record)

    def _write(self, steps: Iterable[tuple[int, Sequence[Any]]]) -> None:
        """Write an event for the values of each step.

        Nobody appends to a file that another process or a failure has left, since its end may be cut off.
        """
        if self._file is None:
            for path in self._folder.glob(f"*{FAILED}"):
                path.unlink()
            self._file = self._new_file()
        head = []
        if not self._file.exists():
            start = self._session(self._hparams.SESSION_START_INFO_TAG, session_start_info=self._start)
            head = [self._event(file_version=VERSION), self._event(summary=self._summary(value=[start]))]
        events = (self._event(step=step, summary=self._summary(value=values)) for step, values in steps)
        with self._file.open("ab") as file:
            for event in (*head, *events):
                event.wall_time = time.time()
                self._recorder(file).write(event.SerializeToString())

    def _new_file(self, ending: str = "") -> Path:
        """Name a file for events, after all that are there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns():020d}.{socket.gethostname()}.{os.getpid()}{ending}"
        return self._folder / name

    def _session(self, tag: str, **content: Any) -> Any:
        """Make a value for the page HParams."""
        data = self._data.HParamsPluginData(version=self._hparams.PLUGIN_DATA_VERSION, **content)
        nothing, metadata = self._hparams.NULL_TENSOR, self._hparams.create_summary_metadata(data)
        return self._summary.Value(tag=tag, tensor=nothing, metadata=metadata)


def _word(text: str) -> str:
    """Turn a name into one for a folder; empty for none."""
    return re.sub(r"[^A-Za-z0-9_.+=-]+", "-", text)[:LONGEST_NAME].strip(".")
