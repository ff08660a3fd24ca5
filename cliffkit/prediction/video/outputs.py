"""Output files of videos. No video and no file of another program is written over."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from cliffkit.errors import UserError
from cliffkit.prediction.outputs import placed
from cliffkit.prediction.video.reading import import_av
from cliffkit.prediction.video.writing import is_marked_video

FrameDepth = Literal["png", "npy"]
"""Form of the depth of single frames: 16-bit millimetres, or float32 metres."""

FORMS = get_args(FrameDepth)

TABLE = "frames.csv"

_OURS = re.compile(r"\d{6,}(\.depth\.png|\.npy)|frames\.csv")


@dataclass(frozen=True)
class VideoOutput:
    """What the depth of a video is written into."""

    video: Path
    folder: Path
    stem: str
    beside: bool
    """Whether there is a video of the frames beside their depth."""
    frame_depth: FrameDepth | None
    """Form of the depth of single frames; None where it is not wanted."""

    @property
    def beside_mp4(self) -> Path | None:
        """The frames beside their depth, where that is wanted."""
        return self.folder / f"{self.stem}.beside.mp4" if self.beside else None

    @property
    def frames(self) -> Path | None:
        """The folder of single frames' depth, where that is wanted."""
        return self.folder / f"{self.stem}.frames" if self.frame_depth else None


def plan_videos(
    videos: Sequence[Path], out: Path, beside: bool, frame_depth: FrameDepth | None, *, force: bool
) -> list[VideoOutput]:
    """Choose where each video's depth is written in the folder `out`; nothing is written yet.

    Raises UserError where two videos would be written under one name, and where a file would be written over that
    `predict` did not write. With `force` only videos, and folders of other files, are spared.
    """
    outputs = [VideoOutput(*place, beside, frame_depth) for place in placed(videos, out)]
    taken: dict[str, Path] = {os.path.realpath(video): video for video in videos}
    names: dict[Path, Path] = {}
    for output in outputs:
        other = names.setdefault(output.folder / output.stem, output.video)
        if other is not output.video:
            raise UserError(f"{other} and {output.video} would both be written as {output.stem}; predict them apart")
        if output.beside_mp4 is not None:
            _spare(output.beside_mp4, output.video, taken, force)
        if output.frames is not None and os.path.lexists(output.frames) and not _holds_frames(output.frames):
            raise UserError(f"{output.frames}: holds something else than frames' depth; name another folder with -o")
    return outputs


def _spare(path: Path, video: Path, taken: dict[str, Path], force: bool) -> None:
    """Raise UserError where a file is in the way that must not be lost."""
    if not os.path.lexists(path):
        return
    if os.path.realpath(path) in taken:
        raise UserError(f"{path}: would be written over, and is a video to predict; name another folder with -o")
    if path.is_dir():
        raise UserError(f"{path}: is a folder where a file is to be written; name another folder with -o")
    if force:
        return
    try:
        ours = path.is_file() and not path.is_symlink() and is_marked_video(import_av(video), path)
    except Exception:  # whatever a file of someone else provokes
        ours = False
    if not ours:
        raise UserError(
            f"{path}: was not written by `cliffkit predict`; name another folder with -o, or write over it with --force"
        )


def _holds_frames(folder: Path) -> bool:
    """Say whether a folder has the depth of frames and nothing else, so that it may be replaced."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    names = os.listdir(folder)
    return TABLE in names and all(_OURS.fullmatch(name) for name in names)
