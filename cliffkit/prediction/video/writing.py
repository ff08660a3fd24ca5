"""Pictures to a video file that players and browsers show: H.264 in MP4, with the times of its source."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

TICKS = 90_000
"""Units of time in a second: all common frame rates are whole numbers of them."""

BT709 = 1
"""Number of the colour space of HD video in H.264 and FFmpeg."""

MARK = "cliffkit"
"""The comment of every file that is written here."""


class VideoFile:
    """A video file under construction; a context, since its index is written at the end."""

    def __init__(self, av: ModuleType, path: Path, rate: float) -> None:
        self._av, self._step = av, max(1, round(TICKS / rate))
        self._container = av.open(f"file:{path}", "w", format="mp4")
        self._container.metadata["comment"] = MARK
        x264 = "libx264" in av.codecs_available
        stream = self._container.add_stream("libx264" if x264 else "mpeg4", rate=Fraction(rate).limit_denominator(1001))
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "20", "preset": "veryfast"} if x264 else {"qscale": "3", "flags": "qscale"}
        context = stream.codec_context
        context.time_base = Fraction(1, TICKS)
        context.colorspace = context.color_primaries = context.color_trc = BT709
        self._stream = stream
        self._first_s: float | None = None
        self._last = -1

    def add(self, picture: NDArray[np.uint8], time_s: float) -> None:
        """Add an RGB picture (H, W, 3), both sides even, at a time of the source; the first is shown from 0 s."""
        if self._first_s is None:
            self._first_s = time_s
            self._stream.height, self._stream.width = picture.shape[:2]
        frame = self._av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=BT709)
        frame.time_base = Fraction(1, TICKS)
        frame.pts = self._last = max(self._last + 1, round((time_s - self._first_s) * TICKS))
        frame.duration = self._step
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


def is_marked_video(av: ModuleType, path: Path) -> bool:
    """Say whether a file is a video that was written here."""
    with av.open(f"file:{path}", metadata_errors="replace") as container:
        return bool(container.metadata.get("comment") == MARK)
