"""A report for other programs and papers: CSV, Markdown, LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cliffkit.report import wording
from cliffkit.report.wording import NOTHING, number, table_digits
from cliffkit.scoring.metrics import METRICS
from cliffkit.statistics import BETTER, WORSE
from cliffkit.store.spreadsheet import guarded
from cliffkit.study.analysis import Analysis, Row, Table
from cliffkit.study.results import CellResult, Results

_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",
    "*": "{*}",
    "−": "$-$",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "…": r"\ldots{}",
    "∞": r"$\infty$",
    "–": "--",
    **{char: f"\\{char}" for char in "&%$#_{}"},
}

_TEX_ROWS = 20
"""How many fit on a page; more variants go on in a further table."""


def results_csv(results: Results, path: Path) -> None:
    """One line per cell, protocol and metric."""
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*_cell_head(results), "protocol", "metric", "value", "images", "state"])
        for result in results.cells:
            start = _cell(result)
            for protocol in results.protocols:
                known = result.scores.protocols.get(protocol.name) if result.scores is not None else None
                scored = known.metrics if known is not None else {}
                state = "failed" if result.scores is not None and known is None else result.state
                for metric in METRICS:
                    value = repr(scored[metric]) if scored else ""
                    writer.writerow([*start, guarded(protocol.name), metric, value, scored.get("n", ""), state])


def per_image_csv(results: Results, path: Path) -> None:
    """One line per cell that is done, protocol and image."""
    order = {variant.levels: i for i, variant in enumerate(results.study.variants)}
    seeds = {seed: i for i, seed in enumerate(results.study.seeds)}
    images = [_csv_line([guarded(name)]) for name in results.images]
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        file.write(_csv_line([*_cell_head(results), "protocol", "image", *METRICS]) + "\n")
        for result in results.cells:
            if result.state != "done":
                continue
            place = order[result.cell.variant.levels], seeds[result.cell.seed]
            for name, scores in results.scores.items():
                start = _csv_line([*_cell(result), guarded(name)])
                # By hand: a million lines through csv.writer would take half a minute.
                rows = (",".join(map(repr, row)).replace("nan", "") for row in scores[place].tolist())
                file.writelines(f"{start},{image},{row}\n" for image, row in zip(images, rows, strict=True))


def _cell_head(results: Results) -> list[str]:
    return ["variant", *map(guarded, results.study.axes), "seed"]


def _cell(result: CellResult) -> list[str]:
    variant = result.cell.variant
    return [guarded(variant.name), *map(guarded, variant.levels), str(result.cell.seed)]


def _csv_line(fields: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def markdown(results: Results, analysis: Analysis, command: str, figures: Iterable[str]) -> str:
    """Write the report as Markdown: verdicts, the table, every metric, protocols, how to reproduce."""
    study, first = results.study, analysis.first(results)
    lines = [f"# {_md(study.name)}", "", _md(wording.question(results)), "", _md(wording.state(results)), ""]
    remarks = [*wording.troubles(results), *wording.caveats(results, analysis)]
    lines += [*(f"- {_md(remark)}" for remark in remarks), ""]
    lines += ["## Verdicts", "", _md(wording.best(first) or "Nothing is measured yet."), ""]
    for word, sentences in wording.verdicts(first):
        lines += [f"**{wording.MARKS[word]} {word}**", "", *(f"- {_md(sentence)}" for sentence in sentences), ""]
    if averaged := wording.on_average(analysis, study.metric):
        lines += [
            "**Each change on average over the other axes**",
            "",
            *(f"- {_md(sentence)}" for sentence in averaged),
            "",
        ]
    lines += [f"## {wording.heading(first.metric)} under {_md(first.protocol)}", "", *_md_table(results, first), ""]
    for protocol in results.protocols:
        lines += [f"## Every metric under {_md(protocol.name)}", "", _md(protocol.describe()), ""]
        lines += [*_md_overview(results, analysis, protocol.name), ""]
    lines += ["## Figures", "", *(f"![{name}](figures/{name}.svg)\n" for name in figures)]
    lines += ["## Reproduce", "", _fenced(command, "sh"), "", _fenced(study.text, "yaml"), ""]
    return "\n".join(
        [*lines, "The base recipe, every default written out:", "", _fenced(study.base.to_yaml(), "yaml"), ""]
    )


def _md_table(results: Results, table: Table) -> Iterator[str]:
    decimals = table_digits(table)
    theirs = wording.published(results, table.protocol, table.metric)
    head = ["variant", "mean", "95 % interval", "difference", "95 % interval", "p (Holm)", "verdict", "seeds × images"]
    yield from _md_head([*head, *(["published (not measured here)"] if theirs else [])])
    for row in table.rows:
        cells = [_md(row.variant.name), *row_cells(row, decimals)]
        cells[1] = _md_marked(row, cells[1])
        if theirs:
            value, source = theirs.get(row.variant.levels, (None, ""))
            cells.append(NOTHING if value is None else f"{value:g} ({_md(source)})")
        yield f"| {' | '.join(cells)} |"
    notes = [*wording.dropped(results, table), wording.baseline(results, table.protocol, table.metric)]
    yield "\n" + " ".join(["Bold: the best mean; italic: not distinguishable from it.", *(_md(n) for n in notes if n)])


def _md_overview(results: Results, analysis: Analysis, protocol: str) -> Iterator[str]:
    yield from _md_head(["variant", *map(wording.heading, METRICS)])
    tables = [analysis.tables[protocol, metric] for metric in METRICS]
    places = [table_digits(table) for table in tables]
    for rows in zip(*(table.rows for table in tables), strict=True):
        cells = [_md_marked(row, wording.spread(row.mean, n)) for row, n in zip(rows, places, strict=True)]
        yield f"| {' | '.join([_md(rows[0].variant.name), *cells])} |"


def row_cells(row: Row, decimals: int) -> list[str]:
    """Mean, interval, difference, interval, p, verdict, seeds × images of a variant, as text."""
    mean, gap, nothing = row.mean, row.difference, [NOTHING, NOTHING]
    means = nothing if mean is None else [number(mean.value, decimals), wording.interval(mean, decimals)]
    gaps = nothing
    if gap is not None:
        gaps = [number(gap.value, decimals, sign=True), wording.interval(gap, decimals, sign=True)]
    word = "reference" if row.word is None else f"{wording.MARKS[row.word]} {row.word}"
    word += f", {row.stop}" if row.stop else ""
    counted = NOTHING if mean is None else f"{mean.seeds} × {mean.images}"
    return [*means, *gaps, wording.chance(row.p_adjusted), word, counted]


def _md_head(head: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]


def _md_marked(row: Row, text: str) -> str:
    return f"**{text}**" if row.best else f"*{text}*" if row.tied else text


def _md(text: str) -> str:
    """Text from outside on one line, nothing in it read as Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]()<>#|~!&$])", r"\\\1", " ".join(text.split()))


def _fenced(text: str, kind: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{kind}\n{text.rstrip()}\n{fence}"


def latex(results: Results, analysis: Analysis) -> str:
    """Every metric under the compared protocol, for \\input; needs booktabs and nothing else."""
    lines = [
        r"% \usepackage{booktabs}",
        "% Bold: best mean. Underlined: not distinguishable from it. Dagger: better or worse than the reference.",
    ]
    heads = [wording.heading(metric).partition(" ") for metric in METRICS]
    rows = list(_tex_rows(results, analysis))
    for start in range(0, len(rows), _TEX_ROWS):
        caption = _tex_caption(results, analysis) if start == 0 else f"{_tex(results.study.name)}, continued."
        lines += [r"\begin{table}", r"\centering\footnotesize\setlength{\tabcolsep}{2pt}", rf"\caption{{{caption}}}"]
        lines += [rf"\begin{{tabular}}{{p{{0.2\textwidth}}{'r' * len(METRICS)}}}", r"\toprule"]
        lines += ["".join(rf" & {_tex(name)}" for name, _, _ in heads) + r" \\"]
        lines += ["variant" + "".join(rf" & {_tex(unit)}" for _, _, unit in heads) + r" \\", r"\midrule"]
        lines += [*rows[start : start + _TEX_ROWS], r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _tex_rows(results: Results, analysis: Analysis) -> Iterator[str]:
    study = results.study
    tables = [analysis.tables[study.protocol, metric] for metric in METRICS]
    places = [table_digits(table) for table in tables]
    for rows in zip(*(table.rows for table in tables), strict=True):
        cells = [rf"\raggedright {_tex(rows[0].variant.name)}"]
        for table, row, decimals in zip(tables, rows, places, strict=True):
            marked = row.word in (BETTER, WORSE) and table.metric == study.metric
            cells.append(_tex_cell(row, decimals, marked=marked))
        yield " & ".join(cells) + r" \\ \addlinespace[2pt]"


def _tex_cell(row: Row, decimals: int, *, marked: bool) -> str:
    """Put the half-width below the mean: side by side, nine metrics are wider than a page."""
    if row.mean is None:
        return _tex(NOTHING)
    mean, wide = (_tex(number(value, decimals)) for value in (row.mean.value, wording.half(row.mean)))
    mean = rf"\textbf{{{mean}}}" if row.best else rf"\underline{{{mean}}}" if row.tied else mean
    mean += r"$^\dagger$" * marked
    return rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{mean}\\[-1pt]\scriptsize$\pm${wide}\end{{tabular}}"


def _tex_caption(results: Results, analysis: Analysis) -> str:
    study = results.study
    means = [row.mean for row in analysis.first(results).rows if row.mean is not None]
    seeds, images = ({getattr(mean, name) for mean in means} for name in ("seeds", "images"))
    counts = f"{_range(seeds)} seeds, {_range(images)} test images."
    protocol = next(protocol for protocol in results.protocols if protocol.name == study.protocol)
    about = f"{study.name}: mean ± half-width of the 95 % interval; {counts} Best in bold, ties with it underlined;"
    return (
        rf"{_tex(about)} $\dagger$: better or worse than the reference ({_tex(study.reference.name)}) in "
        f"{_tex(study.metric)}. Protocol {_tex(protocol.describe())}."
    )


def _range(counts: Iterable[int]) -> str:
    ordered = sorted(counts)
    return "no" if not ordered else str(ordered[0]) if ordered[0] == ordered[-1] else f"{ordered[0]} to {ordered[-1]}"


def _tex(text: str) -> str:
    """Text from outside as LaTeX sets it, on one line; what old engines cannot set becomes a question mark."""
    return "".join(_TEX.get(char) or (char if char.isascii() else "?") for char in " ".join(text.split()))
