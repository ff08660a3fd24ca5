"""table.tex: tables for a paper, in LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from cliffkit.report import remarks, wording
from cliffkit.report.material import Material
from cliffkit.report.sentences import seeds_of
from cliffkit.report.wording import NOTHING, number, table_digits
from cliffkit.scoring.metrics import METRICS
from cliffkit.statistics import BETTER, EQUIVALENT, NOISE, THESE_WEIGHTS, UNMEASURED, WORSE
from cliffkit.study.analysis import Row

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
    "×": r"$\times$",
    "→": r"$\rightarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "…": r"\ldots{}",
    "∞": r"$\infty$",
    "–": "--",
    **{char: f"\\{char}" for char in "&%$#_{}"},
}

_MARKS: Mapping[str, str] = MappingProxyType(
    {
        BETTER: r"\triangle",
        WORSE: r"\bigtriangledown",
        EQUIVALENT: r"\approx",
        NOISE: r"\circ",
        THESE_WEIGHTS: r"\diamond",
        UNMEASURED: r"\times",
    }
)
"""By verdict, symbols that LaTeX has without a package."""

_FORMULAS: Mapping[str, str] = MappingProxyType(
    {"delta < 1.25^k": r"$\delta<1.25^k$", ">=": r"$\geq$", "<=": r"$\leq$", ">": "$>$", "<": "$<$"}
)
"""By words of a protocol, as mathematics; longer ones first."""

_SMALL = r"\fontsize{6}{7}\selectfont"
"""Size of half-widths."""

_ROWS = 20
"""How many fit on a page; more variants go on in a further table."""


def latex(material: Material) -> str:
    """Write the verdicts and every metric under the compared protocol, for \\input; needs booktabs and nothing else."""
    lines = [
        r"% \usepackage{booktabs}",
        "% Two tables: differences from the reference, and every metric. Bold: best mean. Underlined: not",
        "% distinguishable from it. Symbols: verdicts on the difference from the reference.",
        r"% To span both columns of a page, write table* for table at each \begin and \end.",
        *_tables(
            _difference_caption(material),
            rf"@{{}}p{{0.2\textwidth}}rrr@{{\quad}}lr{'r' * (material.study.adaptive is not None)}@{{}}",
            [_DIFFERENCE_HEAD + (r" \\" if material.study.adaptive is None else r" & seeds \\")],
            list(_difference_rows(material)),
            r"\footnotesize",
        ),
    ]
    names = [wording.heading(metric).partition(" ") for metric in METRICS]
    head = ["".join(f" & {_tex(name)}" for name, _, _ in names) + r" \\"]
    head += ["variant" + "".join(f" & {_tex(unit)}" for _, _, unit in names) + r" \\"]
    lines += _tables(
        _metric_caption(material),
        rf"@{{}}p{{0.14\textwidth}}{'r' * len(METRICS)}@{{\hspace{{4pt}}}}",
        head,
        list(_metric_rows(material)),
        r"\scriptsize",
    )
    return "\n".join(lines) + "\n"


def _tables(caption: str, columns: str, head: Iterable[str], rows: list[str], size: str) -> Iterator[str]:
    """Write rows as one table, or as several where a page holds no more."""
    for start in range(0, len(rows), _ROWS):
        yield from (r"\begin{table}", rf"\centering{size}\setlength{{\tabcolsep}}{{2.2pt}}")
        yield rf"\caption{{{caption if start == 0 else 'Continued.'}}}"
        yield from (rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *head, r"\midrule")
        yield from (*rows[start : start + _ROWS], r"\bottomrule", r"\end{tabular}", r"\end{table}")


_DIFFERENCE_HEAD = r"variant & mean & difference & 95\,\% interval & verdict & $p$ (Holm)"


def _difference_rows(material: Material) -> Iterator[str]:
    table, decimals = material.first, table_digits(material.first)
    for row in table.rows:
        gaps, gap = [NOTHING, NOTHING], row.difference
        if gap is not None:
            gaps = [number(gap.value, decimals, sign=True), wording.interval(gap, decimals, sign=True)]
        word = "reference" if row.word is None else rf"${_MARKS[row.word]}$ {row.word.removesuffix(' from noise')}"
        mean = NOTHING if row.mean is None else number(row.mean.value, decimals)
        cells = [_name(row), _flagged(row, _tex(mean)), *map(_tex, gaps), word, _tex(wording.chance(row.p_adjusted))]
        if material.study.adaptive is not None:
            cells.append(_tex(NOTHING) if row.mean is None else str(row.mean.seeds))
        yield " & ".join(cells) + r" \\ \addlinespace[2pt]"


def _metric_rows(material: Material) -> Iterator[str]:
    tables = [material.analysis.tables[material.study.protocol, metric] for metric in METRICS]
    decimals = [table_digits(table) for table in tables]
    for rows in zip(*(table.rows for table in tables), strict=True):
        cells = [_metric_cell(row, count) for row, count in zip(rows, decimals, strict=True)]
        yield " & ".join([_name(rows[0]), *cells]) + r" \\ \addlinespace[2pt]"


def _metric_cell(row: Row, decimals: int) -> str:
    """Put the half-width below the mean: side by side, nine metrics are wider than a page."""
    if row.mean is None:
        return _tex(NOTHING)
    mean, wide = (_tex(number(value, decimals)) for value in (row.mean.value, wording.half(row.mean)))
    mark = rf"\rlap{{$^{{{_MARKS[row.word]}}}$}}" if row.word else ""
    mean = _flagged(row, mean) + mark
    return rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{mean}\\[-1pt]{_SMALL}$\pm${wide}\end{{tabular}}"


def _name(row: Row) -> str:
    return rf"\raggedright {_tex(row.variant.name)}"


def _flagged(row: Row, mean: str) -> str:
    return rf"\textbf{{{mean}}}" if row.best else rf"\underline{{{mean}}}" if row.tied else mean


def _difference_caption(material: Material) -> str:
    study = material.study
    means = [row.mean for row in material.first.rows if row.mean is not None]
    seeds, images = ({getattr(mean, name) for mean in means} for name in ("seeds", "images"))
    about = (
        f"{study.name}: {wording.heading(study.metric)} of each variant, and its difference from the reference "
        f"({study.reference.name}); {_range(seeds)} seeds, {_range(images)} test images. Intervals hold for new seeds "
        "and new images; p over all comparisons of the table"
    )
    about += "." if study.placebo is None else f" but the placebo's ({seeds_of(study.placebo)}), whose p is its own."
    if study.adaptive is not None:
        about += " Seeds came one by one while they mattered; intervals and p allow for looking after each."
    if any(row.word == EQUIVALENT for row in material.first.rows):
        about += f" {remarks.equivalence(material.first.rows, study)}"
    return f"{_tex(' '.join([about, *_means(material)]))} Protocol {_protocol(material)}."


def _means(material: Material) -> Iterator[str]:
    """Say which images count for no mean, and on what the best is chosen where means are over different ones."""
    yield from remarks.dropped(material.results, material.first)
    ground = remarks.common_ground(material.first)
    if ground is not None:
        yield ground


def _metric_caption(material: Material) -> str:
    words = {row.word for metric in METRICS for row in material.analysis.tables[material.study.protocol, metric].rows}
    marks = ", ".join(f"${mark}$ {word}" for word, mark in _MARKS.items() if word in words)
    marks = marks.replace(EQUIVALENT, rf"{EQUIVALENT} (by the 90\,\% interval)")
    about = f"{material.study.name}: mean ± half-width of the 95 % interval. Best in bold, ties with it underlined."
    verdicts = f" Difference from the reference: {marks}." if marks else ""
    about = " ".join([about, *_means(material)])
    return f"{_tex(about)}{verdicts} Protocol {_protocol(material)}."


def _protocol(material: Material) -> str:
    """Describe the compared protocol; its comparisons are set as mathematics."""
    study = material.study
    protocol = next(protocol for protocol in material.results.protocols if protocol.name == study.protocol)
    words = _tex(protocol.describe())
    for plain, formula in _FORMULAS.items():
        words = words.replace(_tex(plain), formula)
    return words


def _range(counts: Iterable[int]) -> str:
    ordered = sorted(counts)
    return "no" if not ordered else str(ordered[0]) if ordered[0] == ordered[-1] else f"{ordered[0]} to {ordered[-1]}"


def _tex(text: str) -> str:
    """Text from outside as LaTeX sets it, on one line; what old engines cannot set becomes a question mark."""
    return "".join(_TEX.get(char) or (char if char.isascii() else "?") for char in " ".join(text.split()))
