"""Whatever a plugin does takes its own cells and itself only; stdout belongs to the command."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import cliffkit
from cliffkit.cli.main import cli, main
from cliffkit.components.load import load_plugins
from cliffkit.events import CellFinished, Notice

PLUGIN = """\
import atexit, os, sys
from cliffkit.hookspecs import hookimpl
print("printed at import")
os.write(1, b"written at import\\n")
atexit.register(print, "printed at exit")
@hookimpl
def cliffkit_register(registry):
    print("printed in register")
    for name in ("Talks", "Exits", "ExitsInTraining", "Raises", "RaisesInTraining"):
        registry.add("fusion", name.lower(), f"fake_parts:{name}")
@hookimpl
def cliffkit_event(event):
    print("printed in event")
    sys.exit(3)
@hookimpl
def cliffkit_commands(cli):
    @cli.command()
    def greet():
        print("hello")
    sys.exit(0)
"""
PARTS = """\
import ctypes, os, sys
from cliffkit_fusions.add import Add
class Talks(Add):
    def forward(self, fine, coarse):
        print("printed in forward")
        os.write(1, b"written in forward\\n")
        ctypes.CDLL(None).puts(b"put in forward")
        return super().forward(fine, coarse)
class Exits(Add):
    def __init__(self, channels):
        super().__init__(channels)
        sys.exit(0)
class Raises(Add):
    def __init__(self, channels):
        super().__init__(channels)
        raise TypeError("no number")
class ExitsInTraining(Add):
    def forward(self, fine, coarse):
        return sys.exit(0) if self.training else super().forward(fine, coarse)
class RaisesInTraining(Add):
    def forward(self, fine, coarse):
        return fine + None if self.training else super().forward(fine, coarse)
"""
BASE = """\
name: small
data: {use: rooms, size: [32, 32], train: 8, val: 4, test: 5, height: 32, width: 48}
model: {backbone: {use: handbuilt}, pyramid: {use: symmetric, channels: 4}, fusion: {use: exitsintraining}}
embedding: {use: none}
loss: [{use: l1}]
train: {precision: fp32, depth: {steps: 2, batch: 4, validate_every: 2}}
"""
STUDY = """\
name: s
base: base.yaml
seeds: [0, 1]
axes:
  fusion:
    late: {}
    add: {model.fusion: {use: add}}
    exits: {model.fusion: {use: exits}}
    raises: {model.fusion: {use: raises}}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages with a hostile plugin, to be put on Python's path."""
    folder = tmp_path / "site"
    (folder / "hostile-1.dist-info").mkdir(parents=True)
    (folder / "hostile-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1\n")
    (folder / "hostile-1.dist-info" / "entry_points.txt").write_text("[cliffkit]\nhostile = fake_hostile\n")
    (folder / "fake_hostile.py").write_text(PLUGIN)
    (folder / "fake_parts.py").write_text(PARTS)
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "study.yaml").write_text(STUDY)
    return folder


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The hostile plugin, installed in this process."""
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(site.parent)
    yield
    atexit.unregister(print)
    for name in ("fake_hostile", "fake_parts"):
        sys.modules.pop(name, None)


def command(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`cliffkit ARGUMENTS` where the hostile plugin is installed."""
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "cliffkit", *arguments], cwd=site.parent, env=environment, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_study_loses_the_cells_of_a_hostile_part_and_no_other(installed: None) -> None:
    heard: list[object] = []
    findings = cliffkit.ablate("study.yaml", device="cpu", workers=2, plugins=load_plugins(), progress=heard.append)
    states = {result.cell.name: result.state for result in findings.results.cells}
    assert states == {
        f"{variant}, seed {seed}": "done" if variant == "add" else "failed"
        for variant in ("late", "add", "exits", "raises")
        for seed in (0, 1)
    }

    reasons = {result.cell.variant.name: result.reason for result in findings.results.cells}
    assert "SystemExit: 0, in fusion 'exitsintraining' of plugin 'hostile' (fake_parts.py:" in reasons["late"]
    assert "fusion 'exits' of plugin 'hostile' cannot be built: SystemExit: 0; change" in reasons["exits"]
    assert "study.yaml:9: model.fusion (raises): fusion 'raises' of plugin 'hostile'" in reasons["raises"]
    assert "TypeError: no number" in reasons["raises"]

    said = [event.text for event in heard if isinstance(event, Notice)]
    for variant in ("exits", "raises"):
        assert len([text for text in said if text.startswith(f"variant '{variant}' fails, the others go on: ")]) == 1
    ended = [(event.variant, event.seed) for event in heard if isinstance(event, CellFinished)]
    assert len(ended) == len(set(ended)) == 8

    heard.clear()
    again = cliffkit.ablate("study.yaml", device="cpu", workers=2, plugins=load_plugins(), progress=heard.append)
    assert {result.cell.name: result.state for result in again.results.cells} == states
    assert not [event for event in heard if isinstance(event, CellFinished)]


def test_a_dry_run_says_which_variants_fail_and_keeps_nothing_of_it(installed: None, tmp_path: Path) -> None:
    heard: list[object] = []
    outlook = cliffkit.forecast("study.yaml", device="cpu", workers=1, plugins=load_plugins(), progress=heard.append)
    said = "\n".join(event.text for event in heard if isinstance(event, Notice))
    assert "variant 'raises' fails, the others go on: " in said
    assert "depth of s.late.s1 cannot be measured: " in said
    assert outlook.expected.by_stage["depth"][0] == 2, "only the good ones count"
    assert outlook.expected.by_stage["evaluate"][0] == 4
    assert not list(tmp_path.glob("runs/jobs/*failed*"))


def test_stdout_is_the_commands_alone(site: Path) -> None:
    ran = command(site, "run", "base.yaml", "--set", "model.fusion.use=talks", "--device", "cpu", "--json")
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 1, ran.stdout
    assert json.loads(ran.stdout)["name"] == "small"
    for place in ("import", "register", "event", "forward", "exit"):
        assert f"printed {'at' if place in ('import', 'exit') else 'in'} {place}" in ran.stderr
    for text in ("written at import", "written in forward", "put in forward"):
        assert text in ran.stderr
    assert "warning: plugin 'hostile' could not add its commands: cliffkit_commands: SystemExit: 0" in ran.stderr
    assert ran.stderr.count("plugin 'hostile' failed to hear an event: cliffkit_event: SystemExit: 3") == 1


def test_a_plugins_own_command_prints_to_stdout(site: Path) -> None:
    ran = command(site, "greet")
    assert (ran.returncode, ran.stdout) == (0, "hello\n")


@pytest.mark.parametrize(
    ("fusion", "message"),
    [
        (
            "exits",
            "fusion 'exits' of plugin 'hostile' cannot be built: SystemExit: 0; change the part's options, or mend",
        ),
        (
            "raises",
            "fusion 'raises' of plugin 'hostile' cannot be built: TypeError: no number; change the part's options",
        ),
        ("exitsintraining", "SystemExit: 0, in fusion 'exitsintraining' of plugin 'hostile' (fake_parts.py:"),
    ],
)
def test_a_run_says_which_part_ended_it(installed: None, fusion: str, message: str) -> None:
    arguments = ["run", "base.yaml", "--set", f"model.fusion.use={fusion}", "--device", "cpu", "--json"]
    ran = CliRunner().invoke(cli, arguments, obj=load_plugins())
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert message in ran.stderr


def test_a_fault_in_the_code_is_one_message_and_a_file(
    installed: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "told").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "told"))
    arguments = ["run", "base.yaml", "--set", "model.fusion.use=raisesintraining", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["cliffkit", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    out, errors = capsys.readouterr()
    assert (end.value.code, out) == (1, "")
    assert "Error: TypeError: unsupported operand" in errors
    assert "in fusion 'raisesintraining' of plugin 'hostile' (fake_parts.py:" in errors
    assert "Traceback" not in errors
    (file,) = (tmp_path / "told").glob("cliffkit-*.txt")
    assert str(file) in errors
    assert "Traceback" in file.read_text()
