"""A trained run on video files."""

from __future__ import annotations

import time
from collections.abc import Sequence

from cliffkit.components.load import Plugins
from cliffkit.display.lines import Terminal
from cliffkit.errors import UserError
from cliffkit.events import Progress
from cliffkit.prediction.video.clip import Clip
from cliffkit.prediction.video.outputs import FORMS, FrameDepth, plan_videos
from cliffkit.prediction.video.predicted import Show, predict_video
from cliffkit.prediction.video.reading import Video
from cliffkit.verbs.finished import Run
from cliffkit.verbs.inputs import AnyPath, path_of
from cliffkit.verbs.predict import open_predictor
from cliffkit.verbs.rows import Rows

COLUMNS = (
    *("video", "beside_mp4", "frames_folder", "frames", "first_s", "last_s", "colours_from_m", "colours_to_m"),
    *("min_m", "median_m", "max_m", "remarks"),
)


def predict_videos(
    run: Run | AnyPath,
    videos: Sequence[AnyPath],
    out: AnyPath,
    *,
    every: int = 1,
    first: int = 0,
    last: int | None = None,
    range_m: tuple[float, float] | None = None,
    beside: bool = True,
    frame_depth: FrameDepth | None = None,
    flip: bool = False,
    force: bool = False,
    device: str = "auto",
    progress: bool = True,
    plugins: Plugins | None = None,
) -> Rows:
    """Write the depth of video files below the folder `out`; returns a row per video.

    Each video gets a video of its frames beside their depth in colours (.beside.mp4), under one scale for all frames,
    at the times of its frames and without sound. Frames are turned upright. A frame that is broken is left out, a
    video that is cut off is predicted as far as it goes, and the row says so in `remarks`. Memory does not grow with
    the length of the video.

    Args:
        run: a run or its folder.
        videos: files; folders are not looked into.
        out: the folder to write into.
        every: predict every how manieth frame.
        first: number of the first frame, counted from 0.
        last: number of the last frame; by default that of the video.
        range_m: metres of the first and the last colour; by default the 1st and 99th percentile of some frames' depths.
        beside: write the video of frames beside their depth.
        frame_depth: write the depth of each frame too, into the folder NAME.frames with a table of times: `png` for
            16-bit millimetres, `npy` for float32 metres.
        flip: average with the prediction for the mirrored frame.
        force: write over videos that `predict_videos` did not write.
        device: where to compute.
        progress: show a bar with frames per second.
        plugins: those to use; by default the installed ones.

    Raises UserError where PyAV is not installed, where a video cannot be read or has none of the frames, and as
    `cliffkit.predict` does.

    Example: `cliffkit.predict_videos(run, ["clip.mp4"], "depth", every=2).column("beside_mp4")`.
    """
    if frame_depth not in (None, *FORMS):
        raise UserError(f"frame_depth: '{frame_depth}'; write {' or '.join(FORMS)}, or leave it out")
    if not beside and frame_depth is None:
        raise UserError("nothing is to be written of videos; ask for frame_depth, or leave beside as it is")
    clip = Clip(every, first, last, range_m, flip)
    files = [path_of(video, "videos") for video in videos]
    for file in files:
        Video(file)
    outputs = plan_videos(files, path_of(out, "out"), beside, frame_depth, force=force)
    network = open_predictor(run, device, plugins)
    with Terminal(progress) as terminal:
        rows = [predict_video(network, output, clip, _shown_by(terminal, output.video.name)) for output in outputs]
    return Rows(rows, COLUMNS)


def _shown_by(terminal: Terminal, name: str) -> Show:
    """Show how many frames of a video are done, and how fast."""
    began: dict[str, float] = {}

    def show(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        speed = (done - 1) / max(1e-3, now - began.setdefault(what, now))  # since the first of them
        terminal.show(Progress(f"{name}, {what}" if what else name, done, total, "frame", {"frames/s": speed}))

    return show
