"""A run's folder says with what code its weights were trained; they are used with that code or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import cliffkit
from cliffkit.components.identity import Identity
from cliffkit.components.registry import Component
from cliffkit.components.syntax import SHARED
from cliffkit.errors import UserError
from cliffkit.jobs.parts import CODE
from cliffkit.jobs.plan import STAGE_VERSIONS
from cliffkit.jobs.run_folder import write_sums
from cliffkit.store.artifacts import WEIGHTS, JobRecord, RunMetrics, RunParts

from ..code_fixtures import FILES, OwnPlugin, own_plugin

if TYPE_CHECKING:
    from cliffkit.verbs.finished import Run

    from ..conftest import Finished

__all__ = ["own_plugin"]

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
RECIPE = {
    "name": "own",
    "data": {"use": "rooms", "size": [32, 48], "train": 6, "val": 2, "test": 3, "height": 48, "width": 64},
    "model": {
        "backbone": {"use": "handbuilt"},
        "pyramid": {"use": "symmetric", "channels": 4},
        "fusion": {"use": "scaled"},
    },
    "loss": [{"use": "l1"}],
    "train": {"precision": "fp32", "depth": {"steps": 2, "batch": 2, "validate_every": 2}},
    "evaluate": ["full"],
}


@pytest.fixture
def own(own_plugin: OwnPlugin, tmp_path: Path) -> Path:
    """The folder of a run whose fusion is the plugin's."""
    plugins = own_plugin.restart()
    run = cliffkit.run(RECIPE, runs=tmp_path / "runs", device="cpu", progress=False, plugins=plugins)
    return run.folder


def load(folder: Path, own_plugin: OwnPlugin) -> Run:
    """Load the run as a new process would."""
    return cliffkit.load_run(folder, device="cpu", plugins=own_plugin.restart())


def evaluate(folder: Path, own_plugin: OwnPlugin, *protocols: str) -> Run:
    """Score the run as a new process would."""
    plugins = own_plugin.restart()
    return cliffkit.evaluate(folder, protocols or ["eigen"], device="cpu", progress=False, plugins=plugins)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- what is written down


def test_a_run_names_every_part_with_the_code_of_its_key(finished: Finished) -> None:
    record = RunParts.read(finished.folder)
    kinds = [part.kind for part in record.parts]
    training = ["optimizer", "schedule", "augment"]
    assert [kind for kind in kinds if kind not in training] == [
        *("dataset", "backbone", "pyramid", "fusion", "head", "embedding", "loss", "protocol")
    ]
    assert set(training) <= set(kinds)
    assert record.engine == version("cliffkit")
    assert record.stages == STAGE_VERSIONS
    fusion = record.parts[3]
    assert (fusion.name, fusion.options, fusion.distribution) == ("cliff", {"upsample": "bilinear"}, "cliffkit")
    assert fusion.version == version("cliffkit")
    assert set(fusion.modules) == {"cliffkit_fusions.cliff", "cliffkit.layers", "cliffkit.resizing"}
    depth = JobRecord.read(finished.runs / "jobs" / f"depth-{RunMetrics.read(finished.folder).jobs['depth']}")
    assert depth.inputs["model"]["fusion"]["code"] == fusion.code
    assert all(part.kept == {} for part in record.parts)
    assert not (finished.folder / CODE).exists(), "built-in parts are found by the version"


def test_a_run_keeps_the_texts_of_parts_that_are_not_built_in(own: Path) -> None:
    fusion = next(part for part in RunParts.read(own).parts if part.kind == "fusion")
    assert {name: (own / path).read_text() for name, path in fusion.kept.items() if name not in SHARED} == {
        "fake_scaled.scaled": FILES["scaled.py"],
        "fake_scaled.scale": FILES["scale.py"],
    }
    assert (own / "code" / "fake_scaled" / "scaled.py").read_text() == FILES["scaled.py"]


# ---- weights and the code that trained them


def test_changed_arithmetic_is_refused_and_shown_and_nothing_is_stored(own: Path, own_plugin: OwnPlugin) -> None:
    before = load(own, own_plugin).predictor()(IMAGE)
    scores = evaluate(own, own_plugin).metrics["eigen"]
    own_plugin.edit("scaled.py", "low + SCALE", "low + 9 * SCALE")
    runs = own.parent
    kept = files(runs)
    plugins = own_plugin.restart()
    uses: list[Callable[[], object]] = [
        lambda: load(own, own_plugin).predictor(),
        lambda: load(own, own_plugin).network,
        lambda: cliffkit.predict(own, [], runs / "out", device="cpu", progress=False, plugins=plugins),
        lambda: evaluate(own, own_plugin, "garg"),
        lambda: evaluate(own, own_plugin),  # the scores of these weights are in the store
    ]
    for use in uses:
        with pytest.raises(UserError, match="its weights were trained with other code of fusion 'scaled'") as refused:
            use()
        said = str(refused.value)
        assert str(own_plugin.folder / "scaled.py") in said
        assert f"run its recipe again: cliffkit run {own / 'recipe.yaml'}" in said
        assert "-        return low + SCALE * resize(high, low)\n+        return low + 9 * SCALE * resize(" in said
    assert files(runs) == kept
    assert load(own, own_plugin).metrics["full"]["n"] == 3, "what was scored before can still be read"
    own_plugin.edit("scaled.py", "low + 9 * SCALE", "low + SCALE")
    assert np.array_equal(load(own, own_plugin).predictor()(IMAGE), before)
    assert evaluate(own, own_plugin).metrics["eigen"] == scores


def test_a_changed_helper_is_refused_and_a_changed_comment_is_not(own: Path, own_plugin: OwnPlugin) -> None:
    own_plugin.edit("scale.py", "SCALE = 0.5\n", "SCALE = 0.5  # half\n")
    load(own, own_plugin).predictor()
    own_plugin.edit("scale.py", "0.5", "0.6")
    with pytest.raises(UserError, match=r"(?s)other code of fusion 'scaled'.*-SCALE = 0\.5\n\+SCALE = 0\.6"):
        load(own, own_plugin).predictor()


def test_a_part_that_is_edited_while_the_process_has_it_imported_is_refused(own: Path, own_plugin: OwnPlugin) -> None:
    run = load(own, own_plugin)
    run.predictor()
    own_plugin.edit("scale.py", "0.5", "0.6")
    with pytest.raises(UserError, match=r"scale\.py was edited after this process had read it"):
        run.predictor("cpu")


def changed(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Let the parts of a kind have other code than they had."""
    identify = Component.identity

    def other(component: Component) -> Identity:
        identity = identify(component)
        if component.kind != kind:
            return identity
        return replace(identity, code="other", modules={**identity.modules, "cliffkit.layers": "other"})

    monkeypatch.setattr(Component, "identity", other)


@pytest.mark.parametrize("kind", ["backbone", "pyramid", "fusion", "head"])
def test_a_built_in_part_is_named_with_the_versions_of_cliffkit(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    changed(monkeypatch, kind)
    name, here = {"fusion": "cliff"}.get(kind, ""), version("cliffkit")
    said = rf"trained with {kind} '{name}.*' of cliffkit {here}, here is {here}, and cliffkit\.layers differs; install"
    with pytest.raises(UserError, match=said):
        cliffkit.load_run(finished.folder, device="cpu").predictor()
    with pytest.raises(UserError, match=said):
        cliffkit.evaluate(finished.folder, ["eigen"], device="cpu", progress=False)


def test_a_changed_data_set_is_no_matter_to_predictions_and_refuses_scores(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(monkeypatch, "dataset")
    cliffkit.load_run(finished.folder, device="cpu").predictor()
    with pytest.raises(UserError, match="dataset 'rooms' of cliffkit"):
        cliffkit.evaluate(finished.folder, ["eigen"], device="cpu", progress=False)


@pytest.mark.parametrize("kind", ["loss", "embedding"])
def test_what_only_trains_may_change_and_scores_are_then_kept_with_the_run(
    own_run: Finished, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    expected = cliffkit.evaluate(own_run.folder, ["eigen"], device="cpu", progress=False)
    shutil.rmtree(own_run.runs / "jobs" / f"evaluate-{expected.key}")
    changed(monkeypatch, kind)
    jobs = set((own_run.runs / "jobs").iterdir())
    scored = cliffkit.evaluate(own_run.folder, ["eigen"], device="cpu", progress=False)
    assert (scored.key, scored.metrics) == (expected.key, expected.metrics)
    assert scored.folder.parent == own_run.folder
    assert set((own_run.runs / "jobs").iterdir()) == jobs


def test_networks_of_another_engine_are_refused(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STAGE_VERSIONS, "depth", STAGE_VERSIONS["depth"] + 1)
    with pytest.raises(UserError, match=rf"were trained by cliffkit {version('cliffkit')}, whose networks"):
        cliffkit.load_run(finished.folder, device="cpu").predictor()


def test_an_edited_recipe_of_a_run_is_refused(own_run: Finished) -> None:
    recipe = own_run.folder / "recipe.yaml"
    run = cliffkit.load_run(own_run.folder, device="cpu")
    recipe.write_text(recipe.read_text().replace("channels: 8", "channels: 9"))
    with pytest.raises(UserError, match=r"recipe\.yaml is not the file that was written"):
        cliffkit.load_run(own_run.folder)
    with pytest.raises(UserError, match=r"recipe\.yaml is not the file that was written"):
        run.predictor()
    with pytest.raises(UserError, match=r"recipe\.yaml: names another pyramid .* symmetric with {'channels': 8}"):
        cliffkit.evaluate(own_run.folder, ["eigen"], progress=False)


def test_a_run_that_does_not_name_its_code_is_refused(own_run: Finished) -> None:
    (own_run.folder / RunParts.FILE).unlink()
    with pytest.raises(UserError, match=r"has no parts\.json, .* run its recipe again"):
        cliffkit.load_run(own_run.folder, device="cpu").predictor()


# ---- a run that was moved


@pytest.fixture
def moved(own_run: Finished, tmp_path: Path) -> Path:
    """A run's folder among the runs of another store."""
    other = tmp_path / "other"
    (other / "jobs").mkdir(parents=True)
    shutil.copy(own_run.runs / "store.json", other)
    return Path(shutil.move(own_run.folder, other / "run"))


def test_a_moved_run_predicts_and_is_scored_as_where_it_was_made(finished: Finished, moved: Path) -> None:
    home = cliffkit.load_run(finished.folder, device="cpu").predictor()(IMAGE)
    assert np.array_equal(cliffkit.load_run(moved, device="cpu").predictor()(IMAGE), home)
    again = cliffkit.evaluate(moved, ["full"], device="cpu", progress=False)
    assert again.record.protocols == RunMetrics.read(finished.folder).protocols
    assert again.key == RunMetrics.read(finished.folder).key
    assert again.record.selection == RunMetrics.read(finished.folder).selection
    assert (again.folder / "per_image.csv").read_bytes() == (finished.folder / "per_image.csv").read_bytes()
    assert np.array_equal(again.predictor()(IMAGE), home), "the scores' folder is a run too"


def test_scoring_a_moved_run_writes_into_its_folder_alone_and_once(moved: Path, invoke: Callable[..., object]) -> None:
    before = files(moved.parent)
    arguments = ("evaluate", moved, "--protocol", "eigen", "--device", "cpu", "--json")
    said = [json.loads(invoke(*arguments).stdout) for _ in range(2)]  # type: ignore[attr-defined]
    assert said[0] == said[1]
    folder = Path(said[0]["run"])
    assert folder == moved / f"evaluate-{said[0]['key'][:8]}"
    after = files(moved.parent)
    assert {name: after[name] for name in before} == before
    assert all((moved.parent / name).is_relative_to(folder) for name in after.keys() - before.keys())
    assert json.loads((folder / "metrics.json").read_text())["jobs"]["evaluate"] == said[0]["key"]
    assert (folder / WEIGHTS).read_bytes() == (moved / WEIGHTS).read_bytes()


def test_a_moved_run_is_not_scored_on_other_test_images(moved: Path) -> None:
    facts = RunMetrics.read(moved)
    replace(facts, data={**facts.data, "test_fingerprint": "f00"}).write(moved)
    write_sums(moved)
    with pytest.raises(UserError, match="other test images here than those that the run was scored on"):
        cliffkit.evaluate(moved, ["eigen"], device="cpu", progress=False)


def test_a_moved_run_whose_plugin_has_changed_is_refused(own: Path, own_plugin: OwnPlugin, tmp_path: Path) -> None:
    moved = Path(shutil.move(own, tmp_path / "moved"))
    assert evaluate(moved, own_plugin).folder.parent == moved
    own_plugin.edit("scale.py", "0.5", "0.6")
    with pytest.raises(UserError, match="other code of fusion 'scaled'"):
        evaluate(moved, own_plugin, "garg")
    with pytest.raises(UserError, match="other code of fusion 'scaled'"):
        load(moved, own_plugin).predictor()
