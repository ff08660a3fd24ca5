"""cliffkit from Python: what notebooks and scripts call."""

from __future__ import annotations

import copy
import math
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
import yaml
from PIL import Image

import cliffkit
from cliffkit.errors import RecipeError, UserError
from cliffkit.events import CellFinished, Event, JobSkipped, Notice
from cliffkit.recipe.schema import MAX_SEED
from cliffkit.scoring.metrics import METRICS

from .conftest import Finished
from .study_fixtures import BASE, STUDY, FinishedStudy, write_study


def fresh(code: str) -> str:
    """Run Python code in a new process; what it printed."""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture
def run(finished: Finished) -> cliffkit.Run:
    return cliffkit.load_run(finished.folder, device="cpu")


@pytest.fixture
def mapping(tiny: str) -> dict[str, Any]:
    """The tiny recipe as a mapping."""
    data: dict[str, Any] = yaml.safe_load(tiny)
    return data


class TestImport:
    def test_takes_no_torch(self) -> None:
        heavy = "{'torch', 'numpy', 'scipy', 'pydantic', 'rich', 'click', 'accelerate', 'matplotlib'}"
        assert fresh(f"import sys, cliffkit; print({heavy} & set(sys.modules))") == "set()\n"

    def test_every_name_is_there_and_documented(self) -> None:
        for name in cliffkit.__all__:
            assert getattr(cliffkit, name)
            assert name in dir(cliffkit)
            if name != "__version__":
                assert len(getattr(cliffkit, name).__doc__) > 40, name

    @pytest.mark.parametrize("name", [name for name in cliffkit.__all__ if name[0].islower()])
    def test_every_verb_has_an_example(self, name: str) -> None:
        assert "Example" in getattr(cliffkit, name).__doc__

    def test_the_version_is_the_metadata_s(self) -> None:
        assert cliffkit.__version__ == version("cliffkit")

    def test_a_name_that_is_not_there_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="module 'cliffkit' has no attribute 'runn'"):
            _ = cliffkit.runn


class TestRun:
    def test_is_the_command_s(self, finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
        again = cliffkit.run(finished.recipe, runs=finished.runs, device="cpu")
        assert again.folder == finished.folder
        assert again.metrics == finished.result["metrics"]
        assert again.baseline == finished.result["baseline"]
        assert (again.name, again.key) == ("tiny", finished.result["key"])
        assert again.reused == ("pack", "images", "embedding", "depth", "evaluate")
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "evaluate  done already" in shown.err

    def test_takes_settings_as_a_mapping(self, own_run: Finished) -> None:
        settings = {"name": "b", "loss.0.weight": 1.0, "data.size": (32, 48), "embedding.weights": [10, 15]}
        again = cliffkit.run(own_run.recipe, set=settings, runs=own_run.runs, device="cpu", progress=False)
        assert again.folder.name == f"b-{own_run.result['key'][:8]}"

    def test_takes_a_recipe_as_a_mapping_and_leaves_it_alone(self, own_run: Finished, mapping: dict[str, Any]) -> None:
        mapping["data"]["size"] = (np.int64(32), 48)
        before = copy.deepcopy(mapping)
        again = cliffkit.run(mapping, set={"name": "b"}, runs=str(own_run.runs), device="cpu", progress=False)
        assert again.key == own_run.result["key"]
        assert mapping == before

    def test_shows_nothing_where_progress_is_off(self, finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
        cliffkit.run(finished.recipe, runs=finished.runs, device="cpu", progress=False)
        assert capsys.readouterr() == ("", "")

    def test_tells_a_function_every_event(self, finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
        heard: list[Event] = []
        cliffkit.run(finished.recipe, runs=finished.runs, device="cpu", progress=heard.append)
        assert [type(event) for event in heard] == [JobSkipped] * 5
        assert capsys.readouterr().err == ""


class TestWrongInput:
    """The texts of the command line, as exceptions."""

    def test_every_fault_of_a_mapping_is_told_with_its_place(self, mapping: dict[str, Any], tmp_path: Path) -> None:
        mapping["model"]["fusion"] = {"use": "clif"}
        mapping["sed"] = 1
        mapping["data"]["size"] = {32, 48}
        with pytest.raises(RecipeError) as error:
            cliffkit.run(mapping, runs=tmp_path / "runs")
        assert str(error.value).splitlines()[0].startswith("recipe: data.size: {")
        assert "recipe: sed: unknown key; did you mean 'seed'?" in str(error.value)
        assert "recipe: model.fusion.use: no fusion is called 'clif'; did you mean 'cliff'?" in str(error.value)
        assert len(error.value.faults) >= 3
        assert not (tmp_path / "runs").exists()

    def test_a_setting_that_cannot_be_is_told_as_on_the_command_line(self, tiny_recipe: Path) -> None:
        with pytest.raises(RecipeError) as error:
            cliffkit.run(tiny_recipe, set={"model.fusion.use": "clif"})
        assert str(error.value) == (
            "--set model.fusion.use=clif: model.fusion.use: no fusion is called 'clif'; did you mean 'cliff'?"
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"recipe": "none.yaml"}, "none.yaml: no such file"),
            ({"recipe": "cliff_hegr"}, "cliff_hegr: no such file; did you mean 'cliff_hegR'"),
            ({"set": {"seed": object}}, "--set seed: <class 'object'> cannot stand in a recipe"),
            ({"data": {"nyu": "/no/such/folder"}}, "data: nyu: /no/such/folder is no folder"),
            ({"device": "cuda:99"}, "--device cuda:99"),
        ],
    )
    def test_is_a_user_error(self, tiny_recipe: Path, tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(UserError) as error:
            cliffkit.run(**{"recipe": tiny_recipe, "runs": tmp_path / "runs", **arguments})
        assert message in str(error.value)

    def test_what_is_no_run_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="is no run; give the folder"):
            cliffkit.load_run(tmp_path)


class TestFinishedRun:
    def test_has_the_scores_of_every_image(self, run: cliffkit.Run) -> None:
        rows = run.per_image
        assert rows.columns == ("protocol", "image", *METRICS)
        assert len(rows) == 6
        for metric in METRICS:
            assert math.fsum(rows.column(metric)) / 6 == pytest.approx(run.metrics["full"][metric], rel=1e-12)
        assert rows[0]["protocol"] == "full"
        assert len(rows[:2]) == 2

    def test_names_its_panel(self, run: cliffkit.Run) -> None:
        with Image.open(run.panel) as panel:
            assert min(panel.size) > 100

    def test_has_its_network_in_evaluation_mode(self, run: cliffkit.Run) -> None:
        network = run.network
        assert isinstance(network, torch.nn.Module)
        assert not any(module.training for module in network.modules())
        assert network is run.network
        with torch.inference_mode():
            assert network(torch.zeros(1, 3, 32, 48)).shape == (1, 1, 32, 48)

    def test_predicts_alike_from_an_array_a_picture_and_a_file(self, run: cliffkit.Run, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photo.png")
        predict = run.predictor()
        depth_m = predict(pixels)
        assert (depth_m.shape, depth_m.dtype) == ((37, 50), np.float32)
        for image in (Image.fromarray(pixels), tmp_path / "photo.png", str(tmp_path / "photo.png")):
            np.testing.assert_array_equal(predict(image), depth_m)
        np.testing.assert_array_equal(run.predictor("cpu")(pixels[::1]), depth_m)
        mirrored = (depth_m + predict(pixels[:, ::-1])[:, ::-1]) / 2
        np.testing.assert_allclose(predict(pixels, flip=True), mirrored, atol=1e-4)

    @pytest.mark.parametrize(
        "image",
        [np.zeros((8, 8, 3), np.float32), np.zeros((3, 8, 8), np.uint8), np.zeros((8, 8), np.uint8)],
        ids=["float", "channels first", "grey"],
    )
    def test_predicts_no_array_of_another_form(self, run: cliffkit.Run, image: Any) -> None:
        with pytest.raises(UserError, match=r"is no image; give \(height, width, 3\) uint8, RGB"):
            run.predictor()(image)

    def test_writes_predictions_of_files(self, run: cliffkit.Run, tmp_path: Path) -> None:
        Image.new("RGB", (20, 16)).save(tmp_path / "a.png")
        rows = cliffkit.predict(run, [tmp_path / "a.png"], tmp_path / "out", device="cpu", progress=False)
        depth_m = np.load(rows[0]["depth_npy"])
        assert rows.column("median_m") == [pytest.approx(float(np.median(depth_m)))]

    def test_is_scored_again(self, own_run: Finished) -> None:
        run = cliffkit.load_run(own_run.folder, device="cpu")
        scored = cliffkit.evaluate(run, ["eigen"], device="cpu", progress=False)
        assert list(scored.metrics) == ["eigen"]
        assert scored.reused == ("pack", "images", "embedding", "depth")


class TestRows:
    ROWS = cliffkit.Rows([{"a": i, "b": f"<{i}>", "c": None if i else 0.123456} for i in range(30)], ["a", "b", "c"])

    def test_are_text(self) -> None:
        lines = repr(self.ROWS[:2]).splitlines()
        assert lines == ["a  b    c", "0  <0>  0.1235", "1  <1>"]
        assert "… 10 more" in repr(self.ROWS)
        assert len(repr(self.ROWS).splitlines()) == 22

    def test_are_html_with_nothing_of_it_from_outside(self) -> None:
        assert "<td>&lt;0&gt;</td>" in self.ROWS._repr_html_()

    def test_are_a_data_frame_where_pandas_is_installed(self) -> None:
        frame = self.ROWS.to_pandas()
        assert isinstance(frame, pandas.DataFrame)
        assert list(frame.columns) == ["a", "b", "c"]
        assert frame["a"].sum() == sum(range(30))

    def test_say_what_is_missing_where_pandas_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(UserError, match="pip install pandas"):
            self.ROWS.to_pandas()


class TestStudy:
    @pytest.fixture
    def arguments(self, finished_study: FinishedStudy, tmp_path: Path) -> dict[str, Any]:
        runs = finished_study.copy(tmp_path / "runs")
        return {"study": write_study(tmp_path), "runs": runs, "device": "cpu"}

    def test_ends_with_findings(self, arguments: dict[str, Any], tmp_path: Path) -> None:
        heard: list[Event] = []
        findings = cliffkit.ablate(**arguments, progress=heard.append)
        assert heard == [Notice("Nothing to do: every cell of this study is in the store.")]
        assert findings.files["report.html"] == tmp_path / "runs" / "studies" / "small" / "report.html"
        assert all(path.is_file() for path in findings.files.values())
        assert findings.verdicts["none + cliff"] == "reference"
        assert set(findings.verdicts) == {"none + cliff", "none + add", "heg_s + cliff", "heg_s + add"}
        assert findings.failed == ()
        assert findings.cells.column("state") == ["done"] * 8
        assert findings.summary.startswith("Compared with none + cliff on ")
        for variant, sentence in findings.sentences.items():
            assert findings.verdicts[variant] != "reference"
            assert sentence

    def test_a_table_has_every_variant(self, arguments: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
        findings = cliffkit.load_study(**arguments)
        assert capsys.readouterr() == ("", "")
        assert not findings.files
        table = findings.table()
        assert table.column("fusion") == ["cliff", "add", "cliff", "add"]
        assert table[0]["difference"] is None
        assert table[1]["low"] <= table[1]["difference"] <= table[1]["high"]
        assert table[1]["difference"] == pytest.approx(table[1]["mean"] - table[0]["mean"])
        assert (table[1]["seeds"], table[1]["images"]) == (2, 5)
        assert findings.table(metric="rmse")[0]["mean"] != table[0]["mean"]
        assert "none + add" in repr(findings)
        assert set(findings.effects.column("kind")) == {"main effect", "interaction", "share"}
        with pytest.raises(UserError, match="no table of rmse under eigen; its protocols are full"):
            findings.table(protocol="eigen", metric="rmse")

    def test_a_cell_is_a_run(self, arguments: dict[str, Any]) -> None:
        findings = cliffkit.load_study(**arguments)
        run = findings.run("none + add", 1)
        assert run.folder.name.startswith("small.none-add.s1-")
        assert run.predictor()(np.zeros((9, 7, 3), np.uint8)).shape == (9, 7)
        with pytest.raises(UserError, match="no cell 'add', seed 1; its variants are 'none "):
            findings.run("add", 1)

    def test_a_cell_that_is_not_done_is_no_run(self, tmp_path: Path) -> None:
        findings = cliffkit.load_study(write_study(tmp_path), runs=tmp_path / "runs")
        with pytest.raises(UserError, match="none \\+ add, seed 0: waiting"):
            findings.run("none + add", 0)

    def test_tells_a_function_of_every_cell_that_ends(
        self, finished_study: FinishedStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        gone = finished_study.cells[1]
        runs = finished_study.copy(tmp_path / "runs", f"evaluate-{gone.jobs[-1].key}")
        heard: list[Event] = []
        study = write_study(tmp_path)
        cliffkit.ablate(study, runs=runs, device="cpu", workers=1, progress=heard.append)
        ends = [event for event in heard if isinstance(event, CellFinished)]
        (run,) = (event.run for event in ends)
        assert ends == [CellFinished(gone.variant.name, gone.seed, "done", run=run)]
        assert run is not None
        assert (run.name, run.variant, run.seed, run.study) == (gone.recipe.name, gone.variant.name, gone.seed, "small")
        assert cliffkit.load_run(run.folder).key == run.key == gone.key
        assert capsys.readouterr().err == ""

    @pytest.fixture
    def study(self) -> dict[str, Any]:
        """The finished study as a mapping, its base within."""
        data: dict[str, Any] = yaml.safe_load(STUDY)
        return {**data, "base": yaml.safe_load(BASE)}

    def test_may_be_a_mapping(self, study: dict[str, Any], arguments: dict[str, Any], tmp_path: Path) -> None:
        findings = cliffkit.ablate(**{**arguments, "study": study, "progress": False}, set={"seed": 0})
        assert findings.cells.column("state") == ["done"] * 8
        written = tmp_path / "runs" / "studies" / "small" / "study.yaml"
        assert f"cliffkit ablate {written} --set seed=0" in findings.files["report.md"].read_text()
        assert cliffkit.load_study(**{**arguments, "study": written}).cells == findings.cells

    @pytest.mark.parametrize("base", ["base.yaml", "handbuilt_cliff_hegR"])
    def test_may_be_a_mapping_whose_base_is_a_path_or_a_name(
        self, study: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str
    ) -> None:
        write_study(tmp_path)
        monkeypatch.chdir(tmp_path)
        axes = {"fusion": {"cliff": {}, "add": {"model.fusion.use": "add"}}}
        assert cliffkit.validate({"name": "mine", "base": base, "axes": axes}) == []

    def test_every_fault_of_a_mapping_is_told_with_its_place(self, study: dict[str, Any]) -> None:
        study["seeds"] = (0, -1)
        study["axes"]["fusion"]["add"] = {"model.fusion": {"use": "ad"}}
        assert cliffkit.validate(study) == [
            f"study: seeds.1: -1 is no seed; write a whole number from 0 to {MAX_SEED}",
            "study: axes.fusion.add.model.fusion: model.fusion.use: no fusion is called 'ad'; did you mean 'add'?",
        ]
        study["base"]["model"]["fusion"] = {"use": "clif"}
        assert cliffkit.validate(study) == [
            "study: base: model.fusion.use: no fusion is called 'clif'; did you mean 'cliff'?"
        ]
        assert cliffkit.validate({**study, "base": None}, set={"seed": 1})[-1].startswith(
            "study: base: name the recipe"
        )

    def test_what_it_takes_is_foreseen(self, arguments: dict[str, Any]) -> None:
        outlook = cliffkit.forecast(**arguments, workers=1, progress=False)
        assert outlook.expected.seconds == 0
        assert outlook.board.count("done") == 8


def test_what_a_recipe_would_do_is_planned(finished: Finished) -> None:
    planned = cliffkit.plan(finished.recipe, runs=finished.runs)
    assert planned.name == "tiny"
    assert planned.jobs.column("done") == [True] * 5
    assert planned.warnings == ()


def test_faults_are_listed(mapping: dict[str, Any], tiny_recipe: Path) -> None:
    assert cliffkit.validate(tiny_recipe) == []
    assert cliffkit.validate("cliffnet") == []
    assert cliffkit.validate(mapping, set={"model.fusion.use": "clif"}) == [
        "--set model.fusion.use=clif: model.fusion.use: no fusion is called 'clif'; did you mean 'cliff'?"
    ]


SCRIPT = """\
import cliffkit
run = cliffkit.run({recipe!r}, runs={runs!r}, device="cpu", progress=False,
                   set={{"data.train": 300, "data.height": 32, "data.width": 48, "train.depth.steps": 2}})
print(run.name)
"""


def test_a_script_needs_no_guard(tiny_recipe: Path, tmp_path: Path) -> None:
    """Packing 300 images starts processes, which would run the script again."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(recipe=str(tiny_recipe), runs=str(tmp_path / "runs")))
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300, check=False)
    assert ran.stdout == "tiny\n", ran.stderr


PAGE = Path(__file__).parents[1] / "docs" / "guides" / "python.md"


def test_the_page_s_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every one of them, in the page's order, as one script."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 30)).save("photo.jpg")
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 11
    scope: dict[str, Any] = {}
    for block in blocks:
        exec(block, scope)
    assert scope["depth_m"].shape == (30, 40)
    assert set(scope["findings"].verdicts) == {"cliff", "add"}


def test_the_page_names_every_function() -> None:
    rows = set(re.findall(r"^\| `(\w+)\(", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert rows == {name for name in cliffkit.__all__ if name[0].islower()}
