"""Every recipe that is shipped is a recipe, because it lies in the folder."""

import shutil
import tomllib
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from cliffkit.components.load import GROUP, load_plugins
from cliffkit.components.registry import Registry
from cliffkit.interfaces import Backbone, Network
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


@pytest.fixture(scope="module")
def with_examples():
    """The components of the installed plugins and of the examples, which are loaded from their folders."""
    points = {point.name: point for point in entry_points(group=GROUP)}
    with pytest.MonkeyPatch.context() as patch:
        for example in EXAMPLES.iterdir():
            patch.syspath_prepend(example)
            project = tomllib.loads((example / "pyproject.toml").read_text())["project"]
            for name, module in project["entry-points"][GROUP].items():
                points[name] = EntryPoint(name, module, GROUP)
        yield load_plugins(strict=True, entries=points.values()).registry


@pytest.mark.parametrize("path", [*RECIPES, *OF_EXAMPLES], ids=shown)
def test_loads_and_says_itself_again(path, with_examples, tmp_path):
    loaded = load_recipe(path, with_examples)
    copy = tmp_path / "recipe.yaml"
    copy.write_text(loaded.to_yaml(), encoding="utf-8")
    assert load_recipe(copy, with_examples).to_dict() == loaded.to_dict()


@pytest.mark.parametrize(
    ("name", "settings", "kind", "plugin"),
    [
        ("cliff_lite0_hegR", ["model.backbone.pretrained=false"], Backbone, "lite0"),
        ("unet", ["model.network.width=2"], Network, "foreign"),
    ],
)
def test_the_recipe_of_an_example_is_built_of_its_part(with_examples, name, settings, kind, plugin):
    (path,) = (path for path in OF_EXAMPLES if path.stem == name)
    part, *_ = load_recipe(path, with_examples, settings).model.values()
    assert part.component.plugin == plugin
    assert isinstance(part.build(), kind)


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
