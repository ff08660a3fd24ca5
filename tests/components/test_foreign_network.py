"""A network that knows nothing of cliffkit, in the wrapper of the example plugin: all that works with parts works."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import cliffkit
from cliffkit.components.load import Plugins, load_plugins
from cliffkit.errors import RecipeError, UserError
from cliffkit.interfaces import Network, Prediction
from cliffkit.jobs.plan import plan
from cliffkit.method import memory
from cliffkit.method.assemble import build, load_network
from cliffkit.method.buildable import check_buildable
from cliffkit.method.network import WholeNetwork
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.check import check_recipe
from cliffkit.recipe.override import override
from cliffkit.recipe.recipe import Recipe
from cliffkit.study.cells import plan_cells
from cliffkit.study.check import load_study

from ..study_fixtures import run_small

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "plugins" / "examples" / "cliffkit-foreign"

SMALL = """\
name: unet
data: {use: rooms, size: [32, 40], train: 8, val: 4, test: 4, height: 32, width: 48}
model: {network: {use: unet, width: 2}}
embedding: {use: heg_r, weights: [2, 3], trained: false}
loss: [{use: l1}]
train: {precision: fp32, embedding: {steps: 2}, depth: {steps: 4, batch: 4, validate_every: 2}}
"""
PARTS = "{backbone: {use: handbuilt}, pyramid: {use: symmetric, channels: 4}, fusion: {use: cliff}}"


@pytest.fixture(scope="module")
def plugins() -> Iterator[Plugins]:
    """The installed plugins, and the example from its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLE)
        patch.setenv("PYTHONPATH", str(EXAMPLE))
        point = EntryPoint("foreign", "cliffkit_foreign", "cliffkit")
        yield load_plugins(strict=True, entries=[*entry_points(group="cliffkit"), point])
    for name in [name for name in sys.modules if name.partition(".")[0] == "cliffkit_foreign"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


Check = Callable[..., Recipe]


@pytest.fixture
def check(plugins: Plugins) -> Check:
    def checked(*settings: str, text: str = SMALL) -> Recipe:
        document = override(yamlstrict.parse(text, "unet.yaml"), settings, plugins.registry)
        return check_recipe(document, plugins.registry)

    return checked


def run(plugins: Plugins, runs: Path, **settings: Any) -> cliffkit.Run:
    recipe = yamlstrict.parse(SMALL, "unet.yaml").data
    return cliffkit.run(recipe, set=settings, runs=runs, device="cpu", progress=False, plugins=plugins)


def test_it_is_trained_predicts_and_is_exported(plugins: Plugins, runs: Path, tmp_path: Path) -> None:
    """Its images, 32x40, are padded to multiples of 16."""
    finished = run(plugins, runs)
    assert set(finished.metrics) == {"full"}
    records = json.loads((finished.folder / "parts.json").read_text(encoding="utf-8"))["parts"]
    (network,) = [record for record in records if record["kind"] == "network"]
    own = {"cliffkit_foreign.network", "cliffkit_foreign.unet"}
    assert set(network["kept"]) == {"cliffkit.layers", "cliffkit.resizing", *own}

    loaded = cliffkit.load_run(finished.folder, device="cpu", plugins=plugins)
    depth = loaded.predictor()(np.zeros((30, 50, 3), dtype=np.uint8))
    assert depth.shape == (30, 50)
    assert 0.5 < depth.min() <= depth.max() < 10
    exported = cliffkit.export(loaded, tmp_path / "unet.pt2", to="torch", plugins=plugins)
    assert exported.facts.difference_m < 1e-3
    assert exported.facts.free == ("batch", "height", "width")


def test_its_losses_are_ablated_and_a_study_swaps_it_for_parts(plugins: Plugins, runs: Path, tmp_path: Path) -> None:
    axes = f"network: {{unet: {{}}, cliff: {{model: {PARTS}}}}}", "loss: {l1: {}, l2: {loss: [{use: l2}]}}"
    cells = plan_cells(load_study(written(tmp_path, *axes), plugins.registry), {})
    board = run_small(cells, runs)
    assert [cell.variant.name for cell in cells] == ["unet + l1", "unet + l2", "cliff + l1"]
    assert board.count("done") == len(cells)


def written(folder: Path, *axes: str, base: str = SMALL) -> Path:
    """A study of one seed, its base beside it."""
    (folder / "base.yaml").write_text(base, encoding="utf-8")
    lines = ["name: swaps", "base: base.yaml", "seeds: [0]", "design: one_at_a_time", "axes:"]
    lines += [f"  {axis}" for axis in axes]
    (folder / "study.yaml").write_text("\n".join(lines), encoding="utf-8")
    return folder / "study.yaml"


def test_a_study_swaps_parts_for_it(plugins: Plugins, tmp_path: Path) -> None:
    base = SMALL.replace("{network: {use: unet, width: 2}}", PARTS)
    study = written(tmp_path, "network: {cliff: {}, unet: {model.network: {use: unet}}}", base=base)
    loaded = load_study(study, plugins.registry)
    assert [list(variant.recipe.model) for variant in loaded.variants] == [
        ["backbone", "pyramid", "fusion", "head"],
        ["network"],
    ]


def test_a_variant_that_has_a_network_and_a_part_is_refused_whichever_axis_comes_first(
    plugins: Plugins, tmp_path: Path
) -> None:
    base = SMALL.replace("{network: {use: unet, width: 2}}", PARTS)
    network = "network: {cliff: {}, unet: {model.network: {use: unet}}}"
    fusion = "fusion: {cliff: {}, add: {model.fusion.use: add}}"
    for order in ((network, fusion), (fusion, network)):
        text = written(tmp_path, *order, base=base).read_text(encoding="utf-8").replace("one_at_a_time", "grid")
        (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
        (fault,) = cliffkit.validate(tmp_path / "study.yaml", plugins=plugins)
        assert (
            "model.network: stands in place of backbone, pyramid, fusion, head, and backbone, pyramid, fusion" in fault
        )
        assert "(in variant '" in fault


def test_the_examples_own_tests_pass(plugins: Plugins) -> None:
    options = ["-p", "no:cacheprovider", "-c", str(EXAMPLE / "pyproject.toml"), "--rootdir", str(EXAMPLE)]
    assert pytest.main([*options, "-q", "--import-mode=importlib", str(EXAMPLE)]) == 0


@pytest.mark.parametrize("study", sorted(EXAMPLE.glob("studies/*.yaml")), ids=lambda path: path.name)
def test_the_examples_study_is_one(plugins: Plugins, study: Path) -> None:
    assert cliffkit.validate(study, plugins=plugins) == []


class TestARecipe:
    def test_that_names_a_network_and_parts_is_refused_with_its_line(self, check: Check) -> None:
        with pytest.raises(RecipeError) as caught:
            check(text=SMALL.replace("width: 2}", "width: 2}, fusion: {use: add}"))
        assert str(caught.value) == (
            "unet.yaml:3: model.network: stands in place of backbone, pyramid, fusion, head, and fusion is named too; "
            "leave one out"
        )

    def test_of_parts_takes_a_network_from_the_command_line_and_the_other_way_round(self, check: Check) -> None:
        parts = SMALL.replace("{network: {use: unet, width: 2}}", PARTS)
        swapped = check("model.network={use: unet}", "model.network.width=4", text=parts)
        assert {kind: part.options["width"] for kind, part in swapped.model.items()} == {"network": 4}
        settings = [f"model.{kind}={{use: {name}}}" for kind, name in NAMES.items()]
        assert list(check(*settings).model) == ["backbone", "pyramid", "fusion", "head"]

    def test_says_itself_again(self, check: Check) -> None:
        recipe = check()
        assert check(text=recipe.to_yaml()).to_dict() == recipe.to_dict()

    def test_whose_loss_needs_what_the_network_does_not_give_is_refused(self, check: Check) -> None:
        message = r"`bins` needs 'bin_centres', which network `unet` does not give; networks that do: none"
        with pytest.raises(RecipeError, match=message):
            check("loss=[{use: bins}]")

    def test_with_a_misspelt_key_is_told_the_keys(self, check: Check) -> None:
        with pytest.raises(RecipeError, match=r"model\.netwrk: unknown key; .*'network'"):
            check(text=SMALL.replace("{network: ", "{netwrk: "))


NAMES = {"backbone": "handbuilt", "pyramid": "symmetric", "fusion": "add"}


def test_the_content_of_its_weights_is_known_by_the_key_and_not_their_path(check: Check, tmp_path: Path) -> None:
    from cliffkit_foreign.unet import UNet

    for name in ("a.pt", "c.pt"):
        torch.save({"model": UNet(2).state_dict()}, tmp_path / name)
    shutil.copy(tmp_path / "a.pt", tmp_path / "b.pt")
    keys = []
    for name in ("a.pt", "b.pt", "c.pt"):
        jobs = plan(check(f"model.network.weights={tmp_path / name}"), {})
        keys.append(next(job.key for job in jobs if job.stage == "depth"))
    assert keys[0] == keys[1] != keys[2]


def test_weights_are_loaded_at_the_start_and_not_over_a_trained_network(check: Check, tmp_path: Path) -> None:
    from cliffkit_foreign.unet import UNet

    torch.save({"model": UNet(2).state_dict()}, tmp_path / "a.pt")
    recipe = check(f"model.network.weights={tmp_path / 'a.pt'}")
    began = build(recipe).state_dict()
    theirs = torch.load(tmp_path / "a.pt", weights_only=True)["model"]
    assert all(torch.equal(value, began[f"network.net.{name}"]) for name, value in theirs.items())
    trained = build(check("seed=5")).state_dict()
    save_file(trained, tmp_path / "trained.safetensors")
    (tmp_path / "a.pt").unlink()
    loaded = load_network(recipe, tmp_path / "trained.safetensors").state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in trained.items())


def test_rates_and_frozen_weights_are_named_by_its_modules(check: Check) -> None:
    groups = "{network.net.encoder: {rate: 0.1, layer_decay: 0.5}, network.net.disparity: 0.3}"
    recipe = check(f"train.depth.groups={groups}", "train.depth.freeze=[network.net.decoder]")
    check_buildable(recipe, {})
    with pytest.raises(UserError, match=r"freeze: 'backbone' matches no parameter; there are: network"):
        check_buildable(check("train.depth.freeze=[backbone]"), {})


def test_what_no_machine_can_hold_is_refused(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = check()
    network = build(recipe)
    monkeypatch.setattr(memory, "memory_of", lambda device: 1000)
    with pytest.raises(
        RecipeError, match=r"^unet\.yaml:3: model\.network \(unet\): the network with a copy .*its size"
    ):
        memory.check_network(recipe, network, [torch.device("cpu")])


class Bare(Network):
    """Forgets the Prediction."""

    def forward(self, image: Tensor) -> Prediction:
        return image.mean(1, keepdim=True)  # type: ignore[return-value]


class Squeezed(Network):
    """Forgets the axis of channels."""

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(image.mean(1))


class Half(Network):
    """Gives half the size, and a map beside depth."""

    multiple = 4
    gives = ("doubt",)

    def forward(self, image: Tensor) -> Prediction:
        small = image[:, :1, ::2, ::2]
        return Prediction(small, {"doubt": small})


def test_what_a_network_forgets_is_named() -> None:
    image = torch.rand(1, 3, 8, 8)
    with pytest.raises(UserError, match=r"^network 'bare' gives a Tensor, expected a Prediction; end its forward with"):
        WholeNetwork(Bare(), {"network": "network 'bare'"})(image)
    with pytest.raises(UserError, match=r"expected \[\(1, 1, 8\)\]; mend the network: .*check_network"):
        WholeNetwork(Squeezed())(image)


def test_depth_and_extras_come_back_at_the_size_of_the_image() -> None:
    prediction = WholeNetwork(Half()).predict(torch.rand(2, 3, 9, 14))
    assert (prediction.depth.shape, prediction.extras["doubt"].shape) == ((2, 1, 9, 14), (2, 1, 9, 14))
