"""A video file to the depth of its frames: beside the frames as a video, and frame by frame."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit.pictures.beside import Beside
from cliffkit.pictures.colours import Floats, linear_scale, scale_ends, scale_of
from cliffkit.pictures.png import save_depth_png16
from cliffkit.prediction.packed import packed
from cliffkit.prediction.predictor import Predictor
from cliffkit.prediction.streams import in_streams
from cliffkit.prediction.video.clip import Clip
from cliffkit.prediction.video.outputs import TABLE, FrameDepth, VideoOutput
from cliffkit.prediction.video.reading import Frame, Video, import_av
from cliffkit.prediction.video.writing import VideoFile
from cliffkit.store.files import make_folder, replace_folder, write_atomic, writing

SAMPLES, SAMPLE_PIXELS = 16, 2**16
"""Frames, and depths of each of them, that choose the colour scale of a video."""

LONGEST_SIDE = 1920
"""Pixels. Larger frames are shown smaller, since few players show videos of twice their width."""

Show = Callable[[str, int, int], None]
"""Called with what is done (an empty text: the depth of frames), how many of it are done, and how many there are."""


class _Predicted(NamedTuple):
    time_s: float
    picture: NDArray[np.uint8] | None
    row: Mapping[str, Any]


def predict_video(predict: Predictor, output: VideoOutput, clip: Clip, show: Show) -> dict[str, Any]:
    """Write the depth of a video's frames; returns the files, the frames and their range in metres.

    Frames are read, predicted and written one after the other, a few of them in work at a time. Raises UserError where
    the video cannot be read, or none of the wanted frames is whole.
    """
    with packed(predict.network):
        return _predict_video(predict, output, clip, show)


def _predict_video(predict: Predictor, output: VideoOutput, clip: Clip, show: Show) -> dict[str, Any]:
    video = Video(output.video)
    range_m = clip.range_m or _range_of(predict, video, clip, show)
    remarks: list[str] = []
    frames = video.frames(clip.wants, clip.last, remarks)
    first = next(frames, None)
    if first is None:
        cause = "; ".join(remarks) or f"it has {video.count} frames, counted from 0"
        raise UserError(f"{video.path}: no frame of those wanted can be read: {cause}")

    draw = _painter(first.image, range_m) if output.beside else None
    make_folder(output.folder)
    with _new_folder(output.frames) as folder:
        work = partial(_predict_frame, predict, clip.flip, draw, folder, output.frame_depth)
        results = in_streams(work, chain([first], frames))
        write = partial(_gather, results, len(clip.numbers(video.count)), show)
        if output.beside_mp4 is None:
            rows = write(None)
        else:
            rows = _write_video(output.beside_mp4, video, video.rate / clip.every, write)
        if folder is not None and output.frames is not None:
            _write_table(folder / TABLE, rows)
            replace_folder(folder, output.frames)
    return _facts(output, rows, range_m, remarks)


def _range_of(predict: Predictor, video: Video, clip: Clip, show: Show) -> tuple[float, float]:
    """Predict some frames, the first and others spread evenly, to choose one colour scale for all."""
    numbers = clip.numbers(video.count or clip.first + SAMPLES * clip.every) or range(clip.first, clip.first + 1)
    chosen = {numbers[k * len(numbers) // SAMPLES] for k in range(SAMPLES)}

    def depths(frame: Frame) -> Floats:
        depth_m = predict(_tensor(frame.image), flip=clip.flip).ravel()
        return depth_m[:: max(1, depth_m.size // SAMPLE_PIXELS)]

    parts = []
    for part in in_streams(depths, video.frames(chosen.__contains__, max(chosen), [])):
        parts.append(part)
        show("colour scale", len(parts), len(chosen))
    return scale_ends(scale_of(parts)[0])


def _painter(image: NDArray[np.uint8], range_m: tuple[float, float]) -> Beside:
    """Prepare pictures of frames beside their depth, all of the first frame's size, or smaller where it is large."""
    sides = image.shape[:2]
    share = min(1.0, LONGEST_SIDE / max(sides))
    height, width = (max(1, round(share * side)) for side in sides)
    return Beside((height, width), linear_scale(*range_m), (True, True), grey=False)


def _predict_frame(
    predict: Predictor, flip: bool, draw: Beside | None, folder: Path | None, form: FrameDepth | None, frame: Frame
) -> _Predicted:
    depth_m = predict(_tensor(frame.image), flip=flip)
    name = ""
    if folder is not None:
        name = f"{frame.number:06}.{'npy' if form == 'npy' else 'depth.png'}"
        with writing(folder / name):
            if form == "npy":
                np.save(folder / name, depth_m)
            else:
                save_depth_png16(folder / name, depth_m)
    row = {
        "frame": frame.number,
        "time_s": round(frame.time_s, 6),
        "file": name,
        "min_m": float(depth_m.min()),
        "median_m": float(np.median(depth_m)),
        "max_m": float(depth_m.max()),
    }
    return _Predicted(frame.time_s, None if draw is None else draw(frame.image, depth_m), row)


def _tensor(image: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


def _gather(
    results: Iterable[_Predicted], total: int, show: Show, add: Callable[[NDArray[np.uint8], float], None] | None
) -> list[Mapping[str, Any]]:
    """Take frames as they come: their pictures go on to `add`."""
    rows = []
    for result in results:
        if add is not None and result.picture is not None:
            add(result.picture, result.time_s)
        rows.append(result.row)
        show("", len(rows), max(total, len(rows)))
    return rows


def _write_video(
    path: Path,
    video: Video,
    rate: float,
    gather: Callable[[Callable[[NDArray[np.uint8], float], None]], list[Mapping[str, Any]]],
) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = []

    def write(temporary: Path) -> None:
        with VideoFile(import_av(video.path), temporary, rate) as file:
            rows.extend(gather(file.add))

    write_atomic(path, write)
    return rows


@contextmanager
def _new_folder(final: Path | None) -> Iterator[Path | None]:
    """Make a folder beside its final place, which is gone at the end unless it was moved there."""
    if final is None:
        yield None
        return
    folder = final.with_name(f".{final.name}.{os.getpid()}.partial")
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with writing(path), path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def _facts(
    output: VideoOutput, rows: Sequence[Mapping[str, Any]], range_m: tuple[float, float], remarks: Sequence[str]
) -> dict[str, Any]:
    return {
        "video": str(output.video),
        "beside_mp4": None if output.beside_mp4 is None else str(output.beside_mp4),
        "frames_folder": None if output.frames is None else str(output.frames),
        "frames": len(rows),
        "first_s": rows[0]["time_s"],
        "last_s": rows[-1]["time_s"],
        "colours_from_m": range_m[0],
        "colours_to_m": range_m[1],
        "min_m": min(row["min_m"] for row in rows),
        "median_m": float(np.median([row["median_m"] for row in rows])),
        "max_m": max(row["max_m"] for row in rows),
        "remarks": "; ".join(remarks),
    }
