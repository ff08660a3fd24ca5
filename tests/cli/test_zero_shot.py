"""`cliffkit evaluate RUN --data OTHER=PATH`: a run on a data set that it was not trained on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import cliffkit
from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.recipe.check import check_part

from ..conftest import Finished, Invoke


def test_a_run_is_scored_on_another_data_set_in_a_folder_of_its_own(
    own_run: Finished, make_pairs: Callable[..., Path], registry: Registry, invoke: Invoke, tmp_path: Path
) -> None:
    root = make_pairs(tmp_path / "pairs")
    before = (own_run.folder / "metrics.json").read_bytes()
    arguments = ("evaluate", own_run.folder, "--data", f"pairs={root}", "--protocol", "full", "--device", "cpu")
    ran = invoke(*arguments, "--json")
    assert ran.exit_code == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert Path(told["scores"]).parent == own_run.folder
    assert Path(told["scores"]).name.startswith("on-pairs-")
    assert "trained on rooms, at a median depth of" in told["quantity"]
    assert (own_run.folder / "metrics.json").read_bytes() == before
    stored = invoke("store", "list", "--runs", own_run.runs, "--json")
    assert stored.exit_code == 0, "scores of other data name no job"
    assert {tuple(job["users"]) for job in json.loads(stored.stdout)["jobs"]} == {(own_run.folder.name,)}
    verified = invoke("store", "verify", "--runs", own_run.runs)
    assert (verified.exit_code, verified.stderr) == (0, "")
    assert "2 folders of runs and scores" in verified.stdout
    printed = " ".join(invoke(*arguments).stdout.split())
    assert "of the test depths" in printed
    assert "data: pairs" in printed

    split = check_part("dataset", "pairs", registry, "test").build("test", root)
    predict = cliffkit.load_run(own_run.folder, device="cpu").predictor()
    errors = []
    for i in range(len(split)):
        sample = split[i]
        depth, valid = sample.depth[0].numpy(), sample.valid[0].numpy()
        predicted = predict(sample.image.permute(1, 2, 0).numpy()).clip(1e-3, None)
        errors.append(np.mean(np.abs(predicted - depth)[valid] / depth[valid]))
    assert told["metrics"]["full"]["abs_rel"] == pytest.approx(np.mean(errors), rel=1e-5)


def test_damaged_scores_on_other_data_are_noticed(
    own_run: Finished, make_pairs: Callable[..., Path], invoke: Invoke, tmp_path: Path
) -> None:
    arguments = ("evaluate", own_run.folder, "--data", f"pairs={make_pairs(tmp_path / 'pairs')}", "--device", "cpu")
    folder = Path(json.loads(invoke(*arguments, "--protocol", "full", "--json").stdout)["scores"])
    for name in ("per_image.csv", "metrics.json", "regions.npz", "panel.png"):
        sound = (folder / name).read_bytes()
        (folder / name).write_bytes(sound[:-9] + bytes([sound[-9] ^ 1]) + sound[-8:])
        verified = invoke("store", "verify", "--runs", own_run.runs)
        assert verified.exit_code == 2
        assert f"damaged: {folder}: {name} is not the file that was written" in verified.stderr
        assert "evaluate and score write damaged scores anew" in verified.stderr
        (folder / name).write_bytes(sound)

    scores = cliffkit.Scored(folder)
    assert scores.metrics["full"]["abs_rel"] > 0
    with (folder / "per_image.csv").open("ab") as file:
        file.write(b"\n")
    with pytest.raises(UserError, match=r"per_image\.csv is not the file .* or score the predictions again"):
        _ = scores.per_image
    assert invoke(*arguments, "--protocol", "full").exit_code == 0
    assert invoke("store", "verify", "--runs", own_run.runs).exit_code == 0


def test_a_wrong_protocol_or_data_set_is_named_as_it_was_given(own_run: Finished, invoke: Invoke) -> None:
    said = invoke("evaluate", own_run.folder, "--protocol", "ful").stderr
    assert said.startswith("Error: protocol: no protocol is called 'ful'; did you mean 'full'?")
    said = invoke("data", "check", "pair").stderr
    assert said == "Error: no dataset is called 'pair'; did you mean 'pairs'?\n"


def test_its_own_test_images_are_no_other_data(own_run: Finished) -> None:
    run = cliffkit.load_run(own_run.folder, device="cpu")
    own = {name: value for name, value in run.recipe.data.to_dict().items() if name not in ("size", "crop")}
    with pytest.raises(UserError, match="these are the run's own test images"):
        cliffkit.zero_shot(run, ["full"], dataset=own, progress=False)
