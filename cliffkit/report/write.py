"""What a study found, written for people and for programs: one page, Markdown, LaTeX, CSV, figures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from cliffkit.report.csv_files import noise_csv, per_image_csv, results_csv, where_csv
from cliffkit.report.draw import draw_all
from cliffkit.report.gallery import Gallery
from cliffkit.report.latex import latex
from cliffkit.report.markdown import markdown
from cliffkit.report.material import Material
from cliffkit.report.page import page
from cliffkit.store.artifacts import StudyNoise
from cliffkit.store.files import make_folder, remove_leftovers, write_atomic, write_text, writing
from cliffkit.study.analysis import Analysis
from cliffkit.study.noise import study_noise
from cliffkit.study.results import Results
from cliffkit.study.study import Study
from cliffkit.text import printable

__all__ = ["write_report"]


def write_report(
    results: Results,
    analysis: Analysis,
    folder: Path,
    *,
    gallery: Gallery | str | None,
    command: str,
    progress: Callable[[str], None],
) -> dict[str, Path]:
    """Write a study's report into `folder`, each file whole or not at all; returns where each lies by its name.

    `gallery` may be the reason why there is none. `command` is what the reader types to get the study again. `progress`
    is called with what is made next.
    """
    make_folder(folder)
    progress("figures")
    figures = draw_all(results, analysis, folder / "figures")
    for place in (folder, folder / "figures"):
        remove_leftovers(place)
    for path in (folder / "figures").glob("[!.]*"):  # hidden ones are what another process is writing just now
        if path.stem not in figures:
            with writing(path):
                path.unlink(missing_ok=True)  # of an earlier report, of what this study no longer has
    progress("report.html")
    pictures = "it was not asked for" if gallery is None else gallery
    material = Material(results, analysis, figures, pictures, command)
    _write(folder / "report.html", page(material))
    progress("report.md and table.tex")
    _write(folder / "report.md", markdown(material))
    _write(folder / "table.tex", latex(material))
    progress("results.csv")
    write_atomic(folder / "results.csv", partial(results_csv, results))
    progress("per_image.csv")
    write_atomic(folder / "per_image.csv", partial(per_image_csv, results))
    write_atomic(folder / "noise.csv", partial(noise_csv, analysis))
    write_atomic(folder / "where.csv", partial(where_csv, analysis))
    names = ["report.html", "report.md", "table.tex", "results.csv", "per_image.csv", "noise.csv", "where.csv"]
    if isinstance(results.study, Study):
        study_noise(results, results.study).write(folder)
        names.append(StudyNoise.FILE)
    names += [f"figures/{name}.{kind}" for name in figures for kind in ("svg", "pdf")]
    return {name: folder / name for name in names}


def _write(path: Path, text: str) -> None:
    """Write text, characters escaped that act on a screen or that UTF-8 lacks: names and reasons may have them."""
    write_text(path, printable(text))
