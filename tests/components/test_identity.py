"""A part's code is known by what it says: not by how it is written down, where it lies, or what it is called."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.machinery
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliffkit.components.identity import Identity, Read, explain, identify, own_packages
from cliffkit.components.registry import Registry
from cliffkit.components.source import Source, read_source
from cliffkit.components.syntax import read_syntax
from cliffkit.errors import UserError

REPOSITORY = Path(__file__).parents[2]

PART = '''\
"""A fusion."""

from __future__ import annotations

import torch
from torch import nn

from cliffkit.interfaces import Fusion


class Gated(Fusion):
    """Let a gate decide."""

    gain = 1.0

    def __init__(self, channels, *, kernel=3):
        """Build the gate."""
        super().__init__()
        self.gate = nn.Conv2d(2 * channels, channels, kernel, padding=kernel // 2)

    def forward(self, low, high):
        return low + self.gain * torch.sigmoid(self.gate(torch.cat([low, high], dim=1))) + f"{low}, of".count("x")
'''


def reader(texts: Mapping[str, str]) -> Read:
    """Modules by their names; whatever lies above another one is a package."""

    def read(module: str) -> Source | None:
        above = any(name.startswith(f"{module}.") for name in texts)
        text = texts.get(module, "" if above else None)
        return None if text is None else Source(module, text, hashlib.sha256(text.encode()).hexdigest(), above, None)

    return read


def code(texts: Mapping[str, str], reference: str = "pkg.part:Gated") -> str:
    """The identity of a part among modules of one distribution."""
    return identify(reference, frozenset({reference.partition(":")[0].partition(".")[0]}), reader(texts)).code


def with_part(text: str) -> dict[str, str]:
    return {"pkg": "", "pkg.part": text}


# ---- how a module is written down


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    gain = 1.0\n", "    gain = 1.0  # tuned\n"),
        ("    gain = 1.0\n", "\n\n    gain = 1.00\n\n"),
        ("    gain = 1.0\n", "    gain = 1.0  # type: float\n"),
        ("    gain = 1.0\n", "    gain = 1.0\n    '''The weight of the gate.'''\n"),
        ('"""A fusion."""', "'A fusion that gates.'"),
        ('"""A fusion."""\n', ""),
        ('    """Let a gate decide."""\n', ""),
        ('        """Build the gate."""\n', "        pass\n"),
        ('.count("x")', ".count('x')"),
        ('.count("x")', ".count('' 'x')"),
        ('.count("x")', ".count(u'x')"),
        ("2 * channels", "(2 * channels)"),
        ("2 * channels", "0x2 * channels"),
        ("self, channels, *, kernel=3", "self,\n        channels,\n        *,\n        kernel=3,\n    "),
        ("\n\nclass", "\n\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy\n\n\nclass"),
        ("\n\nclass", "\n\n@hookimpl\ndef cliffkit_event(event):\n    print(event)\n\nclass"),
    ],
)
def test_what_computes_nothing_does_not_count(old: str, new: str) -> None:
    assert PART.count(old) == 1
    before = PART if "TYPE_CHECKING" not in new else PART.replace(old, "\n\nfrom typing import TYPE_CHECKING\n\nclass")
    assert code(with_part(PART.replace(old, new))) == code(with_part(before))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("gain = 1.0", "gain = 2.0"),
        ("gain = 1.0", "gain = 1"),
        ("gain = 1.0", "gain = True"),
        ("low + self", "low - self"),
        ("kernel=3", "kernel=5"),
        ("*, kernel", "kernel"),
        ("[low, high]", "[high, low]"),
        ("import torch\n", "import numpy as torch\n"),
        ("from torch import nn", "from mine import nn"),
        ("Gated(Fusion)", "Gated"),
        ("    gain = 1.0\n", "    @staticmethod\n    def gain(): ...\n"),
        ('.count("x")', '.count(b"x")'),
        ("{low}, of", "{low!r}, of"),
        ("{low}, of", "{low:1}, of"),
        ("{low}, of", "{low} of"),
    ],
)
def test_what_computes_counts(old: str, new: str) -> None:
    assert PART.count(old) == 1
    assert code(with_part(PART.replace(old, new))) != code(with_part(PART))


def test_the_class_that_is_named_counts() -> None:
    texts = with_part(PART + "\nOther = Gated\n")
    assert code(texts, "pkg.part:Gated") != code(texts, "pkg.part:Other")


@pytest.mark.parametrize("path", sorted((REPOSITORY / "plugins").rglob("*.py")), ids=lambda path: path.stem)
def test_a_module_that_is_written_anew_from_its_syntax_tree_stays_itself(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    rewritten = ast.unparse(ast.parse(text))
    own = frozenset({path.relative_to(REPOSITORY / "plugins").parts[0]})
    assert read_syntax(rewritten, "a.b.c.d", False, own).digest == read_syntax(text, "a.b.c.d", False, own).digest


def test_every_version_of_python_gives_the_same_hash() -> None:
    text = PART + 'x = f"a{1}b" f"{2:>{3}}c{4=}"\nmatch x:\n    case {"a": None, **rest}:\n        y = 10**20 + 1j\n'
    assert read_syntax(text, "pkg.part", False, frozenset()).digest[:20] == "7e790f6cbb809c3cf176"


# ---- the modules that it imports


FORMS = {
    "from a module": "from .helper import weigh",
    "from a module by its path": "from pkg.helper import weigh",
    "under another name": "from .helper import weigh as own_weigh",
    "everything": "from .helper import *",
    "the module": "from . import helper",
    "the module from its package": "from pkg import helper as tool",
    "by its path": "import pkg.helper\nweigh = pkg.helper.weigh",
    "by its path, under another name": "import pkg.helper as tool\nweigh = tool.weigh",
    "in a function": "def weigh(x):\n    from .helper import weigh\n    return weigh(x)",
    "if it is there": "try:\n    from .helper import weigh\nexcept ImportError:\n    weigh = None",
    "through another module": "from .through import weigh",
}
THROUGH = "from .helper import weigh\n"


def with_helper(form: str, helper: str = "def weigh(x):\n    return 2 * x\n") -> dict[str, str]:
    return {"pkg": "", "pkg.part": f"{form}\n{PART}", "pkg.helper": helper, "pkg.through": THROUGH}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_changed_helper_counts_however_it_is_imported(form: str) -> None:
    before = code(with_helper(form))
    assert code(with_helper(form, "def weigh(x):\n    return 3 * x\n")) != before
    assert code(with_helper(form, "def weigh(x):\n    return 2 * x  # twice\n")) == before


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_name_of_the_package_does_not_count(form: str) -> None:
    texts = with_helper(form)
    moved = {name.replace("pkg", "other.place"): text.replace("pkg", "other.place") for name, text in texts.items()}
    assert code(moved, "other.place.part:Gated") == code(texts)


@pytest.mark.parametrize(
    ("form", "moved"),
    [
        ("from .helper import weigh", "from .deep.tool import weigh"),
        ("from . import helper as tool", "from .deep import tool as tool"),
        ("import pkg.helper\nx = pkg.helper.weigh", "import pkg.deep.tool\nx = pkg.deep.tool.weigh"),
    ],
)
def test_the_name_of_a_helper_does_not_count(form: str, moved: str) -> None:
    texts = with_helper(moved)
    texts["pkg.deep.tool"] = texts.pop("pkg.helper")
    assert code(texts) == code(with_helper(form))


def test_an_unrelated_module_of_the_package_does_not_count() -> None:
    texts = with_helper("from .helper import weigh")
    assert code({**texts, "pkg.other": "x = 1"}) == code(texts)


def test_what_is_taken_from_a_helper_counts() -> None:
    texts = {"pkg.helper": "def weigh(x): ...\ndef lift(x): ...", "pkg.part": "from .helper import weigh as f"}
    assert code(texts) != code({**texts, "pkg.part": "from .helper import lift as f"})


def test_two_helpers_that_change_places_count() -> None:
    texts = {"pkg.part": "from .a import f\nfrom .b import g", "pkg.a": "f = g = 1", "pkg.b": "f = g = 2"}
    assert code(texts) != code({**texts, "pkg.a": texts["pkg.b"], "pkg.b": texts["pkg.a"]})


def test_a_module_that_is_a_plugin_by_itself_has_an_identity() -> None:
    assert code({"gated": PART}, "gated:Gated") == code({"fused": PART}, "fused:Gated")
    assert code({"gated": PART}, "gated:Gated") != code({"gated": PART + "x = 1"}, "gated:Gated")


@pytest.mark.parametrize(
    ("init", "counts"),
    [
        ("", False),
        ('"""A plugin."""\nfrom cliffkit.hookspecs import hookimpl\n__all__ = ["part"]\n', False),
        ("from .other import x", False),
        ("@hookimpl\ndef cliffkit_register(registry):\n    registry.add('fusion', 'a', 'pkg.part:Gated')", False),
        ("import torch\ntorch.set_default_dtype(torch.float64)", True),
        ("SCALE = 2.0", True),
    ],
)
def test_a_package_counts_for_its_modules_where_it_computes(init: str, counts: bool) -> None:
    texts = {"pkg": "", "pkg.part": PART, "pkg.other": "x = 1"}
    assert (code({**texts, "pkg": init}) != code(texts)) is counts


def test_a_name_that_a_package_takes_from_one_of_its_modules_counts() -> None:
    texts = {"pkg": "from .deep import weigh", "pkg.part": "from . import weigh", "pkg.deep": "def weigh(x): return x"}
    assert code({**texts, "pkg.deep": "def weigh(x): return 2 * x"}) != code(texts)
    both = {**texts, "pkg.weigh": "x = 1"}  # a module and a function of one name
    assert code({**both, "pkg.deep": "def weigh(x): return 2 * x"}) != code(both)
    assert code({**both, "pkg.weigh": "x = 2"}) != code(both)


@pytest.mark.parametrize("shared", ["layers", "images"])
def test_of_the_engine_only_shared_layers_and_the_reading_of_images_count_by_their_code(shared: str) -> None:
    module = f"cliffkit.{shared}"
    texts = {"pkg.part": f"from {module} import give\nfrom cliffkit.interfaces import Fusion"}
    engine = {"cliffkit": "x = 1", module: "def give(): ...", "cliffkit.interfaces": "class Fusion: ..."}
    before = code(texts | engine)
    assert code(texts | engine | {"cliffkit": "x = 2", "cliffkit.interfaces": "Fusion = 1"}) == before
    assert code(texts | engine | {module: "def give(x): ..."}) != before
    for form in (f"from cliffkit import {shared}", f"import {module}", f"import {module} as m"):
        before = code({"pkg.part": form} | engine)
        assert code({"pkg.part": form} | engine | {module: "x = 1"}) != before


def test_packages_of_other_distributions_are_named() -> None:
    text = "import os\nimport torch.nn\nfrom timm import create_model\nfrom .helper import x"
    found = identify("pkg.part:A", frozenset({"pkg"}), reader({"pkg.part": text, "pkg.helper": "import scipy"}))
    assert found.others == ("scipy", "timm", "torch")


# ---- modules that import each other


def test_modules_that_import_each_other_have_an_identity() -> None:
    texts = {"pkg.part": "from . import helper as h\nx = 1", "pkg.helper": "from . import part as p\ny = 1"}
    before = code(texts)
    assert code({**texts, "pkg.helper": texts["pkg.helper"].replace("y = 1", "y = 2")}) != before
    assert code({**texts, "pkg.part": texts["pkg.part"].replace("x = 1", "x = 2")}) != before
    moved = {name.replace("pkg", "other"): text for name, text in texts.items()}
    assert code(moved, "other.part:Gated") == before


def test_a_module_that_imports_itself_has_an_identity() -> None:
    assert code({"pkg.part": "import pkg.part as me\nx = 1"}) != code({"pkg.part": "import pkg.part as me\nx = 2"})


graphs = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(st.integers(0, n - 1), max_size=4), min_size=n, max_size=n), st.permutations(range(n))
    )
)


def modules(edges: list[list[int]], names: list[int], changed: int = -1) -> dict[str, str]:
    """Modules that import each other as the edges say, module 0 the part."""
    return {
        f"pkg.m{names[i]}": "\n".join(f"from .m{names[j]} import x as x{k}" for k, j in enumerate(targets))
        + f"\nx = {i + 100 * (i == changed)}"
        for i, targets in enumerate(edges)
    }


@given(graphs)
def test_names_and_order_of_modules_never_count(drawn: tuple[list[list[int]], list[int]]) -> None:
    edges, names = drawn
    plain = modules(edges, list(range(len(edges))))
    shuffled = dict(reversed(modules(edges, names).items()))
    assert code(shuffled, f"pkg.m{names[0]}:A") == code(plain, "pkg.m0:A")


@given(graphs)
def test_a_change_counts_exactly_where_it_is_reached(drawn: tuple[list[list[int]], list[int]]) -> None:
    edges, names = drawn
    reached, waiting = set[int](), [0]
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            waiting += edges[node]
    reference = f"pkg.m{names[0]}:A"
    for i in range(len(edges)):
        assert (code(modules(edges, names, i), reference) != code(modules(edges, names), reference)) is (i in reached)


# ---- what cannot be found


def test_a_module_that_cannot_be_found_is_named_with_its_place() -> None:
    with pytest.raises(UserError, match=r"pkg\.part:2: imports pkg\.absent, which cannot be found"):
        code({"pkg.part": "x = 1\nfrom .absent import y"})


def test_a_part_that_cannot_be_found_is_named() -> None:
    with pytest.raises(UserError, match=r"pkg\.part:Gated: imports pkg\.part, which cannot be found"):
        code({"pkg": ""})


def test_an_import_that_leads_out_of_the_distribution_is_named() -> None:
    with pytest.raises(UserError, match="beyond top-level package"):
        code({"pkg.part": "from ... import x"})


def test_a_module_that_is_no_python_is_named_with_its_line() -> None:
    with pytest.raises(UserError, match=r"pkg\.part:2: is no Python"):
        code({"pkg.part": "x = 1\nx ="})


def test_a_module_that_may_be_absent_counts_once_it_is_there() -> None:
    texts = with_helper(FORMS["if it is there"])
    without = {name: text for name, text in texts.items() if name != "pkg.helper"}
    found = identify("pkg.part:Gated", frozenset({"pkg"}), reader(without))
    assert found.code != code(texts)
    assert found.changed(reader(without)) == []
    assert found.changed(reader(texts)) == ["pkg.helper"]


# ---- modules on the disk


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def write(folder: Path, texts: Mapping[str, str]) -> None:
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    importlib.invalidate_caches()


def on_disk(reference: str = "fake_plugin.part:Gated") -> Identity:
    return identify(reference, own_packages(reference.partition(":")[0], "no such distribution"))


def test_modules_are_found_without_importing_anything(folder: Path) -> None:
    files = {"__init__.py": "raise OSError", "part.py": "from .deep.helper import x", "deep/helper.py": "raise OSError"}
    write(folder, {f"fake_plugin/{path}": text for path, text in files.items()})
    found = on_disk()
    assert set(found.sources) == {"fake_plugin", "fake_plugin.part", "fake_plugin.deep.helper"}
    assert not any(name.startswith("fake_plugin") for name in sys.modules)


def test_an_identity_knows_which_of_its_files_have_changed(folder: Path) -> None:
    write(folder, {"fake_plugin/__init__.py": "", "fake_plugin/part.py": PART})
    found = on_disk()
    assert found.changed() == []
    write(folder, {"fake_plugin/part.py": PART + "x = 1\n"})
    assert found.changed() == [found.where] == [str(folder / "fake_plugin" / "part.py")]
    assert on_disk().code != found.code


def test_an_extension_counts_by_its_bytes(folder: Path) -> None:
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    files = {"fake_plugin/part.py": "from .fast import f", f"fake_plugin/fast{suffix}": "1"}
    write(folder, files)
    before = on_disk().code
    write(folder, {f"fake_plugin/fast{suffix}": "2"})
    assert on_disk().code != before


def test_a_data_file_that_a_module_names_counts_by_its_bytes(folder: Path) -> None:
    text = 'from pathlib import Path\nTABLE = Path(__file__).with_name("table.csv").read_text()\n'
    write(folder, {"fake_plugin/part.py": text, "fake_plugin/table.csv": "1", "fake_plugin/notes.csv": "1"})
    before = on_disk()
    write(folder, {"fake_plugin/notes.csv": "2"})
    assert on_disk().code == before.code
    write(folder, {"fake_plugin/table.csv": "2"})
    assert on_disk().code != before.code
    assert before.changed() == [str(folder / "fake_plugin" / "table.csv")]


def test_a_module_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "fake_plugin.py").write_bytes(b"x = '\xff'\n")
    importlib.invalidate_caches()
    with pytest.raises(UserError, match=r"fake_plugin\.py: the source of fake_plugin cannot be read"):
        read_source("fake_plugin")


# ---- distributions


def distribution(folder: Path, version: str, **files: str) -> None:
    for old in folder.glob("*.dist-info"):
        shutil.rmtree(old)
    name = f"fake_plugin-{version}.dist-info"
    write(folder, {f"{name}/METADATA": f"Name: fake-plugin\nVersion: {version}\n"})
    write(folder, {f"{name}/{file}": text for file, text in files.items()})
    own_packages.cache_clear()


@pytest.mark.parametrize(
    "files",
    [
        {"top_level.txt": "fake_plugin\nfake_tools\n"},
        {"RECORD": "fake_plugin/part.py,,\nfake_tools.py,,\n__pycache__/fake_tools.cpython-311.pyc,,\n"},
    ],
)
def test_all_packages_of_a_distribution_count_and_its_version_does_not(folder: Path, files: dict[str, str]) -> None:
    write(folder, {"fake_plugin/part.py": "from fake_tools import x", "fake_tools.py": "x = 1"})
    codes = []
    for version, text in (("1.0", "x = 1"), ("2.0", "x = 1"), ("2.0", "x = 2")):
        distribution(folder, version, **files)
        write(folder, {"fake_tools.py": text})
        own = own_packages("fake_plugin.part", "fake-plugin")
        assert own == {"fake_plugin", "fake_tools"}
        codes.append(identify("fake_plugin.part:Gated", own).code)
    assert codes[0] == codes[1] != codes[2]


def test_a_distribution_that_lists_no_file_has_the_package_of_its_part(folder: Path) -> None:
    distribution(folder, "1.0", RECORD="__editable___fake_plugin_finder.py,,\nfake_plugin-1.0.dist-info/METADATA,,\n")
    assert own_packages("fake_plugin.part", "fake-plugin") == {"fake_plugin"}
    own_packages.cache_clear()


def test_the_engine_is_no_package_of_the_built_in_plugins() -> None:
    own = own_packages("cliffkit_fusions.add", "cliffkit")
    assert "cliffkit" not in own
    assert {"cliffkit_fusions", "cliffkit_losses"} <= own


# ---- the built-in parts


def test_every_part_keeps_its_identity_when_its_package_gets_another_name(folder: Path, registry: Registry) -> None:
    """Moving files therefore changes no key: `plan` takes from a part its options and this hash."""
    parts = {component.reference: component.reference.replace("cliffkit_", "moved_") for component in registry}
    packages = {reference.partition(":")[0].partition(".")[0] for reference in parts}
    for package in packages:
        for path in (REPOSITORY / "plugins" / package).rglob("*.py"):
            moved = str(path.relative_to(REPOSITORY / "plugins")).replace("cliffkit_", "moved_")
            write(folder, {moved: path.read_text(encoding="utf-8").replace("cliffkit_", "moved_")})
    own = frozenset(packages), frozenset(package.replace("cliffkit_", "moved_") for package in packages)
    for reference, moved in parts.items():
        assert identify(moved, own[1]).code == identify(reference, own[0]).code


# ---- what changed, in words


def test_the_difference_of_two_codes_is_shown_in_short() -> None:
    old = {"pkg.part": PART, "pkg.gone": "x = 1", "pkg.same": "x = 1"}
    new = {"pkg.part": PART.replace("gain = 1.0", "gain = 2.0"), "pkg.fresh": "x = 1", "pkg.same": "x = 1  # one"}
    assert explain(old, new).splitlines() == [
        "pkg.fresh is new",
        "pkg.gone is gone",
        "--- pkg.part, then",
        "+++ pkg.part, now",
        "@@ -13,3 +13,3 @@",
        " ",
        "-    gain = 1.0",
        "+    gain = 2.0",
        " ",
    ]


def test_a_long_difference_is_cut() -> None:
    old = {"pkg.part": "\n".join(f"x{i} = 1" for i in range(50))}
    told = explain(old, {"pkg.part": old["pkg.part"].replace("= 1", "= 2")}).splitlines()
    assert len(told) == 21
    assert told[-1] == "... 83 more lines"
