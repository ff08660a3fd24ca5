from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import cliffkit
import cliffkit.prediction.predictor as predictor_module
from cliffkit.cli.scores import print_run
from cliffkit.components.load import load_plugins
from cliffkit.components.registry import Registry
from cliffkit.data.resize import at_training_size
from cliffkit.data.splits import open_split
from cliffkit.errors import UserError
from cliffkit.events import Notice
from cliffkit.interfaces import Sample, ScoredDepth
from cliffkit.jobs.run_folder import write_sums
from cliffkit.method.network import DepthNetwork
from cliffkit.prediction.files import predict_files, read_image
from cliffkit.prediction.inputs import find_images
from cliffkit.prediction.predictor import WHOLE, Predictor, load_run, predictor
from cliffkit.prediction.scored import predicted_by, score_images
from cliffkit.protocols import View
from cliffkit.recipe.check import load_recipe
from cliffkit.recipe.part import Part
from cliffkit.recipe.recipe import Recipe
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.scores import score_image
from cliffkit.stages.depth import _predict
from cliffkit.verbs.finished import Run
from cliffkit_protocols.eigen import eigen
from cliffkit_protocols.full import full
from cliffkit_protocols.metrics.normals import NormalShare

from ..engine_fixtures import Tiny, cpu, do, engine_recipe

CPU = torch.device("cpu")


class Lopsided(nn.Module):
    """A network that a mirror shows: red, in metres, weighed by the column. Keeps what it was fed."""

    def __init__(self) -> None:
        super().__init__()
        self.fed: list[Tensor] = []

    def forward(self, image: Tensor) -> Tensor:
        assert image.dtype == torch.uint8
        assert image.shape[:2] == (1, 3)
        self.fed.append(image)
        return image[:, :1].float() * torch.linspace(0.1, 1, image.shape[-1])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Run:
    folder = tmp_path_factory.mktemp("predict")
    return do(engine_recipe(folder, registry), folder / "runs")


@pytest.fixture(scope="module")
def recipe(run: Run, registry: Registry) -> Recipe:
    return load_run(run.folder, registry)


def picture(height: int, width: int) -> Tensor:
    return Tiny(height=height, width=width)[0].image


@pytest.mark.parametrize(
    ("image", "size", "crop", "view", "fed"),
    [
        ((480, 640), (228, 304), 0.95, View(0.95, (228, 304)), (228, 304)),  # the centre: as in training
        ((480, 640), (228, 304), 0.95, View(0.95), (228, 304)),  # whatever size is wanted
        ((480, 640), (228, 304), 0.95, View(), (240, 320)),  # the whole image: at the same scale, so larger
        ((480, 640), (240, 320), 1.0, View(0.95), (228, 304)),
        ((120, 160), (96, 128), 1.0, View(), (96, 128)),
        ((480, 640), (96, 128), 1.0, View(), (96, 128)),  # other images as large in the network as those of training
        ((37, 51), (32, 48), 0.9, View(), (36, 53)),
        ((480, 640), (228, 304), 0.95, View(1, (228, 304), squeezed=True), (228, 304)),
        ((48, 64), (12, 20), 0.5, View(1, (30, 40), squeezed=True), (12, 20)),
    ],
)
def test_the_network_is_fed_at_the_scale_of_training(
    image: tuple[int, int], size: tuple[int, int], crop: float, view: View, fed: tuple[int, int]
) -> None:
    network = Lopsided()
    depth = Predictor(network, size, crop, CPU)(picture(*image), view)
    assert network.fed[0].shape[-2:] == fed
    region = tuple(round(view.region * side) for side in image)
    assert depth.shape == (view.size or region)
    assert depth.dtype == np.float32


def test_a_view_is_fed_the_pixels_that_a_pack_of_that_crop_holds() -> None:
    network = Lopsided()
    sample = Tiny(height=240, width=320)[0]
    Predictor(network, (57, 76), 0.95, CPU)(sample.image, View(0.95))
    assert torch.equal(network.fed[0][0], at_training_size(sample, (57, 76), 0.95).image)


@pytest.mark.parametrize("size", [(1, 1), (37, 51), (5, 200), (48, 64)])
def test_depth_comes_at_the_images_own_size_whatever_it_is(size: tuple[int, int], run: Run, recipe: Recipe) -> None:
    predict = predictor(recipe, run.folder / "weights.safetensors", CPU)
    for flip in (False, True):
        depth = predict(picture(*size), flip=flip)
        assert depth.shape == size
        assert np.isfinite(depth).all()


def test_flip_averages_with_the_mirrored_prediction_mirrored_back() -> None:
    image = picture(12, 16)
    predict = Predictor(Lopsided(), (12, 16), 1.0, CPU)
    red, ramp = image[0].double().numpy(), np.linspace(0.1, 1, 16)
    np.testing.assert_allclose(predict(image), red * ramp, rtol=1e-6)
    # the mirrored image's column 0 is the image's last: its weight, mirrored back, is the ramp backwards
    np.testing.assert_allclose(predict(image, flip=True), red * (ramp + ramp[::-1]) / 2, rtol=1e-6)


def test_with_flip_a_mirrored_image_has_the_mirrored_depth(run: Run, recipe: Recipe) -> None:
    predict = predictor(recipe, run.folder / "weights.safetensors", CPU)
    image = picture(48, 64)
    once = predict(image, flip=True)
    mirrored = image.flip(-1)
    np.testing.assert_allclose(predict(mirrored, flip=True), once[:, ::-1], atol=1e-5)
    assert np.abs(predict(mirrored) - predict(image)[:, ::-1]).max() > 1e-3, "without it, it has not"


def test_the_same_image_has_the_same_scores_of_evaluate_and_of_predict_to_rounding(
    tmp_path: Path, run: Run, recipe: Recipe
) -> None:
    data = open_split(recipe, "test", {})
    for i in range(4):
        Image.fromarray(data[i].image.permute(1, 2, 0).numpy()).save(tmp_path / f"{i}.png")
    predict = predictor(recipe, run.folder / "weights.safetensors", CPU)
    told = list(predict_files(predict, [tmp_path / f"{i}.png" for i in range(4)], tmp_path / "out"))
    with (run.folder / "per_image.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:4]
    for i, (facts, row) in enumerate(zip(told, rows, strict=True)):
        depth_m = np.load(facts["depth_npy"])
        np.testing.assert_array_equal(depth_m, predict(data[i].image))
        truth, valid = data[i].depth.numpy()[0], data[i].valid.numpy()[0]
        alone = score_image(depth_m, truth, valid, full())
        assert {name: float(row[name]) for name in METRICS} == pytest.approx(alone, rel=1e-5), "several at once"
        assert (facts["min_m"], facts["max_m"]) == (depth_m.min(), depth_m.max())
        stored = np.asarray(Image.open(facts["depth_png"])).astype(np.float64) / 1000
        assert np.abs(stored - np.clip(depth_m, 0, 65.535)).max() <= 0.0005001, "millimetres"
        with Image.open(facts["colour_png"]) as picture_of_it:
            picture_of_it.load()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        f"{i}.{form}" for i in range(4) for form in ("npy", "depth.png", "colour.png", "beside.png")
    )


class Sizes(Tiny):
    """Images of two sizes, in runs of several."""

    def __getitem__(self, index: int) -> Sample:
        self.size = (48, 64) if index // 9 % 2 else (40, 52)
        return super().__getitem__(index)


def test_images_are_predicted_several_at_once_in_their_order_and_to_rounding_as_alone(
    run: Run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = predictor(recipe, run.folder / "weights.safetensors", CPU)
    data, protocols = Sizes("test", count=40), (full(), eigen(), replace(full(), name="mirrored", flip=True))
    alone = [
        [predict(data[i].image, protocol.view, flip=protocol.flip) for protocol in (protocols[0], protocols[2])]
        for i in range(len(data))
    ]
    together: list[tuple[bool, Any]] = []
    predict_batch = Predictor.batch

    def watched(self: Predictor, images: Tensor, view: View = WHOLE, *, flip: bool = False) -> Any:
        depths = predict_batch(self, images, view, flip=flip)
        together.append((flip, depths))
        return depths

    monkeypatch.setattr(Predictor, "batch", watched)
    monkeypatch.setattr(predictor_module, "MOST_IMAGES", 5)
    indices = range(len(data))
    predicted = predicted_by(predict, data, indices, protocols)
    scored = score_images(data, indices, protocols, predicted, 5.0, lambda event: None)
    assert [len(depths) for flip, depths in together if not flip] == [5, 4, 5, 4, 5, 4, 5, 4, 4]
    for flip in (False, True):
        depths = [depth for mirrored, several in together if mirrored == flip for depth in several]
        for depth, (plain, both) in zip(depths, alone, strict=True):
            np.testing.assert_allclose(depth, both if flip else plain, rtol=1e-5, atol=1e-5)
    for image, sample, (plain, _) in zip(scored, map(data.__getitem__, range(40)), alone, strict=True):
        expected = score_image(plain, sample.depth.numpy()[0], sample.valid.numpy()[0], protocols[0])
        assert image.scores[0] == (expected and pytest.approx(expected, rel=1e-4))


def test_a_gpu_predicts_files_of_one_size_at_once_and_writes_what_they_give_alone(
    tmp_path: Path, run: Run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a GPU is asked, on the processor."""
    predict, names = predictor(recipe, run.folder / "weights.safetensors", CPU), []
    for k, size in enumerate([(48, 64)] * 3 + [(40, 52)] * 2 + [(48, 64)]):
        names.append(tmp_path / f"{k}.png")
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (*size, 3), dtype=np.uint8)).save(names[-1])
    alone = list(predict_files(predict, names, tmp_path / "alone", flip=True))

    sizes: list[int] = []
    predict_batch = Predictor.batch

    def watched(self: Predictor, images: Tensor, *view: Any, **more: Any) -> Any:
        sizes.append(len(images))
        return predict_batch(self, images, *view, **more)

    monkeypatch.setattr(Predictor, "batch", watched)
    monkeypatch.setattr(Predictor, "gathers", True)
    monkeypatch.setattr(predictor_module, "MOST_IMAGES", 2)
    together = list(predict_files(predict, names, tmp_path / "together", flip=True))
    assert sizes == [2, 1, 2, 1]
    assert [row["image"] for row in together] == [row["image"] for row in alone] == list(map(str, names))
    for own, other in zip(together, alone, strict=True):
        assert own.keys() == other.keys()
        np.testing.assert_allclose(np.load(own["depth_npy"]), np.load(other["depth_npy"]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("size", "most"), [((64, 96), 16), ((228, 304), 7), ((480, 640), 1), ((2000, 3000), 1)])
def test_larger_images_are_fewer_at_once(size: tuple[int, int], most: int) -> None:
    assert Predictor(Lopsided(), size, 1.0, CPU).at_once == most


class Narrow(nn.Module):
    """A network for which memory ends beyond `most` images; the depth is the red."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.passes = most, []

    def forward(self, image: Tensor) -> Tensor:
        if len(image) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.passes.append(len(image))
        return image[:, :1].float() / 255


def test_where_memory_ends_a_batch_is_divided_and_one_image_is_the_users_to_mend() -> None:
    images = torch.stack([picture(32, 48) + k for k in range(7)])
    network = Narrow(2)
    predict = Predictor(network, (32, 48), 1.0, CPU)
    np.testing.assert_array_equal(predict.batch(images), np.concatenate([predict(image)[None] for image in images]))
    assert network.passes[:4] == [1, 2, 2, 2]
    sample = Tiny()[0].map(lambda tensor: torch.stack([tensor] * 5))
    expected = _predict(Narrow(9), sample, cpu())
    np.testing.assert_array_equal(_predict(Narrow(1), sample, cpu()), expected)
    with pytest.raises(UserError, match=r"out of memory for one image of 32x48 on cpu; use --device cpu, or smaller"):
        Predictor(Narrow(0), (32, 48), 1.0, CPU).batch(images)


def test_images_of_every_mode_are_read_as_rgb(tmp_path: Path) -> None:
    grey = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8))
    for mode in ("L", "RGB", "RGBA", "P"):
        grey.convert(mode).save(tmp_path / f"{mode}.png")
        image = read_image(tmp_path / f"{mode}.png")
        assert image.shape == (3, 6, 8)
        assert image.dtype == torch.uint8
        assert torch.equal(image[0], torch.arange(48).reshape(6, 8))


def test_every_image_is_opened_before_the_first_is_predicted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("one.png", "one.jpg"):
        Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(tmp_path / "a" / name)
    whole = (tmp_path / "a" / "one.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no image")
    predict = Predictor(Lopsided(), (6, 8), 1.0, CPU)
    good = tmp_path / "a" / "one.png"
    for bad, message in (
        (tmp_path / "cut.png", r"cut\.png: cannot be read as an image"),
        (tmp_path / "text.png", r"text\.png: cannot be read as an image"),
        (tmp_path / "none.png", r"none\.png: does not exist"),
        (tmp_path / "a" / "one.jpg", r"a/one\.png and .*a/one\.jpg would both be written as .*out/one\.npy"),
    ):
        with pytest.raises(UserError, match=message):
            list(predict_files(predict, [good, bad], tmp_path / "out"))
        assert not (tmp_path / "out").exists()


def test_the_folder_of_a_run_is_no_folder_of_images(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").touch()
    Image.new("RGB", (4, 4)).save(tmp_path / "panel.png")
    with pytest.raises(UserError, match=r"a run's folder, not images; name one run, and then the images"):
        find_images([tmp_path])


def test_a_protocol_that_cannot_score_a_network_costs_only_itself(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    weights = load_file(folder / "weights.safetensors")
    (folder / "weights.safetensors").unlink()
    nothing = {name: value * 0 if name.startswith("head.") else value for name, value in weights.items()}
    save_file(nothing, folder / "weights.safetensors")  # predicts 0 m everywhere
    write_sums(folder)

    heard: list[Any] = []
    scored = cliffkit.evaluate(folder, ["full+median", "full"], progress=heard.append)
    assert list(scored.metrics) == ["full"]
    assert set(scored.per_image.column("protocol")) == {"full"}
    reason = scored.record.failures["full+median"]
    assert reason.startswith(
        "test image rooms/test/00000_bathroom: protocol 'full+median' cannot align: the median of the prediction"
    )
    assert reason.endswith("(4 of 4 images)")
    assert f"full+median is not scored: {reason}" in [event.text for event in heard if isinstance(event, Notice)]
    assert scored.panel.exists()
    print_run(scored, False)
    assert "full+median is not scored: test image rooms/test/0" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(UserError, match=r"test image rooms/test/0.* cannot align"):
        cliffkit.evaluate(folder, ["full+median"], progress=False)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path, run: Run, recipe: Recipe) -> None:
    weights = load_file(run.folder / "weights.safetensors")
    missing = {name: value for name, value in weights.items() if name != "head.metres.bias"}
    for name, tensors in (("missing", missing), ("more", {**weights, "other": torch.ones(1)})):
        save_file(tensors, tmp_path / name)
        with pytest.raises(UserError, match=f"{name}: does not hold this recipe's weights"):
            predictor(recipe, tmp_path / name, CPU)
    with pytest.raises(UserError, match="does not hold this recipe's weights"):
        predictor(recipe, tmp_path / "none", CPU)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, run: Run, registry: Registry) -> None:
    for name in ("recipe.yaml", "weights.safetensors"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes((run.folder / name).read_bytes())
        with pytest.raises(UserError, match="is no run; give the folder that `cliffkit run` named"):
            load_run(folder, registry)
    with pytest.raises(UserError, match="none: no such folder; give the folder that `cliffkit run` named"):
        load_run(tmp_path / "none", registry)
    assert load_run(run.folder, registry, ["eigen"]).protocols == (eigen(),)


def test_a_trained_network_is_built_without_the_weights_its_backbone_began_with(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "timm.yaml"
    engine_recipe(tmp_path, registry)
    text = (tmp_path / "engine.yaml").read_text().replace("{use: handbuilt}", "{use: timm, name: test_resnet}")
    path.write_text(text)
    recipe = load_recipe(path, registry)
    torch.manual_seed(0)
    network = build(recipe)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    began = replace(recipe.model["backbone"], options={**recipe.model["backbone"].options, "pretrained": True})
    asked: list[Any] = []
    real = Part.build

    def watch(self: Part, *wired: Any) -> Any:
        asked.append((self.component.kind, dict(self.options)))
        return real(self, *wired)

    monkeypatch.setattr(Part, "build", watch)
    predict = predictor(
        replace(recipe, model={**recipe.model, "backbone": began}), tmp_path / "weights.safetensors", CPU
    )
    backbones = [options for kind, options in asked if kind == "backbone"]
    assert backbones == [{"name": "test_resnet", "pretrained": False, "weights": None}]
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in predict.network.state_dict().items())
    assert not predict.network.training


def test_without_weights_changes_the_two_options_that_say_where_weights_come_from(recipe: Recipe) -> None:
    part = replace(
        recipe.model["backbone"], options={"name": "x", "pretrained": True, "weights": Path("w"), "depth": 3}
    )
    assert part.without_weights().options == {"name": "x", "pretrained": False, "weights": None, "depth": 3}
    assert part.options["pretrained"] is True
    assert recipe.model["fusion"].without_weights() == recipe.model["fusion"]


def build(recipe: Recipe) -> DepthNetwork:
    from cliffkit.method.assemble import build

    return build(recipe)


def test_a_protocol_that_aligns_over_the_set_scores_by_one_line_which_is_kept(run: Run, recipe: Recipe) -> None:
    ours = cliffkit.evaluate(run, ["full+affine+set", "full"], progress=False)
    data, predict = open_split(recipe, "test", {}), predictor(recipe, run.folder / "weights.safetensors", CPU)
    images = [(predict(sample.image), *(map_.numpy()[0] for map_ in (sample.depth, sample.valid))) for sample in data]
    pairs = [(depth[valid].astype(np.float64), p[valid].astype(np.float64)) for p, depth, valid in images]
    true, predicted = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
    slope, offset = np.linalg.lstsq(np.stack([predicted, np.ones_like(predicted)], 1), true)[0]

    alignment = ours.record.protocols["full+affine+set"].alignment
    assert alignment == pytest.approx((slope, offset, False), rel=1e-4)
    assert ours.record.protocols["full"].alignment is None
    rows = [score_image(p.astype(np.float64) * slope + offset, depth, valid, full()) for p, depth, valid in images]
    expected = np.mean([row["abs_rel"] for row in rows if row])
    assert ours.metrics["full+affine+set"]["abs_rel"] == pytest.approx(expected, rel=1e-5)


def test_metrics_that_a_protocol_asks_for_stand_beside_the_nine(run: Run, recipe: Recipe) -> None:
    asked = {"use": "full", "metrics": ["boundary_f1", {"use": "normal_share", "degrees": 30}], "name": "more"}
    ours = cliffkit.evaluate(run, [asked, "full"], progress=False)
    assert {*ours.metrics["more"]} - {*ours.metrics["full"]} == {"boundary_f1", "normal_share"}
    assert {name: ours.metrics["more"][name] for name in METRICS} == {m: ours.metrics["full"][m] for m in METRICS}
    assert {"boundary_f1", "normal_share"} < {*ours.baseline["more"]}

    data, predict = open_split(recipe, "test", {}), predictor(recipe, run.folder / "weights.safetensors", CPU)
    for row, sample in zip(ours.per_image, data, strict=False):
        assert sample.intrinsics is not None
        scored = sample.valid[0].numpy() & (sample.depth[0].numpy() > 1e-3)
        maps = np.maximum(predict(sample.image), 1e-3).astype(np.float64), sample.depth[0].numpy().astype(np.float64)
        image = ScoredDepth(*maps, scored, sample.intrinsics.numpy().astype(np.float64))
        assert row["normal_share"] == pytest.approx(NormalShare(degrees=30)(image), abs=5e-3)
    assert all(np.isnan(row["boundary_f1"]) for row in ours.per_image if row["protocol"] == "full")
    assert load_recipe(ours.folder / "recipe.yaml", load_plugins().registry).protocols[0] == ours.recipe.protocols[0]
