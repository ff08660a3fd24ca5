"""What jobs and runs leave reads back as it was written; a file that cannot be used is named with the remedy."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cliffkit.errors import UserError
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.regions import REGIONS
from cliffkit.store.artifacts import (
    DepthFitFacts,
    EmbeddingFitFacts,
    Environment,
    Fact,
    Failure,
    FitFacts,
    JobProgress,
    JobRecord,
    PackFacts,
    PartRecord,
    PerImage,
    ProtocolScores,
    RegionScores,
    RunMetrics,
    RunParts,
    Scores,
    Selection,
    StoreStamp,
    read_json,
)
from cliffkit.store.checksums import FileSum
from cliffkit.store.files import write_json
from cliffkit.store.job import Job
from cliffkit.store.store import Store

from ..protocol_fixtures import protocol

SUMMARY = {**dict.fromkeys(METRICS, 0.25), "n": 6, "absent": 0}
SCORES = Scores(
    data={"use": "rooms", "size": [32, 48], "test_fingerprint": "f00"},
    protocols={
        spec: ProtocolScores(protocol(spec), protocol(spec).describe(), SUMMARY, SUMMARY)
        for spec in ("garg", "hu+flip")
    },
    baseline_depth_m=2.5,
    selection=Selection("val", "abs_rel", 0.125, 40),
    parameters=1234,
)
PART = PartRecord(
    "fusion",
    "mine",
    {"gain": 1.5},
    "own",
    "own-parts",
    "1.0",
    "c0de",
    {"own.part": "f00"},
    {"own.part": "code/own/part.py"},
)
FACTS: tuple[Fact, ...] = (
    StoreStamp(1),
    JobRecord("depth", "abc", {"seed": 3, "train": {"lr": 1e-3}}, 1.5, 1.7e9, {"weights": FileSum(3, "f00")}),
    Failure("depth: no", "Traceback", 1.7e9),
    JobProgress("depth", 2, 4, "step", {"loss": 0.5}, ("halved",)),
    PackFacts(24, (32, 48), 2.5, 0.75, 1, ("hall", "den")),
    FitFacts(4, 0.125, 1.5, 0.25, None),
    DepthFitFacts(4, 0.125, 1.5, 0.25, 2, "abs_rel", 1234),
    EmbeddingFitFacts(4, 0.125, 1.5, 0.25, None, held_out=100, right=0.5, majority=0.25),
    Environment("a processor", "cpu", 1, 2, "float32", "a test", ("scatter",), "3.11", "Linux", {"torch": "2.9"}),
    RunParts("0.1.0", {"depth": 2}, (PART,)),
    SCORES,
    RunMetrics(**vars(SCORES), name="tiny", key="abc", seconds={"pack": 1.5}, jobs={"pack": "def"}),
)
LINE = "protocol,image," + ",".join(METRICS)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_a_fact_reads_back_as_it_was_written_and_writes_the_same_bytes(tmp_path: Path, fact: Fact) -> None:
    fact.write(tmp_path)
    (file,) = tmp_path.iterdir()
    written = file.read_bytes()
    again = type(fact).read(tmp_path)
    assert again == fact
    again.write(tmp_path)
    assert file.read_bytes() == written


def test_a_run_s_file_has_its_name_and_key_first_and_is_read_as_scores_too(tmp_path: Path) -> None:
    run = FACTS[-1]
    run.write(tmp_path)
    assert list(json.loads((tmp_path / "metrics.json").read_text())) == [
        "name", "key", "data", "protocols", "baseline_depth_m", "selection", "parameters", "failures", "divisors",
        "seconds", "jobs",
    ]  # fmt: skip
    assert Scores.read(tmp_path) == SCORES
    assert SCORES.metrics == SCORES.baseline == {"garg": SUMMARY, "hu+flip": SUMMARY}


def test_a_key_that_is_no_field_is_passed_over(tmp_path: Path) -> None:
    DepthFitFacts(4, 0.125, 1.5, 0.25, 2, "abs_rel", 1234).write(tmp_path)
    assert FitFacts.read(tmp_path) == FitFacts(4, 0.125, 1.5, 0.25, 2)


def test_what_is_not_finite_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        FitFacts(4, math.nan, 1.5, 0.25, None).write(tmp_path)
    assert not list(tmp_path.iterdir())


SPOILT = {
    "is missing": (None, "cannot be read: No such file or directory"),
    "is cut off": ('{"best_step": 4, "best_sco', r"Invalid JSON: EOF while parsing .*"),
    "is empty": ("", "Invalid JSON: EOF while parsing a value .*"),
    "is no UTF-8": (b'{"best_step": "\xff"}', "Invalid JSON: .*"),
    "is a list": ("[]", ".*object.*"),
    "lacks a field": ('{"best_step": 4}', "best_score: Field required"),
    "has a text for a number": (
        '{"best_step": "4", "best_score": 1, "seconds": 1, "waiting_s": 1, "micro_batch": null}',
        "best_step: Input should be a valid integer",
    ),
}


@pytest.mark.parametrize(("content", "cause"), SPOILT.values(), ids=list(SPOILT))
def test_a_file_that_cannot_be_used_is_named_with_cause_and_remedy(
    tmp_path: Path, content: str | bytes | None, cause: str
) -> None:
    store = Store(tmp_path)
    folder = store.folder(Job("depth", "abc", {}, {}, None))  # type: ignore[arg-type]
    folder.mkdir()
    path = folder / "fit.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=f"^{path}: {cause}; run again: the job is set aside and done anew$"):
        FitFacts.read(folder)


def test_outside_of_jobs_the_file_alone_is_to_be_deleted_and_nothing_where_it_is_missing(tmp_path: Path) -> None:
    Store(tmp_path)
    path = tmp_path / "paces.json"
    with pytest.raises(UserError, match=f"^{path}: cannot be read: No such file or directory; run again$"):
        read_json(path)
    path.write_text("{")
    with pytest.raises(UserError, match=f"^{path}: is no JSON: .*; delete {path} and run again$"):
        read_json(path)


def test_a_protocol_of_another_version_is_named(tmp_path: Path) -> None:
    written = SCORES.to_dict()
    written["protocols"]["garg"]["protocol"]["blur"] = 3
    write_json(tmp_path / "metrics.json", written)
    with pytest.raises(UserError, match=r"metrics\.json: protocols\.garg\.protocol: stored protocol 'garg' .*'blur'"):
        Scores.read(tmp_path)


def test_progress_that_cannot_be_read_is_none_at_all(tmp_path: Path) -> None:
    store, job = Store(tmp_path), Job("depth", "abc", {}, {}, None)  # type: ignore[arg-type]
    assert store.progress(job) is None
    progress = JobProgress("depth", 2, 4, "step", {}, ())
    store.tell_progress(job, progress)
    assert store.progress(job) == progress
    (store.working(job) / JobProgress.FILE).write_text('{"stage": "de')
    assert store.progress(job) is None


# per_image.csv


def table(images: tuple[str, ...]) -> PerImage:
    values = np.random.default_rng(0).random((2, len(images), len(METRICS)))
    values[1, -1] = math.nan
    return PerImage(images, {"full": values[0], "hu+flip": values[1]})


def test_metrics_beside_the_nine_have_columns_of_their_own(tmp_path: Path) -> None:
    names = ("a", "b")
    nine = table(names).scores
    values = {"full": {"f1": np.array([0.25, np.nan])}, "hu+flip": {"angle": np.array([3.0, 4.5])}}
    PerImage(names, nine, values).write(tmp_path)
    read = PerImage.read(tmp_path)
    assert read.extra_names == ["f1", "angle"]
    assert {name: set(extras) for name, extras in read.extras.items()} == {"full": {"f1"}, "hu+flip": {"angle"}}
    for name, extras in values.items():
        np.testing.assert_array_equal(read.scores[name], nine[name])
        for metric, column in extras.items():
            np.testing.assert_array_equal(read.extra_columns(name)[metric], column)
    assert np.isnan(read.extra_columns("full")["angle"]).all()


def test_no_name_in_the_table_is_a_formula_and_all_read_back(tmp_path: Path) -> None:
    names = ("=1+1", "+a", "-7.png", "@b", "\tc", "'d", "'=e", "''=f", "''g", "h=1", "")
    written = PerImage(names, {"=cmd|' /C calc'!A0": table(names).scores["full"]})
    written.write(tmp_path)
    with (tmp_path / "per_image.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row[:2]]
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))] == []
    read = PerImage.read(tmp_path)
    assert read.images == names
    assert list(read.scores) == list(written.scores)


def test_scores_per_image_read_back_to_the_bit(tmp_path: Path) -> None:
    names = ("a", 'b, "c"', "d\u2028e\nf")
    written = table(names)
    written.write(tmp_path)
    read = PerImage.read(tmp_path)
    assert read.images == names
    assert list(read.scores) == ["full", "hu+flip"]
    for name, scores in read.scores.items():
        np.testing.assert_array_equal(scores, written.scores[name])


def test_an_image_without_a_scored_pixel_is_a_line_of_empty_cells(tmp_path: Path) -> None:
    table(("a", "b")).write(tmp_path)
    lines = (tmp_path / "per_image.csv").read_text().splitlines()
    assert (lines[0], lines[-1]) == (LINE, "hu+flip,b" + "," * len(METRICS))
    assert lines[1].startswith("full,a,0.")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "its first line is not protocol,image,abs_rel"),
        ("protocol,image,abs_rel\n", "its first line is not protocol,image,abs_rel"),
        (f"{LINE}\nfull\n", "not enough values"),
        (f"{LINE}\nfull,a,1,2\n", "cannot reshape"),
        (f"{LINE}\nfull,a{',x' * len(METRICS)}\n", "could not convert"),
        (f"{LINE}\n", "its protocols have not the same images"),
        (
            f"{LINE}\nfull,a{',1' * len(METRICS)}\nhu,b{',1' * len(METRICS)}\n",
            "its protocols have not the same images",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_named(tmp_path: Path, text: str, cause: str) -> None:
    path = tmp_path / "per_image.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"^{path}: .*{cause}.*; delete .* and run again$"):
        PerImage.read(tmp_path)


def test_two_protocols_that_differ_in_words_alone_are_equal_when_read(tmp_path: Path) -> None:
    mended = replace(protocol("garg"), source="in better words")
    scores = replace(SCORES, protocols={"garg": replace(SCORES.protocols["garg"], protocol=mended)})
    scores.write(tmp_path)
    assert Scores.read(tmp_path).protocols["garg"].protocol == protocol("garg")


def test_a_classifier_is_near_chance_within_three_standard_errors_of_the_most_frequent_type() -> None:
    facts = EmbeddingFitFacts(4, 0.125, 1.5, 0.25, None, held_out=100, right=0.3, majority=0.1)
    assert facts.describe() == (
        "30 % of 100 held-out training images have their scene type named, 10 % are of the most frequent one"
    )
    assert not facts.near_chance()
    assert replace(facts, right=0.2).near_chance()
    assert replace(facts, held_out=2, right=0.5, majority=0.0).near_chance()
    assert replace(facts, held_out=2, right=0.0, majority=0.0).near_chance()
    none = EmbeddingFitFacts(4, 0.125, 1.5, 0.25, None)
    assert (none.describe(), none.near_chance()) == ("", False)


# regions.npz


def test_scores_of_regions_are_read_back_to_the_rounding_of_float32(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    tables = {name: random.random((3, len(REGIONS), len(METRICS))) for name in ("full", "eigen+flip, é")}
    tables["full"][1, 2] = np.nan
    RegionScores(("kitchen", "", "=office"), tables).write(tmp_path)  # type: ignore[arg-type]
    found = RegionScores.read(tmp_path)
    assert found.scenes == ("kitchen", "", "=office")
    assert list(found.scores) == list(tables)
    for name, table in tables.items():
        np.testing.assert_array_equal(found.scores[name], table.astype(np.float32))
    content = (tmp_path / RegionScores.FILE).read_bytes()
    found.write(tmp_path)
    assert (tmp_path / RegionScores.FILE).read_bytes() == content


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 and no more", None])
def test_a_damaged_file_of_regions_is_named(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / RegionScores.FILE
    if damage is None:
        np.savez_compressed(path, protocols=["full"], scenes=["a"], scores=np.zeros((1, 1, 2, 9), np.float32))
    else:
        path.write_bytes(damage)
    with pytest.raises(UserError, match=rf"{path}: holds no scores of regions: .*; delete {path} and run again"):
        RegionScores.read(tmp_path)
    path.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        RegionScores.read(tmp_path)
