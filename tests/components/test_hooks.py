"""Every hook is documented and tried; whatever a plugin does wrong stays its own affair."""

from __future__ import annotations

import inspect
import json
import sys
import typing
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import cliffkit.components.load
from cliffkit import events, hookspecs, testing
from cliffkit.cli.main import cli, main
from cliffkit.components.load import load_plugins
from cliffkit.components.registry import KINDS, NameClashError, Registry
from cliffkit.errors import Stopped, UserError
from cliffkit.verbs import get_data

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "plugins.md").read_text(encoding="utf-8")
HOOKS = [name for name, value in vars(hookspecs).items() if hasattr(value, "cliffkit_spec")]
GOOD = """
@hookimpl
def cliffkit_register(registry):
    registry.add("fusion", "good", "cliffkit_fusions.add:Add", "works")
"""
BROKEN = {
    "raises on import": ("raise OSError('no driver')", "OSError: no driver"),
    "is no Python": ("def cliffkit_register(", "SyntaxError"),
    "imports what is not there": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "ends the process": ("import sys; sys.exit(1)", "SystemExit: 1"),
    "misspelt hook": (
        "@hookimpl\ndef cliffkit_registre(registry): pass",
        "ValueError: unknown hook 'cliffkit_registre'; did you mean 'cliffkit_register'?",
    ),
    "hook with a wrong parameter": ("@hookimpl\ndef cliffkit_event(evnt): pass", "evnt"),
    "unmarked hook": ("def cliffkit_event(event): pass", "cliffkit_event is not marked as a hook"),
    "unknown kind": (
        "@hookimpl\ndef cliffkit_register(registry): registry.add('fussion', 'bad', 'a:B')",
        "unknown kind 'fussion'; the kinds are backbone",
    ),
    "no object reference": (
        "@hookimpl\ndef cliffkit_register(registry): registry.add('fusion', 'bad', 'a.B')",
        "'a.B' is no object reference; write 'package.module:Class'",
    ),
    "raises what is no exception": ("raise GeneratorExit('enough')", "GeneratorExit: enough"),
    "name that is no text": (
        "@hookimpl\ndef cliffkit_register(registry): registry.add('fusion', 5, 'a:B')",
        "name 5 is no text of one line",
    ),
    "name of two words": (
        "@hookimpl\ndef cliffkit_register(registry): registry.add('fusion', 'a b', 'a:B')",
        "a name is a word without spaces",
    ),
    "summary of two lines": (
        "@hookimpl\ndef cliffkit_register(registry): registry.add('fusion', 'bad', 'a:B', 'one\\ntwo')",
        "is no text of one line",
    ),
    "raises after its first component": (
        "@hookimpl\ndef cliffkit_register(registry):\n    registry.add('fusion', 'bad', 'a:B')\n    raise KeyError(1)",
        "KeyError: 1",
    ),
}

Make = Callable[..., EntryPoint]


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """`plugin(name, source, module=None)`: the entry point of a plugin written just now; `hookimpl` is imported."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)

    def make(name: str, source: str, module: str | None = None) -> EntryPoint:
        module = module or f"fake_{name}"
        (folder / f"{module}.py").write_text(f"from cliffkit.hookspecs import hookimpl\n{source}\n", encoding="utf-8")
        return EntryPoint(name, module, "cliffkit")

    yield make
    for name in set(sys.modules) - before:
        if name.startswith("fake_"):
            del sys.modules[name]


# ---- nothing is forgotten


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_by_its_signature(hook: str) -> None:
    parameters = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert f"### `{hook}`\n" in PAGE
    assert f"@hookimpl\ndef {hook}({parameters}):\n" in PAGE


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test(hook: str) -> None:
    assert any(name.startswith(f"test_{hook}_") for name in globals())


def test_the_registry_that_plugins_are_typed_with_is_the_one_that_they_are_given() -> None:
    assert inspect.signature(hookspecs.Registry.add) == inspect.signature(Registry.add)


@pytest.mark.parametrize("name", [kind.__name__ for kind in typing.get_args(events.Event)])
def test_every_event_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_documented_with_its_check(kind: str) -> None:
    check = f"check_{kind}"
    assert check in testing.__all__
    assert f"\n| {kind} | " in PAGE
    assert f"`{check}(" in PAGE
    assert f"(plugins/{kind}.md)" in PAGE


# ---- the hooks


def test_cliffkit_register_gives_components(plugin: Make) -> None:
    loaded = load_plugins(entries=[plugin("mine", GOOD)])
    component = loaded.registry.get("fusion", "good")
    assert (component.plugin, component.summary) == ("mine", "works")
    assert component.load().__name__ == "Add"
    assert [(status.name, status.status) for status in loaded.statuses] == [("mine", "loaded")]


def test_cliffkit_register_names_the_plugin_whose_class_cannot_be_imported(plugin: Make) -> None:
    loaded = load_plugins(entries=[plugin("mine", GOOD.replace("cliffkit_fusions.add:Add", "fake_mine:Nothing"))])
    with pytest.raises(UserError, match="fusion 'good' of plugin 'mine' cannot be imported from fake_mine:Nothing"):
        loaded.registry.get("fusion", "good").load()
    other = GOOD.replace("cliffkit_fusions.add:Add", "fake_other:Gatd") + "\nclass Gated: ...\ndef _own(): ..."
    loaded = load_plugins(entries=[plugin("other", other)])
    with pytest.raises(UserError, match=r"the module has no 'Gatd'; fake_other.py has: cliffkit_register, Gated; mend"):
        loaded.registry.get("fusion", "good").load()


def test_cliffkit_register_is_called_under_another_name_too(plugin: Make) -> None:
    source = GOOD.replace("@hookimpl", "@hookimpl(specname='cliffkit_register')").replace(
        "def cliffkit_register", "def f"
    )
    assert load_plugins(entries=[plugin("mine", source)]).registry.names("fusion") == ["good"]


DOWNLOAD = """
from cliffkit.hookspecs import Download, RemoteFile
@hookimpl
def cliffkit_downloads(downloads):
    downloads.append(Download("mine", "My rooms", "https://example.org", "Be kind.", [RemoteFile("a", "https://a/a")]))
"""


def test_cliffkit_downloads_names_a_data_set_and_one_that_raises_leaves_the_others(plugin: Make) -> None:
    broken = plugin("broken", "@hookimpl\ndef cliffkit_downloads(downloads): raise KeyError(1)")
    plugins = load_plugins(entries=[broken, plugin("mine", DOWNLOAD)])
    assert [download.title for download in get_data.downloads(plugins)] == ["My rooms"]


COMMAND = """
@hookimpl
def cliffkit_commands(cli):
    @cli.command()
    def hello():
        print("hello from a plugin")
"""


def test_cliffkit_commands_adds_a_command(plugin: Make) -> None:
    group = click.Group()
    assert load_plugins(entries=[plugin("mine", COMMAND)]).call("cliffkit_commands", cli=group) == {}
    assert CliRunner().invoke(group, ["hello"]).stdout == "hello from a plugin\n"


def test_cliffkit_commands_cannot_replace_a_command(plugin: Make) -> None:
    built_in = cli.commands["run"]
    taker = plugin("taker", "import click\n@hookimpl\ndef cliffkit_commands(cli): cli.command('run')(lambda: None)")
    failed = load_plugins(entries=[taker]).call("cliffkit_commands", cli=cli)
    assert "there is a command 'run' already" in failed["taker"]
    assert cli.commands["run"] is built_in


def test_cliffkit_commands_that_raises_leaves_the_others(
    plugin: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        plugin("mine", COMMAND.replace("cli.command()", "cli.command('hello-mine')")),
        plugin("bad", "@hookimpl\ndef cliffkit_commands(cli): raise OSError('no driver')"),
    ]
    monkeypatch.setattr(cli, "commands", dict(cli.commands))
    code, out, err = command_line(["hello-mine"], found, monkeypatch, capsys)
    assert (code, out) == (0, "hello from a plugin\n")
    assert err == "warning: plugin 'bad' could not add its commands: cliffkit_commands: OSError: no driver\n"


def test_cliffkit_commands_refuses_a_name_that_is_no_text(plugin: Make) -> None:
    source = "import click\n@hookimpl\ndef cliffkit_commands(cli): cli.add_command(click.Command(5))"
    failed = load_plugins(entries=[plugin("numbers", source)]).call("cliffkit_commands", cli=cli)
    assert "5 is no name for a command" in failed["numbers"]
    assert 5 not in cli.commands


@pytest.mark.parametrize("error", ["SystemExit(3)", "GeneratorExit(3)", "BaseException(3)"])
def test_cliffkit_event_that_ends_the_process_is_a_failure(plugin: Make, error: str) -> None:
    loaded = load_plugins(entries=[plugin("ends", f"@hookimpl\ndef cliffkit_event(event): raise {error}")])
    reason = f"cliffkit_event: {error.replace('(', ': ').replace(')', '')}"
    assert loaded.call("cliffkit_event", event=None) == {"ends": reason}


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Stopped(15)])
@pytest.mark.parametrize("where", ["", "@hookimpl\ndef cliffkit_event(event): "])
def test_a_stop_passes_every_plugin(plugin: Make, stop: BaseException, where: str) -> None:
    source = f"from cliffkit.errors import Stopped\n{where}raise {stop!r}"
    with pytest.raises(type(stop)):
        load_plugins(entries=[plugin("stops", source)]).call("cliffkit_event", event=None)


def test_cliffkit_event_hears_a_run_and_may_raise(plugin: Make, tiny_recipe: Path, tmp_path: Path) -> None:
    hearer = plugin("hearer", "heard = []\n@hookimpl\ndef cliffkit_event(event): heard.append(event)")
    noisy = plugin("noisy", "@hookimpl\ndef cliffkit_event(event): raise RuntimeError('no disk')")
    loaded = load_plugins(entries=[*entry_points(group="cliffkit"), hearer, noisy])
    heard = sys.modules["fake_hearer"].heard
    arguments = ["run", str(tiny_recipe), "--runs", str(tmp_path / "runs"), "--device", "cpu", "--json"]
    ran = CliRunner().invoke(cli, arguments, obj=loaded)
    assert ran.exit_code == 0, ran.stderr
    assert Path(json.loads(ran.stdout)["run"], "weights.safetensors").exists()
    assert ran.stderr.count("plugin 'noisy' failed to hear an event: cliffkit_event: RuntimeError: no disk") == 1

    stages = ["pack", "images", "embedding", "depth", "evaluate"]
    assert [event.stage for event in heard if isinstance(event, events.JobStarted)] == stages
    assert [event.stage for event in heard if isinstance(event, events.JobFinished)] == stages
    validated = [event for event in heard if isinstance(event, events.Validated) and event.stage == "depth"]
    assert [event.step for event in validated] == [3, 6]
    assert all("abs_rel" in event.scores for event in validated)
    assert any(event.best for event in validated)

    heard.clear()
    again = CliRunner().invoke(cli, arguments, obj=loaded)
    assert again.exit_code == 0, again.stderr
    assert [type(event) for event in heard] == [events.JobSkipped] * 5


# ---- plugins that fail


@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_plugin_is_isolated(source: str, reason: str, plugin: Make) -> None:
    bad = plugin("bad", f"@hookimpl\ndef cliffkit_commands(cli): pass\n{source}")
    loaded = load_plugins(entries=[bad, plugin("mine", GOOD)])
    status = {status.name: status for status in loaded.statuses}
    assert (status["mine"].status, status["bad"].status) == ("loaded", "failed")
    assert reason in status["bad"].reason
    assert loaded.registry.names("fusion") == ["good"]
    assert not loaded.manager.has_plugin("bad")
    assert loaded.call("cliffkit_commands", cli=None) == {}
    with pytest.raises(UserError) as missing:
        loaded.registry.get("fusion", "bad")
    assert f"plugin 'bad' failed to load: {status['bad'].reason}" in str(missing.value)


@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_plugin_is_fatal_where_asked(source: str, reason: str, plugin: Make) -> None:
    with pytest.raises(UserError, match=r"plugin 'bad' \(fake_bad\) failed to load: ") as failed:
        load_plugins(entries=[plugin("mine", GOOD), plugin("bad", source)], strict=True)
    assert reason in str(failed.value)


def test_the_command_line_goes_on_unless_strict(
    plugin: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [plugin("mine", GOOD), plugin("bad", "raise OSError('no driver')")]
    code, out, _ = command_line(["plugins", "--json"], found, monkeypatch, capsys)
    assert code == 0
    assert {row["name"]: (row["status"], row["reason"]) for row in json.loads(out)["plugins"]} == {
        "bad": ("failed", "OSError: no driver"),
        "mine": ("loaded", ""),
    }
    code, out, err = command_line(["--strict-plugins", "plugins"], found, monkeypatch, capsys)
    assert (code, out) == (2, "")
    assert "plugin 'bad' (fake_bad) failed to load: OSError: no driver" in err


def test_a_disabled_plugin_is_not_imported(plugin: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIFFKIT_DISABLE_PLUGINS", "bad, other")
    loaded = load_plugins(entries=[plugin("mine", GOOD), plugin("bad", "raise OSError('no driver')")], strict=True)
    assert [(status.name, status.status) for status in loaded.statuses] == [("bad", "disabled"), ("mine", "loaded")]
    assert "fake_bad" not in sys.modules
    assert not loaded.registry.failures


@pytest.mark.parametrize("strict", [False, True])
def test_two_plugins_of_one_name_are_both_named(plugin: Make, strict: bool) -> None:
    found = [plugin("mine", GOOD, "fake_first"), plugin("mine", GOOD, "fake_second")]
    with pytest.raises(NameClashError, match=r"two plugins are called 'mine': fake_first .* and fake_second "):
        load_plugins(entries=found, strict=strict)


def test_one_installation_seen_twice_is_one_plugin(plugin: Make) -> None:
    found = [plugin("mine", GOOD), plugin("mine", GOOD)]
    assert [status.status for status in load_plugins(entries=found).statuses] == ["loaded"]


@pytest.mark.parametrize("strict", [False, True])
def test_two_components_of_one_name_are_both_named(plugin: Make, strict: bool) -> None:
    found = [plugin("mine", GOOD), plugin("theirs", GOOD)]
    with pytest.raises(NameClashError, match=r"fusion 'good' is given by two plugins, 'mine' .* and 'theirs' "):
        load_plugins(entries=found, strict=strict)


def test_switching_one_off_settles_a_clash(plugin: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIFFKIT_DISABLE_PLUGINS", "mine")
    loaded = load_plugins(entries=[plugin("mine", GOOD), plugin("theirs", GOOD)])
    assert loaded.registry.get("fusion", "good").plugin == "theirs"


def command_line(
    arguments: list[str],
    found: list[EntryPoint],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[int, str, str]:
    """`cliffkit ARGUMENTS` where only these plugins are installed: exit code, stdout, stderr."""
    monkeypatch.setattr(cliffkit.components.load, "entry_points", lambda group: found)
    monkeypatch.setattr(sys, "argv", ["cliffkit", *arguments])
    with pytest.raises(SystemExit) as done:
        main()
    out, err = capsys.readouterr()
    return int(done.value.code or 0), out, err
