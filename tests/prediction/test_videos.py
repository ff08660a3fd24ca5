"""Videos: times, colours and sides are kept, what is broken is told, and nothing of someone else's is lost."""

from __future__ import annotations

import csv
import struct
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import cliffkit.prediction.video.reading as reading
from cliffkit.errors import UserError
from cliffkit.pictures.colours import coloured, linear_scale
from cliffkit.prediction.inputs import find_images
from cliffkit.prediction.predictor import Predictor
from cliffkit.prediction.video.clip import Clip
from cliffkit.prediction.video.outputs import FrameDepth, plan_videos
from cliffkit.prediction.video.predicted import predict_video

HEIGHT, WIDTH = 48, 64


class Red(nn.Module):
    """A network whose depth is a tenth of an image's red, in metres."""

    def forward(self, image: Tensor) -> Tensor:
        return image[:, :1].float() / 10


PREDICT = Predictor(Red(), (HEIGHT, WIDTH), 1.0, torch.device("cpu"))


def picture(number: int) -> NDArray[np.uint8]:
    """A frame that is red on the left, by its number, and white at the top right."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:, : WIDTH // 2, 0] = 20 + 5 * number % 235
    image[: HEIGHT // 2, WIDTH // 2 :] = 255
    return image


def film(
    path: Path, frames: int = 30, times_ms: list[int] | None = None, codec: str = "libx264", **options: str
) -> Path:
    """Write a video of ten frames a second, or of frames at times, with a key frame after every tenth."""
    container_options = {"movflags": options.pop("movflags")} if "movflags" in options else {}
    with av.open(str(path), "w", options=container_options) as container:
        stream = container.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.options = options or {"g": "10", "crf": "1"}
        if times_ms:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number), "rgb24")
            if times_ms:
                frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def frames_of(path: Path) -> list[tuple[float, NDArray[Any]]]:
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def run(
    video: Path, out: Path, clip: Clip | None = None, *, frame_depth: FrameDepth | None = None, force: bool = False
) -> dict[str, Any]:
    (output,) = plan_videos([video], out, True, frame_depth, force=force)
    return predict_video(PREDICT, output, clip or Clip(), lambda what, done, total: None)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "frames.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_frames_stand_beside_their_depth_at_their_times_under_one_scale(tmp_path: Path) -> None:
    times_ms = [0, 40, 90, 100, 400, *range(500, 3000, 100)]
    video = film(tmp_path / "clip.mp4", times_ms=times_ms)
    facts = run(video, tmp_path / "out", Clip(range_m=(0.0, 20.0)))
    assert (facts["frames"], facts["remarks"], facts["colours_to_m"]) == (30, "", 20.0)
    frames = frames_of(tmp_path / "out" / "clip.beside.mp4")
    assert [round(1000 * time_s) for time_s, _ in frames] == times_ms
    for number, (_, image) in enumerate(frames):
        assert np.abs(image[:HEIGHT, :WIDTH].astype(int) - picture(number)).mean() < 6
        colour = coloured(np.full((1, 1), 2 + 0.5 * number), linear_scale(0, 20))[0, 0].astype(int)
        shown = image[8:40, WIDTH + 12 : WIDTH + 24].astype(int)
        assert np.abs(shown - colour).mean() < 12, number


def test_a_video_has_the_length_of_its_source(tmp_path: Path) -> None:
    run(film(tmp_path / "clip.mp4"), tmp_path / "out", Clip(every=3))
    with av.open(str(tmp_path / "out" / "clip.beside.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(3.0, abs=0.01)


def test_without_a_stated_scale_some_frames_choose_one_for_all(tmp_path: Path) -> None:
    facts = run(film(tmp_path / "clip.mp4"), tmp_path / "out")
    assert facts["colours_from_m"] == pytest.approx(0.0, abs=0.3)
    assert facts["colours_to_m"] == pytest.approx(25.5, abs=0.3)


@pytest.mark.parametrize("form", ["npy", "png"])
def test_the_depth_of_chosen_frames_is_written_with_their_times(tmp_path: Path, form: FrameDepth) -> None:
    video = film(tmp_path / "clip.mp4")
    facts = run(video, tmp_path / "out", Clip(every=4, first=3, last=20), frame_depth=form)
    rows = rows_of(tmp_path / "out" / "clip.frames")
    assert [int(row["frame"]) for row in rows] == [3, 7, 11, 15, 19]
    assert [float(row["time_s"]) for row in rows] == pytest.approx([0.3, 0.7, 1.1, 1.5, 1.9])
    assert (facts["frames"], facts["first_s"], facts["last_s"]) == (5, pytest.approx(0.3), pytest.approx(1.9))
    path = tmp_path / "out" / "clip.frames" / rows[1]["file"]
    assert path.name == f"000007.{'npy' if form == 'npy' else 'depth.png'}"
    depth_m = np.load(path) if form == "npy" else np.asarray(Image.open(path)) / 1000
    assert depth_m.shape == (HEIGHT, WIDTH)
    assert np.median(depth_m[:, : WIDTH // 2 - 4]) == pytest.approx(5.5, abs=0.3)


def test_frames_of_other_choices_do_not_stay(tmp_path: Path) -> None:
    video, folder = film(tmp_path / "clip.mp4"), tmp_path / "out" / "clip.frames"
    run(video, tmp_path / "out", Clip(last=2), frame_depth="npy")
    run(video, tmp_path / "out", Clip(first=1, last=1), frame_depth="npy")
    assert sorted(path.name for path in folder.iterdir()) == ["000001.npy", "frames.csv"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clip.beside.mp4", "clip.frames"]


def test_a_phones_video_is_turned_upright(tmp_path: Path) -> None:
    """The matrix that a phone writes of a picture to be turned by a quarter clockwise."""
    content = bytearray(film(tmp_path / "clip.mp4").read_bytes())
    one = 1 << 16
    upright, turned = (struct.pack(">9i", *matrix, 1 << 30) for matrix in (
        (one, 0, 0, 0, one, 0, 0, 0), (0, one, 0, -one, 0, 0, HEIGHT * one, 0),
    ))  # fmt: skip
    track = content.index(b"tkhd")
    place = content.index(upright, track)
    content[place : place + 36] = turned
    (tmp_path / "clip.mp4").write_bytes(content)
    run(tmp_path / "clip.mp4", tmp_path / "out", Clip(last=0), frame_depth="npy")
    depth_m = np.load(tmp_path / "out" / "clip.frames" / "000000.npy")
    assert depth_m.shape == (WIDTH, HEIGHT)
    expected = np.rot90(picture(0)[..., 0], -1) / 10
    assert np.abs(depth_m - expected).mean() < 0.5


def test_a_truncated_video_is_kept_as_far_as_it_is_whole_and_told(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mkv", codec="mjpeg", qscale="2").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    facts = run(tmp_path / "cut.mkv", tmp_path / "out")
    assert 10 < facts["frames"] < 20
    end = facts["last_s"] + 0.1
    assert facts["remarks"] == (
        f"the file is cut off or damaged: it ends at {end:.2f} s, of 3.00 s that the file states; the rest is kept"
    )
    assert len(frames_of(tmp_path / "out" / "cut.beside.mp4")) == facts["frames"]
    assert run(tmp_path / "cut.mkv", tmp_path / "out", Clip(last=5))["remarks"] == "", "what is wanted is whole"


def test_a_broken_frame_and_those_that_build_on_it_are_left_out_and_told(tmp_path: Path) -> None:
    video = film(tmp_path / "clip.mp4", g="10", bf="0", crf="1")
    with av.open(str(video)) as container:
        packet = next(packet for number, packet in enumerate(container.demux(video=0)) if number == 14)
        assert packet.pos is not None
        place, size = packet.pos, packet.size
    content = bytearray(video.read_bytes())
    content[place : place + size] = bytes([255]) * size
    video.write_bytes(content)
    facts = run(video, tmp_path / "out", frame_depth="npy")
    numbers = [int(row["frame"]) for row in rows_of(tmp_path / "out" / "clip.frames")]
    assert numbers == [*range(14), *range(20, 30)], "up to the next key frame"
    assert facts["remarks"] == (
        "frames are left out that are broken, or build on a broken frame: 6, from 1.40 to 1.90 s"
    )


@pytest.mark.parametrize("content", ["text", "index", "audio"])
def test_a_file_without_a_picture_is_no_video(tmp_path: Path, content: str) -> None:
    path = tmp_path / "clip.mp4"
    if content == "text":
        path.write_text("no video")
    elif content == "index":
        whole = film(path, frames=60).read_bytes()
        path.write_bytes(whole[: whole.index(b"moov") - 4])
    else:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=8000)
            assert isinstance(stream, av.AudioStream)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate = 8000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    with pytest.raises(UserError, match=r"clip\.mp4: (cannot be read as a video|no picture is found).*cut off, copy"):
        run(path, tmp_path / "out")


def test_frames_beyond_the_end_are_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    video = film(tmp_path / "clip.mp4")
    with pytest.raises(UserError, match=r"clip\.mp4: no frame of those wanted .* it has 30 frames, counted from 0"):
        run(video, tmp_path / "out", Clip(first=30))
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="frames 5 to 4, every 1: there are no such frames"):
        Clip(first=5, last=4)


def test_without_pyav_the_message_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = film(tmp_path / "clip.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"clip\.mp4: is a video, and PyAV.*pip install 'cliffkit\[video\]'"):
        run(video, tmp_path / "out")


def test_few_frames_are_in_memory_however_long_a_video_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video, read, ahead = film(tmp_path / "clip.mp4", frames=60), [0], []
    upright = reading._upright

    def counted(frame: Any) -> NDArray[np.uint8]:
        read[0] += 1
        return upright(frame)

    monkeypatch.setattr(reading, "_upright", counted)
    (output,) = plan_videos([video], tmp_path / "out", True, None, force=False)
    predict_video(PREDICT, output, Clip(range_m=(0, 9)), lambda what, done, total: ahead.append(read[0] - done))
    assert len(ahead) == 60
    assert max(ahead) <= 2 * torch.get_num_threads() + 1


def test_videos_and_folders_of_someone_else_are_spared(tmp_path: Path) -> None:
    video, out = film(tmp_path / "clip.mp4"), tmp_path / "out"
    out.mkdir()
    film(out / "clip.beside.mp4", frames=2)
    with pytest.raises(UserError, match=r"clip\.beside\.mp4: was not written by `cliffkit predict`"):
        run(video, out)
    run(video, out, Clip(last=3), force=True)
    run(video, out, Clip(last=4))
    assert len(frames_of(out / "clip.beside.mp4")) == 5, "now it was"
    (out / "clip.frames").mkdir()
    (out / "clip.frames" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"clip\.frames: holds something else than frames' depth"):
        run(video, out, frame_depth="png", force=True)
    video.rename(out / "clip.mp4")
    (out / "clip.beside.mp4").rename(out / "clip.beside.beside.mp4")
    with pytest.raises(UserError, match="would be written over, and is a video to predict"):
        plan_videos([out / "clip.beside.mp4", out / "clip.beside.beside.mp4"], out, True, None, force=True)


def test_a_video_among_images_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"clip\.MP4: a video; predict it by `cliffkit\.predict_videos`"):
        find_images([tmp_path / "clip.MP4"])
