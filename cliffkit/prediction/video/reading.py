"""Frames of a video file, upright RGB with their times; what is broken is left out and told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError, cause
from cliffkit.images import check_file

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

SLACK_S = 0.5
"""A video whose last frame ends this long before its stated end was cut off."""


def import_av(place: Path) -> ModuleType:
    """Import PyAV. Raises UserError, which begins with `place`, where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise UserError(
            f"{place}: is a video, and PyAV, which reads videos, is not there ({cause(error)}); "
            "pip install 'cliffkit[video]', or extract its frames as images"
        ) from error
    return av


class Frame(NamedTuple):
    """One frame of a video."""

    number: int
    """Counted from 0, broken frames included."""
    time_s: float
    image: NDArray[np.uint8]
    """(H, W, 3) RGB, upright."""


class Video:
    """A video file. Raises UserError where it cannot be opened or holds no video."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._av = import_av(path)
        with self._opened() as (container, stream):
            rate = stream.average_rate or stream.guessed_rate
            self.rate = float(rate) if rate else 25.0
            """Frames per second, on average."""
            self.stated_s = _stated_seconds(container, stream)
            """Where the file says that its last frame ends; None where it says nothing."""
            self.count = stream.frames or sum(packet.size > 0 for packet in container.demux(stream))
            """Number of frames that the file states, or has; 0 where it says nothing."""

    def frames(self, wanted: Callable[[int], bool], last: int | None, remarks: list[str]) -> Iterator[Frame]:
        """Read the frames whose numbers are wanted, up to number `last`.

        A frame that cannot be decoded is left out, and so are those after it until a frame that stands on its own.
        What was left out, and where the file ends before its time, is added to `remarks` at the end.
        """
        lost: list[float] = []
        end_s, reached, fault = 0.0, False, ""
        with self._opened() as (container, stream):
            try:
                for number, time_s, frame in self._decoded(container, stream):
                    if last is not None and number > last:
                        reached = True
                        break
                    if frame is None:
                        lost.append(time_s)
                        continue
                    end_s = max(end_s, time_s + 1 / self.rate)
                    if wanted(number):
                        yield Frame(number, time_s, _upright(frame))
            except self._av.FFmpegError as error:
                fault = f" ({error.strerror})"
        if within := [time_s for time_s in lost if reached or time_s < end_s]:
            remarks.append(
                "frames are left out that are broken, or build on a broken frame: "
                f"{len(within)}, from {min(within):.2f} to {max(within):.2f} s"
            )
        if not reached and (fault or self._ends_early(end_s)):
            stated = f", of {self.stated_s:.2f} s that the file states" if self.stated_s else ""
            remarks.append(f"the file is cut off or damaged: it ends at {end_s:.2f} s{stated}{fault}; the rest is kept")

    def _ends_early(self, end_s: float) -> bool:
        return self.stated_s is not None and end_s < self.stated_s - max(SLACK_S, 2 / self.rate)

    def _decoded(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[tuple[int, float, VideoFrame | None]]:
        """Decode frames with number and time; None stands for a frame that is lost."""
        number, broken = 0, False
        suspects: set[int | None] = set()
        for packet in container.demux(stream):
            broken = broken and not packet.is_keyframe
            try:
                if packet.is_corrupt:
                    raise self._av.InvalidDataError(0, "cut off")
                frames = packet.decode()
            except self._av.InvalidDataError:
                broken = True
                yield number, self._time(packet, number), None
                number += 1
                continue
            if broken:
                suspects.add(packet.pts)
            for frame in frames:  # not the packet's own where frames come in another order than packets
                assert isinstance(frame, self._av.VideoFrame)
                whole = frame.pts not in suspects and not frame.is_corrupt
                suspects.discard(frame.pts)
                yield number, self._time(frame, number), frame if whole else None
                number += 1

    def _time(self, item: Packet[VideoStream] | VideoFrame, number: int) -> float:
        if item.pts is None or item.time_base is None:
            return number / self.rate
        return float(item.pts * item.time_base)

    @contextmanager
    def _opened(self) -> Iterator[tuple[InputContainer, VideoStream]]:
        check_file(self.path)
        remedy = "if it was cut off, copy or record it again; else convert it, or extract its frames as images"
        try:
            container = self._av.open(f"file:{self.path}", metadata_errors="replace")
        except (self._av.FFmpegError, OSError) as error:
            raise UserError(f"{self.path}: cannot be read as a video ({error.strerror}); {remedy}") from error
        with container:
            stream = container.streams.best("video")
            if stream is None or not stream.codec_context or not stream.width:
                raise UserError(f"{self.path}: no picture is found in the file; {remedy}")
            yield container, stream


def _upright(frame: VideoFrame) -> NDArray[np.uint8]:
    """Turn a frame into RGB, (H, W, 3), upright as players show it."""
    image: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")  # type: ignore[assignment]  # by its format
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))


def _stated_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """Find where a file says that its video ends, on the clock of its frames; None where it does not say."""
    start_s = float((stream.start_time or 0) * (stream.time_base or 0))
    if stream.duration and stream.time_base:
        return start_s + float(stream.duration * stream.time_base)
    if "DURATION" in stream.metadata:  # of Matroska: hours:minutes:seconds
        try:
            hours, minutes, seconds = map(float, stream.metadata["DURATION"].split(":"))
        except ValueError:
            return None
        return 3600 * hours + 60 * minutes + seconds
    alone = len(container.streams) == 1
    return container.duration / 1e6 if alone and container.duration else None
