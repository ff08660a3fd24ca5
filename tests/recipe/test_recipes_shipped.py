"""Every recipe that is shipped is a recipe, because it lies in the folder."""

import shutil
import tomllib
from pathlib import Path

import pytest

from cliffkit.components.registry import Registry
from cliffkit.jobs.plan import plan
from cliffkit.recipe.check import load_recipe

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "recipes"
STUDIES = OWN / "studies"
EXAMPLES = ROOT / "plugins" / "examples"
RECIPES = [path for path in sorted(OWN.rglob("*.yaml")) if STUDIES not in path.parents]
WITHOUT_DATA = [path for path in RECIPES if "use: rooms" in path.read_text(encoding="utf-8")]
OF_EXAMPLES = sorted(EXAMPLES.glob("*/recipes/**/*.yaml"))


def shown(path):
    return str(path.relative_to(ROOT))


@pytest.fixture
def loaded(request, plugins):
    """The recipe; that of an example only where the example is installed."""
    path = request.param
    if path in OF_EXAMPLES:
        example = EXAMPLES / path.relative_to(EXAMPLES).parts[0]
        points = tomllib.loads((example / "pyproject.toml").read_text())["project"]["entry-points"]["cliffkit"]
        installed = {status.name for status in plugins.statuses if status.status == "loaded"}
        if not set(points) <= installed:
            pytest.skip(f"{example.name} is not installed")
    return load_recipe(path, plugins.registry)


@pytest.mark.parametrize("loaded", [*RECIPES, *OF_EXAMPLES], ids=shown, indirect=True)
def test_loads_and_says_itself_again(loaded, registry, tmp_path):
    copy = tmp_path / "recipe.yaml"
    copy.write_text(loaded.to_yaml(), encoding="utf-8")
    assert load_recipe(copy, registry).to_dict() == loaded.to_dict()


@pytest.mark.parametrize("path", RECIPES, ids=shown)
def test_says_first_what_it_is_and_is_called_after_its_file(path, registry):
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert load_recipe(path, registry).name == "_".join(path.relative_to(OWN).with_suffix("").parts)


def test_there_are_some():
    assert OWN / "cliff_hegR.yaml" in WITHOUT_DATA
    assert any("nyu" in path.parts for path in RECIPES)


def test_no_two_are_one_under_two_names(registry):
    """Those of the built-in data: a key is what a recipe amounts to."""
    names: dict[str, Path] = {}
    for path in RECIPES:
        recipe = load_recipe(path, registry)
        if recipe.data.component.name == "rooms":
            assert names.setdefault(plan(recipe, {})[-1].key, path) == path
    assert len(names) > 1


@pytest.fixture(scope="module")
def moved(registry, tmp_path_factory):
    """Every built-in part in a package of another name, in another folder."""
    root = tmp_path_factory.mktemp("moved")
    for package in (ROOT / "plugins").glob("cliffkit_*"):
        shutil.copytree(package, root / _elsewhere(package.name), ignore=shutil.ignore_patterns("__pycache__"))
    for path in root.rglob("*.py"):
        path.write_text(_elsewhere(path.read_text(encoding="utf-8")), encoding="utf-8")
    others = Registry()
    for component in registry:
        others.from_plugin(f"moved {component.plugin}", "99")
        others.add(component.kind, component.name, _elsewhere(component.reference), component.summary)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        yield others


def _elsewhere(text):
    return text.replace("cliffkit_", "elsewhere_")


@pytest.mark.parametrize("path", WITHOUT_DATA, ids=shown)
def test_keys_stay_where_they_are_when_code_moves(path, registry, moved):
    """What a key is the hash of has the code of every part, and no name of a package, plugin or version."""
    jobs, again = (plan(load_recipe(path, components), {}) for components in (registry, moved))
    assert {job.stage: job.key for job in again} == {job.stage: job.key for job in jobs}
