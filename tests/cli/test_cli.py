"""The command line: what it prints, what it leaves behind, and how it refuses."""

import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import huggingface_hub
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file, save_file

import cliffkit
from cliffkit.cli.main import cli
from cliffkit.cli.scores import print_run
from cliffkit.components.load import load_plugins
from cliffkit.hookspecs import hookimpl
from cliffkit.jobs.run_folder import write_sums
from cliffkit.scoring.metrics import METRICS
from cliffkit.training.checkpoint import save_checkpoint
from cliffkit_backbones import timm_model

ROOT = Path(__file__).resolve().parents[2]


def commands(group=cli, prefix=()):
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, (*prefix, name))
        else:
            yield (*prefix, name)


COMMANDS = list(commands())


def cliffkit_process(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "cliffkit", *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def one_object(result):
    """What stdout holds, which is one JSON object on one line and nothing else."""
    assert result.stdout.endswith("}\n")
    assert len(result.stdout.splitlines()) == 1
    return json.loads(result.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def contents(folder, but=".lock"):
    """Every file's time and bytes, by path; locks are touched by those who ask."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != but
    }


def jobs_of(runs):
    return {path.name for path in (runs / "jobs").iterdir() if path.suffix != ".lock"}


class TestWithoutTorch:
    """Listing and help answer at once because they import nothing heavy."""

    SCRIPT = (
        "import sys\n"
        "from cliffkit.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit as leaving:\n    assert not leaving.code, leaving.code\n"
        "heavy = {'torch', 'timm', 'numpy', 'scipy', 'matplotlib', 'pydantic', 'accelerate'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--help"],
            ["list"],
            ["recipes"],
            ["list", "fusion", "--json"],
            ["plugins"],
            ["run", "--help"],
            ["--version"],
        ],
    )
    def test_answers(self, arguments):
        done = subprocess.run([sys.executable, "-c", self.SCRIPT, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout


class TestHelp:
    @pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
    def test_every_command_says_what_it_does_and_takes(self, invoke, command):
        shown = invoke(*command, "--help")
        assert shown.exit_code == 0
        described = cli
        for name in command:
            described = described.commands[name]
        assert len(described.help) > 30
        for parameter in described.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, parameter.name
                assert parameter.opts[-1] in shown.stdout
        assert "--json" in shown.stdout

    def test_of_the_whole_names_every_command(self, invoke):
        shown = invoke("-h").stdout
        for command in COMMANDS:
            assert f"\n  {command[0]}" in shown

    def test_of_groups(self, invoke):
        assert "check" in invoke("data", "--help").stdout

    def test_version(self, invoke):
        assert invoke("--version").stdout == f"cliffkit, version {cliffkit.__version__}\n"


class TestList:
    def test_names_every_component(self, invoke, registry):
        rows = one_object(invoke("list", "--json"))["components"]
        assert [(row["kind"], row["name"], row["plugin"]) for row in rows] == [
            (component.kind, component.name, component.plugin) for component in registry
        ]
        lines = invoke("list").stdout.splitlines()
        assert len(lines) == len(rows)
        for line, row in zip(lines, rows, strict=True):
            assert line.split()[:2] == [row["kind"], row["name"]]

    def test_of_one_kind(self, invoke, registry):
        rows = one_object(invoke("list", "fusion", "--json"))["components"]
        assert [row["name"] for row in rows] == registry.names("fusion")
        refused = invoke("list", "fushions")
        assert refused.exit_code == 2
        assert refused.stderr == "Error: no kind is called 'fushions'; did you mean 'fusion'?\n"

    def test_a_part_that_cannot_be_used_hides_no_other(self, invoke, monkeypatch):
        from cliffkit.recipe.options import describe_options as describe

        def one_broken(component):
            if component.name == "add":
                raise TypeError("parameter 'gain' has no type")
            return describe(component)

        monkeypatch.setattr("cliffkit.recipe.options.describe_options", one_broken)
        said = invoke("list", "fusion", "--options")
        assert said.exit_code == 0
        assert "cannot be used: parameter 'gain' has no type" in said.stderr
        assert "upsample" in said.stdout

    def test_with_options(self, invoke):
        rows = one_object(invoke("list", "--options", "--json"))["components"]
        taken = {(row["kind"], row["name"]): row["options"] for row in rows}
        assert taken["fusion", "cliff"] == {"upsample": "Literal['bilinear', 'transposed'], default bilinear"}
        assert taken["loss", "l1"] == {"weight": "float >= 0, default 1.0"}

    def test_with_options_for_people(self, invoke, registry):
        listed = invoke("list", "loss", "--options").stdout
        (help_,) = re.findall(r"^ +variance_focus: float, default 0.85\n +(.*)$", listed, re.MULTILINE)
        assert help_ in " ".join(registry.get("loss", "silog").load().__doc__.split())
        assert help_.startswith("Weight of the squared mean error")

    def test_plugins(self, invoke, plugins):
        rows = one_object(invoke("plugins", "--json"))["plugins"]
        assert [(row["name"], row["status"]) for row in rows] == [(each.name, each.status) for each in plugins.statuses]
        assert {"name", "distribution", "version", "reference", "status", "reason"} == set(rows[0])
        shown = invoke("plugins").stdout
        assert all(row["name"] in shown and row["reference"] in shown for row in rows)


class TestRun:
    def test_prints_one_object(self, finished):
        result = finished.result
        assert set(result) == {"run", "name", "key", "metrics", "baseline", "failures", "seconds", "reused"}
        assert result["name"] == "tiny"
        assert result["run"] == str(finished.folder)
        assert finished.folder.name == f"tiny-{result['key'][:8]}"
        assert result["reused"] == []
        assert list(result["seconds"]) == ["pack", "images", "embedding", "depth", "evaluate"]
        assert all(seconds > 0 for seconds in result["seconds"].values())
        for scores in (result["metrics"], result["baseline"]):
            assert list(scores) == ["full"]
            assert set(scores["full"]) == {*METRICS, "n", "absent"}
            assert scores["full"]["n"] == 6
            assert all(math.isfinite(value) for value in scores["full"].values())

    def test_leaves_a_folder_with_everything(self, finished):
        assert {path.name for path in finished.folder.iterdir()} == {
            "SHA256SUMS",
            "jobs.json",
            "recipe.yaml",
            "metrics.json",
            "per_image.csv",
            "regions.npz",
            "log.jsonl",
            "weights.safetensors",
            "panel.png",
            "environment.json",
            "parts.json",
        }
        stored = json.loads((finished.folder / "metrics.json").read_text())
        assert stored["protocols"]["full"]["metrics"] == finished.result["metrics"]["full"]
        assert stored["selection"]["split"] == "val"
        assert {f"{stage}-{key}" for stage, key in stored["jobs"].items()} == jobs_of(finished.runs)
        assert stored["jobs"]["evaluate"] == stored["key"] == finished.result["key"]
        with Image.open(finished.folder / "panel.png") as panel:
            assert min(panel.size) > 100
        weights = load_file(finished.folder / "weights.safetensors")
        assert sum(value.numel() for value in weights.values()) >= stored["parameters"] > 10_000

    def test_leaves_nothing_unfinished(self, finished):
        names = {path.name for path in finished.runs.rglob("*")}
        assert not [name for name in names if name.endswith((".partial", ".tmp", ".old"))]
        assert not [name for name in names if "checkpoint" in name]

    def test_scores_every_test_image_once_with_every_metric(self, finished, registry):
        with (finished.folder / "per_image.csv").open(newline="") as file:
            header, *rows = csv.reader(file)
        assert header == ["protocol", "image", *METRICS]
        dataset = tiny_test_split(registry)
        assert [row[:2] for row in rows] == [["full", dataset.name(i)] for i in range(6)]
        for k, metric in enumerate(METRICS, 2):
            mean = math.fsum(float(row[k]) for row in rows) / 6
            assert finished.result["metrics"]["full"][metric] == pytest.approx(mean, rel=1e-12)

    def test_logs_every_step_of_both_trained_stages(self, finished):
        lines = [json.loads(line) for line in (finished.folder / "log.jsonl").read_text().splitlines()]
        for stage in ("embedding", "depth"):
            steps = [line["step"] for line in lines if line["stage"] == stage and "val" not in line]
            assert steps == [1, 2, 3, 4, 5, 6]
        looks = [(line["step"], line["val"]["abs_rel"]) for line in lines if line["stage"] == "depth" and "val" in line]
        assert [step for step, _ in looks] == [3, 6]
        for line in lines:
            if line["stage"] == "depth" and "val" not in line:
                assert line["loss"] == pytest.approx(line["l1"] + line["embedding"], rel=1e-6)
        chosen = json.loads((finished.folder / "metrics.json").read_text())["selection"]
        assert (chosen["step"], chosen["best_score"]) == min(looks, key=lambda look: look[1])

    def test_says_what_it_was_computed_with(self, finished):
        said = json.loads((finished.folder / "environment.json").read_text())
        assert said["versions"]["torch"] == torch.__version__.partition("+")[0]
        assert said["versions"]["cliffkit"] == cliffkit.__version__
        assert said["device_type"] == "cpu"
        assert said["precision"] in ("bfloat16", "float32")
        assert said["precision_reason"]
        assert said["nondeterministic"] == []

    def test_shows_a_person_the_scores(self, invoke, finished):
        again = invoke("run", finished.recipe, "--runs", finished.runs, "--device", "cpu")
        assert again.exit_code == 0
        assert "abs_rel" in again.stdout
        assert "constant median" in again.stdout
        assert str(finished.folder) in again.stdout.replace("\n", "")
        assert f"{finished.result['metrics']['full']['abs_rel']:.4f}" in again.stdout

    @pytest.mark.parametrize(("gain", "is_told"), [(0.1, False), (0.0, True), (-0.1, True)])
    def test_says_where_the_network_is_no_better_than_a_constant(self, finished, capsys, gain, is_told):
        run = cliffkit.load_run(finished.folder)
        protocols = {}
        for name, scored in run.record.protocols.items():
            baseline = {**scored.baseline, "abs_rel": scored.metrics["abs_rel"] + gain}
            protocols[name] = replace(scored, baseline=baseline)
        vars(run)["record"] = replace(run.record, protocols=protocols)
        print_run(run, as_json=False)
        words = f"no better than that constant in abs_rel under {', '.join(protocols)}; train longer"
        assert (words in capsys.readouterr().out) == is_told


STAGES = ["pack", "images", "embedding", "depth", "evaluate"]


class TestReuse:
    def test_again_does_nothing_and_says_so(self, invoke, own_run):
        before = contents(own_run.runs / "jobs")
        shown = contents(own_run.folder)
        again = invoke("run", own_run.recipe, "--runs", own_run.runs, "--device", "cpu")
        assert "Nothing to do" in again.stderr
        assert all(f"{stage} " in again.stderr for stage in STAGES)
        assert "begins" not in again.stderr
        assert contents(own_run.runs / "jobs") == before
        assert {name: data for name, (_, data) in contents(own_run.folder).items()} == {
            name: data for name, (_, data) in shown.items()
        }
        result = one_object(invoke("run", own_run.recipe, "--runs", own_run.runs, "--device", "cpu", "--json"))
        assert result.pop("reused") == STAGES
        assert result == {k: v for k, v in own_run.result.items() if k not in ("reused", "run")} | {
            "run": str(own_run.folder)
        }

    def test_a_run_folders_recipe_is_the_same_run(self, invoke, own_run):
        result = one_object(
            invoke("run", own_run.folder / "recipe.yaml", "--runs", own_run.runs, "--device", "cpu", "--json")
        )
        assert result["key"] == own_run.result["key"]
        assert result["reused"] == STAGES

    def test_another_name_is_another_folder_of_the_same_work(self, invoke, own_run):
        result = one_object(
            invoke("run", own_run.recipe, "--set", "name=b", "--runs", own_run.runs, "--device", "cpu", "--json")
        )
        assert result["reused"] == STAGES
        assert (own_run.runs / f"b-{own_run.result['key'][:8]}" / "metrics.json").is_file()
        assert own_run.folder.is_dir()

    def test_another_protocol_scores_again_and_trains_nothing(self, invoke, own_run):
        metrics = (own_run.folder / "metrics.json").read_bytes()
        before = jobs_of(own_run.runs)
        scored = invoke("evaluate", own_run.folder, "--protocol", "eigen", "--device", "cpu", "--json")
        result = one_object(scored)
        assert result["reused"] == ["pack", "images", "embedding", "depth"]
        assert list(result["metrics"]) == ["eigen"]
        assert jobs_of(own_run.runs) == before | {f"evaluate-{result['key']}"}
        assert "evaluate  begins" in scored.stderr
        beside = own_run.runs / Path(result["run"]).name
        assert set(own_run.runs.glob("tiny-*")) == {own_run.folder, beside}
        assert (own_run.folder / "metrics.json").read_bytes() == metrics
        (depth,) = (own_run.runs / "jobs").glob("depth-*")
        first, weights, stored = (folder / "weights.safetensors" for folder in (own_run.folder, beside, depth))
        assert weights.read_bytes() == first.read_bytes()
        assert weights.samefile(stored), "no second copy"
        assert "depth     begins" not in scored.stderr
        run = one_object(
            invoke(
                "run", own_run.recipe, "--set", "evaluate=[eigen]", "--runs", own_run.runs, "--device", "cpu", "--json"
            )
        )
        assert run["key"] == result["key"]
        assert run["reused"] == STAGES

    def test_a_protocol_may_be_a_mapping(self, invoke, own_run):
        eigen8 = "{use: eigen, cap_m: 8, flip: true, name: eigen8}"
        arguments = (
            "evaluate",
            own_run.folder,
            "--protocol",
            eigen8,
            "--protocol",
            "full",
            "--device",
            "cpu",
            "--json",
        )
        result = one_object(invoke(*arguments))
        assert list(result["metrics"]) == ["eigen8", "full"]
        stored = json.loads((own_run.runs / Path(result["run"]).name / "metrics.json").read_text())["protocols"]
        assert stored["eigen8"]["protocol"]["clamp_high_m"] == 8.0
        assert stored["eigen8"]["protocol"]["flip"]
        again = one_object(invoke("evaluate", own_run.runs / Path(result["run"]).name, *arguments[2:]))
        assert again["key"] == result["key"]
        refused = invoke("evaluate", own_run.folder, "--protocol", "{use: eigen, cap: 8}", "--device", "cpu")
        assert refused.exit_code == 2
        assert "protocol: cap: unknown option; `eigen` takes: name, flip, align, align_over, metrics" in refused.stderr
        refused = invoke("evaluate", own_run.folder, "--protocol", "{use: eigen", "--device", "cpu")
        assert refused.exit_code == 2
        assert "not YAML" in refused.stderr

    def test_evaluate_without_a_protocol_says_which_there_are(self, invoke, own_run):
        said = invoke("evaluate", own_run.folder)
        assert said.exit_code == 2
        assert "name a protocol, as --protocol full; `cliffkit list protocol` has all" in said.stderr

    def test_evaluate_from_within_the_run_folder(self, invoke, own_run, monkeypatch):
        monkeypatch.chdir(own_run.folder)
        result = one_object(invoke("evaluate", ".", "--protocol", "full", "--device", "cpu", "--json"))
        assert result["key"] == own_run.result["key"]
        assert result["reused"] == STAGES

    def test_another_fusion_reuses_the_data_and_the_embedding(self, invoke, own_run):
        changed = ("--set", "model.fusion.use=add", "--set", "name=add")
        planned = one_object(invoke("plan", own_run.recipe, *changed, "--runs", own_run.runs, "--json"))
        assert [(job["stage"], job["done"]) for job in planned["jobs"]] == [
            ("pack", True),
            ("images", True),
            ("embedding", True),
            ("depth", False),
            ("evaluate", False),
        ]
        result = one_object(
            invoke("run", own_run.recipe, *changed, "--runs", own_run.runs, "--device", "cpu", "--json")
        )
        assert result["reused"] == ["pack", "images", "embedding"]
        assert result["key"] == planned["jobs"][-1]["key"] != own_run.result["key"]
        assert len(jobs_of(own_run.runs)) == 7
        assert result["metrics"] != own_run.result["metrics"]

    def test_the_same_recipe_in_another_store_has_the_same_bits(self, invoke, finished, tmp_path):
        again = one_object(invoke("run", finished.recipe, "--runs", tmp_path / "r", "--device", "cpu", "--json"))
        assert again["key"] == finished.result["key"]
        assert again["metrics"] == finished.result["metrics"]
        folder = tmp_path / "r" / finished.folder.name
        for name in ("weights.safetensors", "per_image.csv"):
            assert (folder / name).read_bytes() == (finished.folder / name).read_bytes()


def test_commands_that_are_for_one_process_say_so(invoke, tiny_recipe, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    said = invoke("plan", tiny_recipe)
    assert (said.exit_code, said.stderr) == (
        2,
        "Error: torchrun started 2 processes, and `cliffkit plan` is for one; start it without torchrun\n",
    )


class TestPlan:
    def test_before_and_after(self, invoke, finished, tmp_path):
        runs = tmp_path / "none"
        before = one_object(invoke("plan", finished.recipe, "--runs", runs, "--json"))
        assert not runs.exists()
        after = one_object(invoke("plan", finished.recipe, "--runs", finished.runs, "--json"))
        assert before["name"] == after["name"] == "tiny"
        assert [job["stage"] for job in before["jobs"]] == STAGES
        assert [job["key"] for job in before["jobs"]] == [job["key"] for job in after["jobs"]]
        assert not any(job["done"] for job in before["jobs"])
        assert all(job["done"] for job in after["jobs"])
        lines = invoke("plan", finished.recipe, "--runs", finished.runs).stdout.splitlines()
        assert [line.split() for line in lines] == [[job["stage"], job["key"], "done"] for job in after["jobs"]]
        assert [(job["step"], job["steps"]) for job in after["jobs"]] == [
            (None, None),
            (None, None),
            (None, 6),
            (None, 6),
            (None, None),
        ]

    def test_a_damaged_job_is_to_do_anew(self, invoke, own_run):
        depth = next(path for path in (own_run.runs / "jobs").glob("depth-*"))
        with (depth / "fit.json").open("ab") as file:
            file.write(b" ")
        arguments = ("plan", own_run.recipe, "--runs", own_run.runs)
        assert "  damaged, to do anew: fit.json has " in invoke(*arguments).stdout.splitlines()[3]
        job = one_object(invoke(*arguments, "--json"))["jobs"][3]
        assert (job["stage"], job["done"]) == ("depth", False)
        assert job["damage"].startswith("fit.json has ")

    def test_a_fit_that_was_broken_off_has_its_step(self, invoke, own_run):
        depth = next(path for path in (own_run.runs / "jobs").glob("depth-*"))
        partial = depth.rename(depth.with_suffix(".partial"))
        arguments = ("plan", own_run.recipe, "--runs", own_run.runs)
        assert invoke(*arguments).stdout.splitlines()[3].endswith("  to do"), "it has no checkpoint"
        save_checkpoint(partial, {}, {"step": 4})
        assert invoke(*arguments).stdout.splitlines()[3].endswith("  unfinished at step 4 of 6")
        job = one_object(invoke(*arguments, "--json"))["jobs"][3]
        assert (job["stage"], job["done"], job["step"], job["steps"]) == ("depth", False, 4, 6)


class TestValidate:
    def test_a_study_is_checked_as_one(self, invoke, tmp_path):
        good = ROOT / "recipes" / "studies" / "cliffnet.yaml"
        said = invoke("validate", good)
        assert (said.exit_code, said.stdout) == (0, f"{good}: good\n")
        bad = tmp_path / "bad.yaml"
        bad.write_text(good.read_text().replace("use: add", "use: ad").replace("../", f"{ROOT}/recipes/"))
        said = invoke("validate", bad)
        assert said.exit_code == 2
        assert "no fusion is called 'ad'; did you mean 'add'?" in said.stderr

    def test_with_several_recipes_a_fault_of_the_command_line_names_its_recipe(self, invoke, tiny, tmp_path):
        files = [tmp_path / f"{name}.yaml" for name in "ab"]
        for file in files:
            file.write_text(tiny)
        said = invoke("validate", *files, "--set", "model.fusion.use=clif").stderr.splitlines()
        assert [line.startswith(f"{file}: --set ") for line, file in zip(said, files, strict=True)] == [True, True]

    def test_many_recipes_at_once(self, invoke, tiny, tmp_path):
        good, bad, missing = (tmp_path / f"{name}.yaml" for name in ("good", "bad", "missing"))
        good.write_text(tiny)
        bad.write_text(tiny.replace("cliff", "clif").replace("l1", "l3"))
        both = invoke("validate", good, bad, missing)
        assert both.exit_code == 2
        assert both.stdout == f"{good}: good\n"
        assert [line.split(": ")[:2] for line in both.stderr.splitlines()] == [
            [f"{bad}:8", "model.fusion.use"],
            [f"{bad}:10", "loss.0.use"],
            [str(missing), "no such file"],
        ]
        said = invoke("validate", good, bad, "--json")
        assert said.exit_code == 2
        rows = one_object(said)["recipes"]
        assert [(row["recipe"], len(row["faults"])) for row in rows] == [(str(good), 0), (str(bad), 2)]

    def test_with_set(self, invoke, tiny_recipe):
        assert invoke("validate", tiny_recipe, "--set", "loss.0.use=l2").exit_code == 0
        assert invoke("validate", tiny_recipe, "--set", "loss.0.use=l3").exit_code == 2

    def test_a_change_without_its_value_is_told_alone(self, invoke, tiny_recipe):
        for command in ("validate", "plan"):
            said = invoke(command, tiny_recipe, "--set", "train.depth.lr", "1e-3")
            assert said.exit_code == 2
            (line,) = said.stderr.splitlines()
            assert line.startswith("Error: --set train.depth.lr: write PATH=VALUE, with = and no blank between them")

    def test_warns_of_a_form_of_training_that_this_machine_has_not(self, invoke, tiny_recipe, monkeypatch):
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        said = invoke("validate", tiny_recipe, "--set", "train.depth.speed=graphs")
        assert (said.exit_code, said.stdout) == (0, f"{tiny_recipe}: good\n")
        assert said.stderr.startswith("warning: train.depth.speed: 'graphs' needs a CUDA GPU")
        planned = invoke("plan", tiny_recipe, "--set", "train.depth.speed=graphs")
        assert (planned.exit_code, planned.stderr) == (0, said.stderr)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            (["embedding.warmup_steps=6"], "embedding.warmup_steps is 6, and train.depth.steps 6: the embedding's"),
            (["train.depth.warmup_steps=7"], "train.depth.warmup_steps is 7, and train.depth.steps 6: the learning"),
            (["train.embedding.warmup_steps=6"], "train.embedding.warmup_steps is 6, and train.embedding.steps 6:"),
            (["train.depth.validate_every=9"], "train.depth.validate_every is 9, and train.depth.steps 6: only"),
            (["train.depth.reload_best=true"], "train.depth.reload_best acts at milestones of the schedule, and `cos"),
            (
                ["train.depth.schedule={use: step, milestones: [2, 6, 9]}"],
                "train.depth.schedule: train.depth.steps is 6, so the milestones 6, 9 never come; write fewer than 6",
            ),
        ],
    )
    def test_warns_of_settings_that_lie_beyond_the_last_step(self, changes, words, invoke, tiny_recipe):
        said = invoke("validate", tiny_recipe, *(word for change in changes for word in ("--set", change)))
        assert (said.exit_code, said.stdout) == (0, f"{tiny_recipe}: good\n")
        (line,) = said.stderr.splitlines()
        assert line.startswith(f"warning: {words}")

    def test_does_not_warn_of_settings_that_act_in_the_last_steps_or_not_at_all(self, invoke, tiny_recipe):
        changes = (
            "embedding.warmup_steps=5",
            "train.depth.warmup_steps=5",
            "train.depth.validate_every=6",
            "train.depth.reload_best=true",
            "train.depth.schedule={use: step, milestones: [5]}",
            "train.embedding.warmup_steps=99",
            "embedding.trained=false",
        )
        said = invoke("validate", tiny_recipe, *(word for change in changes for word in ("--set", change)))
        assert (said.exit_code, said.stderr) == (0, "")

    def test_warns_of_weights_that_are_not_on_this_machine_and_asks_no_network(self, invoke, monkeypatch):
        monkeypatch.setattr(timm_model, "_online", lambda: pytest.fail("asked for a network"))
        monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
        recipe = ROOT / "recipes" / "nyu" / "cliff_resnet50_hegR.yaml"
        said = invoke("validate", recipe)
        assert (said.exit_code, said.stdout) == (0, f"{recipe}: good\n")
        assert re.fullmatch(
            rf"warning: {recipe}:\d+: model.backbone \(timm\): timm/resnet50\S+, the weights of 'resnet50', is not .*"
            r"'pretrained: false' with 'weights: PATH'\n",
            said.stderr,
        )
        (row,) = one_object(invoke("validate", recipe, "--json"))["recipes"]
        assert (row["faults"], len(row["warnings"])) == ([], 1)

        said = invoke("validate", recipe, "--set", "model.backbone.pretrained=false")
        assert (said.exit_code, said.stderr) == (0, "")

    def test_images_that_memory_cannot_hold_are_faults_as_they_are_for_run(self, invoke, tiny_recipe, tmp_path):
        for change, fault in (
            (
                "data.size=[100000, 100000]",
                "data.size: an image of 100000x100000 pixels takes at least 120.0 GB of mem",
            ),
            ("train.depth.batch=1000000000", "train.depth.batch: a batch of 1000000000 images of 32x48 pixels takes"),
        ):
            refused = invoke("validate", tiny_recipe, "--set", change)
            assert (refused.exit_code, refused.stdout) == (2, "")
            assert refused.stderr.startswith(f"--set {change}: {fault}")
            ran = invoke("run", tiny_recipe, "--set", change, "--runs", tmp_path, "--device", "cpu")
            assert (ran.exit_code, ran.stderr) == (2, f"Error: {refused.stderr}")

    def test_a_size_that_variants_of_a_study_share_is_one_fault(self, invoke, tiny_recipe, tmp_path):
        study = tmp_path / "study.yaml"
        study.write_text(
            "name: s\nbase: tiny.yaml\nseeds: [0]\naxes:\n  fusion: {cliff: {}, add: {model.fusion: {use: add}}}\n"
            "  size:\n    small: {}\n    large: {data.size: [100000, 100000]}\n"
        )
        refused = invoke("validate", study)
        fault = f"{study}:8: data.size: an image of 100000x100000 pixels takes at least 120.0 GB of memory, and this "
        assert refused.exit_code == 2
        assert refused.stderr.startswith(fault)
        assert refused.stderr.endswith("lower data.size (in variant 'cliff + large')\n")
        assert len(refused.stderr.splitlines()) == 1
        ran = invoke("ablate", study, "--runs", tmp_path / "runs", "--device", "cpu")
        assert ran.exit_code == 2
        assert ran.stderr.endswith(f"\nError: {refused.stderr}"), "after a line on its single seed"

    def test_needs_no_data(self, invoke):
        assert invoke("validate", *sorted((ROOT / "recipes" / "nyu").glob("*.yaml"))).exit_code == 0


def tiny_test_split(registry):
    options = {"train": 24, "val": 8, "test": 6, "height": 48, "width": 64}
    return registry.get("dataset", "rooms").load()("test", None, **options)


@pytest.fixture
def images(tmp_path, registry):
    """The test images of the tiny recipe as PNG files."""
    dataset = tiny_test_split(registry)
    paths = []
    for i in range(len(dataset)):
        paths.append(tmp_path / f"image{i}.png")
        Image.fromarray(dataset[i].image.permute(1, 2, 0).numpy()).save(paths[-1])
    return paths


def score(prediction, truth):
    """Every metric from its textbook formula, over arrays of one axis."""
    p, d = prediction.astype(np.float64), truth.astype(np.float64)
    log_error = np.log(p) - np.log(d)
    ratio = np.maximum(p / d, d / p)
    return {
        "abs_rel": np.mean(np.abs(p - d) / d),
        "sq_rel": np.mean((p - d) ** 2 / d),
        "rmse": np.sqrt(np.mean((p - d) ** 2)),
        "rmse_log": np.sqrt(np.mean(log_error**2)),
        "log10": np.mean(np.abs(np.log10(p) - np.log10(d))),
        "silog": 100 * np.sqrt(np.var(log_error)),
        "delta1": np.mean(ratio < 1.25),
        "delta2": np.mean(ratio < 1.25**2),
        "delta3": np.mean(ratio < 1.25**3),
    }


EIGEN = np.s_[4:47, 4:60]  # rows 45 to 471 and columns 41 to 601 of 480 x 640, at 48 x 64
RULES = {
    "full": (np.s_[:, :], math.inf, 1.0),
    "full+flip": (np.s_[:, :], math.inf, 1.0),
    "full+median": (np.s_[:, :], math.inf, None),
    "eigen": (EIGEN, 10.0, 1.0),
}


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_a_name_that_cannot_be_shown_is_shown_otherwise(tmp_path, tiny_recipe, encoding):
    recipe = tmp_path / os.fsdecode(b"caf\xe9.yaml")
    try:
        recipe.write_bytes(Path(tiny_recipe).read_bytes())
    except OSError:
        pytest.skip("this file system has no such names")
    done = cliffkit_process("validate", recipe, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path}/caf")
    assert done.stdout.endswith(".yaml: good\n")


class TestPredict:
    def test_writes_four_files_of_the_images_size(self, invoke, finished, images, tmp_path):
        out = tmp_path / "deep" / "out"
        Image.open(images[0]).resize((50, 37)).convert("L").save(tmp_path / "grey.jpg")
        done = invoke(
            "predict", finished.folder, images[1], tmp_path / "grey.jpg", "-o", out, "--device", "cpu", "--json"
        )
        rows = one_object(done)["predictions"]
        assert {path.name for path in out.iterdir()} == {
            f"{stem}.{kind}" for stem in ("image1", "grey") for kind in ("npy", "depth.png", "colour.png", "beside.png")
        }
        for row, size in zip(rows, ((48, 64), (37, 50)), strict=True):
            depth_m = np.load(row["depth_npy"])
            assert depth_m.shape == size
            assert depth_m.dtype == np.float32
            assert (row["min_m"], row["max_m"]) == (depth_m.min(), depth_m.max())
            with Image.open(row["depth_png"]) as image:
                assert image.mode.startswith("I")
                millimetres = np.asarray(image).astype(np.float64)
            assert np.abs(millimetres - np.clip(depth_m * 1000.0, 0, 65535)).max() <= 0.5 + 1e-3
            with Image.open(row["colour_png"]) as image:
                assert image.mode in ("RGB", "RGBA")
                assert image.size[0] >= size[1]

    def test_depth_that_is_not_above_0_is_told_once_with_a_count(self, invoke, own_run, images, tmp_path):
        weights = load_file(own_run.folder / "weights.safetensors")
        bias = "head.metres.bias"
        for shift, count in ((-1000.0, 2), (1000.0, 0)):
            run = shutil.copytree(own_run.folder, tmp_path / f"run{count}")
            save_file({**weights, bias: weights[bias] + shift}, run / "weights.safetensors")
            write_sums(run)
            done = invoke("predict", run, *images[:2], "-o", tmp_path / f"out{count}", "--device", "cpu")
            assert done.exit_code == 0, done.stderr
            told = [line for line in done.stderr.splitlines() if "0 m or less" in line]
            assert len(told) == bool(count)
            if count:
                words = "warning: 2 of 2 inputs have more depths of 0 m or less than above 0, as"
                assert told[0].startswith(f"{words} {images[0]}")

    def test_gives_what_evaluate_scored(self, invoke, own_run, images, registry, tmp_path):
        above_0 = ("--set", "model.head={use: sigmoid}")  # a median of 0 or less is aligned with nothing
        run = one_object(invoke("run", own_run.recipe, *above_0, "--runs", own_run.runs, "--device", "cpu", "--json"))
        trained = own_run.runs / Path(run["run"]).name
        protocols = [word for name in RULES for word in ("--protocol", name)]
        scored = one_object(invoke("evaluate", trained, *protocols, "--device", "cpu", "--json"))
        folder = own_run.runs / Path(scored["run"]).name
        with (folder / "per_image.csv").open(newline="") as file:
            rows = {(row["protocol"], row["image"]): row for row in csv.DictReader(file)}
        assert len(rows) == 4 * 6
        dataset = tiny_test_split(registry)
        constant = json.loads((folder / "metrics.json").read_text())["baseline_depth_m"]
        for flip in (False, True):
            out = tmp_path / f"flip{flip}"
            asked = ["predict", trained, *images, "-o", out, "--device", "cpu", *(["--flip"] if flip else [])]
            assert invoke(*asked).exit_code == 0
            for name, (crop, most_m, scale) in RULES.items():
                if ("flip" in name) != flip:
                    continue
                baseline = []
                for i, path in enumerate(images):
                    sample = dataset[i]
                    depth = sample.depth[0].numpy()[crop]
                    seen = sample.valid[0].numpy()[crop] & (depth > 1e-3) & (depth < most_m)
                    truth = depth[seen]
                    prediction = np.load(out / f"{path.stem}.npy")[crop][seen].astype(np.float64)
                    if scale is None:
                        prediction *= np.median(truth.astype(np.float64)) / np.median(prediction)
                    expected = score(np.clip(prediction, 1e-3, most_m), truth)
                    stored = rows[name, dataset.name(i)]
                    for metric, value in expected.items():
                        assert float(stored[metric]) == pytest.approx(value, rel=1e-5, abs=1e-9), (name, i, metric)
                    flat = np.full_like(truth, constant if scale else np.median(truth))
                    baseline.append(score(np.clip(flat, 1e-3, most_m), truth))
                for metric in METRICS:
                    mean = np.mean([row[metric] for row in baseline])
                    assert scored["baseline"][name][metric] == pytest.approx(mean, rel=1e-6, abs=1e-4)

    def test_flip_averages_with_the_mirrored_images_prediction(self, invoke, finished, images, tmp_path):
        mirrored = tmp_path / "mirrored.png"
        Image.open(images[0]).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored)
        for out, flags in (("plain", ()), ("flip", ("--flip",))):
            paths = ("predict", finished.folder, images[0], mirrored, "-o", tmp_path / out, "--device", "cpu")
            assert invoke(*paths, *flags).exit_code == 0
        plain, other = (np.load(tmp_path / "plain" / f"{stem}.npy") for stem in ("image0", "mirrored"))
        flip = np.load(tmp_path / "flip" / "image0.npy")
        difference = np.abs(plain - other[:, ::-1]).max()
        assert np.abs(flip - (plain + other[:, ::-1]) / 2).max() < 0.01 * difference
        assert np.abs(np.load(tmp_path / "flip" / "mirrored.npy")[:, ::-1] - flip).max() < 0.01 * difference

    def test_takes_videos_beside_images_and_says_what_an_option_is_for(self, invoke, finished, images, tmp_path):
        import av

        with av.open(str(tmp_path / "clip.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for shade in range(6):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * shade, np.uint8), "rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        command = ("predict", finished.folder, tmp_path / "clip.mp4", "-o", tmp_path / "out", "--device", "cpu")
        done = invoke(*command, images[0], "--every", "2", "--frame-depth", "npy", "--json")
        answer = one_object(done)
        assert [Path(row["image"]).name for row in answer["predictions"]] == ["image0.png"]
        (row,) = answer["videos"]
        assert (row["frames"], row["first_s"], row["last_s"]) == (3, 0.0, 0.4)
        assert "clip.mp4" in done.stderr
        assert len(list(Path(row["frames_folder"]).glob("*.npy"))) == 3
        printed = invoke(*command, "--last", "1", "--range", "0,5").stdout
        assert "clip.mp4: 2 frames, 0.00 to 0.10 s" in printed
        assert "colours from 0.00 to 5.00 m" in printed
        assert "--points is for images" in invoke(*command, "--points", "--fov", "60").stderr
        refused = invoke("predict", finished.folder, images[0], "-o", tmp_path / "out", "--every", "2")
        assert refused.exit_code == 2
        assert "--every is for videos" in refused.stderr

    def test_writes_points_of_a_camera_that_is_named_and_of_no_other(self, invoke, finished, images, tmp_path):
        command = ("predict", finished.folder, images[0], "-o", tmp_path, "--device", "cpu", "--json", "--points")
        refused = invoke(*command)
        assert refused.exit_code == 2
        assert "give --camera fx,fy,cx,cy" in refused.stderr
        assert invoke(*command, "--camera", "50,50,16").exit_code == 2
        row = one_object(invoke(*command, "--camera", "50,50,16,12", "--no-beside", "--stride", "2"))["predictions"][0]
        assert row["beside_png"] is None
        depth_m = np.load(row["depth_npy"])[::2, ::2]
        depth_m = depth_m[depth_m > 0]
        head, _, body = Path(row["ply"]).read_bytes().partition(b"end_header\n")
        assert f"element vertex {depth_m.size}\n".encode() in head
        points = np.frombuffer(body, [("xyz", "<f4", 3), ("rgb", "u1", 3)])
        np.testing.assert_array_equal(points["xyz"][:, 2], depth_m)

    @pytest.mark.parametrize(
        ("named", "cause"),
        [
            ("missing.png", "does not exist"),
            ("text.png", "cannot be read as an image"),
            (".", "text.png: cannot be read as an image"),
        ],
    )
    def test_opens_every_image_before_it_writes_one(self, invoke, finished, images, tmp_path, named, cause):
        (tmp_path / "text.png").write_text("no image")
        refused = invoke("predict", finished.folder, images[0], tmp_path / named, "-o", tmp_path / "out")
        assert refused.exit_code == 2
        assert cause in refused.stderr
        assert not (tmp_path / "out").exists()

    def test_two_images_of_one_name_keep_their_folders(self, invoke, finished, images, tmp_path):
        (tmp_path / "sub").mkdir()
        other = shutil.copy(images[0], tmp_path / "sub" / images[0].name)
        assert invoke("predict", finished.folder, images[0], other, "-o", tmp_path / "out").exit_code == 0
        arrays = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.npy"))
        assert arrays == ["image0.npy", "sub/image0.npy"]

    def test_a_file_of_someone_else_is_written_over_only_by_force(self, invoke, finished, images, tmp_path):
        (tmp_path / "image0.depth.png").write_text("mine")
        command = ("predict", finished.folder, images[0], "-o", tmp_path)
        refused = invoke(*command)
        assert refused.exit_code == 2
        assert "image0.depth.png: was not written by `cliffkit predict`" in refused.stderr
        assert (tmp_path / "image0.depth.png").read_text() == "mine"
        assert invoke(*command, "--force").exit_code == 0
        assert invoke(*command).exit_code == 0, "now it was"

    def test_a_range_is_least_first(self, invoke, finished, images, tmp_path):
        refused = invoke("predict", finished.folder, images[0], "-o", tmp_path / "out", "--range", "8,0.5")
        assert refused.exit_code == 2
        assert "least first: --range 0.5,8" in refused.stderr

    def test_what_is_no_run_is_refused(self, invoke, images, tmp_path):
        refused = invoke("predict", tmp_path, images[0], "-o", tmp_path / "out")
        assert refused.exit_code == 2
        assert f"{tmp_path}: is no run" in refused.stderr

    def test_weights_of_another_network_are_refused(self, invoke, own_run, images, tmp_path):
        weights = load_file(own_run.folder / "weights.safetensors")
        (own_run.folder / "weights.safetensors").unlink()  # it is the store's too
        del weights["head.metres.bias"]
        save_file(weights, own_run.folder / "weights.safetensors")
        write_sums(own_run.folder)
        refused = invoke("predict", own_run.folder, images[0], "-o", tmp_path / "out")
        assert refused.exit_code == 2
        assert "does not hold this recipe's weights" in refused.stderr


class TestEvaluate:
    def test_a_run_that_was_moved_says_where_its_scores_lie(self, invoke, own_run, tmp_path):
        moved = shutil.copytree(own_run.folder, tmp_path / "elsewhere" / "run")
        scored = invoke("evaluate", moved, "--protocol", "eigen", "--device", "cpu")
        assert scored.exit_code == 0
        assert f"run:     {moved / 'evaluate-'}" in scored.stdout
        assert {path.name for path in (tmp_path / "elsewhere").iterdir()} == {"run"}

    def test_an_unknown_protocol_is_refused(self, invoke, own_run):
        before = contents(own_run.runs)
        refused = invoke("evaluate", own_run.folder, "--protocol", "eigem", "--device", "cpu")
        assert refused.exit_code == 2
        assert "no protocol is called 'eigem'; did you mean 'eigen'?" in refused.stderr
        assert contents(own_run.runs) == before


class TestDataCheck:
    ROOMS = ("--set", "train=3", "--set", "val=2", "--set", "test=2", "--set", "height=48", "--set", "width=64")

    def test_rooms(self, invoke):
        checked = invoke("data", "check", "rooms", *self.ROOMS, "--sample", "2", "--json")
        assert checked.exit_code == 0
        report = one_object(checked)
        assert report["problems"] == []
        assert {split: facts["images"] for split, facts in report["splits"].items()} == {
            "train": 3,
            "val": 2,
            "test": 2,
        }
        assert report["splits"]["train"]["looked_at"] == 2
        assert report["splits"]["train"]["sizes"] == {"64x48": 2}
        assert report["dataset"] == {
            "use": "rooms", "train": 3, "val": 2, "test": 2, "height": 48, "width": 64, "seed": 0, "holes": False,
        }  # fmt: skip
        words = invoke("data", "check", "rooms", *self.ROOMS)
        assert "nothing wrong found" in words.stdout
        assert "train\n  images          3, 3 of them looked at" in words.stdout

    def test_measures_what_is_there(self, invoke, make_pairs, tmp_path):
        root = make_pairs(tmp_path / "p", scene_types=("attic", "bath"))
        report = one_object(invoke("data", "check", "pairs", "--data", f"pairs={root}", "--json"))
        facts = report["splits"]["test"]  # images 6 and 7 of 32 x 48: 1000 + 100 i + 20 row + 10 column millimetres
        assert facts["images"] == 2
        assert facts["depth_range_m"] == pytest.approx([1.6, 1.7 + 0.62 + 0.47])
        assert facts["scene_types"] == {"attic": 1, "bath": 1}
        assert facts["valid_share"] == 1
        scenes = "2 of 8 scenes, 2 of 8 images"
        assert facts["dealt"].startswith(scenes)
        assert f"  dealt           {scenes}" in invoke("data", "check", "pairs", "--data", f"pairs={root}").stdout
        depth = np.concatenate(
            [(1 + 0.1 * i + 0.02 * r + 0.01 * c).ravel() for i in (6, 7) for r, c in [np.mgrid[:32, :48]]]
        )
        assert facts["depth_percentiles_m"]["50"] == pytest.approx(np.median(depth), abs=1e-3)

    def test_a_broken_folder(self, invoke, make_pairs, tmp_path):
        root = make_pairs(tmp_path / "p")
        (root / "rgb/0.png").unlink()  # train
        Image.fromarray(np.zeros((32, 48), np.uint16)).save(root / "depth/6.png")  # test
        (root / "depth/5.png").write_bytes((root / "depth/5.png").read_bytes()[:60])  # val
        checked = invoke("data", "check", "pairs", "--data", f"pairs={root}", "--json")
        assert checked.exit_code == 2
        problems = one_object(checked)["problems"]
        assert [problem.partition(":")[0] for problem in problems] == ["train", "val", "test"]
        assert "rgb/0.png does not exist" in problems[0]
        assert "depth/5.png cannot be read" in problems[1]
        assert "rgb/6.png: no pixel has a valid depth" in problems[2]
        words = invoke("data", "check", "pairs", "--data", f"pairs={root}")
        assert words.exit_code == 2
        assert words.stderr.count("wrong: ") == 3
        assert "nothing wrong" not in words.stdout

    def test_a_wrong_depth_scale_is_noticed(self, invoke, make_pairs, tmp_path):
        root = make_pairs(tmp_path / "p")
        checked = invoke("data", "check", "pairs", "--data", f"pairs={root}", "--set", "depth_scale=65535", "--json")
        assert checked.exit_code == 2
        assert all("or the depth scale wrong?" in problem for problem in one_object(checked)["problems"])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["rums"], "no dataset is called 'rums'; did you mean 'rooms'?"),
            (["rooms", "--set", "trian=3"], "trian: unknown option; `rooms` takes: "),
            (["rooms", "--set", "train"], "write OPTION=VALUE"),
            (["rooms", "--sample", "0"], "'--sample'"),
            (["pairs"], "no folder given; say --data pairs=DIR"),
            (["pairs", "--data", "pairs=/no/such/folder"], "/no/such/folder is no folder"),
            (["pairs", "--data", "/tmp"], "'/tmp' is not NAME=PATH"),
        ],
    )
    def test_refuses(self, invoke, arguments, message):
        refused = invoke("data", "check", *arguments)
        assert refused.exit_code == 2
        assert message in refused.stderr


class TestBadInputs:
    """Exit code 2, one message that says what to do, and nothing half-written."""

    @pytest.fixture
    def refused(self, invoke, tiny_recipe, tmp_path):
        """`refused(*arguments)`: what `cliffkit run` says of the tiny recipe with them."""

        def run(*arguments, text=None, device="cpu"):
            if text is not None:
                tiny_recipe.write_text(text)
            runs = tmp_path / "runs"
            result = invoke("run", tiny_recipe, "--runs", runs, "--device", device, "--json", *arguments)
            assert result.exit_code == 2, result.output
            assert result.stdout == ""
            assert "Traceback" not in result.stderr
            left = {path.relative_to(runs).as_posix() for path in runs.rglob("*") if path.is_file()}
            assert {name for name in left if not name.endswith((".lock", "/jobs.json"))} <= {"store.json"}
            return result.stderr

        return run

    def test_a_misspelt_key(self, refused, tiny, tiny_recipe, tmp_path):
        said = refused(text=tiny.replace("evaluate:", "evalute: [full]\nevaluate:"))
        assert said == f"Error: {tiny_recipe}:14: evalute: unknown key; did you mean 'evaluate'?\n"
        assert not (tmp_path / "runs").exists()

    def test_a_misspelt_component(self, refused, tmp_path):
        said = refused("--set", "model.fusion.use=clif")
        assert said == (
            "Error: --set model.fusion.use=clif: model.fusion.use: no fusion is called 'clif'; did you mean 'cliff'?\n"
        )
        assert not (tmp_path / "runs").exists()

    @pytest.mark.parametrize("device", ["cuda:99", "gpu", "mps"])
    def test_an_unknown_device(self, refused, device, tmp_path):
        assert f"--device {device}: " in refused(device=device)
        assert not (tmp_path / "runs").exists()

    def test_a_runs_folder_that_cannot_be(self, refused, tmp_path):
        (tmp_path / "file").write_text("mine")
        assert "file: cannot be used as the runs folder" in refused("--runs", tmp_path / "file")

    def test_scene_types_wanted_of_data_without(self, refused, make_pairs, tmp_path):
        root = make_pairs(tmp_path / "p")
        said = refused("--set", "data.use=pairs", "--data", f"pairs={root}")
        assert "(heg_s): heg_s needs at least two scene types; this data names 0; use heg_r or" in said

    def test_a_data_folder_unsaid_or_not_there(self, refused, tmp_path):
        assert "no folder given; say --data pairs=DIR or set CLIFFKIT_DATA_PAIRS" in refused("--set", "data.use=pairs")
        assert "is no folder" in refused("--set", "data.use=pairs", "--data", f"pairs={tmp_path / 'none'}")
        assert "there is no such file" in refused("--set", "data.use=pairs", "--data", f"pairs={tmp_path}")

    @pytest.mark.parametrize(("name", "line"), [("rgb/0.png", 2), ("depth/7.png", 9)])
    def test_a_missing_image(self, refused, make_pairs, tmp_path, name, line):
        root = make_pairs(tmp_path / "p", scene_types=("attic", "bath"))
        (root / name).unlink()
        said = refused("--set", "data.use=pairs", "--data", f"pairs={root}")
        assert f"{root / 'index.csv'}:{line}: " in said
        assert f"{name} does not exist; put it there or leave it out" in said

    def test_an_image_that_only_reading_shows_to_be_broken(self, refused, make_pairs, tmp_path):
        root = make_pairs(tmp_path / "p", scene_types=("attic", "bath"))
        data = (root / "rgb/1.png").read_bytes()
        (root / "rgb/1.png").write_bytes(data[: len(data) // 2])
        said = refused("--set", "data.use=pairs", "--data", f"pairs={root}")
        assert f"{root / 'index.csv'}:3: rgb: rgb/1.png cannot be read as an image" in said

    def test_a_wrong_number_of_embedding_weights(self, refused):
        said = refused("--set", "embedding.weights=[1, 2, 3]")
        assert ": embedding (heg_s): HegS gives 2 levels of features and 3 weights are given" in said

    def test_a_backbone_that_there_is_not(self, refused):
        said = refused("--set", "model.backbone={use: timm, name: resnet81}")
        assert "there is no model 'resnet81'; did you mean resnet" in said

    @pytest.mark.parametrize("refusing", [(32, 48), (64, 96)])  # of training; of whole images, the crop being a half
    def test_a_backbone_that_refuses_a_size(self, refused, registry, monkeypatch, refusing):
        handbuilt = registry.get("backbone", "handbuilt").load()
        forward = handbuilt.forward

        def picky(self, image):
            if image.shape[-2:] == refusing:
                raise ValueError(f"not {refusing}, please")
            return forward(self, image)

        monkeypatch.setattr(handbuilt, "forward", picky)
        assert f": not {refusing}, please; " in refused("--set", "data.crop=0.5")

    def test_a_recipe_that_is_not_there(self, invoke, tmp_path):
        for command in (["run"], ["plan"], ["validate"]):
            said = invoke(*command, tmp_path / "none.yaml")
            assert said.exit_code == 2
            assert "none.yaml: no such file" in said.stderr

    def test_as_a_process(self, tiny_recipe, tmp_path):
        done = cliffkit_process("run", tiny_recipe, "--runs", tmp_path / "runs", "--set", "seeed=1")
        assert done.returncode == 2
        assert done.stderr == "Error: --set seeed=1: seeed: unknown key; did you mean 'seed'?\n"
        assert done.stdout == ""


class TestPlugins:
    @pytest.fixture
    def site(self, tmp_path):
        """`site(name, code, point=name)`: install a plugin where PYTHONPATH finds it; gives the variable."""
        folder = tmp_path / "site"

        def install(name, code, point=None):
            info = folder / f"{name}_dist-1.0.dist-info"
            info.mkdir(parents=True)
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[cliffkit]\n{point or name} = {name}\n")
            (folder / f"{name}.py").write_text(code)
            return {"PYTHONPATH": str(folder)}

        return install

    def test_one_that_raises_harms_nobody_and_is_named_where_it_is_missed(self, site, tiny_recipe):
        path = site("broken_parts", "raise RuntimeError('no licence')")
        listed = cliffkit_process("list", "--json", **path)
        assert listed.returncode == 0
        assert {row["name"] for row in json.loads(listed.stdout)["components"]} >= {"cliff", "rooms"}
        rows = {row["name"]: row for row in json.loads(cliffkit_process("plugins", "--json", **path).stdout)["plugins"]}
        assert rows["broken_parts"]["status"] == "failed"
        assert rows["broken_parts"]["reason"] == "RuntimeError: no licence"
        assert {row["status"] for name, row in rows.items() if name != "broken_parts"} == {"loaded"}
        said = cliffkit_process("validate", tiny_recipe, "--set", "model.fusion.use=wonder", **path)
        assert said.returncode == 2
        assert "no fusion is called 'wonder'" in said.stderr
        assert "plugin 'broken_parts' failed to load: RuntimeError: no licence" in said.stderr
        strict = cliffkit_process("--strict-plugins", "list", **path)
        assert strict.returncode == 2
        assert strict.stderr == (
            "Error: plugin 'broken_parts' (broken_parts) failed to load: RuntimeError: no licence\n"
        )
        off = cliffkit_process("plugins", "--json", CLIFFKIT_DISABLE_PLUGINS="broken_parts", **path)
        rows = {row["name"]: row["status"] for row in json.loads(off.stdout)["plugins"]}
        assert rows["broken_parts"] == "disabled"

    def test_two_of_one_name_stop_everything(self, site):
        site("twin_a", "", point="twin")
        path = site("twin_b", "", point="twin")
        said = cliffkit_process("list", **path)
        assert said.returncode == 2
        assert said.stderr.startswith("Error: two plugins are called 'twin': twin_")
        assert "twin-a-dist" in said.stderr.replace("_", "-")
        assert "twin-b-dist" in said.stderr.replace("_", "-")
        assert said.stdout == ""

    def test_two_components_of_one_name_stop_everything(self, site):
        code = (
            "from cliffkit.hookspecs import hookimpl\n"
            "@hookimpl\ndef cliffkit_register(registry):\n    registry.add('fusion', 'cliff', 'mine:Cliff')\n"
        )
        path = site("my_parts", code)
        said = cliffkit_process("list", **path)
        assert said.returncode == 2
        assert "fusion 'cliff' is given by two plugins, " in said.stderr
        assert "'my_parts' (mine:Cliff)" in said.stderr
        assert "'fusions' (cliffkit_fusions.cliff:Cliff)" in said.stderr
        assert cliffkit_process("list", CLIFFKIT_DISABLE_PLUGINS="my_parts", **path).returncode == 0

    def test_one_adds_parts_and_commands(self, site):
        code = (
            "import click\nfrom cliffkit.hookspecs import hookimpl\n"
            "@hookimpl\ndef cliffkit_register(registry):\n    registry.add('loss', 'l3', 'mine:L3', 'cubes')\n"
            "@hookimpl\ndef cliffkit_commands(cli):\n"
            "    @cli.command()\n    def greet():\n        '''Greet.'''\n        click.echo('good day')\n"
        )
        path = site("my_parts", code)
        assert re.search(r"l3 +cubes  \[my_parts\]", cliffkit_process("list", "loss", **path).stdout)
        assert cliffkit_process("greet", **path).stdout == "good day\n"
        assert "greet" in cliffkit_process("--help", **path).stdout

    def test_one_that_cannot_add_its_commands_is_named_and_harms_nobody(self, site):
        code = (
            "from cliffkit.hookspecs import hookimpl\n@hookimpl\ndef cliffkit_commands(cli):\n    raise OSError('no')\n"
        )
        listed = cliffkit_process("list", "--json", **site("my_parts", code))
        assert listed.returncode == 0
        assert json.loads(listed.stdout)["components"]
        assert "plugin 'my_parts' could not add its commands: cliffkit_commands: OSError: no" in listed.stderr

    def test_one_hears_every_event_and_another_fails_to(self, own_run, tmp_path):
        heard = []

        class Listener:
            @hookimpl
            def cliffkit_event(self, event):
                heard.append(event)

        class Deaf:
            @hookimpl
            def cliffkit_event(self, event):
                raise OSError("no")

        plugins = load_plugins()
        plugins.manager.register(Listener(), name="listener")
        plugins.manager.register(Deaf(), name="deaf")
        arguments = ["evaluate", str(own_run.folder), "--protocol", "eigen", "--device", "cpu", "--json"]
        done = CliRunner().invoke(cli, arguments, obj=plugins)
        assert done.exit_code == 0
        assert done.stderr.count("plugin 'deaf' failed to hear an event: cliffkit_event: OSError: no") == 1
        names = [type(event).__name__ for event in heard]
        assert [name for name in names if name not in ("Progress", "Notice")] == [
            *["JobSkipped"] * 4,
            "JobStarted",
            "JobFinished",
        ]
        assert names.count("Progress") == 6
