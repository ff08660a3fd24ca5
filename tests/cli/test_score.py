"""`cliffkit score`: predictions that were not made here."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import cliffkit
from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.events import Event, Notice
from cliffkit.interfaces import Sample
from cliffkit.recipe.check import check_part

from ..conftest import Finished, Invoke
from ..plugins.layout_files import write_kitti

HEIGHT, WIDTH = 48, 64
FX, FY, CX, CY = 40.0, 42.0, 31.0, 25.0
Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pairs with holes and a camera, four of them for testing, one in a folder of its own."""
    root, lines = tmp_path_factory.mktemp("data"), []
    rng = np.random.default_rng(7)
    for i, split in enumerate(("train", "train", "val", "val", "test", "test", "test", "test")):
        folder = "far" if i == 7 else "near"
        for kind in ("rgb", "depth"):
            (root / kind / folder).mkdir(parents=True, exist_ok=True)
        row, column = np.mgrid[:HEIGHT, :WIDTH]
        mm = 900 + 300 * i + 40 * row + 25 * column + rng.integers(0, 200, (HEIGHT, WIDTH))
        mm[rng.random((HEIGHT, WIDTH)) < 0.2] = 0
        Image.fromarray(mm.astype(np.uint16)).save(root / f"depth/{folder}/{i}.png")
        Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)).save(root / f"rgb/{folder}/{i}.png")
        line = {"rgb": f"rgb/{folder}/{i}.png", "depth": f"depth/{folder}/{i}.png", "scene_id": f"s{i}", "split": split}
        lines.append({**line, "fx": FX, "fy": FY, "cx": CX, "cy": CY})
    with (root / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return root


@pytest.fixture(scope="module")
def samples(data: Path, registry: Registry) -> dict[str, Sample]:
    """The test images by name: rgb/near/4.png to rgb/far/7.png."""
    split = check_part("dataset", "pairs", registry, "test").build("test", data)
    return {split.name(i): split[i] for i in range(len(split))}


def guess(name: str, sample: Sample, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Floats:
    """Depth that is wrong by up to a third, in metres, at any size."""
    rng = np.random.default_rng(sum(map(ord, name)))
    row, column = np.mgrid[: size[0], : size[1]]
    true = float(sample.depth[sample.valid].median())
    return true * (0.6 + 0.5 * row / size[0] + 0.3 * column / size[1]) * np.exp(rng.normal(0, 0.1, size))


def write(
    folder: Path, samples: dict[str, Sample], change: Callable[[Floats], Any] = lambda depth: depth.astype(np.float32)
) -> Path:
    """A .npy for each image, at its path."""
    for name, sample in samples.items():
        path = folder / Path(name).with_suffix(".npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, change(guess(name, sample)))
    return folder


def score(place: Path, data: Path, tmp_path: Path, protocols: Any = ("full",), **chosen: Any) -> cliffkit.Scored:
    """The predictions' scores, told to nobody."""
    out = tmp_path / "scores"
    return cliffkit.score(place, list(protocols), data={"pairs": data}, out=out, **{"progress": False, **chosen})


def abs_rel(scored: cliffkit.Scored, protocol: str = "full") -> float:
    return float(scored.metrics[protocol]["abs_rel"])


def plainly(depth: Floats, sample: Sample, *, eigen: bool, median: bool) -> dict[str, float]:
    """The metrics as public evaluators compute them, in float64, written from their definitions."""
    truth = sample.depth[0].numpy().astype(np.float64)
    keep = sample.valid[0].numpy() & (truth > 1e-3)
    if eigen:
        crop = np.zeros_like(keep)
        crop[45 * HEIGHT // 480 : 471 * HEIGHT // 480, 41 * WIDTH // 640 : 601 * WIDTH // 640] = True
        keep &= crop & (truth < 10)
    true, predicted = truth[keep], depth[keep]
    if median:
        predicted = predicted * np.median(true) / np.median(predicted)
    predicted = predicted.clip(1e-3, 10 if eigen else np.inf)
    ratio, log = np.maximum(true / predicted, predicted / true), np.log(predicted) - np.log(true)
    return {
        "abs_rel": np.mean(np.abs(true - predicted) / true),
        "sq_rel": np.mean((true - predicted) ** 2 / true),
        "rmse": np.sqrt(np.mean((true - predicted) ** 2)),
        "rmse_log": np.sqrt(np.mean(log**2)),
        "log10": np.mean(np.abs(np.log10(predicted) - np.log10(true))),
        "silog": 100 * np.sqrt(np.mean(log**2) - np.mean(log) ** 2),
        **{f"delta{k}": np.mean(ratio < 1.25**k) for k in (1, 2, 3)},
    }


def test_scores_are_those_of_a_plain_evaluator(data: Path, samples: dict[str, Sample], tmp_path: Path) -> None:
    place = write(tmp_path / "theirs", samples)
    scored = score(place, data, tmp_path, ("full", "eigen", "eigen+median"))
    for protocol, rule in {
        "full": {"eigen": False, "median": False},
        "eigen": {"eigen": True, "median": False},
        "eigen+median": {"eigen": True, "median": True},
    }.items():
        rows = [plainly(guess(n, s).astype(np.float32).astype(np.float64), s, **rule) for n, s in samples.items()]
        for metric in rows[0]:
            expected = math.fsum(row[metric] for row in rows) / len(rows)
            assert scored.metrics[protocol][metric] == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert [row["image"] for row in scored.per_image][:4] == list(samples)
    assert scored.per_image[0]["abs_rel"] == pytest.approx(
        plainly(np.load(place / "rgb/near/4.npy"), samples["rgb/near/4.png"], eigen=False, median=False)["abs_rel"]
    )
    assert scored.panel.stat().st_size > 0
    assert scored.warnings == ()


def test_predictions_of_a_run_have_the_scores_of_the_run(finished: Finished, tmp_path: Path) -> None:
    run = cliffkit.load_run(finished.folder, device="cpu")
    options = {name: value for name, value in run.recipe.data.to_dict().items() if name not in ("size", "crop")}
    split = run.recipe.data.build("test", None)
    (tmp_path / "own").mkdir()
    for i in range(len(split)):
        rgb = split[i].image.permute(1, 2, 0).numpy()
        np.save(tmp_path / "own" / f"{Path(split.name(i)).name}.npy", run.predictor()(rgb))
    scored = cliffkit.score(tmp_path / "own", ["full"], dataset=options, out=tmp_path / "scores", progress=False)
    for metric, value in run.metrics["full"].items():
        assert scored.metrics["full"][metric] == pytest.approx(value, rel=1e-5)
    for ours, theirs in zip(scored.per_image, run.per_image, strict=True):
        assert ours["image"] == theirs["image"]
        assert ours["rmse"] == pytest.approx(theirs["rmse"], rel=1e-5)


def test_every_way_to_store_the_same_depth_has_the_same_score(
    data: Path, samples: dict[str, Sample], tmp_path: Path
) -> None:
    expected = abs_rel(score(write(tmp_path / "npy", samples), data, tmp_path))
    depths = {name: guess(name, sample) for name, sample in samples.items()}
    for kind in ("npz", "png", "kitti", "tif", "flat", "stack"):
        (tmp_path / kind).mkdir()
    for i, (name, depth) in enumerate(depths.items()):
        stem = Path(name).stem
        np.savez(tmp_path / "npz" / f"{stem}.npz", rgb=np.zeros(3), depth=depth[None])
        Image.fromarray(np.rint(depth * 1000).astype(np.uint16)).save(tmp_path / "png" / f"{stem}_depth.png")
        Image.fromarray(np.rint(depth * 256).astype(np.uint16)).save(tmp_path / "kitti" / f"{i:03d}.png")
        Image.fromarray(depth.astype(np.float32)).save(tmp_path / "tif" / f"{stem}.tif")
        np.save(tmp_path / "flat" / (name.replace("/", "_") + ".npy"), depth[..., None])
        np.save(tmp_path / "stack" / f"{stem}.npy", depth.astype(np.float32).astype(np.float64))
    digests = {score(tmp_path / place, data, tmp_path).record.predictions.digest for place in ("npy", "tif", "stack")}
    assert len(digests) == 1, "the hash is of the numbers, not of the files"
    np.save(tmp_path / "stack" / "all.npy", np.stack(list(depths.values())))

    for place, chosen in {
        "npz": {"key": "depth"},
        "png": {"quantity": {"use": "depth", "scale": 1000}},
        "kitti": {"quantity": {"use": "depth", "scale": 256}, "match": "order"},
        "tif": {},
        "flat": {},
        "stack/all.npy": {},
    }.items():
        assert abs_rel(score(tmp_path / place, data, tmp_path, **chosen)) == pytest.approx(expected, rel=2e-3), place


def test_openexr_is_read(data: Path, samples: dict[str, Sample], tmp_path: Path) -> None:
    exr = pytest.importorskip("OpenEXR")
    expected = abs_rel(score(write(tmp_path / "npy", samples), data, tmp_path))
    (tmp_path / "exr").mkdir()
    for name, sample in samples.items():
        header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
        channels = {"Z": guess(name, sample).astype(np.float32), "A": np.zeros((HEIGHT, WIDTH), np.float32)}
        exr.File(header, channels).write(str(tmp_path / "exr" / f"{Path(name).stem}.exr"))
    assert abs_rel(score(tmp_path / "exr", data, tmp_path)) == pytest.approx(expected, rel=1e-6)


def test_every_quantity_becomes_the_same_depth(data: Path, samples: dict[str, Sample], tmp_path: Path) -> None:
    expected = abs_rel(score(write(tmp_path / "depth", samples), data, tmp_path))
    row, column = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    ray = np.sqrt(1 + ((column - CX) / FX) ** 2 + ((row - CY) / FY) ** 2)
    inverse = write(tmp_path / "inverse", samples, lambda depth: 1 / depth)
    disparity = write(tmp_path / "disparity", samples, lambda depth: 0.54 * 721 / depth)
    distance = write(tmp_path / "distance", samples, lambda depth: depth * ray)
    for scored in (
        score(inverse, data, tmp_path, quantity="inverse"),
        score(disparity, data, tmp_path, quantity={"use": "disparity", "baseline_m": 0.54, "focal_px": 721}),
        score(distance, data, tmp_path, quantity="distance"),
    ):
        assert abs_rel(scored) == pytest.approx(expected, rel=1e-5)
        assert scored.warnings == ()


def test_a_prediction_of_another_size_is_resized_as_a_networks_is(
    data: Path, samples: dict[str, Sample], tmp_path: Path
) -> None:
    place = write(tmp_path / "half", samples, lambda depth: depth[::2, ::2])
    scored = score(place, data, tmp_path)
    small = guess("rgb/near/4.png", samples["rgb/near/4.png"])[::2, ::2]
    rows, columns = ((np.arange(2 * n) + 0.5) / 2 - 0.5 for n in small.shape)  # bilinear, about pixel centres
    between = np.array([[_at(small, y, x) for x in columns] for y in rows])
    expected = plainly(between, samples["rgb/near/4.png"], eigen=False, median=False)["abs_rel"]
    assert scored.per_image[0]["abs_rel"] == pytest.approx(expected, rel=1e-6)


def _at(values: Floats, y: float, x: float) -> float:
    (y0, fy), (x0, fx) = ((int(np.floor(c)), c - np.floor(c)) for c in (y, x))
    rows, columns = (np.clip([a, a + 1], 0, n - 1) for a, n in zip((y0, x0), values.shape, strict=True))
    return float(np.array([1 - fy, fy]) @ values[np.ix_(rows, columns)] @ np.array([1 - fx, fx]))


def test_missing_and_extra_predictions_are_named_and_missing_ones_refused(
    data: Path, samples: dict[str, Sample], tmp_path: Path
) -> None:
    place = write(tmp_path / "some", samples)
    (place / "rgb/near/5.npy").rename(place / "rgb/near/unknown.npy")
    with pytest.raises(UserError, match=r"1 of 4 test images have no prediction: rgb/near/5.png; .*--allow-missing"):
        score(place, data, tmp_path)
    assert not list((tmp_path / "scores").glob("*"))

    events: list[Event] = []
    scored = score(place, data, tmp_path, allow_missing=True, progress=events.append)
    texts = [event.text for event in events if isinstance(event, Notice)]
    assert any("1 predictions are of no test image: rgb/near/unknown.npy" in text for text in texts)
    assert scored.missing == ("rgb/near/5.png",)
    assert (scored.metrics["full"]["n"], scored.metrics["full"]["absent"]) == (3, 0)
    assert [row["image"] for row in scored.per_image if math.isnan(row["abs_rel"])] == ["rgb/near/5.png"]


def test_two_files_of_one_image_are_refused_by_both_names(
    data: Path, samples: dict[str, Sample], tmp_path: Path
) -> None:
    place = write(tmp_path / "two", samples)
    np.save(place / "rgb/near/5.png.npy", np.ones((HEIGHT, WIDTH), np.float32))
    with pytest.raises(UserError, match=r"rgb/near/5.npy, rgb/near/5.png.npy are all of the image rgb/near/5.png;"):
        score(place, data, tmp_path)
    (place / "rgb/near/5.png.npy").unlink()
    for name in ("other.npy", "other.png.npy"):
        np.save(place / name, np.ones((2, 2), np.float32))
    assert score(place, data, tmp_path).record.predictions.extra == 2


def test_predictions_in_folders_of_other_images_are_not_taken_by_their_names(
    data: Path, samples: dict[str, Sample], tmp_path: Path
) -> None:
    place = write(tmp_path / "rooms", samples)
    for theirs, ours in (("kitchen", "near"), ("office", "far")):
        (place / "rgb" / ours).rename(place / "rgb" / theirs)
    words = r"file names match and folders do not: rgb/kitchen/4 for rgb/near/4.png, .*--match FILE.csv"
    with pytest.raises(UserError, match=words):
        score(place, data, tmp_path)

    (place / "rgb").rename(place / "depth_pred")
    (place / "depth_pred/kitchen").rename(place / "depth_pred/near")
    (place / "depth_pred/office").rename(place / "depth_pred/far")
    assert score(place, data, tmp_path).warnings == (), "a word that says what files hold is no folder of an image"

    (tmp_path / "one/them").mkdir(parents=True)
    for file in place.rglob("*.npy"):
        file.rename(tmp_path / "one/them" / file.name)
    (warning,) = score(tmp_path / "one", data, tmp_path).warnings
    assert warning.startswith("file names match and folders do not: them/4 for rgb/near/4.png, ")
    assert score(tmp_path / "one/them", data, tmp_path).warnings == ()


def test_scores_of_a_numbered_folder_are_called_by_the_folder_above_too(
    data: Path, samples: dict[str, Sample], tmp_path: Path
) -> None:
    numbered = score(write(tmp_path / "theirs" / "0", samples), data, tmp_path)
    assert numbered.record.name == "theirs-0"
    assert numbered.folder.name.startswith("theirs-0-")
    assert score(write(tmp_path / "theirs", samples), data, tmp_path).record.name == "theirs"


def test_a_list_says_which_file_is_of_which_image(data: Path, samples: dict[str, Sample], tmp_path: Path) -> None:
    named = write(tmp_path / "named", samples)
    shuffled = tmp_path / "shuffled"
    shuffled.mkdir()
    lines = ["image,prediction"]
    for k, name in enumerate(reversed(samples)):
        (named / Path(name).with_suffix(".npy")).rename(shuffled / f"{k}.npy")
        lines.append(f"{name},{k}.npy")
    index = tmp_path / "list.csv"
    index.write_text("\n".join(lines) + "\n", encoding="utf-8")
    scored = score(shuffled, data, tmp_path, match=str(index))
    again = score(write(named, samples), data, tmp_path)
    assert scored.per_image.column("abs_rel") == again.per_image.column("abs_rel")
    assert scored.record.predictions.matched == f"by the list {index}"

    wrong = [lines[0], lines[1], lines[1], lines[2].replace(".png", ".jpg"), lines[3].replace("2.npy", "7.npy")]
    index.write_text("\n".join(wrong) + "\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        score(shuffled, data, tmp_path, match=str(index))
    for line, words in ((3, "stands twice"), (4, "is no test image; did you mean"), (5, "there is no file")):
        assert re.search(rf"list.csv: line {line}: .*{words}", str(caught.value))
    index.write_text("\n".join([*lines[:2], lines[2].replace("1.npy", "0.npy")]) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"line 3: .*0.npy is the prediction of another image too"):
        score(shuffled, data, tmp_path, match=str(index))
    index.write_text("name,file\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 1: has no column 'image'"):
        score(shuffled, data, tmp_path, match=str(index))


@pytest.mark.parametrize(
    ("change", "chosen", "words"),
    [
        (lambda depth: depth * 1000, {}, "millimetres or other units, read as metres"),
        (
            lambda depth: depth,
            {"quantity": {"use": "depth", "scale": 1000}},
            "times the truth (median over 4 images); are the files in metres? Leave out --scale",
        ),
        (
            lambda depth: np.rint(depth * 1000).astype(np.uint16),
            {"quantity": {"use": "depth", "scale": 256}},
            "times the truth (median over 4 images); are the files in millimetres? Write --scale 1000",
        ),
        (
            lambda depth: np.rint(depth).astype(np.uint16),
            {"quantity": {"use": "depth", "scale": 1000}},
            "are the files in metres? Write --scale 1",
        ),
        (lambda depth: depth * 20, {}, "A scale of 2"),
        (lambda depth: 1 / depth, {}, "are they inverse depth or disparity, read as depth"),
        (lambda depth: depth, {"quantity": "inverse"}, "are they depth, read as inverse"),
        (
            lambda depth: (depth * 20).astype(np.uint8),
            {"quantity": {"use": "depth", "scale": 20}},
            "4 of 4 predictions hold 8 bits a pixel",
        ),
        (lambda depth: depth.T, {}, "4 of 4 predictions have the sides of their image exchanged"),
        (lambda depth: depth[8:], {}, "4 of 4 predictions have other proportions than their image"),
        (lambda depth: np.full_like(depth, 2.0), {}, "4 of 4 predictions hold one value only"),
        (lambda depth: np.where(depth > 3, np.nan, depth), {}, "predictions hold NaN or infinite values"),
        (lambda depth: np.where(depth > 3, 0, depth), {}, "predictions hold values of 0 or less, which are no depth"),
    ],
)
def test_what_is_odd_about_predictions_is_told(
    change: Callable[[Floats], Any],
    chosen: dict[str, Any],
    words: str,
    data: Path,
    samples: dict[str, Sample],
    tmp_path: Path,
) -> None:
    scored = score(write(tmp_path / "odd", samples, change), data, tmp_path, ("eigen",), **chosen)
    assert any(words in warning for warning in scored.warnings), scored.warnings


def test_a_network_that_is_only_bad_and_depth_that_is_aligned_are_not_taken_for_another_unit(
    data: Path, samples: dict[str, Sample], tmp_path: Path
) -> None:
    far = write(tmp_path / "far", samples, lambda depth: depth * 2.0)
    assert score(far, data, tmp_path).warnings == ()
    factors = cycle((3.0, 6.0))
    mixed = write(tmp_path / "mixed", samples, lambda depth: depth * next(factors))
    assert score(mixed, data, tmp_path).warnings == (), "the factors of a bad network differ"
    wrong = write(tmp_path / "wrong", samples, lambda depth: depth / 10)
    assert score(wrong, data, tmp_path, ("full+median",)).warnings == ()
    assert len(score(wrong, data, tmp_path, ("full", "full+median")).warnings) == 1


def test_distance_read_as_depth_is_told(data: Path, samples: dict[str, Sample], tmp_path: Path) -> None:
    row, column = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    ray = np.sqrt(1 + ((column - CX) / FX) ** 2 + ((row - CY) / FY) ** 2)
    for name, sample in samples.items():
        path = tmp_path / "radial" / Path(name).with_suffix(".npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, sample.depth[0].numpy() * ray)
    scored = score(tmp_path / "radial", data, tmp_path, ("eigen",))
    assert any("distance from the camera's centre" in warning for warning in scored.warnings)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"quantity": "disparity"}, "needs a baseline"),
        ({"quantity": "depths"}, "is no quantity"),
        ({"quantity": {"use": "depth", "scale": 0}}, "scale of predictions is 0"),
        ({"quantity": {"use": "depth", "scal": 1}}, "unknown key 'scal'"),
        ({"match": "size"}, "no way to match"),
        ({"quantity": {"use": "distance", "camera": [1, 2, 3]}}, "has 3 numbers"),
        ({"protocols": ["full+flip"]}, "averages with the prediction of the mirrored image"),
        ({"dataset": "nyu"}, "nyu"),
        ({"protocols": []}, "the field has none for 'pairs'; name one, as --protocol full"),
    ],
)
def test_wrong_arguments_are_refused_with_the_remedy(
    chosen: dict[str, Any], words: str, data: Path, samples: dict[str, Sample], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words):
        score(write(tmp_path / "theirs", samples), data, tmp_path, **chosen)


def test_without_a_protocol_the_field_s_own_is_taken(tmp_path: Path, registry: Registry) -> None:
    kitti = write_kitti(tmp_path / "kitti")
    split = check_part("dataset", "kitti", registry, "test").build("test", kitti)
    for i in range(len(split)):
        file = tmp_path / "theirs" / f"{split.name(i)}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, np.full(split[i].depth.shape[1:], 12, np.float32))
    scored = cliffkit.score(tmp_path / "theirs", data={"kitti": kitti}, out=tmp_path / "scores", progress=False)
    assert set(scored.metrics) == {"garg"}


def test_whole_numbers_need_their_scale_and_colours_are_no_depth(
    data: Path, samples: dict[str, Sample], tmp_path: Path
) -> None:
    for kind in ("png", "colour", "empty", "other"):
        (tmp_path / kind).mkdir()
    for name, sample in samples.items():
        mm = np.rint(guess(name, sample) * 1000).astype(np.uint16)
        Image.fromarray(mm).save(tmp_path / "png" / f"{Path(name).stem}.png")
        Image.fromarray(np.stack([mm >> 8] * 3, -1).astype(np.uint8)).save(
            tmp_path / "colour" / f"{Path(name).stem}.png"
        )
        np.save(tmp_path / "other" / f"frame_{Path(name).stem}0.npy", mm)
    for place, words in {
        "png": r"whole numbers \(uint16\); give their scale",
        "colour": "a picture of mode RGB",
        "empty": "there is no prediction in it",
        "other": "no prediction has the name of a test image; the images are called rgb/near/4.png",
    }.items():
        with pytest.raises(UserError, match=words):
            score(tmp_path / place, data, tmp_path)


def test_the_command_prints_scores_warnings_and_where_they_lie(
    invoke: Invoke, data: Path, samples: dict[str, Sample], tmp_path: Path
) -> None:
    place = write(tmp_path / "theirs", samples, lambda depth: depth * 1000)
    arguments = ("score", place, "--data", f"pairs={data}", "--protocol", "eigen+median", "-o", tmp_path / "scores")
    ran = invoke(*arguments)
    assert ran.exit_code == 0, ran.stderr
    assert "scaled per image by the ratio of medians" in " ".join(ran.stdout.split())
    assert "predictions: 4 of 4 test images, depth ahead of the camera in metres" in ran.stdout
    assert "warning: the median predicted depth is" in ran.stdout
    told = json.loads(invoke(*arguments, "--json").stdout)
    assert told["metrics"]["eigen+median"]["n"] == 4
    assert len(told["warnings"]) == 1
    assert Path(told["scores"], "per_image.csv").exists()
    refused = invoke("score", place, "--protocol", "eigen")
    assert refused.exit_code == 2
    assert "which data set? none is named" in refused.stderr
