"""A study's report: its numbers are those of the arrays, its text is inert, its files are whole."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection

from cliffkit.components.load import Plugins
from cliffkit.components.registry import Registry
from cliffkit.pictures.colours import relative_error
from cliffkit.report import gallery as galleries
from cliffkit.report import images, wording
from cliffkit.report.checklist import checklist
from cliffkit.report.figures import COLUMN, WIDTHS_IN, curves, effects
from cliffkit.report.markdown import _md, _with_code
from cliffkit.report.over_depth import over_depth
from cliffkit.report.page import _code
from cliffkit.report.picks import pick, pick_images
from cliffkit.report.remarks import published, troubles
from cliffkit.report.sentences import placebo_sentence
from cliffkit.report.svg import drawing, inline
from cliffkit.report.tables import HEADS, effect_rows, text_table
from cliffkit.report.wording import chance, column_digits, heading, listed, number, table_digits
from cliffkit.report.write import write_report
from cliffkit.scoring.metrics import HIGHER_IS_BETTER, METRICS
from cliffkit.statistics import EQUIVALENT, NOISE, Estimate, compare, estimate, holm
from cliffkit.store.artifacts import EmbeddingFitFacts
from cliffkit.store.store import Store
from cliffkit.study.analysis import Analysis, analyse
from cliffkit.study.board import HOW_TO_RETRY
from cliffkit.study.columns import TAKEN
from cliffkit.study.effects import Effect
from cliffkit.study.reading import load_results
from cliffkit.study.results import CellResult, Results
from cliffkit.study.where import where
from cliffkit.verbs.opened import open_study
from cliffkit.verbs.study_report import command_again

from ..report_fixtures import (
    AXES,
    ENVIRONMENT,
    HOSTILE_IMAGE,
    HOSTILE_LEVEL,
    HOSTILE_REASON,
    make_gallery,
    make_results,
    make_study,
)
from ..study_fixtures import FinishedStudy

COMMAND = "cliffkit ablate study.yaml --set 'train.depth.steps=9'"
NOTHING = "–"
FIGURES = [f"{name}{width}" for name in ("forest", "curves", "effects", "over_depth") for width in ("", "_column")]
SOURCE = "Someone & <others>, 2020, table 3"
PUBLISHED = {"published": [{"metric": "abs_rel", "protocol": "full", "value": 0.1234, "source": SOURCE}]}


@dataclass(frozen=True)
class Report:
    results: Results
    analysis: Analysis
    files: Mapping[str, Path]

    def text(self, name: str) -> str:
        return self.files[name].read_text(encoding="utf-8")

    @cached_property
    def page(self) -> Page:
        page = Page()
        page.feed(self.text("report.html"))
        page.close()
        return page


class Page(html.parser.HTMLParser):
    """What of a page the tests look at."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.words = ""
        self.data: dict[str, Any] = {}
        self._table: list[list[str]] | None = None
        self._cell = self._skip = False
        self._json = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "table":
            self._table = self.tables.setdefault(given.get("id") or f"table {len(self.tables)}", [])
        elif tag == "tr" and self._table is not None:
            self._table.append([])
        elif tag in ("td", "th") and self._table is not None:
            self._table[-1].append("")
        self._cell = self._cell or tag in ("td", "th")
        self._skip = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self._json:
            self.data, self._json = json.loads(self._json), ""
        self._cell = self._cell and tag not in ("td", "th")
        self._skip = False

    def handle_data(self, data: str) -> None:
        if self._skip:
            self._json += data if self.tags[-1][1].get("type") == "application/json" else ""
            return
        self.words += data
        if self._cell and self._table:
            self._table[-1][-1] += data


def write(results: Results, folder: Path, gallery: Any = None) -> Report:
    analysis = analyse(results)
    files = write_report(results, analysis, folder, gallery=gallery, command=COMMAND, progress=lambda what: None)
    return Report(results, analysis, files)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory, registry: Registry, tiny: str) -> Report:
    """A grid of twelve with hostile names; one variant failed at every seed, one at one, one cell waits."""
    root = tmp_path_factory.mktemp("hostile")
    axes = {**AXES, "<i>&": {"plain": {}, HOSTILE_LEVEL: {"train.depth.lr": 0.005}}}
    study = make_study(root, registry, tiny, axes=axes, base=PUBLISHED)
    names = [variant.name for variant in study.variants]
    failed = {(names[3], seed): HOSTILE_REASON for seed in study.seeds} | {(names[5], 1): HOSTILE_REASON}
    results = make_results(
        study,
        root / "runs",
        failed=failed,
        waiting=[(names[6], 2)],
        unscored=[5],
        environments={2: replace(ENVIRONMENT, device="another <processor>")},
    )
    return write(results, root / "report", make_gallery(results))


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory, registry: Registry, tiny: str) -> Report:
    """Six variants, three seeds, two protocols, everything done."""
    root = tmp_path_factory.mktemp("plain")
    study = make_study(root, registry, tiny)
    results = make_results(study, root / "runs")
    return write(results, root / "report", "no device was at hand")


def test_every_file_is_there(hostile: Report) -> None:
    figures = {f"figures/{name}.{kind}" for name in FIGURES for kind in ("svg", "pdf")}
    wanted = {
        "report.html",
        "report.md",
        "table.tex",
        "results.csv",
        "per_image.csv",
        "noise.csv",
        "noise.json",
        "where.csv",
        *figures,
    }
    assert set(hostile.files) == wanted
    assert all(path.stat().st_size for path in hostile.files.values())
    folder = hostile.files["report.html"].parent
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == wanted


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("protocol", ["full", "eigen"])
def test_tables_hold_what_the_arrays_say(plain: Report, protocol: str, metric: str) -> None:
    results, study = plain.results, plain.results.study
    values = results.scores[protocol][..., METRICS.index(metric)]
    start = values[study.variants.index(study.reference)]
    table = plain.page.data["tables"][f"{protocol}|{metric}"]
    others = [own for variant, own in zip(study.variants, values, strict=True) if variant is not study.reference]
    adjusted = iter(holm([each.p for own in others if (each := compare(own, start))]))
    first = (protocol, metric) == (study.protocol, study.metric)
    for variant, own, (texts, short, word, _) in zip(study.variants, values, table["rows"], strict=True):
        cells = dict(zip(HEADS, texts, strict=True))
        mean = estimate(own)
        assert mean is not None
        value, half = short.split(" ± ")
        near = 0.5001 * 10 ** -len(value.partition(".")[2])
        assert float(value) == pytest.approx(np.mean(own), abs=near)
        low, high = max(mean.low, 0), min(mean.high, 1 if metric in HIGHER_IS_BETTER else np.inf)
        assert float(half) == pytest.approx((high - low) / 2, abs=near)
        assert cells["mean"] == short
        assert cells["seeds × images"] == f"{len(study.seeds)} × {len(results.images)}"
        plan = [cells["would have seen"], cells["more seeds for it"]]
        if variant is study.reference:
            assert texts[:4] == ["reference", NOTHING, NOTHING, NOTHING]
            assert plan == ([NOTHING, NOTHING] if first else ["", ""])
            continue
        assert float(cells["difference"].replace("−", "-")) == pytest.approx(np.mean(own - start), abs=near)
        found = compare(own, start)
        assert found is not None
        low, high = (float(end) for end in cells["95 % interval"].strip("[]").replace("−", "-").split(", "))
        assert (low, high) == pytest.approx((found.low, found.high), abs=near)
        better = (found.value > 0) == (metric in HIGHER_IS_BETTER)
        p = next(adjusted)
        told = "not distinguishable from noise" if p >= 0.05 else "better" if better else "worse"
        assert cells["p (Holm)"] == chance(p)
        assert cells["verdict"].endswith(told)
        assert word == told
        needed = found.seeds_needed()
        more = str(max(needed - 3, 1)) if needed is not None and told == NOISE else NOTHING
        assert plan == ([f"{found.detectable():.2g}", more] if first else ["", ""])


def test_best_and_its_ties_are_marked(plain: Report) -> None:
    values = plain.results.scores["full"][..., 0]
    best = int(np.argmin(values.mean(axis=(1, 2))))
    flags = [row[3] for row in plain.page.data["tables"]["full|abs_rel"]["rows"]]
    assert flags[best] == "best"
    assert flags.count("best") == 1
    for own, flag in zip(values, flags, strict=True):
        found = compare(own, values[best])
        assert found is not None
        assert (flag != "") == (found.low <= 0 <= found.high)
    names = [line[0] for line in plain.page.tables["scores"][1:]]
    assert [name.endswith(" tied") for name in names] == [flag == "tied" for flag in flags]
    assert "tied" in flags


def test_the_first_table_is_there_without_javascript(plain: Report) -> None:
    page = plain.page
    names = [variant.name for variant in plain.results.study.variants]
    shown = page.tables["scores"]
    assert [line[0].split(" tied")[0].split(" best")[0] for line in shown[1:]] == names
    assert [line[1:] for line in shown[1:]] == [row[0] for row in page.data["tables"]["full|abs_rel"]["rows"]]
    every = page.tables["every"]
    assert every[0][1:] == [heading(metric) for metric in METRICS]
    assert len(every) == 1 + len(names)


def test_verdicts_come_before_the_numbers(plain: Report) -> None:
    for text in (plain.text("report.html").partition("<body>")[2], plain.text("report.md")):
        assert (
            0
            < text.index("none + add lowered")
            < text.index("forest")
            < text.index("▲ better")
            < text.index("Every metric under full")
        )
    assert "5 comparisons" in plain.page.words
    assert "Holm's p" in plain.page.words


def test_the_checklist_stands_in_page_and_markdown(plain: Report) -> None:
    for item in checklist(plain.results, plain.analysis):
        assert f"{item.name}. {item.words.replace('`', '')}" in " ".join(plain.page.words.split())
        assert f"- [{'x' if item.is_met else ' '}] **{item.name}.**" in plain.text("report.md")


def test_what_a_user_writes_is_set_as_code_and_nothing_else_is_markup() -> None:
    assert _code("set `a: <b>` or <c>") == "set <code>a: &lt;b&gt;</code> or &lt;c&gt;"
    assert _code("one ` alone & nothing") == "one ` alone &amp; nothing"
    assert _with_code("set `a_b: <c>` or a_b") == r"set `a_b: <c>` or a_b"
    assert _with_code("one ` alone") == r"one \` alone"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("abs_rel (full) within [-1, 2]!", "abs_rel (full) within [-1, 2]!"),
        ("![a](b) [a][b] [a]: b", r"![a\](b) [a\][b] [a\]: b"),
        ("[x] done", r"[x\] done"),
        ("_a_ a_b __c__ a__b é_ü", r"\_a\_ a_b \_\_c\_\_ a\_\_b é_ü"),
        ("*a* `b` <c> &amp; $x$ \\(", r"\*a\* \`b\` \<c\> \&amp; \$x\$ \\("),
    ],
)
def test_markdown_escapes_what_markdown_reads_and_no_parentheses(text: str, wanted: str) -> None:
    assert _md(text) == wanted


def test_nothing_from_outside_is_read_as_markup(hostile: Report) -> None:
    page = hostile.page
    assert HOSTILE_IMAGE in page.words
    assert HOSTILE_LEVEL in page.words
    assert HOSTILE_REASON in page.words
    assert "another <processor>" in page.words
    assert SOURCE in page.words
    assert sum(tag == "script" for tag, _ in page.tags) == 2
    assert not [tag for tag, _ in page.tags if tag in ("b", "i", "iframe", "object", "link", "others", "processor")]
    assert not [name for _, given in page.tags for name in given if name.startswith("on")]
    assert HOSTILE_LEVEL in page.data["names"][1]  # what JavaScript shows is inert too: it only ever sets text
    assert "innerHTML" not in hostile.text("report.html")


@pytest.mark.parametrize("report", ["hostile", "plain"])
def test_the_page_loads_nothing(report: str, request: pytest.FixtureRequest) -> None:
    written: Report = request.getfixturevalue(report)
    page, text = written.page, written.text("report.html")
    for _, given in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
            value = given.get(name)
            assert value is None or value.startswith(("data:image/", "#")), value
    assert all(found.startswith("#") for found in re.findall(r"url\(\s*['\"]?([^)'\"]*)", text))
    assert "@import" not in text
    assert "http://" not in text
    assert "https://" not in text
    policy = next(given["content"] or "" for tag, given in page.tags if given.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe-inline" not in policy.partition("script-src")[2]


def test_figures_are_well_formed_and_their_ids_unique(hostile: Report) -> None:
    for name in FIGURES:
        root = ET.parse(hostile.files[f"figures/{name}.svg"]).getroot()
        assert root.tag.endswith("svg")
        assert hostile.files[f"figures/{name}.pdf"].read_bytes().startswith(b"%PDF")
    page = hostile.page
    ids = [given["id"] for _, given in page.tags if "id" in given]
    assert len(ids) == len(set(ids))
    assert {f"#{name}" for name in ids} >= {given["href"] for _, given in page.tags if "href" in given}
    text = hostile.text("report.html")
    assert text.count('<svg role="img" aria-label="') == len(FIGURES)
    assert "currentColor" in text
    assert "var(--better)" in text


def test_a_curve_of_one_validation_is_a_point_that_can_be_seen(hostile: Report) -> None:
    results = hostile.results
    single = tuple(replace(cell, curve=cell.curve[-1:]) for cell in results.cells)
    for cells, visible in ((results.cells, False), (single, True)):
        figure = curves(replace(results, cells=cells), hostile.analysis, 6.4)
        assert figure is not None
        lines = [line for line in figure.axes[0].get_lines() if len(line.get_xdata())]
        assert lines
        assert {line.get_marker() not in ("None", "") for line in lines} == {visible}
    others, *named = lines
    assert len(named) + len(others.get_xdata()) == 11, "of twelve variants one failed at every seed"
    low, high = figure.axes[0].get_ylim()
    ends = np.concatenate([bar.vertices[:, 1] for bar in figure.axes[0].collections[-1].get_paths()])
    assert low < ends.min() < ends.max() < high


def test_seven_ranges_of_depth_stand_side_by_side_in_a_column(plain: Report) -> None:
    results = plain.results
    assert results.regions is not None
    regions = results.regions.copy()
    regions[...] = results.scores["full"][..., :1]
    analysis = replace(plain.analysis, where=where(replace(results, regions=regions)))
    for width_in in WIDTHS_IN.values():
        with drawing():
            figure = over_depth(results, analysis, width_in)
            assert figure is not None
            figure.draw_without_rendering()
        boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
        assert len(boxes) == 7
        assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_in_a_column_no_label_is_struck_through_by_the_line_at_zero(plain: Report) -> None:
    with drawing():
        figure = effects(plain.results, plain.analysis, WIDTHS_IN[COLUMN])
        assert figure is not None
        figure.draw_without_rendering()
    crossed = 0
    for axes in figure.axes:
        (zero,) = [found for found in axes.collections if isinstance(found, LineCollection)]
        ends = [axes.transData.transform(segment) for segment in zero.get_segments()]
        labels = [text.get_window_extent() for text in axes.texts if text.get_text() not in ("← better", "better →")]
        assert len(ends) == len(labels) > 0
        crossed += sum(label.x0 < ends[0][0, 0] < label.x1 for label in labels)
        for (_, one), (_, other) in ends:
            assert not any(min(one, other) < label.y1 and label.y0 < max(one, other) for label in labels)
    assert crossed, "some label reaches the line's place"


def test_figures_are_the_same_bytes_whenever_they_are_drawn(plain: Report, tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    again = write(plain.results, tmp_path, "no device was at hand")
    assert dict(matplotlib.rcParams) == before
    assert {name: path.read_bytes() for name, path in again.files.items()} == {
        name: path.read_bytes() for name, path in plain.files.items()
    }


def test_a_report_leaves_alone_what_another_process_writes_beside_it(plain: Report, tmp_path: Path) -> None:
    figures = tmp_path / "figures"
    figures.mkdir()
    for name in (".forest.svg.1234.tmp", "formerly.svg"):
        (figures / name).write_text("")
    write(plain.results, tmp_path, "no device was at hand")
    assert (figures / ".forest.svg.1234.tmp").exists()
    assert not (figures / "formerly.svg").exists()


def test_inline_figures_follow_the_page() -> None:
    svg = '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><metadata>x</metadata>'
    svg += '<g id="a" clip-path="url(#b)">'
    svg += '<use xlink:href="#a" style="fill: #1b1d1f; stroke: #a33a00"/></g></svg>'
    assert inline(svg, "f", "what") == (
        '<svg role="img" aria-label="what"><g id="f-a" clip-path="url(#f-b)">'
        '<use href="#f-a" style="fill: currentColor; stroke: var(--worse)"/></g></svg>'
    )


def test_results_csv_has_every_cell_protocol_and_metric(hostile: Report) -> None:
    results = hostile.results
    with hostile.files["results.csv"].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(results.cells) * 2 * len(METRICS)
    assert {row["state"] for row in rows} == {"done", "failed", "waiting"}
    assert list(rows[0])[:4] == ["variant", "embedding", "fusion", "<i>&"]
    states = iter(rows)
    for each in results.cells:
        for protocol in ("full", "eigen"):
            for metric in METRICS:
                row = next(states)
                assert (row["protocol"], row["metric"], row["state"]) == (protocol, metric, each.state)
                if each.scores is None:
                    assert (row["value"], row["images"]) == ("", "")
                else:
                    assert float(row["value"]) == each.scores.protocols[protocol].metrics[metric]
                    assert int(row["images"]) == len(results.images) - 1


@pytest.mark.parametrize("name", ["results.csv", "per_image.csv"])
def test_every_column_beside_the_axes_is_a_name_that_no_axis_may_have(hostile: Report, name: str) -> None:
    with hostile.files[name].open(newline="", encoding="utf-8") as file:
        columns = next(csv.reader(file))
    beside = [column for column in columns if column not in hostile.results.study.axes]
    assert set(beside) <= set(TAKEN)
    assert len(beside) == len(columns) - len(hostile.results.study.axes)


def test_per_image_csv_gives_the_scores_back(hostile: Report) -> None:
    results, study = hostile.results, hostile.results.study
    with hostile.files["per_image.csv"].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == results.done * 2 * len(results.images)
    first = {(row["variant"], row["seed"], row["protocol"], row["image"]): row for row in rows}
    assert len(first) == len(rows)
    row = first[study.variants[0].name, "1", "eigen", HOSTILE_IMAGE]
    assert [float(row[metric]) for metric in METRICS] == results.scores["eigen"][0, 1, 0].tolist()
    absent = first[study.variants[0].name, "1", "eigen", results.images[5]]
    assert [absent[metric] for metric in METRICS] == [""] * len(METRICS)


@pytest.mark.parametrize("name", ["results.csv", "per_image.csv"])
def test_no_csv_field_is_a_formula(hostile: Report, name: str) -> None:
    with hostile.files[name].open(newline="", encoding="utf-8") as file:
        texts = {field for row in csv.reader(file) for field in row}
    assert not [text for text in texts if text.startswith(("=", "+", "-", "@")) and not _is_number(text)]
    assert f"'{HOSTILE_LEVEL}" in texts


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_markdown_is_whole_and_inert(hostile: Report) -> None:
    text = hostile.text("report.md")
    study = hostile.results.study
    body, _, reproduce = text.partition("## Reproduce")
    assert COMMAND in reproduce
    assert study.text.rstrip() in reproduce
    assert "<script" not in body.replace("\\<", "")
    tables = [line for line in body.splitlines() if line.startswith("|")]
    assert "published" in tables[0]
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in tables[: 2 + len(study.variants)]]
    assert set(widths) == {len(HEADS) + 2}  # an escaped bar in a name opens no column
    assert all(f"![{name}](figures/{name}.svg)" in body for name in ("forest", "curves", "effects", "over_depth"))
    assert "**" in body
    assert not re.search(r"(?<!\\)\\[(\[]", body), "to some readers that begins a formula"


def test_latex_is_balanced_and_escaped(hostile: Report) -> None:
    text = hostile.text("table.tex")
    assert text.splitlines()[0] == r"% \usepackage{booktabs}"
    bare = re.sub(r"\\[\\&%$#_{}]", "", "\n".join(line for line in text.splitlines() if not line.startswith("%")))
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert not set('%#_^~|<>"') & set(re.sub(r"\$\^\{\\[a-z]+\}\$|\$\\delta<1\.25\^k\$|\$>\$", "", bare))
    assert bare.count(r"truth d $>$ 0.001 m, prediction clamped to $\geq$ 0.001 m,") == 2
    assert bare.count(r"$\delta<1.25^k$") == 2
    assert sum("table*" in line for line in text.splitlines() if line.startswith("%")) == 1
    assert bare.count(r"\begin{table}") == bare.count(r"\end{table}") == 2
    assert text.isascii()
    lines = [line for line in text.splitlines() if line.startswith(r"\raggedright")]
    count = len(hostile.results.study.variants)
    assert [len(re.findall(r"(?<!\\)&", line)) for line in lines] == [5] * count + [len(METRICS)] * count
    for mark in (r"\textbf{", r"\underline{", r"$^{\triangle}$", r"$\circ$ not dist", r"$\times$ not measured"):
        assert mark in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex with booktabs")
@pytest.mark.parametrize("report", ["hostile", "plain"])
def test_latex_compiles(report: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    written: Report = request.getfixturevalue(report)
    (tmp_path / "table.tex").write_text(written.text("table.tex"), encoding="utf-8")
    main = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n\\input{table}\n\\end{document}\n"
    (tmp_path / "main.tex").write_text(main, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "main.tex"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "`booktabs.sty' not found" in ran.stdout:
        pytest.skip("this LaTeX has no booktabs")
    assert ran.returncode == 0, ran.stdout[-2000:]
    assert report == "hostile" or "Overfull" not in ran.stdout, "the tables are wider than a page"


def test_the_latex_caption_says_what_its_numbers_allow_for(registry: Registry, tiny: str, tmp_path: Path) -> None:
    study = make_study(tmp_path, registry, tiny, placebo=True, seeds={"from": 3, "to": 7}, compare={"smallest": 0.5})
    report = write(make_results(study, tmp_path / "runs"), tmp_path / "report")
    text = report.text("table.tex")
    assert "but the placebo's (seeds 10000 to 10006), whose p is its own." in text
    assert "intervals and p allow for looking after each" in text
    rows = report.analysis.first(report.results).rows
    assert EQUIVALENT in {row.word for row in rows}
    assert "within $\\pm$0.5" in text
    lines = [line for line in text.splitlines() if line.startswith(r"\raggedright")][: len(rows)]
    seeds = [line.removesuffix(r" \\ \addlinespace[2pt]").rpartition(" & ")[2] for line in lines]
    assert seeds == [str(row.mean.seeds) for row in rows if row.mean is not None]


def test_wherever_marks_are_explained_equivalence_is_by_the_interval_of_90_percent(
    registry: Registry, tiny: str, tmp_path: Path
) -> None:
    for smallest, wanted in ((0.02, True), (None, False)):
        compare = {} if smallest is None else {"compare": {"smallest": smallest}}
        folder = tmp_path / str(smallest)
        report = write(make_results(make_study(folder, registry, tiny, **compare), folder / "runs"), folder / "report")
        rows = report.analysis.first(report.results).rows
        assert (EQUIVALENT in {row.word for row in rows}) == wanted
        sentence = wording.equivalence(0.02, "abs_rel")
        assert "by the 90 % interval, which lies within ±0.02;" in sentence
        assert report.page.words.count(sentence) == report.text("report.md").count(sentence) == 3 * wanted
        assert (r"equivalent (by the 90\,\% interval)" in report.text("table.tex")) == wanted
        for name in ("forest", "forest_column", "effects", "effects_column"):
            assert ("equivalent, by the 90 % interval" in report.text(f"figures/{name}.svg")) == wanted


def test_the_caption_of_effects_names_what_there_is(plain: Report, tmp_path: Path) -> None:
    words = "Effects per axis, interactions and shares, with 95 % intervals"
    assert words in plain.page.words
    analysis = replace(plain.analysis, shares=(), weakest=None)
    files = write_report(plain.results, analysis, tmp_path, gallery=None, command=COMMAND, progress=lambda what: None)
    page = Report(plain.results, analysis, files).page.words
    assert "Effects per axis and interactions, with 95 % intervals" in page
    assert words not in page


def test_long_latex_tables_go_on(registry: Registry, tiny: str, tmp_path: Path) -> None:
    axes = {"lr": {f"lr{i}": {"train.depth.lr": 0.01 + i / 100} if i else {} for i in range(25)}}
    results = make_results(make_study(tmp_path, registry, tiny, axes=axes), tmp_path / "runs", images=4)
    text = write(results, tmp_path / "report").text("table.tex")
    assert text.count(r"\begin{table}") == 4
    assert text.count(r"\caption{Continued.}") == 2


def test_failed_and_waiting_cells_are_said_and_the_rest_stands(hostile: Report) -> None:
    names = [variant.name for variant in hostile.results.study.variants]
    words = " ".join(hostile.page.words.split())
    assert f"{names[3]} failed at every seed: {HOSTILE_REASON}" in words
    assert f"{names[5]} failed at seed 1: {HOSTILE_REASON}" in words
    assert words.count("failed at every seed") == 1
    assert f"Not done yet: {names[6]} (seed 2). `cliffkit ablate` goes on with them." in words
    assert f"When the cause is mended: {HOW_TO_RETRY}." in words
    assert "31 of 36 cells are done" in words
    assert "not measured" in words
    lines = {line[0].split(" tied")[0].removesuffix(" best"): line for line in hostile.page.tables["scores"][1:]}
    mean = 1 + HEADS.index("mean")
    assert lines[names[3]][mean] == NOTHING
    assert lines[names[0]][mean] != NOTHING


def test_adaptive_seeds_say_why_each_variant_stopped(registry: Registry, tiny: str, tmp_path: Path) -> None:
    study = make_study(tmp_path, registry, tiny, seeds={"from": 3, "to": 7})
    results = make_results(study, tmp_path / "runs")
    report = write(results, tmp_path / "report")
    stops = [row.stop for row in report.analysis.first(results).rows[1:]]
    assert {stop.reason for stop in stops if stop} >= {"decided", "futile"}
    needed = sum(result.state != "not needed" for result in results.cells)
    assert 0 < needed < len(results.cells) == 6 * 7
    for name in ("report.md", "report.html"):
        text = report.text(name).replace("\\", "")
        assert f"All {needed} needed cells are done (6 variants, 3 to 7 seeds; 24 test images)." in text
        assert all(str(stop) in text for stop in stops)
        assert "decided early are too large on average" in text
    rows = list(csv.DictReader(io.StringIO(report.text("results.csv"))))
    assert {row["state"] for row in rows} == {"done", "not needed"}
    assert {row["value"] for row in rows if row["state"] == "not needed"} == {""}


def test_a_damaged_cell_needs_no_retry(plain: Report) -> None:
    damaged = CellResult(plain.results.cells[0].cell, "failed", "evaluate: damaged: a reason", damaged=True)
    results = replace(plain.results, cells=(damaged, *plain.results.cells[1:]))
    assert troubles(results) == [f"{damaged.cell.variant.name} failed at seed 0: evaluate: damaged: a reason"]


def test_a_protocol_that_cannot_score_a_cell_costs_only_itself(plain: Report, tmp_path: Path) -> None:
    results = plain.results
    cell, unscored = results.cells[0], results.protocols[-1].name
    assert cell.scores is not None
    assert len(results.protocols) > 1
    others = {name: scored for name, scored in cell.scores.protocols.items() if name != unscored}
    scores = replace(cell.scores, protocols=others, failures={unscored: "the median is 0 m"})
    arrays = {name: values.copy() for name, values in results.scores.items()}
    arrays[unscored][0, 0] = np.nan
    cell = replace(cell, scores=scores, reason=f"{unscored} is not scored: the median is 0 m")
    report = write(replace(results, cells=(cell, *results.cells[1:]), scores=arrays), tmp_path)

    words = " ".join(report.page.words.split())
    seed = cell.cell.seed
    assert f"{cell.cell.variant.name} (seed {seed}): {unscored} is not scored: the median is 0 m" in words
    assert f"All {len(results.cells)} cells are done" in words
    rows = list(csv.DictReader(report.text("results.csv").splitlines()))
    states = {row["protocol"]: row["state"] for row in rows[: len(results.protocols) * len(METRICS)]}
    assert states == {**dict.fromkeys(others, "done"), unscored: "failed"}


def test_images_left_out_are_said(hostile: Report) -> None:
    assert "1 of 24 images left out, with no pixel that full scores." in hostile.page.words


def test_published_numbers_stand_apart_and_only_for_the_base_recipe(hostile: Report) -> None:
    results = hostile.results
    page, base = hostile.page, results.study.full
    assert published(results, "full", "abs_rel") == {base: (0.1234, SOURCE)}
    assert published(results, "eigen", "abs_rel") == {}
    column = [row[0][-1] for row in page.data["tables"]["full|abs_rel"]["rows"]]
    assert [text for text in column if text] == ["0.1234 [1]"]
    assert column[[variant.levels for variant in results.study.variants].index(base)] == "0.1234 [1]"
    assert f"[1] as published, not measured here: {SOURCE}" in page.words
    assert not any(row[0][-1] for row in page.data["tables"]["full|rmse"]["rows"])
    assert "published (not measured here)" in hostile.text("report.md")


def test_tables_of_regions_have_heads_over_their_cells_and_brackets_once(plain: Report) -> None:
    part = plain.text("report.html").partition('<h2 id="where">')[2].partition("</section>")[0]
    heads, cells = (re.findall(f"<{tag}([^>]*)>([^<]*)</{tag}>", part) for tag in ("th", "td"))
    regions = [given for given, text in heads if "image" in text]
    assert len(regions) == 3 + 2 + 2
    assert all('class="text"' in given for given in regions)
    assert len(cells) == 5 * len(regions)
    assert all(re.fullmatch(r"\S [+−]?[\d.]+ \[[+−]?[\d.]+, [+−]?[\d.]+\]", text) for _, text in cells)


def test_how_to_reproduce_it(hostile: Report) -> None:
    page, study = hostile.page, hostile.results.study
    words = page.words
    for text in (COMMAND, study.text, study.base.to_yaml(), "made-up processor", "2.9.0"):
        assert text.strip() in words
    assert "Cells were not all trained with the same machine or software" in words
    for each in hostile.results.cells:
        assert each.cell.jobs[-1].key in words
        assert each.cell.jobs[-1].needs["depth"].key in words
    for protocol in hostile.results.protocols:
        assert protocol.describe() in words


def test_the_command_asks_for_the_folder_of_data_wherever_it_was_named(
    plugins: Plugins, registry: Registry, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_study(tmp_path, registry, tiny)

    def command(data: Mapping[str, Path] | None) -> str:
        return command_again(open_study(tmp_path / "study.yaml", (), data, tmp_path / "runs", plugins))

    monkeypatch.delenv("CLIFFKIT_DATA_ROOMS", raising=False)
    plain = f"cliffkit ablate {tmp_path / 'study.yaml'}"
    assert command(None) == plain
    assert command({"rooms": tmp_path}) == f"{plain} --data rooms=FOLDER"
    monkeypatch.setenv("CLIFFKIT_DATA_ROOMS", str(tmp_path))
    assert command(None) == command({"rooms": tmp_path}) == f"{plain} --data rooms=FOLDER"


def test_a_version_in_which_cells_differ_is_said_and_a_library_that_only_some_use_is_no_trouble(
    plain: Report, tmp_path: Path
) -> None:
    first, second, *others = plain.results.cells
    cells = (
        replace(first, environment={**(first.environment or {}), "own-library": "1.0", "rare": "3.0"}),
        replace(second, environment={**(second.environment or {}), "own-library": "1.1"}),
        *(replace(each, environment={**(each.environment or {}), "own-library": "1.0"}) for each in others),
    )
    words = write(replace(plain.results, cells=cells), tmp_path).page.words
    trouble = words[words.index("Cells were not all trained with") : words.index("Trained with")]
    assert f"1.1: 1 cells ({second.cell.name})" in trouble
    assert f"1.0: {len(cells) - 1} cells" in trouble
    assert "rare" not in trouble
    assert "rare3.0" in words[words.index("Trained with") :]


def test_time_and_parameters_of_each_variant(plain: Report) -> None:
    table = next(lines for lines in plain.page.tables.values() if "parameters" in lines[0])
    assert table[0] == ["variant", "parameters", "pack", "images", "depth", "evaluate", "embedding", "together"]
    assert table[1] == ["none + cliff", "100,000", "2.0 s", "3.0 s", "2 min", "5.0 s", NOTHING, "2 min"]
    assert len(table) == 7


def test_a_smaller_micro_batch_is_said(plain: Report, tmp_path: Path) -> None:
    cells = (replace(plain.results.cells[0], micro_batch=2), *plain.results.cells[1:])
    report = write(replace(plain.results, cells=cells), tmp_path)
    assert "micro-batch 2: memory held no more" in report.page.words


def test_what_a_generator_knows_of_scene_types_is_said(plain: Report, tmp_path: Path) -> None:
    facts = EmbeddingFitFacts(4, 0.125, 1.5, 0.25, None, held_out=100, right=0.5, majority=0.25)
    cells = [replace(plain.results.cells[0], generator=facts), *plain.results.cells[1:]]
    words = write(replace(plain.results, cells=tuple(cells)), tmp_path).page.words
    assert (
        "50 % of 100 held-out training images have their scene type named, 25 % are of the most frequent one" in words
    )
    assert "hardly better than chance" not in words

    cells[0] = replace(cells[0], generator=replace(facts, right=0.26))
    assert (
        "most frequent one: hardly better than chance"
        in write(replace(plain.results, cells=tuple(cells)), tmp_path).page.words
    )


def test_the_divisors_of_an_embedding_on_unit_scale_are_said(plain: Report, tmp_path: Path) -> None:
    assert "divided by" not in plain.page.words
    first, *others = plain.results.cells
    assert first.scores is not None
    cells = (replace(first, scores=replace(first.scores, divisors=(0.046422, 0.5))), *others)
    words = write(replace(plain.results, cells=cells), tmp_path).page.words
    assert "levels of the embedding divided by 0.0464, 0.5" in words


def test_generators_of_several_seeds_are_said_by_their_range(plain: Report, tmp_path: Path) -> None:
    facts = EmbeddingFitFacts(4, 0.125, 1.5, 0.25, None, held_out=100, right=0.5, majority=0.25)
    cells = list(plain.results.cells)
    mine = [i for i, cell in enumerate(cells) if cell.cell.variant is cells[0].cell.variant][:2]
    for i, right, divisors in zip(mine, (0.5, 0.625), ((0.25, 0.5), (0.2, 0.5)), strict=True):
        scores = cells[i].scores
        assert scores is not None
        generator = replace(facts, right=right)
        cells[i] = replace(cells[i], generator=generator, scores=replace(scores, divisors=divisors))
    words = write(replace(plain.results, cells=tuple(cells)), tmp_path).page.words
    assert "25 % are of the most frequent one (by the worst of the seeds' generators; 62.5 % by the best)" in words
    assert "levels of the embedding divided by 0.2 to 0.25, 0.5" in words


def test_gallery_shows_the_same_images_of_every_variant(hostile: Report) -> None:
    pictures = [given for tag, given in hostile.page.tags if tag == "img"]
    variants = len(hostile.results.study.variants)
    assert len(pictures) == 2 + 2 * (2 + 2 * variants)  # colour bars; image, truth, depth and error of each
    assert all(given["alt"] for given in pictures)
    words = " ".join(given["alt"] or "" for given in pictures)
    assert f"Depth of {HOSTILE_IMAGE} predicted by" in words


def test_without_a_gallery_the_reason_is_said(plain: Report, tmp_path: Path) -> None:
    assert not [tag for tag, _ in plain.page.tags if tag == "img"]
    assert "No gallery: no device was at hand." in plain.page.words
    assert "No gallery: it was not asked for." in write(plain.results, tmp_path).page.words


def test_one_seed_is_said(registry: Registry, tiny: str, tmp_path: Path) -> None:
    results = make_results(make_study(tmp_path, registry, tiny, seeds=[7]), tmp_path / "runs")
    report = write(results, tmp_path / "report")
    assert "One seed only (seed 7)" in report.page.words
    assert "on these weights only" in report.page.words
    assert " comparisons" not in report.page.words
    assert "One seed only" in report.text("report.md")


def test_a_study_of_which_nothing_is_done(registry: Registry, tiny: str, tmp_path: Path) -> None:
    study = make_study(tmp_path, registry, tiny)
    waiting = [(variant.name, seed) for variant in study.variants for seed in study.seeds]
    results = replace(make_results(study, tmp_path / "runs", waiting=waiting), images=(), regions=None)
    results = replace(results, scores={name: values[:, :, :0] for name, values in results.scores.items()})
    report = write(results, tmp_path / "report", galleries.make_gallery(results, {}, torch.device("cpu"), _quiet))
    assert "No cell is done yet" in report.page.words
    assert "0 of 18 cells are done" in report.page.words
    assert "is not done" in report.page.words
    assert not [name for name in report.files if name.startswith("figures/")]


def test_the_placebo_has_a_row_a_bar_and_a_sentence(registry: Registry, tiny: str, tmp_path: Path) -> None:
    study = make_study(tmp_path, registry, tiny, placebo=True)
    report = write(make_results(study, tmp_path), tmp_path / "report")
    row = report.analysis.first(report.results).placebo
    assert row is not None
    words = " ".join(report.page.words.split())
    assert placebo_sentence(row) in words
    assert "under the same seeds; the placebo under seeds 10000 to 10002." in words
    lines = list(csv.DictReader(io.StringIO(report.text("results.csv"))))
    assert {line["seed"] for line in lines if line["variant"] == "placebo"} == {"10000", "10001", "10002"}
    assert {line["seed"] for line in lines if line["variant"] != "placebo"} == {"0", "1", "2"}
    assert "placebo" in [line[0] for line in report.page.tables["scores"]]
    assert "| placebo |" in report.text("report.md")
    assert "placebo" in (tmp_path / "report" / "figures" / "forest.svg").read_text(encoding="utf-8")
    assert f"{len(study.variants) - 1} variants, placebo, 3 seeds" in report.text("report.md")


def test_adaptive_seeds_say_why_they_ended_and_not_what_so_many_would_have_seen(
    registry: Registry, tiny: str, tmp_path: Path
) -> None:
    study = make_study(tmp_path, registry, tiny, seeds={"from": 3, "to": 8})
    report = write(make_results(study, tmp_path), tmp_path / "report")
    table = report.page.data["tables"]["full|abs_rel"]
    assert not table["planned"]
    assert "▲ better, decided at 5 of 8 seeds" in [row[0][0] for row in table["rows"]]
    assert "unplanned" in next(given["class"] or "" for tag, given in report.page.tags if given.get("id") == "scores")
    assert "| ▲ better, decided at 5 of 8 seeds |" in report.text("report.md")
    for text in (report.page.words, report.text("report.md")):
        assert "more seeds for it" not in text.partition("verdict")[2].partition("Checklist")[2]


def test_study_notes_are_shown(plain: Report, tmp_path: Path) -> None:
    study = replace(plain.results.study, notes=("'a' and 'b' are one recipe under two <names>",))
    report = write(replace(plain.results, study=study), tmp_path)
    assert "are one recipe under two <names>" in report.page.words


def test_gallery_images_are_chosen_by_the_reference(plain: Report) -> None:
    results = plain.results
    means = results.scores["full"][results.study.variants.index(results.study.reference), :, :, 0].mean(axis=0)
    order = np.argsort(means)
    chosen = pick_images(results)
    assert chosen == {
        int(order[-1]): "worst",
        int(order[-2]): "worst",
        int(order[11]): "median",
        int(order[12]): "median",
        int(order[0]): "best",
    }


def test_shown_variants_are_the_ends_and_some_between(plain: Report) -> None:
    results = plain.results
    values = results.scores["full"][..., 0].mean(axis=(1, 2))
    names = [variant.name for variant in results.study.variants]
    few = [variant.name for variant in pick(results, 3, spread_out=True)]
    assert {names[int(np.argmin(values))], names[int(np.argmax(values))], results.study.reference.name} == set(few)
    assert [variant.name for variant in pick(results, 6, spread_out=True)] == names
    assert len(pick(results, 5, spread_out=True)) == 5
    assert len(pick(results, 5, spread_out=False)) == len({*few, " + ".join(results.study.full)})


def test_depth_has_one_scale_which_is_the_truths(plain: Report) -> None:
    gallery = make_gallery(plain.results)
    depth, error = images.scales(gallery)
    first = gallery.variants[0]
    wild = replace(
        first, predictions=tuple(1000 * p for p in first.predictions), errors=tuple(e + 999 for e in first.errors)
    )
    again, wider = images.scales(replace(gallery, variants=(wild, *gallery.variants[1:])))
    truths = np.concatenate([chosen.truth[np.isfinite(chosen.truth)] for chosen in gallery.images])
    assert (depth.vmin, depth.vmax) == (again.vmin, again.vmax) == tuple(np.percentile(truths, [1, 99]))
    assert error.vmin == 0
    assert wider.vmax is not None
    assert error.vmax is not None
    assert wider.vmax > error.vmax


def test_gallery_of_trained_networks(finished_study: FinishedStudy, tmp_path: Path) -> None:
    """What is drawn is what was scored: the mean of an error map is the image's abs_rel."""
    done = finished_study
    results = load_results(done.study, done.cells, Store(done.copy(tmp_path / "runs")))
    told: list[tuple[int, int]] = []
    gallery = galleries.make_gallery(results, {}, torch.device("cpu"), lambda *step: told.append(step))
    assert isinstance(gallery, galleries.Gallery)
    assert told[-1] == (len(done.study.variants), len(done.study.variants))
    assert [chosen.why for chosen in gallery.images] == ["worst", "worst", "median", "best"]  # of five in all
    for shown in gallery.variants:
        pictures = zip(gallery.images, shown.predictions, shown.errors, shown.scores, strict=True)
        for chosen, prediction, error, score in pictures:
            np.testing.assert_array_equal(error, relative_error(chosen.truth, prediction))
            assert float(np.nanmean(error)) == pytest.approx(score, rel=1e-5)
    report = write(results, tmp_path / "report", gallery)
    assert report.page.words.count("among the reference's worst") == 2
    weights = (tmp_path / "runs" / "jobs").glob("depth-*/weights.safetensors")
    for path in weights:
        path.unlink()
    without = galleries.make_gallery(results, {}, torch.device("cpu"), _quiet)
    assert isinstance(without, galleries.Gallery)
    assert without.variants == ()
    assert "weights.safetensors" in without.reason


def test_a_gallery_of_other_images_is_refused(
    finished_study: FinishedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = finished_study
    results = load_results(done.study, done.cells, Store(done.runs))
    test = galleries.open_split(done.study.base, "test", {})
    monkeypatch.setattr(type(test), "fingerprint", lambda self: "another")
    assert "another fingerprint" in str(galleries.make_gallery(results, {}, torch.device("cpu"), _quiet))


def _quiet(done: int, total: int) -> None:
    pass


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (number(-0.01234, 3), "−0.012"),
        (number(0.01234, 3, sign=True), "+0.012"),
        (number(-0.0001, 3, sign=True), "0.000"),
        (number(float("inf"), 3), "∞"),
        (number(float("-inf"), 3), "−∞"),
        (number(float("nan"), 3), NOTHING),
        (chance(0.0004), "<0.001"),
        (chance(0.0421), "0.042"),
        (chance(None), NOTHING),
        (listed(["a", "b", "c"], 2), "a, b and 1 more"),
    ],
)
def test_words(said: str, wanted: str) -> None:
    assert said == wanted


def _of_scale(scale: float) -> Estimate:
    found = estimate(scale * np.random.default_rng(0).normal(0, 1, (1, 50)))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("scales", "wanted"),
    [
        ([1.0], 2),
        ([0.1], 3),
        ([0.001], 5),
        ([100.0], 0),
        ([None], 4),
        ([], 4),
        ([1.0, 0.1, None], 3),
        ([100.0, 0.1], 3),
        ([1.0, 1.0, 0.00001], 4),
    ],
)
def test_a_column_shows_two_digits_of_its_narrowest_half_width_and_is_not_ruled_by_one_far_narrower(
    scales: list[float | None], wanted: int
) -> None:
    assert column_digits([None if scale is None else _of_scale(scale)] for scale in scales) == wanted


def _decimals(text: str) -> set[int]:
    """The decimals of the numbers in a text."""
    return {len(found) for found in re.findall(r"\d\.(\d+)", text)}


def test_a_column_has_one_number_of_decimals_in_every_format(registry: Registry, tiny: str, tmp_path: Path) -> None:
    """One variant varies far more than the others: its own row would need fewer decimals."""
    results = make_results(make_study(tmp_path, registry, tiny), tmp_path / "runs")
    for values in results.scores.values():
        values[1, ..., 0] += np.random.default_rng(1).normal(0, 0.2, values.shape[1:3])
    report = write(results, tmp_path / "report")
    tables = report.analysis.tables
    for (protocol, metric), table in tables.items():
        decimals = table_digits(table)
        texts = report.page.data["tables"][f"{protocol}|{metric}"]["rows"]
        for cells, short, *_ in texts:
            shown = dict(zip(HEADS, cells, strict=True))
            numbers = f"{short} {shown['difference']} {shown['95 % interval']}"
            assert _decimals(numbers) == {decimals}, (protocol, metric)
    first = table_digits(tables["full", "abs_rel"])
    sentence = report.page.words.partition(" none + concat raised ")[2].partition(", Holm's p")[0]
    assert _decimals(sentence) == {first}
    lines = [line for line in report.text("table.tex").splitlines() if line.startswith(r"\raggedright")]
    differences, every = lines[:6], lines[6:]
    assert {count for line in differences for cell in line.split(" & ")[1:4] for count in _decimals(cell)} == {first}
    for line in every:
        _, *cells = line.removesuffix(r" \\ \addlinespace[2pt]").replace(r"\fontsize{6}{7}", "").split(" & ")
        wanted = [{table_digits(tables["full", metric])} for metric in METRICS]
        assert [_decimals(cell.replace("[-1pt]", "")) for cell in cells] == wanted
    means = report.page.tables["every"]
    assert {count for row in means[1:] for count in _decimals(row[1])} == {first}
    best = next(row for row in report.analysis.first(results).rows if row.best)
    assert f"**{wording.spread(best.mean, first)}**" in report.text("report.md")


def test_effects_of_a_group_have_the_same_decimals() -> None:
    wide, narrow = (Effect("a", ("x",), _of_scale(scale), "", None) for scale in (1.0, 0.1))
    rows = effect_rows((wide, narrow))
    assert {count for row in rows for count in _decimals(row["value"] + row["interval"])} == {3}
    assert _decimals(effect_rows((wide,))[0]["value"]) == {2}


def test_where_seeds_differ_the_table_says_what_means_are_over(registry: Registry, tiny: str, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", registry, tiny)
    for failed, wanted in (({}, False), ({(study.variants[1].name, 0): "a reason"}, True)):
        results = make_results(study, tmp_path, failed=failed)
        notes = text_table(results, analyse(results).first(results), planned=False).notes
        assert any(note.startswith("Variants have 2 to 3 seeds. A mean is over") for note in notes) == wanted


def test_names_may_be_of_any_script(registry: Registry, tiny: str, tmp_path: Path) -> None:
    axes = {"深度": {"无": {}, "有 $x$": {"train.depth.lr": 0.005}}}
    study = make_study(tmp_path, registry, tiny, axes=axes)
    report = write(make_results(study, tmp_path / "runs"), tmp_path / "report")
    assert "有 $x$" in report.page.words
    assert "有 $x$" in report.text("figures/forest.svg")


def test_what_acts_on_a_screen_is_shown_escaped(registry: Registry, tiny: str, tmp_path: Path) -> None:
    axes = {"a": {"plain": {}, "\u202egnp\x1b[31m": {"train.depth.lr": 0.005}}}
    study = make_study(tmp_path, registry, tiny, axes=axes)
    failed = {(study.variants[1].name, 0): "cause\x1b]0;title\x07\u2066"}
    report = write(make_results(study, tmp_path / "runs", failed=failed), tmp_path / "report")
    for name in ("report.html", "report.md", "table.tex"):
        text = report.text(name)
        assert not set(text) & set("\x1b\x07\u202e\u2066"), name
    assert "\\u202egnp\\x1b[31m" in report.page.words
    assert "cause\\x1b]0;title\\x07\\u2066" in report.page.words
    assert report.page.data["names"] == ["plain", "\\u202egnp\\x1b[31m"]


def test_shares_name_the_recipe_to_which_they_lead(plain: Report) -> None:
    full = " + ".join(plain.results.study.full)
    assert f"the weakest variant, and {full}, the base recipe" in plain.page.words
