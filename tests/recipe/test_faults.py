"""Faults of one file are gathered with their places, and a place with a fault is not told again by another check."""

import pytest

from cliffkit.errors import Fault, RecipeError
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.faults import Faults


@pytest.fixture
def faults():
    return Faults(yamlstrict.parse("name: a\nseeds:\n- 1\n- x\nname: b\n", "f.yaml"))


def told(faults):
    return [str(fault) for fault in faults.error().faults]


def test_those_of_the_yaml_come_first_and_each_has_its_line(faults):
    faults.add(("seeds", 1), "wrong")
    faults.add(("nothing", "here"), "missing")
    assert told(faults) == [
        "f.yaml:5: name: repeated key; it stands first in line 1; keep one of the two",
        "f.yaml:4: seeds.1: wrong",
        "f.yaml:1: nothing.here: missing",
    ]
    with pytest.raises(RecipeError, match=r"seeds\.1: wrong"):
        faults.check()


def test_without_a_fault_nothing_is_raised():
    faults = Faults(yamlstrict.parse("name: a\n", "f.yaml"))
    faults.check()
    assert not faults
    faults.add((), "wrong")
    assert faults


def test_equal_faults_are_told_once_and_different_ones_of_a_place_all(faults):
    for message in ("wrong", "wrong", "too large"):
        faults.add(("seeds",), message)
    assert told(faults)[1:] == ["f.yaml:2: seeds: wrong", "f.yaml:2: seeds: too large"]


def test_faults_of_another_check_are_told_but_for_places_that_have_one(faults):
    faults.add(("seeds", 1), "wrong")
    again, new = Fault("f.yaml:4", "seeds.1", "no seed"), Fault("base.yaml:4", "seed", "no seed")
    faults.include([again, new, Fault("base.yaml:4", "seed", "too large")], " (in variant 'x')")
    faults.include([new], "")
    assert told(faults)[1:] == [
        "f.yaml:4: seeds.1: wrong",
        "base.yaml:4: seed: no seed (in variant 'x')",
        "base.yaml:4: seed: too large (in variant 'x')",
    ]


def test_a_document_of_no_use_has_its_yaml_faults_and_one_of_its_own(faults):
    assert [str(fault) for fault in faults.stop("no recipe").faults][1:] == ["f.yaml: no recipe"]


@pytest.mark.parametrize("name", ["a", "9", "a.b_c-d", "nyu_resnet50"])
def test_a_name_is_letters_digits_and_some_signs(name):
    faults = Faults(yamlstrict.parse("name: a\n", "f.yaml"))
    faults.name(("name",), name)
    assert not faults


@pytest.mark.parametrize("name", ["", "../a", ".a", "a b", "é", 3, None])
def test_everything_else_is_no_name(faults, name):
    faults.name(("name",), name)
    assert f"name: {name!r} is no name; " in told(faults)[-1]


@pytest.mark.parametrize(("seed", "good"), [(0, True), (2**63 - 1, True), (2**63, False), (-1, False), (True, False)])
def test_a_seed_is_a_whole_number_that_every_generator_takes(faults, seed, good):
    assert faults.seed(("seeds", 0), seed) is good
    assert ("is no seed" in told(faults)[-1]) is not good
