"""`cliffkit score --variant`: given predictions judged as the variants of a study."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cliffkit
from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.recipe.check import check_part
from cliffkit.statistics import estimate

from ..bundle_fixtures import Forger
from ..conftest import Invoke

ROOMS = {"use": "rooms", "train": 1, "val": 1, "test": 8, "height": 24, "width": 32}
BIAS = {"ours": 1.02, "theirs": 1.3, "same": 1.3}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> dict[str, list[Path]]:
    """Three folders for each variant: the truth times a bias, with noise of the seed and of each image."""
    root, split = tmp_path_factory.mktemp("places"), check_part("dataset", ROOMS, registry, "test").build("test", None)
    depths = {Path(split.name(i)).name: split[i].depth[0].numpy() for i in range(len(split))}
    rng = np.random.default_rng(3)
    for variant, bias in BIAS.items():
        for seed in range(3):
            folder = root / variant / str(seed)
            folder.mkdir(parents=True)
            luck = rng.normal(0, 0.01)
            for name, depth in depths.items():
                np.save(folder / f"{name}.npy", depth * np.float32(bias + luck + rng.normal(0, 0.02)))
    return {variant: [root / variant / str(seed) for seed in range(3)] for variant in BIAS}


def compare(places: dict[str, list[Path]], out: Path, **chosen: Any) -> cliffkit.Findings:
    """Findings in abs_rel under `full` against theirs, told to nobody."""
    options = {"reference": "theirs", "dataset": ROOMS, "progress": False, "out": out, **chosen}
    return cliffkit.compare(places, ["full", "full+median"], **options)


def alone(place: Path, out: Path) -> list[float]:
    """Every image's abs_rel of one folder."""
    scored = cliffkit.score(place, ["full"], dataset=ROOMS, out=out, progress=False)
    return scored.per_image.column("abs_rel")


def test_verdicts_are_those_of_the_statistics_on_the_per_image_scores(
    places: dict[str, list[Path]], tmp_path: Path
) -> None:
    findings = compare(places, tmp_path)
    assert findings.verdicts == {"ours": "better", "theirs": "reference", "same": "not distinguishable from noise"}
    ours, theirs = (
        np.array([alone(place, tmp_path / "alone") for place in places[name]]) for name in ("ours", "theirs")
    )
    expected = estimate(ours - theirs)
    row = next(row for row in findings.table() if row["variant"] == "ours")
    assert expected is not None
    assert (row["difference"], row["low"], row["high"]) == pytest.approx((expected.value, expected.low, expected.high))
    assert (row["seeds"], row["images"]) == (3, 8)
    assert "lowered abs_rel" in findings.summary
    assert "8 test images of rooms" in findings.summary


def test_the_report_has_every_form_and_says_what_is_not_known(places: dict[str, list[Path]], tmp_path: Path) -> None:
    findings = compare(places, tmp_path, smallest=0.05)
    page, words = (findings.files[name].read_text(encoding="utf-8") for name in ("report.html", "report.md"))
    for text in (page, words):
        assert "Predictions were given. On which images their networks were trained" in text
        assert "paired in the order in which they are named" in text
        assert "base recipe" not in text
        assert "--reference theirs" in text.replace("\\", "")
    assert page.count('alt="Depth of ') == 3 * page.count('alt="True depth of ') > 0, "a gallery"
    assert "\\begin{tabular}" in findings.files["table.tex"].read_text(encoding="utf-8")
    assert findings.files["per_image.csv"].read_text(encoding="utf-8").count("\n") == 1 + 3 * 3 * 2 * 8
    with pytest.raises(UserError, match="predictions were given; there is no run of them"):
        findings.run("ours", 0)


def test_a_comparison_in_one_file_is_verified_and_a_forged_one_is_not(
    invoke: Invoke, places: dict[str, list[Path]], tmp_path: Path
) -> None:
    holes = {**places, "ours": [shutil.copytree(places["ours"][0], tmp_path / "holes"), *places["ours"][1:]]}
    next((tmp_path / "holes").iterdir()).unlink()
    found = compare({**holes, "copy": places["theirs"]}, tmp_path / "scores", allow_missing=True)
    ran = invoke("bundle", found.folder, "-o", tmp_path / "a.zip")
    assert ran.exit_code == 0, ran.stderr
    checked = invoke("verify", tmp_path / "a.zip")
    assert "everything holds" in checked.stdout, checked.stdout
    assert [line.split(":")[0].split()[1] for line in checked.stdout.splitlines() if line.startswith("holds")] == [
        "checksums", "predictions", "scores", "numbers",
    ]  # fmt: skip
    assert "there is no recipe to train again" in invoke("verify", tmp_path / "a.zip", "--retrain", 1).stderr

    scores = next((tmp_path / "scores").glob("ours.1-*")) / "per_image.csv"
    sound = scores.read_text(encoding="utf-8")
    scores.write_text(sound.replace(",0.", ",1.", 1), encoding="utf-8")
    refused = invoke("bundle", found.folder, "-o", tmp_path / "b.zip")
    assert refused.exit_code == 2
    assert "per_image.csv is not the file that was written" in refused.stderr
    scores.write_text(sound, encoding="utf-8")

    forger = Forger(tmp_path / "a.zip", tmp_path / "forged")
    forger.edit(forger.job("ours", 1, "evaluate") / "per_image.csv", r"full,[^,]+,0\.\d", r"\g<0>9")
    forger.edit(forger.job("same", 2, "evaluate") / "metrics.json", '"name": "same.2"', '"name": "ours.2"')
    forger.edit(forger.path("report/table.tex"), r"\{0\.\d\d", r"\g<0>9")
    faults = "\n".join(cliffkit.verify(forger.pack(tmp_path / "forged.zip")).faults)
    assert "(ours, seed 1): abs_rel under full is 0." in faults
    assert "are the scores of ours.2, and bundle.json gives them to same, seed 2" in faults
    assert "report/table.tex line" in faults


@pytest.mark.parametrize("protocol", ["full", "{use: full, cap_m: 9, align: scale}", '{"use": "hu", "name": "ours"}'])
def test_the_reports_command_makes_the_report_again(
    invoke: Invoke, places: dict[str, list[Path]], tmp_path: Path, protocol: str
) -> None:
    comma = shutil.copytree(places["ours"][0], tmp_path / "a,b")
    next(comma.iterdir()).unlink()
    ours = ["--variant", f"ours={comma}", "--variant", f"ours={places['ours'][1]}"]
    theirs = ["--variant", f"theirs={places['theirs'][0]},{places['theirs'][1]}"]
    chosen = ["--smallest", 0.05, "--allow-missing", "--name", "mine", "--out", tmp_path / "scores"]
    said = ("score", *ours, *theirs, "--dataset", json.dumps(ROOMS), "--protocol", protocol, *chosen)
    assert invoke(*said).exit_code == 0
    report = tmp_path / "scores" / "mine" / "report.md"
    first = report.read_text(encoding="utf-8")
    (command,) = re.findall(r"cliffkit (score .*)$", first, re.MULTILINE)
    report.unlink()
    ran = invoke(*shlex.split(command.replace(" --data rooms=FOLDER", "")))
    assert ran.exit_code == 0, ran.stderr
    assert report.read_text(encoding="utf-8") == first


@pytest.mark.parametrize("protocol", ["full", "hu"])
def test_equal_predictions_of_which_some_are_missing_are_not_told_apart(
    places: dict[str, list[Path]], tmp_path: Path, protocol: str
) -> None:
    """`hu` takes rmse as one root over all images: the missing ones must not count on the other side."""
    given: dict[str, list[Path]] = {"whole": places["theirs"], "part": []}
    rng = np.random.default_rng(1)
    for seed, place in enumerate(places["theirs"]):
        (folder := tmp_path / "part" / str(seed)).mkdir(parents=True)
        given["part"].append(folder)
        for path in sorted(place.iterdir())[2:]:
            depth = np.load(path)
            np.save(folder / path.name, depth * (1 + 1e-6 * rng.standard_normal(depth.shape)).astype(np.float32))
    findings = cliffkit.compare(
        given, [protocol], reference="whole", metric="rmse", dataset=ROOMS, allow_missing=True, progress=False,
        out=tmp_path / "scores",
    )  # fmt: skip
    assert findings.verdicts["part"] == "not distinguishable from noise"
    row = next(row for row in findings.table() if row["variant"] == "part")
    assert abs(row["difference"]) < 1e-5
    assert row["images"] == 6
    notes = findings.files["report.md"].read_text(encoding="utf-8")
    assert ("rmse under hu is a root over all images" in notes) == (protocol == "hu")
    if protocol == "hu":
        means = {row["variant"]: row["mean"] for row in findings.table()}
        assert means["whole"] == pytest.approx(means["part"], abs=1e-5)


def test_folders_that_lack_different_images_are_not_compared_under_one_alignment_of_all(
    places: dict[str, list[Path]], tmp_path: Path
) -> None:
    part = shutil.copytree(places["ours"][0], tmp_path / "part")
    next(part.iterdir()).unlink()
    given = {"ours": [part], "theirs": [places["theirs"][0]]}
    with pytest.raises(UserError, match=r"full\+scale\+set aligns all images of a folder at once.*ours.*1.*theirs.* 0"):
        cliffkit.compare(
            given, ["full+scale+set"], reference="theirs", dataset=ROOMS, allow_missing=True, progress=False,
            out=tmp_path / "scores",
        )  # fmt: skip


def test_a_comparison_is_not_written_over_by_one_of_other_predictions(
    places: dict[str, list[Path]], tmp_path: Path
) -> None:
    first = compare({name: places[name][:2] for name in ("ours", "theirs")}, tmp_path)
    report = first.files["report.md"].read_bytes()
    exchanged = {"ours": places["theirs"][:1], "theirs": places["ours"][:1]}
    with pytest.raises(UserError, match=r"comparison: has the comparison of other predictions \(ours=.*--name"):
        compare(exchanged, tmp_path)
    assert first.files["report.md"].read_bytes() == report
    compare(exchanged, tmp_path, name="exchanged")
    more = compare(places, tmp_path, smallest=0.1)  # the same ones and others
    assert more.folder == first.folder


def test_one_folder_per_variant_gives_no_verdict_on_recipes(
    invoke: Invoke, places: dict[str, list[Path]], tmp_path: Path
) -> None:
    ran = invoke(
        *("score", "--dataset", json.dumps(ROOMS), "--protocol", "full", "-o", tmp_path),
        *("--variant", f"ours={places['ours'][0]}", "--variant", f"theirs={places['theirs'][0]}"),
    )
    assert ran.exit_code == 0, ran.stderr
    words = " ".join(ran.stdout.split())
    assert "on these weights only" in words
    assert "one seed: seed noise was not measured, and no verdict reaches beyond these weights" in words


def test_places_without_a_name_are_seeds_of_one_variant(
    invoke: Invoke, places: dict[str, list[Path]], tmp_path: Path
) -> None:
    ran = invoke(
        *("score", *places["ours"], "--dataset", json.dumps(ROOMS), "--protocol", "full", "-o", tmp_path, "--json")
    )
    assert ran.exit_code == 0, ran.stderr
    (variant,) = json.loads(ran.stdout)["variants"]
    assert variant["mean"]["seeds"] == 3
    assert variant["mean"]["low"] < variant["mean"]["value"] < variant["mean"]["high"]


def test_missing_predictions_and_unequal_seeds_count_for_nothing_and_are_told(
    places: dict[str, list[Path]], tmp_path: Path
) -> None:
    short = tmp_path / "short"
    short.mkdir()
    for file in sorted(places["ours"][0].iterdir())[1:]:
        (short / file.name).write_bytes(file.read_bytes())
    given = {"ours": [short, places["ours"][1]], "theirs": places["theirs"]}
    findings = compare(given, tmp_path, allow_missing=True)
    row = findings.table()[0]
    assert (row["seeds"], row["images"]) == (2, 7)
    assert any("1 test images have no prediction" in note for note in findings.study.notes)


def test_copies_of_predictions_are_no_seeds(places: dict[str, list[Path]], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in places["ours"][0].iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    double, packed = tmp_path / "double", tmp_path / "packed"
    for folder in (double, packed):
        folder.mkdir()
    for file in places["ours"][0].iterdir():
        np.save(double / file.name, np.load(file).astype(np.float64))
        np.savez_compressed(packed / f"{file.stem}.npz", np.load(file))
    for place in (copy, double, packed):
        with pytest.raises(UserError, match="holds the very predictions of ours, seed 0"):
            compare({"ours": [places["ours"][0], place], "theirs": places["theirs"]}, tmp_path)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"reference": "nobody"}, "no variant is called 'nobody'"),
        ({"metric": "mae"}, "there is no 'mae'"),
        ({"smallest": 0}, "smallest: 0 is no difference"),
        ({"smallest": 1.5, "metric": "delta1"}, "smallest: 1.5 is more than delta1 can differ by"),
    ],
)
def test_wrong_comparisons_are_refused(
    chosen: dict[str, Any], words: str, places: dict[str, list[Path]], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words):
        compare(places, tmp_path, **chosen)


def test_the_best_is_chosen_on_images_that_every_variant_has(places: dict[str, list[Path]], tmp_path: Path) -> None:
    hard = [shutil.copytree(place, tmp_path / "ours" / place.name) for place in places["ours"]]
    easy = [shutil.copytree(place, tmp_path / "theirs" / place.name) for place in places["theirs"]]
    for folder in hard:
        for file in sorted(folder.iterdir())[4:]:
            np.save(file, 3 * np.load(file))
    for folder in easy:
        for file in sorted(folder.iterdir())[4:]:
            file.unlink()
    found = compare({"ours": hard, "theirs": easy}, tmp_path / "scores", allow_missing=True)
    means = {row["variant"]: (row["mean"], row["best"]) for row in found.table()}
    assert means["ours"][0] > means["theirs"][0], "on its own images theirs looks better"
    assert (means["ours"][1], means["theirs"][1]) == (True, False)
    words, tex = (found.files[name].read_text("utf-8").replace("\\", "") for name in ("report.md", "table.tex"))
    assert "Best mean on the 4 images that every variant has: ours, 0.0" in words
    for text in (words, tex):
        assert "Means are over different images: the best is chosen on the 4 images that every variant has." in text
        assert "4 of 8 images left out, without a prediction (theirs)." in text
        assert "no pixel" not in text


def test_where_no_image_is_common_none_is_best(places: dict[str, list[Path]], tmp_path: Path) -> None:
    halves = {}
    for name, start in (("ours", 0), ("theirs", 4)):
        halves[name] = [shutil.copytree(place, tmp_path / name / place.name) for place in places[name][:2]]
        for folder in halves[name]:
            for file in sorted(folder.iterdir())[start : start + 4]:
                file.unlink()
    found = compare(halves, tmp_path / "scores", allow_missing=True)
    assert not any(row["best"] or row["tied"] for row in found.table())
    words = found.files["report.md"].read_text(encoding="utf-8")
    assert "No best mean: means are over different images, and no image and seed is common to all." in words


def test_an_image_without_a_prediction_under_some_seeds_is_said_to_be_so(
    places: dict[str, list[Path]], tmp_path: Path
) -> None:
    holes = {**places, "ours": [shutil.copytree(places["ours"][0], tmp_path / "holes"), *places["ours"][1:]]}
    next((tmp_path / "holes").iterdir()).unlink()
    found = compare(holes, tmp_path / "scores", allow_missing=True)
    words = found.files["report.md"].read_text(encoding="utf-8").replace("\\", "")
    assert "1 of 8 images left out, without a prediction under some seeds (ours)." in words
