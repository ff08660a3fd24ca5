"""README.md of a bundle: what the file is and how to check it, for people who have never seen one."""

from __future__ import annotations

from collections import Counter

from cliffkit.bundles.facts import BASE, CELLS, GIVEN, JOBS, REPORT, STUDY, BundleFacts
from cliffkit.study.rounds import NOT_NEEDED


def readme(written: BundleFacts, summary: str) -> str:
    """Write the page."""
    study = written.study
    done = sum(cell.state == "done" for cell in written.cells)
    needed = sum(cell.state != NOT_NEEDED for cell in written.cells)
    if study.design == GIVEN:
        return _of_given(written, summary)
    lines = [
        f"# The study {study.name}",
        "",
        summary,
        "",
        "This file holds the study whole: what was trained, with what code, every score, and the report.",
        "Its weights are in it, its data are not." if written.weights else "Its data and weights are not in it.",
        f"{done} of {needed} cells are done. A cell is a variant under a seed.",
        *missing(written),
        "",
        "## Check it",
        "",
        f"Install cliffkit {written.cliffkit}, then",
        "",
        "    cliffkit verify FILE",
        "",
        "`verify` needs neither data nor weights. It computes every number of the report again from the scores of each",
        "image, computes the keys of the cells again from their recipes, and compares the recipes of the variants.",
        "`cliffkit verify FILE --retrain 3` also trains three cells again. That needs the data and the parts.",
        "`sha256sum --check SHA256SUMS` compares the files with their checksums.",
        "",
        "## What is in it",
        "",
        "| | |",
        "|---|---|",
        f"| `{REPORT}/` | the report: report.html, report.md, table.tex, tables as CSV, figures |",
        f"| `{STUDY}`, `{BASE}` | the study as it was written; its base recipe, every default and every --set in it |",
        f"| `{CELLS}/NAME/recipe.yaml` | the recipe of each cell, every default in it |",
        f"| `{CELLS}/NAME/parts.json`, `code/` | the code of each part in hashes; the text of parts of third parties |",
        f"| `{JOBS}/evaluate-KEY/` | `per_image.csv`, the scores of each test image; means and protocols; regions |",
        f"| `{JOBS}/depth-KEY/` | machine and versions, how training ended, validation scores by step |",
        f"| `{JOBS}/STAGE-KEY/job.json` | everything that a result depends on; KEY is a hash of it |",
        "| `bundle.json` | which cells there are, and the keys of their jobs |",
        "",
        "Built-in parts are named by hash and version; their text is that of cliffkit.",
        "Of `log.jsonl` the validations are kept, of `regions.npz` the scores in the compared metric and protocol.",
    ]
    return "\n".join(lines) + "\n"


def _of_given(written: BundleFacts, summary: str) -> str:
    """Write the page of a comparison of predictions that were given."""
    lines = [
        f"# The comparison {written.study.name}",
        "",
        summary,
        "",
        "Predictions were given. This file holds their scores for every test image, and the report.",
        "The predictions, the data, and how the networks were trained are not in it.",
        "",
        "## Check it",
        "",
        f"Install cliffkit {written.cliffkit}, then",
        "",
        "    cliffkit verify FILE",
        "",
        "`verify` needs nothing else. It computes every number of the report again from the scores of each image.",
        "",
        "## What is in it",
        "",
        "| | |",
        "|---|---|",
        f"| `{REPORT}/` | the report: report.html, report.md, table.tex, tables as CSV, figures |",
        f"| `{JOBS}/evaluate-KEY/` | of each folder of predictions: `per_image.csv`, the scores of each test image; |",
        "| | `metrics.json`, means, protocols, how the predictions were read, what is odd about them |",
        "| `bundle.json` | what is compared with what, and the KEY of each seed of a variant |",
    ]
    return "\n".join(lines) + "\n"


def missing(written: BundleFacts) -> list[str]:
    """Say which cells are not in a bundle, a sentence for each state and reason."""
    others = [cell for cell in written.cells if cell.state not in ("done", NOT_NEEDED)]
    counts = Counter((cell.state, cell.reason) for cell in others)
    sentences = []
    for (state, reason), count in counts.items():
        names = [cell.name for cell in others if (cell.state, cell.reason) == (state, reason)]
        list_of_names = "; ".join(names[:4]) + (f"; and {count - 4} more" if count > 4 else "")
        sentences.append(f"Missing, {state}: {list_of_names}{f' ({reason})' if reason else ''}.")
    return sentences
