"""A study in one file: what is in it, and what a forger cannot change unnoticed."""

from __future__ import annotations

import json
import re
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cliffkit
from cliffkit.bundles import archive
from cliffkit.bundles.facts import BundleFacts
from cliffkit.bundles.keys import check_keys, other_built_in
from cliffkit.bundles.numbers import check_numbers, check_scores
from cliffkit.bundles.one_recipe import check_one_recipe, check_replicates
from cliffkit.bundles.opened import OpenedBundle
from cliffkit.bundles.texts import compare_csv, compare_lines
from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.verbs.study import report

from ..bundle_fixtures import Forger
from ..code_fixtures import OwnPlugin, forget, own_plugin
from ..conftest import Invoke
from ..study_fixtures import STUDY, FinishedStudy, write_study

__all__ = ["own_plugin"]

REFERENCE, ADD = "none + cliff", "none + add"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, finished_study: FinishedStudy) -> list[str]:
    """The options of a study that is done, in a store of this module's own."""
    root = tmp_path_factory.mktemp("bundles")
    return [str(write_study(root)), "--runs", str(finished_study.copy(root / "runs")), "--device", "cpu"]


@pytest.fixture(scope="module")
def bundle(study: list[str], tmp_path_factory: pytest.TempPathFactory) -> cliffkit.Bundle:
    """Its bundle."""
    file = tmp_path_factory.mktemp("bundle") / "small.zip"
    return cliffkit.bundle(study[0], file, runs=study[2], device="cpu", progress=False)


@pytest.fixture
def forger(bundle: cliffkit.Bundle, tmp_path: Path) -> Forger:
    """The bundle to be changed. Its figures are not drawn again, which takes seconds."""
    forger = Forger(bundle.file, tmp_path / "forged")
    forger.edit_facts(lambda facts: facts.update(drawn_by="0"))
    return forger


def test_a_bundle_is_verified_by_nothing_but_itself(bundle: cliffkit.Bundle, invoke: Invoke) -> None:
    verification = cliffkit.verify(bundle.file)
    assert verification.faults == []
    assert [check.name for check in verification.checks] == [
        "checksums", "keys", "one recipe", "replicates", "scores", "numbers",
    ]  # fmt: skip
    numbers = verification.checks[-1]
    assert int(re.sub(r"\D", "", numbers.compared.partition(" numbers")[0])) > 2000
    assert all("figures" not in remark for remark in numbers.remarks), "figures are drawn again"
    ran = invoke("verify", bundle.file)
    assert ran.exit_code == 0
    assert "everything holds" in ran.stdout


def test_it_is_small_and_listed_and_the_same_study_gives_the_same_bytes(
    study: list[str], bundle: cliffkit.Bundle, invoke: Invoke, tmp_path: Path
) -> None:
    ran = invoke("bundle", *study, "-o", tmp_path / "a.zip")
    assert ran.exit_code == 0, ran.stderr
    assert (tmp_path / "a.zip").read_bytes() == bundle.file.read_bytes()
    for name in ("README.md", "bundle.json", "study.yaml", "base.yaml", "report", "cells", "jobs"):
        assert re.search(rf"^{re.escape(name)} +\d+ files? ", ran.stdout, re.MULTILINE)
    assert bundle.file.stat().st_size < 300_000
    with zipfile.ZipFile(bundle.file) as file:
        names, page = file.namelist(), file.read("README.md").decode()
    assert not [name for name in names if name.endswith((".safetensors", ".npy", ".bin", ".png"))]
    assert len([name for name in names if name.endswith("per_image.csv")]) == 8
    assert "8 of 8 cells are done" in page
    assert "cliffkit verify FILE" in page


def test_with_weights_a_cell_of_an_unpacked_bundle_predicts(study: list[str], tmp_path: Path) -> None:
    made = cliffkit.bundle(study[0], tmp_path / "w.zip", runs=study[2], device="cpu", weights=True, progress=False)
    assert made.facts.weights
    archive.unpack(made.file, tmp_path / "open")
    run = cliffkit.load_run(tmp_path / "open" / "cells" / made.facts.cells[0].folder, device="cpu")
    assert run.metrics["full"]["abs_rel"] > 0
    assert run.predictor() is not None
    assert not check_keys(OpenedBundle(tmp_path / "open")).faults


def test_a_partly_finished_study_says_what_is_missing(
    finished_study: FinishedStudy, invoke: Invoke, tmp_path: Path
) -> None:
    key = next(cell.jobs[-1].key for cell in finished_study.cells if cell.name == f"{ADD}, seed 1")
    runs = finished_study.copy(tmp_path / "runs", f"evaluate-{key}")
    ran = invoke("bundle", write_study(tmp_path), "--runs", runs, "-o", tmp_path / "b.zip", "--device", "cpu")
    assert f"Missing, waiting: {ADD}, seed 1." in ran.stdout
    said = json.loads(invoke("verify", tmp_path / "b.zip", "--json").stdout)
    assert said["holds"]
    assert said["missing"] == [f"Missing, waiting: {ADD}, seed 1."]


def test_a_bundle_of_a_study_whose_choices_changed_says_so_and_holds(
    finished_study: FinishedStudy, tmp_path: Path
) -> None:
    runs = finished_study.copy(tmp_path / "runs")
    report(write_study(tmp_path), runs=runs, device="cpu", progress=False)
    file = write_study(tmp_path, STUDY.replace("compare: {", "compare: {metric: rmse, "))
    made = cliffkit.bundle(file, tmp_path / "b.zip", runs=runs, device="cpu", progress=False)
    (note,) = made.facts.study.earlier
    assert note in made.facts.study.notes
    assert "compare.metric is rmse and was abs_rel" in note
    assert cliffkit.verify(made.file).holds


def test_a_study_of_which_nothing_is_done_makes_no_bundle(invoke: Invoke, tmp_path: Path) -> None:
    ran = invoke("bundle", write_study(tmp_path), "--runs", tmp_path / "runs", "-o", tmp_path / "b.zip")
    assert ran.exit_code == 2
    assert "no cell is done" in ran.stderr
    assert not (tmp_path / "b.zip").exists()


def digit(match: re.Match[str]) -> str:
    """Another last digit."""
    return f"{match.group()[:-1]}{(int(match.group()[-1]) + 1) % 10}"


def test_checksums_name_a_changed_a_missing_and_a_further_file(forger: Forger, tmp_path: Path) -> None:
    file = forger.pack(tmp_path / "forged.zip")
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(tmp_path / "other.zip", "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name != "report/table.tex":
                target.writestr(name, content + b" " if name == "study.yaml" else content)
        target.writestr("more.txt", "more")
    checksums = cliffkit.verify(tmp_path / "other.zip").checks[0]
    assert [fault.partition(" (")[0] for fault in checksums.faults] == [
        "report/table.tex: is listed in SHA256SUMS and is not there",
        "more.txt: is there and not listed in SHA256SUMS",
        "study.yaml: has other bytes than were written",
    ]


def test_a_changed_score_of_an_image_is_named(forger: Forger, invoke: Invoke, tmp_path: Path) -> None:
    job = forger.job(ADD, 1, "evaluate")
    forger.edit(job / "per_image.csv", r"full,[^,]+,0\.\d", digit)
    assert f"jobs/{job.name}/per_image.csv: is not the file that the job left" in forger.faults(check_keys)
    forger.reseal(job)
    assert forger.faults(check_keys) == ""
    assert f"metrics.json ({ADD}, seed 1): abs_rel under full is 0." in forger.faults(check_scores)
    ran = invoke("verify", forger.pack(tmp_path / "forged.zip"))
    assert ran.exit_code == 1
    assert "holds  checksums" in ran.stdout
    assert "FAILS  scores" in ran.stdout
    assert "FAILS  numbers" in ran.stdout, "differences are of images, not of means"


def test_a_changed_mean_with_its_images_is_found_by_the_report(forger: Forger) -> None:
    job, table = forger.job(ADD, 0, "evaluate"), forger.path("report/results.csv").read_text()
    rows = (job / "per_image.csv").read_text().splitlines(keepends=True)
    (job / "per_image.csv").write_text(
        "".join([rows[0], *(re.sub(r"(,0\.)\d", r"\g<1>1", row, count=1) for row in rows[1:])])
    )
    faults = forger.faults(check_scores)
    right = re.search(r"abs_rel under full is (\S+), and per_image.csv gives (\S+)", faults)
    assert right is not None
    forger.edit(job / "metrics.json", re.escape(right[1]), right[2])
    forger.reseal(job)
    assert forger.faults(check_keys) == forger.faults(check_scores) == ""
    found = forger.faults(check_numbers)
    assert right[1] in table
    assert f"({ADD}, none, add, 0, full, abs_rel): value is {right[1]}, and the scores give {right[2]}" in found
    assert "report/report.html line" in found


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("results.csv", r"abs_rel,0\.\d\d"),
        ("noise.csv", r"none \+ add,2,5,0\.0*[1-9]"),
        ("where.csv", r"none \+ add,-?0\.\d\d"),
        ("noise.json", r'"images": \d'),
        ("table.tex", r"\{0\.\d\d"),
        ("report.md", r"\| 0\.\d\d"),
        ("report.html", r"<td class=\"\">[+−]?0\.\d\d"),
        ("report.html", r"\\u2212?0\.\d\d ± 0|\"[+−]0\.\d\d"),
        ("report.html", r"\(seed \d\): abs_rel 0\.\d\d"),
    ],
)  # fmt: skip
def test_a_changed_digit_of_the_report_is_named_with_both_values(forger: Forger, name: str, pattern: str) -> None:
    changed: list[str] = []

    def other(match: re.Match[str]) -> str:
        changed.append(digit(match))
        return changed[0]

    forger.edit(forger.path(f"report/{name}"), pattern, other)
    found = forger.faults(check_numbers)
    assert found.count("report/") == 1
    assert f"report/{name}" in found
    assert re.findall(r"[\d.]+", changed[0])[-1] in found
    assert "the scores give" in found


def test_a_changed_figure_is_named(forger: Forger, bundle: cliffkit.Bundle) -> None:
    forger.edit_facts(lambda facts: facts.update(drawn_by=bundle.facts.drawn_by))
    forger.edit(forger.path("report/figures/forest.svg"), r"M \d", digit)
    found = forger.faults(check_numbers)
    assert "report/figures/forest.svg line" in found
    assert "report/report.html line" in found, "the page has the figure too"


def test_validations_that_are_not_those_of_the_weights_are_named(forger: Forger) -> None:
    log = forger.job(ADD, 0, "depth") / "log.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    best = min(lines, key=lambda line: json.loads(line)["val"]["abs_rel"])
    log.write_text("".join(line for line in lines if line != best))
    found = forger.faults(check_scores)
    assert re.search(r"log.jsonl: has no validation at step \d with abs_rel 0\.", found)
    better = best.replace('"abs_rel": 0.', '"abs_rel": 0.0')
    log.write_text("".join([*lines, better]))
    assert "and weights were chosen by 0." in forger.faults(check_scores)


def test_a_script_in_the_page_is_named(forger: Forger) -> None:
    forger.edit(forger.path("report/report.html"), "</main>", "<script>alert(1)</script></main>")
    assert "alert(1)" in forger.faults(check_numbers)


def test_a_changed_recipe_is_named(forger: Forger) -> None:
    forger.edit_recipe(ADD, 1, lambda recipe: recipe["train"]["depth"].update(lr=0.002))
    folder = forger.cell(ADD, 1)["folder"]
    depth = forger.job(ADD, 1, "depth").name
    found = forger.faults(check_keys)
    assert f"cells/{folder}/recipe.yaml: train.lr is 0.002, but {depth} was computed with 0.001" in found
    assert f"train.depth.lr is 0.002, and 0.001 in the recipe of {ADD}, seed 0" in forger.faults(check_replicates)


def test_a_variant_that_was_trained_otherwise_is_named_though_every_key_is_right(forger: Forger) -> None:
    for seed in (0, 1):
        forger.edit_recipe(ADD, seed, lambda recipe: recipe["train"]["depth"].update(lr=0.002))
        forger.rekey(ADD, seed, "depth", lambda inputs: inputs["train"].update(lr=0.002))
        key = forger.cell(ADD, seed)["keys"]["depth"]
        forger.rekey(ADD, seed, "evaluate", lambda inputs, key=key: inputs["needs"].update(depth=key))  # type: ignore[misc]
    assert forger.faults(check_keys) == ""
    assert forger.faults(check_replicates) == ""
    found = forger.faults(check_one_recipe)
    assert f"train.depth.lr is 0.002, and 0.001 in base.yaml: no axis of '{ADD}' says so" in found


def test_built_in_code_that_was_changed_under_one_version_is_told(forger: Forger, registry: Registry) -> None:
    assert other_built_in(forger.opened(), registry) == []
    parts = forger.recipe(ADD, 0).with_name("parts.json")
    facts = json.loads(parts.read_text())
    fusion = next(part for part in facts["parts"] if part["kind"] == "fusion")
    parts.write_text(json.dumps(facts).replace(fusion["code"], "0" * 20))
    (words,) = other_built_in(forger.opened(), registry)
    assert re.fullmatch(r"fusion 'add' of cliffkit (\S+) was run with other code than cliffkit \1 has here", words)


def test_swapped_seeds_are_named(forger: Forger) -> None:
    def swap(facts: dict[str, Any]) -> None:
        first, second = (cell for cell in facts["cells"] if cell["variant"] == ADD)
        first["keys"], second["keys"] = second["keys"], first["keys"]

    forger.edit_facts(swap)
    assert re.search(r"seed is 0, but depth-\w+ was computed with 1", forger.faults(check_keys))


def test_a_seed_that_is_not_the_cells_is_named(forger: Forger) -> None:
    forger.edit_recipe(ADD, 1, lambda recipe: recipe.update(seed=7))
    assert "seed is 7, not as far from that of none + add, seed 0 as 1 is from 0" in forger.faults(check_replicates)


def test_a_cell_that_is_another_s_network_is_no_replicate(forger: Forger) -> None:
    def double(facts: dict[str, Any]) -> None:
        first, second = (cell for cell in facts["cells"] if cell["variant"] == ADD)
        second["keys"] = first["keys"]

    forger.edit_facts(double)
    assert "a network twice is no replicate" in forger.faults(check_replicates)


def test_a_removed_cell_is_named_however_it_is_hidden(forger: Forger) -> None:
    job = forger.job(ADD, 1, "evaluate")
    for path in job.iterdir():
        path.unlink()
    job.rmdir()
    assert f"{ADD}, seed 1: its job {job.name} is missing" in forger.faults(check_keys)

    def hide(facts: dict[str, Any]) -> None:
        cell = next(c for c in facts["cells"] if (c["variant"], c["seed"]) == (ADD, 1))
        cell.update(state="waiting")

    forger.edit_facts(hide)
    assert forger.faults(check_keys) == ""
    assert "value is 0." in forger.faults(check_numbers)

    def remove(facts: dict[str, Any]) -> None:
        facts["cells"] = [c for c in facts["cells"] if (c["variant"], c["seed"]) != (ADD, 1)]

    forger.edit_facts(remove)
    assert f"cell '{ADD}, seed 1' of the study is missing" in forger.faults(check_replicates)


def test_a_removed_variant_and_another_reference_are_named(forger: Forger) -> None:
    def remove(facts: dict[str, Any]) -> None:
        facts["cells"] = [cell for cell in facts["cells"] if cell["variant"] != ADD]
        facts["study"]["variants"] = [each for each in facts["study"]["variants"] if each["name"] != ADD]
        facts["study"]["reference"] = ["heg_s", "add"]

    forger.edit_facts(remove)
    forger.edit(forger.path("report/designs.json"), r"\[0, 1\]", "[0, 1, 2]")
    found = forger.faults(check_one_recipe)
    assert "was reported under [0, 1, 2], not [0, 1]" in found
    assert "is no network of the reference, heg_s + add" in found
    assert f"variant '{ADD}' of study.yaml is missing" in found
    assert "compare.reference.embedding is 'heg_s', and 'none' in study.yaml" in found


def test_files_that_are_no_facts_are_faults_and_no_crash(forger: Forger, tmp_path: Path) -> None:
    forger.recipe(ADD, 0).write_text("model: [1, 2\n")
    (forger.job(REFERENCE, 0, "depth") / "job.json").write_text("{}")
    (forger.job(REFERENCE, 1, "evaluate") / "regions.npz").write_bytes(b"no array")
    verification = cliffkit.verify(forger.pack(tmp_path / "forged.zip"))
    faults = "\n".join(verification.faults)
    assert "recipe.yaml" in faults
    assert "job.json: is not as it was written" in faults
    assert str(tmp_path) not in faults
    assert "/tmp" not in faults
    forger.path(BundleFacts.FILE).write_text("{}")
    assert cliffkit.verify(forger.pack(tmp_path / "forged.zip")).checks[-1].name == "contents"


def test_paths_of_bundle_json_stay_in_the_bundle(forger: Forger) -> None:
    forger.edit_facts(lambda facts: facts["cells"][0].update(folder="../../elsewhere"))
    with pytest.raises(UserError, match="names a folder outside of the bundle"):
        forger.opened()


def test_parts_of_third_parties_go_with_their_text_and_need_not_be_installed(
    own_plugin: OwnPlugin, tmp_path: Path
) -> None:
    base = {
        "name": "own",
        "data": {"use": "rooms", "size": [32, 48], "train": 6, "val": 2, "test": 3, "height": 48, "width": 64},
        "model": {
            "backbone": {"use": "handbuilt"},
            "pyramid": {"use": "symmetric", "channels": 4},
            "fusion": {"use": "scaled"},
        },
        "loss": [{"use": "l1"}],
        "train": {"precision": "fp32", "depth": {"steps": 2, "batch": 2, "validate_every": 2}},
    }
    study = {
        "name": "own",
        "base": base,
        "seeds": [0],
        "axes": {"fusion": {"scaled": {}, "add": {"model.fusion.use": "add"}}},
    }
    runs, plugins = tmp_path / "runs", own_plugin.restart()
    cliffkit.run(base, runs=runs, device="cpu", progress=False, plugins=plugins)
    made = cliffkit.bundle(study, tmp_path / "own.zip", runs=runs, device="cpu", progress=False, plugins=plugins)
    assert [cell.state for cell in made.facts.cells] == ["done", "waiting"]
    forget()

    assert cliffkit.verify(made.file).faults == []
    assert "fake_scaled" not in sys.modules, "no code of the bundle is run"
    forger = Forger(made.file, tmp_path / "forged")
    text = next(forger.folder.rglob("code/fake_scaled/scaled.py"))
    text.write_text(text.read_text() + "# a comment counts for nothing\n")
    assert forger.faults(check_keys) == ""
    forger.edit(text, r"low \+ SCALE", "low - SCALE")
    assert "code/fake_scaled/scaled.py: is not the code of fusion 'scaled'" in forger.faults(check_keys)


def member(name: str, mode: int = 0) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    return entry


HOSTILE: dict[str, Callable[[zipfile.ZipFile], object]] = {
    "leads out of the folder": lambda file: file.writestr("../outside", "x"),
    "has a name that no bundle has": lambda file: file.writestr("/absolute", "x"),
    "or has a name that no": lambda file: file.writestr("a\\..\\b", "x"),
    "is no plain file": lambda file: file.writestr(member("link", stat.S_IFLNK | 0o777), "/etc/passwd"),
    "unpacks to far more": lambda file: file.writestr(member("bomb"), b"\0" * 4_000_000, zipfile.ZIP_LZMA),
    "two members are called": lambda file: [file.writestr(name, "x") for name in ("a", "A")],
    "has no bundle.json": lambda file: file.writestr("a", "x"),
}


@pytest.mark.parametrize("words", HOSTILE)
def test_a_hostile_archive_writes_nothing_and_is_refused(words: str, invoke: Invoke, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "hostile.zip", "w") as file:
        HOSTILE[words](file)
    ran = invoke("verify", tmp_path / "hostile.zip")
    assert ran.exit_code == 2
    assert words in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["hostile.zip"]


def test_folders_that_other_programs_pack_too_are_no_members(bundle: cliffkit.Bundle, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle.file) as file, zipfile.ZipFile(tmp_path / "again.zip", "w") as again:
        again.writestr("cells/", "")
        again.writestr("report/figures/", "")
        for entry in file.infolist():
            again.writestr(entry, file.read(entry))
    assert cliffkit.verify(tmp_path / "again.zip").holds


def test_what_is_no_archive_is_said_to_be_none(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK no archive")
    assert "is no bundle" in invoke("verify", tmp_path / "a.zip").stderr
    assert "No such file" in invoke("verify", tmp_path / "b.zip").stderr


def test_rounding_of_the_last_digits_is_no_difference_in_a_table_and_a_digit_is() -> None:
    table = "variant,value\na,0.12345678901234567\n"
    assert not list(compare_csv("t", table, table.replace("4567\n", "4563\n"), 1))
    (found,) = compare_csv("t", table, table.replace("0.12345", "0.12346"), 1)
    assert found.words.startswith("t line 2 (a): value is 0.12345678901234567, and the scores give 0.12346")


def test_words_that_differ_are_told_from_numbers_that_do() -> None:
    differing = [*compare_lines("t", ["a 1.5 better", "b"], ["a 2.5 better", "c"])]
    assert [(one.is_number, one.words.partition(": ")[0]) for one in differing] == [
        (True, "t line 1"), (False, "t line 2"),
    ]  # fmt: skip
    (added,) = compare_lines("t", ["a", "x", "b", "c"], ["a", "b", "c"])
    assert added.words == "t line 2: says 'x', and the scores give nothing"
    (removed,) = compare_lines("t", ["a"], ["a", "a"])
    assert removed.words == "t line 2: says nothing, and the scores give 'a'"
