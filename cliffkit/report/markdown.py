"""report.md: the report as Markdown, section by section."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from cliffkit.report import remarks, wording
from cliffkit.report.checklist import checklist
from cliffkit.report.material import Material
from cliffkit.report.noise import HEADS as NOISE_HEADS
from cliffkit.report.noise import noise_rows, noise_sentences
from cliffkit.report.summary import summary
from cliffkit.report.tables import HEADS, PLANNED, Line, effect_rows
from cliffkit.report.tuning import HEADS as TUNING_HEADS
from cliffkit.report.tuning import tuning_rows, tuning_sentence
from cliffkit.report.where import where_sentences, where_table
from cliffkit.scoring.metrics import METRICS
from cliffkit.study.noise import summarise_noise
from cliffkit.study.study import Study

_HEADS = {"published": "published (not measured here)"}


def markdown(material: Material) -> str:
    """Write the report as Markdown: what was found, verdicts, every metric, how to reproduce."""
    return "\n".join(line for section in SECTIONS for line in (*section(material), ""))


def _head(material: Material) -> Iterator[str]:
    results = material.results
    yield from (
        f"# {_md(material.study.name)}",
        "",
        _md(summary(results, material.analysis)),
        "",
        _md(remarks.question(results)),
        "",
        _md(remarks.state(results)),
        "",
    )
    notes = [*remarks.troubles(results), *remarks.caveats(results, material.analysis)]
    yield from (f"- {_md(note)}" for note in notes)


def _verdicts(material: Material) -> Iterator[str]:
    table = material.tables[material.study.protocol, material.study.metric]
    yield from ("## Verdicts", "", *_figure(material, "forest"))
    yield from (_md(remarks.best(material.first) or "Nothing is measured yet."), "")
    yield from (f"**{_md(table.title)}**", "")
    left_out = ([] if table.planned else list(PLANNED)) + ([] if table.sources else ["published"])
    heads = [head for head in HEADS if head not in left_out]
    yield from _table_head(["variant", *(_HEADS.get(head, head) for head in heads)])
    for variant, line in zip(material.study.variants, table.rows, strict=True):
        cells = {head: _md(text) for head, text in zip(HEADS, line.cells, strict=True)}
        cells["mean"] = _marked(line, line.short)
        yield _row([_md(variant.name), *(cells[head] for head in heads)])
    apart = "" if material.study.placebo is None else " The placebo takes no part."
    notes = [f"Bold: the best mean; italic: not distinguishable from it.{apart}", *table.notes, *table.sources]
    yield "\n" + " ".join(_md(note) for note in notes)


def _checklist(material: Material) -> Iterator[str]:
    yield from ("## Checklist for reviewers", "")
    for item in checklist(material.results, material.analysis):
        yield f"- [{'x' if item.is_met else ' '}] **{item.name}.** {_with_code(item.words)}"


def _effects(material: Material) -> Iterator[str]:
    analysis = material.analysis
    groups = {"On average": analysis.main, "Interaction": analysis.interactions, "Shapley share": analysis.shares}
    if not any(groups.values()):
        return
    yield from ("## Effects", "", *_figure(material, "effects"))
    for title, effects in groups.items():
        if effects:
            yield from _table_head([title, "change", "effect", "95 % interval", "p (Holm)", "verdict"])
            for row in effect_rows(effects):
                cells = (row["axes"], row["label"], row["value"], row["interval"], row["p"])
                yield _row([*map(_md, cells), wording.verdict(row["word"])])
            yield ""
    equal = remarks.equivalence((*analysis.main, *analysis.interactions, *analysis.shares), material.study)
    yield from [equal, ""] if equal else []


def _metrics(material: Material) -> Iterator[str]:
    for protocol in material.results.protocols:
        yield from (f"## Every metric under {_md(protocol.name)}", "", _md(protocol.describe()), "")
        yield from _table_head(["variant", *map(wording.heading, METRICS)])
        columns = [material.tables[protocol.name, metric].rows for metric in METRICS]
        for variant, *lines in zip(material.study.variants, *columns, strict=True):
            marks = [wording.MARKS.get(line.verdict, "") for line in lines]
            cells = [f"{_marked(line, line.short)} {mark}".strip() for line, mark in zip(lines, marks, strict=True)]
            yield _row([_md(variant.name), *cells])
        yield ""
    yield f"Beside the mean the verdict on the difference from the reference: {remarks.legend(material.study)}"


def _where(material: Material) -> Iterator[str]:
    families = material.analysis.where
    if not families:
        return
    yield from ("## Where it helps", "", *(f"- {_md(sentence)}" for sentence in where_sentences(families)), "")
    yield from _figure(material, "over_depth")
    for family in families:
        table = where_table(family)
        yield from _table_head([table["title"], *map(_md, table["heads"])])
        for name, cells in table["rows"]:
            yield _row([_md(name), *(_md(text) for text, _ in cells)])
        yield ""


def _noise(material: Material) -> Iterator[str]:
    sentences = noise_sentences(summarise_noise(material.results))
    if not sentences:
        return
    yield from ("## Where the noise comes from", "", " ".join(sentences), "")
    yield from _table_head(["variant", *NOISE_HEADS])
    for name, cells in noise_rows(material.first).items():
        yield _row([_md(name), *cells])


def _tuning(material: Material) -> Iterator[str]:
    sentence = tuning_sentence(material.results)
    if not sentence:
        return
    yield from ("## Tuning", "", _md(sentence), "")
    yield from _table_head(["variant", *TUNING_HEADS])
    for name, cells, is_chosen in tuning_rows(material.results):
        texts = [_md(cell) for cell in cells]
        yield _row([_md(name), *(f"**{text}**" if is_chosen else text for text in texts)])


def _training(material: Material) -> Iterator[str]:
    if "curves" in material.figures:
        yield from ("## Training", "", *_figure(material, "curves"))


def _reproduce(material: Material) -> Iterator[str]:
    study = material.study
    yield from ("## Reproduce", "", _fenced(material.command, "sh"), "")
    if not isinstance(study, Study):
        return
    yield from (_fenced(study.text, "yaml"), "")
    yield from ("The base recipe, every default written out:", "", _fenced(study.base.to_yaml(), "yaml"))


SECTIONS: tuple[Callable[[Material], Iterable[str]], ...] = (
    _head,
    _verdicts,
    _checklist,
    _effects,
    _metrics,
    _where,
    _noise,
    _tuning,
    _training,
    _reproduce,
)
"""Functions that give a section's lines, in the order of the page."""


def _figure(material: Material, name: str) -> list[str]:
    return [f"![{name}](figures/{name}.svg)", ""] if name in material.figures else []


def _table_head(head: Sequence[str]) -> list[str]:
    return [_row(head), f"|---|{'---:|' * (len(head) - 1)}"]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _marked(line: Line, text: str) -> str:
    return {"best": f"**{text}**", "tied": f"*{text}*"}.get(line.flag, text)


def _md(text: str) -> str:
    """Text from outside on one line, nothing in it read as Markdown or HTML."""
    return _escaped(" ".join(text.split()))


def _with_code(text: str) -> str:
    """Write a sentence likewise, but for what stands between its backticks, which is code."""
    parts = enumerate(wording.plain_and_code(" ".join(text.split())))
    return "".join(f"`{part}`" if i % 2 else _escaped(part) for i, part in parts)


def _escaped(text: str) -> str:
    """Escape what Markdown would read: to some readers a bracket or a parenthesis behind a backslash begins a formula.

    So brackets stay as they are, but for one that would close the text of a link, of its target or of a box to tick. An
    underscore within a word is no emphasis.
    """
    return _MARKUP.sub(r"\\\g<0>", text)


_MARKUP = re.compile(r"[\\`*{}<>#|~&$]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])|(?<=^\[.)\]")
"""Characters that are escaped."""


def _fenced(text: str, kind: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{kind}\n{text.rstrip()}\n{fence}"
