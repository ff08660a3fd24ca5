"""Which images `predict` reads, and where it writes: nothing of someone else's is lost."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from cliffkit.errors import UserError
from cliffkit.prediction.files import Forms, predict_files
from cliffkit.prediction.inputs import find_images
from cliffkit.prediction.points import Cloud
from cliffkit.prediction.predictor import Predictor


class Red(nn.Module):
    """A network whose depth is an image's red, in metres."""

    def forward(self, image: Tensor) -> Tensor:
        return image[:, :1].float()


EVERY_FORM = Forms(cloud=Cloud(None, 60.0, 1))
PREDICT = Predictor(Red(), (4, 6), 1.0, torch.device("cpu"))


def photo(path: Path, red: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6, 3), red, np.uint8)).save(path)
    return path


def run(images: list[Path], out: Path, force: bool = False) -> list[str]:
    """Predict; the names of the arrays below `out`."""
    rows = list(predict_files(PREDICT, images, out, EVERY_FORM, force=force))
    return [os.path.relpath(row["depth_npy"], out) for row in rows]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_predicting_again_writes_over_what_was_predicted(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run([photo(tmp_path / "a.png", 3)], out)
    run([photo(tmp_path / "a.png", 7)], out)
    assert (np.load(out / "a.npy") == 7).all()


def as_text(path: Path) -> None:
    path.write_text("mine")


def as_picture(path: Path) -> None:
    Image.fromarray(np.zeros((4, 6), np.uint16)).save(path, format="PNG")


def as_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones((4, 6), np.float32))


def as_link(path: Path) -> None:
    path.symlink_to(photo(path.parent / "elsewhere.png"))


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def as_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [as_text, as_picture, as_array, as_link, as_dangling_link, as_pipe])
@pytest.mark.parametrize("form", ["npy", "depth.png", "colour.png", "beside.png", "ply"])
def test_a_file_of_someone_else_is_never_written_over_unless_forced(
    tmp_path: Path, form: str, make: Callable[[Path], None]
) -> None:
    image, out = photo(tmp_path / "a.png"), tmp_path / "out"
    out.mkdir()
    make(out / f"a.{form}")
    before = sorted(os.listdir(out))
    with pytest.raises(UserError, match=rf"out/a\.{form}: was not written by .*another folder with -o, or .* --force"):
        run([image], out)
    assert sorted(os.listdir(out)) == before, "nothing is written beside it"
    run([image], out, force=True)
    assert (np.load(out / "a.npy") == 3).all()


@pytest.mark.parametrize("change", ["npy", "depth.png", "colour.png"])
def test_a_prediction_that_was_changed_since_is_someone_elses(tmp_path: Path, change: str) -> None:
    image, out = photo(tmp_path / "a.png"), tmp_path / "out"
    run([image], out)
    if change == "npy":
        np.save(out / "a.npy", np.load(out / "a.npy") * 2)
    else:
        with Image.open(out / f"a.{change}") as picture:
            picture.load()
        picture.save(out / f"a.{change}")
    with pytest.raises(UserError, match=rf"a\.{change}.*was changed since"):
        run([image], out)


def test_all_files_in_the_way_are_named(tmp_path: Path) -> None:
    images = [photo(tmp_path / f"{i:02}.png") for i in range(12)]
    out = tmp_path / "out"
    out.mkdir()
    for i in range(12):
        as_text(out / f"{i:02}.npy")
    with pytest.raises(UserError, match=r"out/00\.npy, .*out/09\.npy, and 2 more: was not"):
        run(images, out)


def test_an_image_is_never_written_over_even_where_forced(tmp_path: Path) -> None:
    images = [photo(tmp_path / "a.png"), photo(tmp_path / "a.depth.png")]
    before = content(tmp_path)
    with pytest.raises(UserError, match=r"a\.depth\.png: would be written over, and is an image to predict"):
        run(images, tmp_path, force=True)
    assert content(tmp_path) == before


def test_images_of_one_name_from_several_folders_keep_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("in/x/a.png", "in/y/a.png", "in/y/deep/b.png"):
        photo(tmp_path / name)
    images = find_images([tmp_path / "in"])
    assert run(images, tmp_path / "out") == ["x/a.npy", "y/a.npy", "y/deep/b.npy"]
    assert run(images[1:], tmp_path / "two") == ["a.npy", "b.npy"], "names differ"
    assert run(images[:1], tmp_path / "one") == ["a.npy"]
    monkeypatch.chdir(tmp_path / "in" / "x")
    assert run([Path("a.png"), Path("../y/a.png")], Path("out")) == ["x/a.npy", "y/a.npy"]


def test_a_folder_stands_for_all_images_in_it_each_once(tmp_path: Path) -> None:
    names = ["b.JPG", "a.png", "deep/c.tiff"]
    for name in [*names, ".hidden.png", ".cache/d.png"]:
        photo(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    run([tmp_path / "a.png"], tmp_path)  # pictures of depth beside the images
    expected = [tmp_path / name for name in sorted(names)]
    assert find_images([tmp_path]) == expected
    assert find_images([tmp_path / "b.JPG", tmp_path, tmp_path / "deep/../a.png"]) == [
        tmp_path / "b.JPG", tmp_path / "a.png", tmp_path / "deep/c.tiff",
    ]  # fmt: skip


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"there is no image in it; name a folder with files that end in \.bmp"):
        find_images([tmp_path])


def test_a_pipe_is_refused_before_anything_is_predicted(tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    os.mkfifo(tmp_path / "in/b.png")
    with pytest.raises(UserError, match=r"b\.png: is a pipe"):
        run(find_images([tmp_path / "in"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["npy", "depth.png", "colour.png", "beside.png", "ply"])
def test_a_folder_where_a_file_is_to_be_is_an_error_even_where_forced(tmp_path: Path, form: str) -> None:
    image = photo(tmp_path / "a.png")
    (tmp_path / "out" / f"a.{form}").mkdir(parents=True)
    with pytest.raises(UserError, match=rf"a\.{form}: is a folder where a file is to be written"):
        run([image], tmp_path / "out", force=True)


def test_an_output_folder_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    image = photo(tmp_path / "a.png")
    as_text(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    for out in (tmp_path / "file", tmp_path / "file/below", tmp_path / "pipe", Path("/proc/nowhere")):
        with pytest.raises(UserError, match=f"{out}: cannot be written: .*name another folder with -o"):
            run([image], out)


def test_an_output_folder_without_permission_is_an_error_before_anything_is_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write everywhere, so that the system's answer is made up."""
    image, out = photo(tmp_path / "a.png"), tmp_path / "out"
    out.mkdir()
    open_file = tempfile.TemporaryFile

    def refuse(*, dir: Path) -> IO[bytes]:
        if dir == out:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(out))
        return open_file(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(UserError, match="out: cannot be written: Permission denied; name another folder with -o"):
        list(predict_files(None, [image], out))  # type: ignore[arg-type]  # nothing is predicted
    assert not list(out.iterdir())


def test_names_are_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    most = os.pathconf(tmp_path, "PC_NAME_MAX") - len(".colour.png")
    assert run([photo(tmp_path / f"{'a' * most}.png")], tmp_path / "out") == [f"{'a' * most}.npy"]
    long = photo(tmp_path / f"{'b' * (most + 1)}.png")
    with pytest.raises(UserError, match=r"b\.colour\.png: cannot be written: File name too long; rename"):
        run([long], tmp_path / "out")


def test_names_that_are_no_utf_8_are_names(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    try:
        photo(tmp_path / f"{name}.png")
    except OSError:
        pytest.skip("this file system has no such names")
    assert run([tmp_path / f"{name}.png"], tmp_path / "out") == [f"{name}.npy"]


def test_every_image_that_cannot_be_read_is_named_at_once(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("no image")
    Image.new("I;16", (4, 4)).save(tmp_path / "grey.png")
    images = [tmp_path / name for name in ("a.png", "b.png", "grey.png", "none.png")]
    with pytest.raises(UserError) as refused:
        list(predict_files(None, images, tmp_path / "out"))  # type: ignore[arg-type]  # nothing is predicted
    lines = str(refused.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == list(map(str, images))
    assert "or leave it out" in lines[2]
    assert not (tmp_path / "out").exists()
