from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from cliffkit.components.registry import Registry
from cliffkit.errors import RecipeError, UserError
from cliffkit.recipe.check import check_part
from cliffkit_datasets.kitti import KITTI
from cliffkit_datasets.mix import Mix
from cliffkit_datasets.nyu_sync import NYUSync

from .layout_files import write_mix


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mix(tmp_path_factory.mktemp("mix"))


def counts(data: Mix) -> dict[str, int]:
    names = [data.name(i).split("/")[0] for i in range(len(data))]
    return {name: names.count(name) for name in ("nyu_sync", "kitti")}


def test_shares_are_met_in_train_and_val_and_test_has_all(root: Path) -> None:
    full = {"nyu_sync": len(NYUSync("train", root / "nyu_sync")), "kitti": len(KITTI("train", root / "kitti"))}
    assert counts(Mix("train", root)) == full
    halves = counts(Mix("train", root, shares={"nyu_sync": 1.0, "kitti": 1.0}))
    assert set(halves.values()) == {min(full.values())}
    quarter = counts(Mix("train", root, shares={"nyu_sync": 3, "kitti": 1}))
    assert quarter["kitti"] == quarter["nyu_sync"] // 3
    assert counts(Mix("test", root, shares={"nyu_sync": 3, "kitti": 1})) == {"nyu_sync": 2, "kitti": 3}
    assert "of kitti" in Mix("test", root, shares={"nyu_sync": 3, "kitti": 1}).dealt()


def test_the_same_images_are_chosen_wherever_the_folder_lies(tmp_path: Path, root: Path) -> None:
    one, other = (Mix("train", folder, shares={"nyu_sync": 1, "kitti": 3}) for folder in (root, write_mix(tmp_path)))
    assert [one.name(i) for i in range(len(one))] == [other.name(i) for i in range(len(other))]
    assert one.fingerprint() == other.fingerprint()
    assert one.fingerprint() != Mix("train", root).fingerprint()


def test_scene_types_stay_those_of_their_data_set_and_one_without_counts_as_one(root: Path) -> None:
    data = Mix("test", root)
    assert data.scene_types[-1] == "kitti" or data.scene_types[0] == "kitti"
    for i in range(len(data)):
        name, kind = data.name(i), data.scene_types[int(data[i].scene)]
        assert kind == ("kitti" if name.startswith("kitti/") else "nyu_sync/" + name.split("/")[1])


def test_a_range_leaves_out_depth_of_its_data_set_alone(root: Path) -> None:
    data, whole = Mix("test", root, ranges={"kitti": (10.0, 20.0)}), Mix("test", root)
    for i in range(len(data)):
        depth, valid, before = data[i].depth, data[i].valid, whole[i].valid
        inside = (depth >= 10) & (depth <= 20) if data.name(i).startswith("kitti/") else torch.ones_like(valid)
        assert torch.equal(valid, before & inside)
    assert any("kitti: depth is valid from 10 to 20 m" in note for note in data.notes())


def test_a_data_set_elsewhere_is_named_by_its_variable(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIFFKIT_DATA_KITTI", str(root / "kitti"))
    assert counts(Mix("test", tmp_path, shares={"kitti": 1.0})) == {"nyu_sync": 0, "kitti": 3}


def test_options_reach_their_data_set(root: Path) -> None:
    assert counts(Mix("test", root, options={"kitti": {"truth": "raw"}}))["kitti"] == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"vkitti2": {"right": "no"}}, "options.vkitti2.right: 'no' is neither true nor false"),
        ({"nyu": {"raw": "no"}}, "options.nyu.raw: 'no' is neither true nor false"),
        ({"kitti": {"truth": "Improved"}}, "options.kitti.truth: 'Improved': input should be 'improved' or 'raw'"),
        ({"pairs": {"depth_scale": "1000"}}, "options.pairs.depth_scale: '1000' is no number"),
        ({"vkitti2": {"val_scenes": ["Scene01", 2]}}, "options.vkitti2.val_scenes.1: 2 is no text"),
        ({"pairs": {"depth_scale": float("inf")}}, "options.pairs.depth_scale: inf: input should be a finite number"),
        ({"kitti": {"trut": 1}}, "options.kitti.trut: unknown option; `kitti` takes: truth, train_list"),
        ({"kity": {"truth": "raw"}}, "options.kity: unknown data set; there are: diode, h5"),
        ({"kitti": 3}, "options.kitti: 3 is no mapping"),
    ],
)
def test_options_are_checked_before_data_are_opened_as_those_of_the_data_set_alone(
    registry: Registry, options, words
) -> None:
    with pytest.raises(RecipeError, match=re.escape(f"--dataset: {words}")):
        check_part("dataset", {"use": "mix", "options": options}, registry, "--dataset")


def test_options_that_are_right_reach_the_mix_as_they_were_written(registry: Registry) -> None:
    options = {"vkitti2": {"right": True, "val_scenes": ["Scene01"], "far_m": 60}, "h5": {}}
    part = check_part("dataset", {"use": "mix", "options": options}, registry, "--dataset")
    assert part.to_dict()["options"] == options, "no default of a data set is written beside them"


@pytest.mark.parametrize("folder", ["pairs", "elsewhere"])
def test_a_data_set_without_a_folder_is_told_where_the_mix_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    if folder != "pairs":
        monkeypatch.setenv("CLIFFKIT_DATA_PAIRS", str(tmp_path / folder))
    with pytest.raises(UserError, match="there is no such folder; put pairs, or a link of that name") as told:
        Mix("train", tmp_path, shares={"pairs": 1.0})
    assert str(told.value).startswith(f"{tmp_path / folder}: ")
    assert "or let CLIFFKIT_DATA_PAIRS name the folder" in str(told.value)
    assert "--data" not in str(told.value), "which a mix does not read for its data sets"


@pytest.mark.parametrize("name", ["pairs", "nyu"])
def test_a_data_set_whose_files_are_missing_names_no_option_that_a_mix_does_not_read(tmp_path: Path, name) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="there is no such file; put it there") as told:
        Mix("train", tmp_path)
    assert "--data" not in str(told.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"shares": {"kity": 1.0}}, "no data set 'kity' to mix; there are diode"),
        ({"shares": {"kitti": 0.0}}, "the share of kitti is 0.0; give a number above 0"),
        ({"ranges": {"kitti": (8.0, 2.0)}}, "the range of kitti is 8 to 2 m"),
        ({"ranges": {"diode": (1.0, 2.0)}}, "'diode' has a range or options, and is not in the mix"),
    ],
)
def test_what_is_no_mix_is_named(root: Path, given, words) -> None:
    with pytest.raises(UserError, match=words):
        Mix("train", root, **given)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no folder of a data set"):
        Mix("train", tmp_path)
