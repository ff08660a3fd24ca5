"""Studies that are shipped: each is planned whole, those at the authors' scale on a file of NYU's layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from cliffkit.components.registry import Registry
from cliffkit.study.cells import plan_cells
from cliffkit.study.check import load_study
from cliffkit.study.study import Study

from ..plugins.nyu_file import write_nyu

STUDIES = sorted((Path(__file__).parents[2] / "recipes" / "studies").glob("*.yaml"))


def load(path: Path, registry: Registry) -> Study:
    """A study, its network one that needs no weights from elsewhere."""
    is_nyu = path.stem.startswith("nyu_")
    return load_study(path, registry, ["model.backbone.pretrained=false"] if is_nyu else [])


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_cell_is_planned(path: Path, registry: Registry, tmp_path: Path) -> None:
    study = load(path, registry)
    cells = plan_cells(study, {"nyu": write_nyu(tmp_path)})
    assert len(cells) == len(study.variants) * len(study.seeds)
    assert study.name == path.stem
    assert path.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("path", [path for path in STUDIES if "generators" in path.stem], ids=lambda path: path.stem)
def test_generators_are_compared_at_equal_weight_and_with_their_own_luck(path: Path, registry: Registry) -> None:
    study = load(path, registry)
    weights = set()
    for variant in study.variants:
        embedding, training = variant.recipe.embedding, variant.recipe.train.embedding
        if embedding is not None:
            assert embedding.engine["scale"] == "unit"
            weights.add(round(sum(embedding.engine["weights"]), 3))
            if embedding.component.name in ("heg_r", "heg_s"):
                assert training is not None
                assert training.settings.seed == "replicate"
    assert len(weights) == 1
    assert study.placebo is not None
    assert study.tuning is not None
    assert study.adaptive is not None
