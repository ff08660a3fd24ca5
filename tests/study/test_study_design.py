"""A study file is expanded to recipes that are checked whole, and every fault of it is told at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import cliffkit
from cliffkit.components.registry import Registry
from cliffkit.data.splits import open_split
from cliffkit.errors import RecipeError, UserError
from cliffkit.jobs.plan import plan
from cliffkit.recipe.check import load_recipe
from cliffkit.recipe.schema import Section
from cliffkit.statistics import Design
from cliffkit.study.cells import jobs_of, plan_cells
from cliffkit.study.check import load_study
from cliffkit.study.study import Study

SHIPPED = sorted((Path(__file__).parents[2] / "recipes" / "studies").glob("*.yaml"))

STUDY = """\
name: tiny
base: base.yaml
seeds: [0, 1]
axes:
  embedding: {none: {embedding: {use: none}}, heg_s: {}, heg_r: {embedding: {use: heg_r}}}
  fusion: {cliff: {}, add: {model.fusion: {use: add}}}
compare: {reference: {embedding: none}}
"""

ONE_AT_A_TIME = ["none + cliff", "none + add", "heg_s + cliff", "heg_r + cliff"]

Load = Callable[..., Study]


@pytest.fixture
def load(tmp_path: Path, tiny: str, registry: Registry) -> Load:
    """`load(study, *overrides, base=...)`."""

    def read(study: str, *overrides: str, base: str = tiny) -> Study:
        (tmp_path / "base.yaml").write_text(base, encoding="utf-8")
        (tmp_path / "study.yaml").write_text(study, encoding="utf-8")
        return load_study(tmp_path / "study.yaml", registry, overrides)

    return read


def faults(load: Load, study: str, **more: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load(study, **more)
    return [str(fault).split("study.yaml:")[-1].split("base.yaml:")[-1] for fault in caught.value.faults]


# ---- expansion


def test_a_grid_is_the_product_of_its_axes(load: Load) -> None:
    study = load(STUDY)
    assert [variant.levels for variant in study.variants] == [
        (embedding, fusion) for embedding in ("none", "heg_s", "heg_r") for fusion in ("cliff", "add")
    ]
    assert study.reference.name == "none + cliff"
    assert study.full == ("heg_s", "cliff")
    by_name = {variant.name: variant.recipe for variant in study.variants}
    assert by_name["heg_s + cliff"].to_dict() == study.base.to_dict()
    assert by_name["none + add"].embedding is None
    assert by_name["none + add"].model["fusion"].to_dict() == {"use": "add"}


def test_a_patch_is_merged_so_that_nothing_else_changes(load: Load) -> None:
    """The weights of the embedding loss are the engine's, and stay what the base says."""
    study = load(STUDY, base=TINY_WEIGHTS)
    for variant in study.variants:
        if variant.levels[0] != "none":
            assert variant.recipe.embedding.engine["weights"] == [2, 3]
    again = load("name: a\nbase: base.yaml\naxes: {lr: {low: {train.depth: {lr: 1e-4}}, base: {}}}", base=TINY_WEIGHTS)
    low = again.variants[0].recipe.train.depth
    assert low == again.base.train.depth.changed({"lr": 1e-4})


TINY_WEIGHTS = """\
name: tiny
data: {use: rooms, size: [32, 48], train: 24, val: 8, test: 6, height: 48, width: 64}
model: {backbone: {use: handbuilt}, pyramid: {use: symmetric, channels: 8}, fusion: {use: cliff}}
embedding: {use: heg_s, weights: [2, 3], warmup_steps: 2}
loss: [{use: l1}, {use: silog, weight: 0.3}]
train: {embedding: {steps: 6, batch: 4}, depth: {steps: 6, batch: 4, augment: {brightness: 0, contrast: 0.2}}}
"""


def test_one_at_a_time_varies_one_axis_from_the_reference(load: Load) -> None:
    study = load(STUDY.replace("seeds:", "design: one_at_a_time\nseeds:"))
    assert [variant.name for variant in study.variants] == [
        "none + cliff",
        "none + add",
        "heg_s + cliff",
        "heg_r + cliff",
    ]


def test_leave_one_out_finds_what_can_be_left_out(load: Load) -> None:
    study = load("name: a\nbase: base.yaml\ndesign: leave_one_out\n", base=TINY_WEIGHTS)
    assert [variant.name for variant in study.variants] == [
        "full", "without loss l1", "without loss silog", "without embedding heg_s", "without flip",
        "without color_jitter",
    ]  # fmt: skip
    full, no_l1, no_silog, no_embedding, no_flip, no_colour = (variant.recipe for variant in study.variants)
    assert study.reference.recipe is full
    assert full.to_dict() == study.base.to_dict()
    assert [loss.component.name for loss in no_l1.losses] == ["silog"]
    assert no_l1.losses[0].engine["weight"] == 0.3
    assert [loss.component.name for loss in no_silog.losses] == ["l1"]
    assert no_embedding.embedding is None
    flip, colours = full.train.depth.augment
    assert colours.options == {"brightness": 0, "contrast": 0.2, "saturation": 0.4}
    for left, kept in ((no_flip, colours), (no_colour, flip)):
        assert [part.to_dict() for part in left.train.depth.augment] == [kept.to_dict()]
    for recipe in (no_flip, no_colour):
        assert recipe.train.embedding == full.train.embedding


def test_leave_one_out_takes_pretrained_weights_away_and_says_what_cannot_go(load: Load, tiny: str) -> None:
    base = tiny.replace("{use: handbuilt}", "{use: timm, name: test_resnet, pretrained: true}").replace(
        "{use: symmetric, channels: 8}", "{use: fpn, channels: 8}"
    )
    study = load("name: a\nbase: base.yaml\ndesign: leave_one_out\n", base=base)
    (without,) = [variant for variant in study.variants if variant.name == "without pretrained weights"]
    assert without.recipe.model["backbone"].options["pretrained"] is False
    assert any("'without loss l1' cannot be left out" in note for note in study.notes)


def test_leave_one_out_takes_more_levels_from_axes(load: Load, tiny: str) -> None:
    study = load(
        "name: a\nbase: base.yaml\ndesign: leave_one_out\n"
        "axes: {fusion: {cliff: {}, add for cliff: {model.fusion.use: add}}}"
    )
    assert study.variants[-1].name == "add for cliff"
    assert study.variants[-1].recipe.model["fusion"].component.name == "add"


def test_exclusions_are_patterns(load: Load) -> None:
    study = load(STUDY + "exclude: [{embedding: 'heg_*', fusion: [add, plus]}]\n")
    assert [variant.name for variant in study.variants] == [
        "none + cliff",
        "none + add",
        "heg_s + cliff",
        "heg_r + cliff",
    ]


def test_set_changes_the_base_of_every_variant(load: Load) -> None:
    study = load(STUDY, "train.depth.steps=9", "train.depth.validate_every=9")
    assert {variant.recipe.train.depth.settings.steps for variant in study.variants} == {9}


def test_the_base_may_be_a_shipped_recipe_or_stand_in_the_study(load: Load, tiny: str) -> None:
    assert load(STUDY.replace("base.yaml", "cliff_hegS")).base.name == "cliff_hegS"
    inline = "base:\n" + "".join(f"  {line}\n" for line in tiny.splitlines())
    study = load(STUDY.replace("base: base.yaml\n", inline))
    assert study.base.to_dict() == load(STUDY).base.to_dict()


def test_axes_vary_anything(load: Load) -> None:
    text = """\
name: any
base: base.yaml
axes:
  backbone: {small: {}, resnet: {model: {backbone: {use: timm, name: test_resnet}, pyramid: {use: fpn, channels: 8}}}}
  data: {all: {}, half: {data.train: 12}}
  rate: {one: {}, two: {train.depth.lr: 2e-3}}
"""
    study = load(text)
    assert len(study.variants) == 8
    last = study.variants[-1].recipe
    assert (last.model["backbone"].component.name, last.data.options["train"], last.train.depth.settings.lr) == (
        "timm",
        12,
        2e-3,
    )
    cells = plan_cells(study, {})
    assert len([job for job in jobs_of(cells).values() if job.stage == "pack"]) == 2


def test_the_seed_of_a_cell_is_the_recipe_s_counted_up(load: Load) -> None:
    study = load("name: a\nbase: base.yaml\nseeds: [0, 3]\naxes: {twin: {a: {}, b: {}}}", "seed=10")
    cells = plan_cells(study, {})
    assert [(cell.variant.name, cell.recipe.seed) for cell in cells] == [("a", 10), ("b", 10), ("a", 13), ("b", 13)]


def test_a_level_that_sets_the_seed_is_refused(load: Load) -> None:
    with pytest.raises(RecipeError) as error:
        load("name: a\nbase: base.yaml\naxes: {which: {ours: {}, theirs: {seed: 1}}}")
    (fault,) = map(str, error.value.faults)
    assert "3: axes.which.theirs.seed: a level may not set the seed" in fault
    assert "take it out. To train under more seeds, list them under `seeds`;" in fault


def test_with_the_replicate_s_seed_every_seed_of_a_study_has_its_own_generator(load: Load) -> None:
    def generators(study: Study) -> set[str]:
        return {job.key for job in jobs_of(plan_cells(study, {})).values() if job.stage == "embedding"}

    assert len(generators(load(STUDY))) == 2
    assert len(generators(load(STUDY, "train.embedding.seed=replicate"))) == 4
    assert generators(load(STUDY)) < generators(load(STUDY, "train.embedding.seed=replicate"))


def test_one_recipe_under_two_names_is_allowed_and_said(load: Load) -> None:
    study = load("name: a\nbase: base.yaml\naxes: {twin: {a: {}, b: {}}}")
    assert len(study.variants) == 2
    assert study.notes == (
        "'a' and 'b' are one recipe under two names: they share every result, so their difference is exactly zero",
    )
    cells = plan_cells(study, {})
    assert cells[0].jobs[-1].key == cells[1].jobs[-1].key


def test_published_numbers_are_the_base_s_alone(load: Load, tiny: str) -> None:
    base = tiny + "published: [{metric: abs_rel, protocol: full, value: 0.1, source: 'a paper, table 1'}]\n"
    study = load(STUDY, base=base)
    assert [variant.name for variant in study.variants if variant.recipe.published] == ["heg_s + cliff"]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (["name=other", "seed=3"], True),
        (["train.depth.batch=3"], False),
        (["evaluate=[eigen]"], False),
        (["train.depth.batch=3", "published=[{metric: rmse, protocol: full, value: 1, source: mine}]"], True),
    ],
)
def test_a_setting_that_changes_the_recipe_drops_what_was_published_for_it(
    load: Load, tiny: str, settings: list[str], kept: bool
) -> None:
    base = tiny + "published: [{metric: abs_rel, protocol: full, value: 0.1, source: 'a paper, table 1'}]\n"
    study = load(STUDY, *settings, base=base)
    assert bool(study.base.published) == kept


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_study_loads_and_is_called_after_its_file(path: Path, registry: Registry) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert load_study(path, registry).name == path.stem


def test_variants_of_the_built_in_study_differ_in_one_part_and_share_pack_and_test_images(registry: Registry) -> None:
    (path,) = [path for path in SHIPPED if path.stem == "cliffnet"]
    study = load_study(path, registry)
    reference = study.reference.levels
    for variant in study.variants:
        changed = sum(level != own for level, own in zip(variant.levels, reference, strict=True))
        assert variant.is_placebo or changed == (variant is not study.reference)
    stages = [job.stage for job in jobs_of(plan_cells(study, {})).values()]
    assert {stage: stages.count(stage) for stage in set(stages)} == {
        "pack": 1, "images": 1, "embedding": 10, "depth": 50, "evaluate": 50,
    }  # fmt: skip


def test_a_cell_is_the_run_of_its_recipe(load: Load, tmp_path: Path, registry: Registry) -> None:
    """So a study finds what `cliffkit run` has done, and the other way round; it shares nothing that it should not."""
    sets = {
        "none": "embedding.use=none", "heg_s": "seed=0", "heg_r": "embedding.use=heg_r",
        "cliff": "seed=0", "add": "model.fusion.use=add",
    }  # fmt: skip
    for cell in plan_cells(load(STUDY, base=TINY_WEIGHTS), {}):
        written = [sets[level] for level in cell.variant.levels]
        alone = load_recipe(tmp_path / "base.yaml", registry, [*written, f"seed={cell.seed}"])
        assert [(job.key, job.inputs) for job in cell.jobs] == [(job.key, job.inputs) for job in plan(alone, {})]
        assert cell.variant.recipe.to_dict() == {**alone.to_dict(), "seed": 0}


def test_what_variants_share_is_checked_and_read_once(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planning takes as long as what differs between variants, not as all that they are made of."""
    validated, opened = [], []
    validate = Section.model_validate_json.__func__  # type: ignore[attr-defined]

    def counted(cls: type[Section], text: str) -> Section:
        validated.append((cls, text))
        found: Section = validate(cls, text)
        return found

    monkeypatch.setattr(Section, "model_validate_json", classmethod(counted))
    monkeypatch.setattr("cliffkit.jobs.plan.open_split", lambda *of: opened.append(of) or open_split(*of))
    rates = ", ".join(f"r{i}: {{train.depth.lr: {1e-5 * (i + 1)}}}" for i in range(20))
    study = load(STUDY.replace("compare:", f"  rate: {{own: {{}}, {rates}}}\ncompare:"), base=TINY_WEIGHTS)
    assert len(study.variants) == 6 * 21
    assert len(validated) == len(set(validated))
    assert len({id(variant.recipe.data) for variant in study.variants}) == 1
    cells = plan_cells(study, {})
    assert len(opened) == 3
    assert len({id(job) for cell in cells for job in cell.jobs if job.stage == "pack"}) == 1


def test_one_at_a_time_does_not_expand_the_grid(load: Load) -> None:
    paths = ("train.depth.lr", "train.depth.weight_decay", "train.depth.ema", "train.depth.clip_norm", "loss.0.weight")
    axes = "".join(
        f"  {path}: {{own: {{}}, {', '.join(f'v{i}: {{{path}: {(i + 1) / 101}}}' for i in range(40))}}}\n"
        for path in paths
    )
    study = load(f"name: a\nbase: base.yaml\ndesign: one_at_a_time\naxes:\n{axes}")  # a grid of 115,856,201
    assert len(study.variants) == 1 + 5 * 40
    assert [variant.levels for variant in study.variants[:2]] == [("own",) * 5, ("own",) * 4 + ("v0",)]


def test_a_range_of_seeds_is_a_design_and_a_list_is_none(load: Load) -> None:
    fixed = load(STUDY)
    assert (fixed.adaptive, fixed.smallest, fixed.to_dict()["seeds"]) == (None, None, [0, 1])
    study = load(STUDY.replace("[0, 1]", "{from: 3, to: 5}").replace("{reference:", "{smallest: 1e-2, reference:"))
    assert (study.seeds, study.adaptive, study.smallest) == ((0, 1, 2, 3, 4), Design(3, 5), 0.01)
    assert study.to_dict()["seeds"] == {"from": 3, "to": 5}
    assert study.to_dict()["compare"]["smallest"] == 0.01
    assert len(plan_cells(study, {})) == 6 * 5


# ---- faults, all at once


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("base: base.yaml", "base: no.yaml"), "2: base: there is no recipe"),
        (("base: base.yaml", "base: cliff_hegr"), "cliff_hegr; did you mean 'cliff_heg"),
        (("base: base.yaml\n", ""), "base: name the recipe that is varied"),
        (("seeds: [0, 1]", "seeds: [0, 1, 0]"), "3: seeds.2: seed 0 stands twice"),
        (("seeds: [0, 1]", "seeds: []"), "3: seeds: write a list of seeds"),
        (("seeds: [0, 1]", "seeds: 3"), "3: seeds: write a list of seeds, as [0, 1, 2], or {from: 3, to: 10}"),
        (("seeds: [0, 1]", "seeds: {from: 3}"), "3: seeds: a range of seeds needs `to`"),
        (("seeds: [0, 1]", "seeds: {from: 1, to: 3}"), "3: seeds.from: 1 is no such number of seeds; write a whole"),
        (("seeds: [0, 1]", "seeds: {from: 4, to: 3}"), "3: seeds.to: 3 is below `from`, 4; write a number of seeds"),
        (("seeds: [0, 1]", "seeds: {from: 2.0, to: 4.5}"), "3: seeds.from: 2.0 is no such number of seeds"),
        (("seeds: [0, 1]", "seeds: {from: 2.0, to: 4.5}"), "3: seeds.to: 4.5 is no such number of seeds"),
        (("seeds: [0, 1]", "seeds: {from: 4, to: 101}"), "3: seeds.to: 101 is no such number of seeds"),
        (("seeds: [0, 1]", "seeds: {from: 4.5, to: 9}"), "3: seeds.from: 4.5 is no such number of seeds"),
        (("seeds: [0, 1]", "seeds: {from: 4, too: 9}"), "3: seeds.too: unknown key; did you mean 'to'?"),
        (("{reference:", "{smallest: 0, reference:"), "7: compare.smallest: 0 is no difference; write the smallest"),
        (("{reference:", "{smallest: small, reference:"), "7: compare.smallest: 'small' is no difference"),
        (("{reference:", "{smallest: .inf, reference:"), "7: compare.smallest: inf is no difference"),
        (("{reference:", "{smallest: 1e300, reference:"),
         "7: compare.smallest: 1e+300 is more than abs_rel can differ by; write 1000 at most"),
        (("{reference:", "{metric: delta1, smallest: 1.5, reference:"),
         "7: compare.smallest: 1.5 is more than delta1 can differ by; write 1 at most"),
        (("seeds: [0, 1]", "seeds: [zero]"), "3: seeds.0: 'zero' is no seed"),
        (("seeds: [0, 1]", "design: grit"), "3: design: no design is called 'grit'; did you mean 'grid'?"),
        (("name: tiny", "name: a b"), "1: name: 'a b' is no name"),
        (("name: tiny", "name: t\nsead: 3"), "2: sead: unknown key; did you mean 'seeds'?"),
        (("model.fusion: {use: add}", "model.fusoin: {use: add}"), "6: model.fusoin: unknown key; did you mean"),
        (("model.fusion: {use: add}", "modle.fusion: {use: add}"), "6: axes.fusion.add.modle.fusion: no such place"),
        (("model.fusion: {use: add}", "model.fusion: {use: ad}"), "6: model.fusion.use: no fusion is called 'ad'"),
        (("model.fusion: {use: add}", "model.fusion: {use: cliff}"), "6: axes.fusion.add: the patch changes nothing"),
        (("model.fusion: {use: add}", "train.depth.batch: 4"), "6: axes.fusion.add: the patch changes nothing"),
        (("{cliff: {}, add: {model.fusion: {use: add}}}", "{}"), "6: axes.fusion: the axis is empty"),
        (("{cliff: {}, add: {model.fusion: {use: add}}}", "[add, cliff]"), "['add', 'cliff'] is no mapping of levels"),
        (("{use: add}", "{use:add}"), "6: axes.fusion.add.model.fusion.use: 'use:add' is one word; write a blank"),
        (("  fusion: {", "  seed: {"), "6: axes.seed: a column of the study's results has this name; call the axis"),
        (("{cliff: {}, add: {model.fusion: {use: add}}}", "{add: 3}"), "6: axes.fusion.add: 3 is no patch"),
        (("{model.fusion: {use: add}}", "{embedding.use: heg_r}"), "axis 'embedding' sets embedding.use too"),
        (("{embedding: none}", "{embedding: nan}"), "axis 'embedding' has no level 'nan'"),
        (("{embedding: none}", "{embeding: none}"), "7: compare.reference.embeding: no axis is called 'embeding'"),
        (("cliff: {}", "concat: {model.fusion.use: concat}"), "7: compare.reference: axis 'fusion' has no level {}"),
        (("{reference:", "{metric: absrel, reference:"), "no metric is called 'absrel'; did you mean 'abs_rel'?"),
        (("{reference:", "{protocol: eigen, reference:"), "the base recipe does not score 'eigen'; it scores: full"),
        (("{reference:", "{protocol: eign, reference:"), "no protocol is called 'eign'; did you mean 'eigen'?"),
        (("compare:", "exclude: [{fusion: plus}]\ncompare:"), "7: exclude.0: matches no variant"),
        (("compare:", "exclude: [{embedding: none}]\ncompare:"), "'none + cliff' is no variant of the study"),
        (("compare:", "exclude: [{fusion: '*'}]\ncompare:"), "exclude: nothing is left of the study"),
        (("cliff: {}", "cliff: {}, eigen: {evaluate: [eigen]}"), "have different protocols"),
        (("cliff: {}", "cliff: {}, rmse: {train.depth.select: rmse}"), "have different rules of selection"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place(load: Load, change: tuple[str, str], message: str) -> None:
    assert change[0] in STUDY
    assert any(message in fault for fault in faults(load, STUDY.replace(*change)))


def test_protocols_of_one_name_that_say_different_things_are_told_apart(load: Load, tiny: str) -> None:
    base = tiny.replace("[full]", "[{use: full, cap_m: 3, name: near}]")
    study = STUDY.replace("cliff: {}", "cliff: {}, five: {evaluate: [{use: full, cap_m: 5, name: near}]}")
    (fault,) = faults(load, study, base=base)
    assert "have different protocols, ['near: whole image at native size, no crop, truth 0.001 < d < 3 m" in fault
    assert "['near: whole image at native size, no crop, truth 0.001 < d < 5 m" in fault


def test_every_fault_of_every_variant_is_told_at_once(load: Load) -> None:
    text = STUDY.replace("seeds: [0, 1]", "seeds: [1, 1]").replace("{use: add}", "{use: ad}").replace("heg_r}", "hegr}")
    found = faults(load, text)
    assert len(found) == 3
    assert all(any(word in fault for fault in found) for word in ("seed 1 stands twice", "'ad'", "'hegr'"))


def test_a_fault_of_a_level_names_axis_and_level_also_of_several_in_one_line(load: Load) -> None:
    found = faults(
        load, STUDY.replace("add: {model.fusion: {use: add}}", "b: {model.fusion.use: bb}, c: {model.fusion.use: cc}")
    )
    assert [(fault.partition(";")[0], fault.partition(" (in ")[2]) for fault in found] == [
        ("6: model.fusion.use: no fusion is called 'bb'", "axis 'fusion', level 'b')"),
        ("6: model.fusion.use: no fusion is called 'cc'", "axis 'fusion', level 'c')"),
    ]


def test_a_recipe_where_a_study_is_needed_and_the_reverse_is_one_fault(load: Load, tmp_path: Path) -> None:
    load(STUDY)
    recipe, study = tmp_path / "base.yaml", tmp_path / "study.yaml"
    for call, fault in (
        (lambda: cliffkit.ablate(recipe), f"{recipe}: is a recipe, no study; use `cliffkit run {recipe}`"),
        (lambda: cliffkit.run(study), f"{study}: is a study, no recipe; use `cliffkit ablate {study}`"),
        (
            lambda: cliffkit.plan(study, set={"seed": 1}),
            f"{study}: is a study, no recipe; use `cliffkit ablate {study}`",
        ),
        (lambda: cliffkit.plan({"axes": {}}), "recipe: is a study, no recipe; use `cliffkit.ablate`"),
        (lambda: cliffkit.load_study({"model": {}}), "study: is a recipe, no study; use `cliffkit.run`"),
    ):
        with pytest.raises(RecipeError) as caught:
            call()
        assert str(caught.value) == fault


def test_what_is_neither_or_both_gets_the_faults_of_its_keys(load: Load, tmp_path: Path) -> None:
    """A key too many is no reason to call a recipe a study."""
    with pytest.raises(RecipeError, match="recipe: base: unknown key"):
        cliffkit.plan({"model": {}, "base": "x"})
    (fault,) = cliffkit.validate({"name": "a", "axes": {}})
    assert fault.startswith("study: base: name the recipe that is varied")


def test_a_study_is_no_base(load: Load, tmp_path: Path) -> None:
    (fault,) = faults(load, STUDY, base=STUDY)
    assert fault.startswith("2: base: ")
    assert fault.endswith("base.yaml is a study; name the recipe that it varies")


def test_a_fault_of_the_base_is_told_once_and_at_its_own_place(load: Load, tiny: str) -> None:
    found = faults(load, STUDY, base=tiny.replace("{use: l1}", "{use: l11}"))
    assert len(found) == 1
    assert found[0].startswith("10: loss.0.use: no loss is called 'l11'")


def test_a_fault_of_a_base_in_the_study_is_told_at_its_line(load: Load, tiny: str) -> None:
    lines = [f"  {line}\n" for line in tiny.replace("{use: l1}", "{use: l11}").splitlines()]
    found = faults(load, STUDY.replace("base: base.yaml\n", f"base:\n{''.join(lines)}"))
    assert len(found) == 1
    assert found[0].startswith("12: loss.0.use: no loss is called 'l11'")


def test_a_combination_that_is_no_recipe_names_its_variant(load: Load) -> None:
    text = STUDY.replace("{use: add}", "{use: add}, embedding.weights: [1, 1]")
    (fault,) = faults(load, text)
    assert "6: embedding.weights: unknown option" in fault
    assert "(in variant 'none + add')" in fault


def test_variants_tested_on_different_images_are_refused(load: Load) -> None:
    study = load(STUDY.replace("model.fusion: {use: add}", "data.test: 5"))
    with pytest.raises(UserError, match="'none \\+ cliff' and 'none \\+ add' have different test images"):
        plan_cells(study, {})
