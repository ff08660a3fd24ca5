"""cliffkit: a plugin-based ablation toolkit for monocular depth estimation.

    import cliffkit

    run = cliffkit.run("cliff_hegR", set={"train.depth.steps": 200})     # a shipped recipe, a path or a mapping
    run.metrics["full"]["abs_rel"]
    depth_m = run.predictor()("photo.jpg")                               # (H, W) float32 metres

    findings = cliffkit.ablate("cliffnet")                               # a study: which part helps?
    findings.table()
    findings.verdicts

`docs/guides/python.md` has the rest. Importing cliffkit imports no torch; the first use of a name here does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cliffkit.verbs.bundle import Bundle, bundle
    from cliffkit.verbs.check import plan, validate
    from cliffkit.verbs.compare import compare
    from cliffkit.verbs.export import Export, export
    from cliffkit.verbs.findings import Findings
    from cliffkit.verbs.finished import Run
    from cliffkit.verbs.get_data import get_data
    from cliffkit.verbs.outlook import Outlook
    from cliffkit.verbs.predict import predict
    from cliffkit.verbs.predict_videos import predict_videos
    from cliffkit.verbs.rows import Rows
    from cliffkit.verbs.run import evaluate, load_run, run
    from cliffkit.verbs.score import score
    from cliffkit.verbs.scored import Scored
    from cliffkit.verbs.study import ablate, forecast, load_study
    from cliffkit.verbs.verify import Verification, verify
    from cliffkit.verbs.zero_shot import zero_shot

    __version__: str

_HOMES = {
    "Bundle": "cliffkit.verbs.bundle",
    "Export": "cliffkit.verbs.export",
    "Findings": "cliffkit.verbs.findings",
    "Outlook": "cliffkit.verbs.outlook",
    "Rows": "cliffkit.verbs.rows",
    "Run": "cliffkit.verbs.finished",
    "Scored": "cliffkit.verbs.scored",
    "Verification": "cliffkit.verbs.verify",
    "ablate": "cliffkit.verbs.study",
    "bundle": "cliffkit.verbs.bundle",
    "compare": "cliffkit.verbs.compare",
    "evaluate": "cliffkit.verbs.run",
    "export": "cliffkit.verbs.export",
    "forecast": "cliffkit.verbs.study",
    "get_data": "cliffkit.verbs.get_data",
    "load_run": "cliffkit.verbs.run",
    "load_study": "cliffkit.verbs.study",
    "plan": "cliffkit.verbs.check",
    "predict": "cliffkit.verbs.predict",
    "predict_videos": "cliffkit.verbs.predict_videos",
    "run": "cliffkit.verbs.run",
    "score": "cliffkit.verbs.score",
    "validate": "cliffkit.verbs.check",
    "verify": "cliffkit.verbs.verify",
    "zero_shot": "cliffkit.verbs.zero_shot",
}
"""Where each name is defined."""

__all__ = [
    "Bundle",
    "Export",
    "Findings",
    "Outlook",
    "Rows",
    "Run",
    "Scored",
    "Verification",
    "__version__",
    "ablate",
    "bundle",
    "compare",
    "evaluate",
    "export",
    "forecast",
    "get_data",
    "load_run",
    "load_study",
    "plan",
    "predict",
    "predict_videos",
    "run",
    "score",
    "validate",
    "verify",
    "zero_shot",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("cliffkit")
    if name not in _HOMES:
        raise AttributeError(f"module 'cliffkit' has no attribute '{name}'")
    from cliffkit.components.imports import without_collector

    with without_collector():
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
