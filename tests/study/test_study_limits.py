"""Studies that are too large, or whose names and seeds lead nowhere: faults, before anything is expanded."""

from pathlib import Path

import pytest
import yaml

import cliffkit
from cliffkit.errors import RecipeError, UserError
from cliffkit.recipe.mapping import from_memory
from cliffkit.study.cells import plan_cells
from cliffkit.study.check import check_study, load_study
from cliffkit.study.expand import MAX_CELLS

from ..study_fixtures import STUDY, write_study

PATCH = {"train.depth.batch": 1}


def faults(registry, tiny, **changes):
    data = {"name": "s", "base": yaml.safe_load(tiny), "axes": {"a": {"0": {}, "1": PATCH}}, **changes}
    try:
        check_study(from_memory(data, "study"), Path(), registry)
    except RecipeError as error:
        return [str(fault) for fault in error.faults]
    return []


def levels(path, count):
    return {f"l{i}": {path: i + 1000} for i in range(count)}


def test_the_cells_of_a_grid_are_counted_before_they_are_made(registry, tiny):
    axes = {f"a{k}": levels(f"train.depth.{path}", 60) for k, path in enumerate(("steps", "batch", "warmup_steps"))}
    axes["b"] = levels("embedding.warmup_steps", 500)
    (fault,) = faults(registry, tiny, axes=axes, compare={"reference": dict.fromkeys(axes, "l0")})
    assert "axes: 60 x 60 x 60 x 500 variants x 3 seeds = 324000000 cells before `exclude`" in fault
    assert f"{MAX_CELLS} at most" in fault


def test_many_seeds_count_too(registry, tiny):
    (fault,) = faults(registry, tiny, seeds=list(range(60_000)))
    assert "2 variants x 60000 seeds = 120000 cells" in fault


def test_a_base_that_no_file_can_have_is_a_fault(registry, tiny):
    for base in ("b" * 5_000, "a\0b", "", "."):
        (fault,) = faults(registry, tiny, base=base)
        assert "study: base: there is no recipe" in fault
        assert len(fault) < 300


def test_seeds_that_are_too_large_together_are_a_fault_of_the_study(registry, tiny):
    (fault,) = faults(registry, tiny, seeds=[0, 2**63 - 1], base={**yaml.safe_load(tiny), "seed": 1})
    assert f"seeds.1: {2**63 - 1} and the recipe's own seed, 1, are more than {2**63 - 1} together" in fault


def test_names_of_axes_and_levels_are_of_readable_length(registry, tiny):
    for axes in ({"a" * 300: {"0": {}, "1": PATCH}}, {"a": {"0": {}, "1" * 300: PATCH}}):
        (fault,) = faults(registry, tiny, axes=axes)
        assert fault.endswith(": has 300 characters; a name has 1 to 128")
        assert len(fault) < 200
    axes = {"a" * 300: {"l" * 300: {"train.depth.batch": -1}}}
    found = faults(registry, tiny, axes=axes, exclude=[{"b" * 300: "x"}], compare={"reference": {"a" * 300: "m" * 300}})
    assert len(found) == 5
    assert all(len(fault) < 500 for fault in found), found


def test_a_variant_of_many_long_levels_has_a_folder_that_can_be_made(registry, tiny, tmp_path):
    axes = {
        f"a{k}": {"0" * 120: {}, f"{'1' * 120}": {path: 3}}
        for k, path in enumerate(("train.depth.batch", "loss.0.weight"))
    }
    data = {"name": "n" * 128, "base": yaml.safe_load(tiny), "axes": axes, "seeds": [2**62]}
    cells = plan_cells(check_study(from_memory(data, "study"), Path(), registry), {})
    for cell in cells:
        (tmp_path / f"{cell.recipe.name}-{cell.jobs[-1].key[:8]}").mkdir()
    assert len(cells) == 4


@pytest.mark.parametrize("call", ["run", "ablate", "plan", "report"])
def test_an_empty_path_is_refused_by_every_verb(call, invoke, tiny_recipe, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    refused = invoke(call, tiny_recipe, "--runs", "")
    assert refused.exit_code == 2
    assert "the path is empty" in refused.stderr
    assert invoke(call, "").exit_code == 2
    assert sorted(tmp_path.iterdir()) == before


def test_an_empty_path_is_refused_in_python_too(tiny_recipe):
    for call in (cliffkit.run, cliffkit.ablate, cliffkit.plan):
        with pytest.raises(UserError, match="the path is empty"):
            call(tiny_recipe if call is not cliffkit.ablate else "cliffnet", runs="")
        with pytest.raises(UserError, match="the path is empty"):
            call("")
    with pytest.raises(UserError, match="run: the path is empty"):
        cliffkit.predict("", ["x.png"], "")


def test_a_path_with_thousands_of_digits_is_a_fault(tmp_path, registry, invoke, tiny_recipe):
    """Python makes no number of more than 4,300."""
    digits = "9" * 5000
    for path in (digits, f"loss.{digits}", f"loss.0.{digits}"):
        study = STUDY.replace("{model.fusion: {use: add}}", f"{{{path}}}")  # YAML: a long key has no colon
        with pytest.raises(RecipeError, match=r"study\.yaml:6"):
            load_study(write_study(tmp_path, study), registry)
        refused = invoke("validate", tiny_recipe, "--set", f"{path}=1")
        assert refused.exit_code == 2, path
