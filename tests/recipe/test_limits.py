"""Files and mappings that mean harm, or were made by a slip: each ends in a fault, not in a traceback or a wait."""

import pytest

import cliffkit
from cliffkit.errors import SHOWN_FAULTS, Fault, RecipeError
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.mapping import from_memory
from cliffkit.text import cut, excerpt

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def refused(text):
    with pytest.raises(RecipeError) as caught:
        yamlstrict.parse(text, "f.yaml")
    return str(caught.value)


def test_aliases_that_multiply_are_counted_and_stopped():
    assert "f.yaml:1: more than 100000 values, with those that aliases repeat" in refused(BOMB)


def test_aliases_in_a_key_are_not_written_out():
    document = yamlstrict.parse(BOMB.splitlines()[0] + "\n? {x: *a}\n: 1\n", "f.yaml")
    (fault,) = document.faults
    assert str(fault) == "f.yaml:2: a key is a list or a mapping; write text before the colon"


def test_an_alias_that_repeats_little_is_read():
    document = yamlstrict.parse("a: &a [1, 2]\nb: [*a, *a]\n", "f.yaml")
    assert document.data["b"] == [[1, 2], [1, 2]]
    assert not document.faults


@pytest.mark.parametrize(
    "text", ["[" * 10_000, "{a: " * 10_000, "- " * 10_000, "? " * 10_000], ids=lambda text: text[:3]
)
def test_nesting_beyond_any_recipe_is_a_fault_with_its_line(text):
    assert refused("# comment\n" + text).startswith("f.yaml:2: not YAML: more than 50 lists and mappings inside of")


def test_nesting_up_to_the_limit_is_read():
    assert yamlstrict.parse("[" * 50 + "1" + "]" * 50, "f.yaml").faults == ()


@pytest.mark.parametrize("digits", [21, 4_299, 5_000, 100_000])
def test_a_whole_number_of_more_than_64_bits_is_a_fault(digits):
    (fault,) = yamlstrict.parse(f"a: 1\nb: -{'9' * digits}", "f.yaml").faults
    assert fault.place == "f.yaml:2"
    assert f"has {digits} digits; no whole number has more than 64 bits" in fault.message
    assert len(fault.message) < 120


def test_text_of_digits_in_quotes_stays_text():
    assert yamlstrict.parse(f"a: '{'9' * 5_000}'", "f.yaml").data == {"a": "9" * 5_000}


@pytest.mark.parametrize("text", ['"\\UFFFFFFFF"', "a: \x1b", "%YAML 99.9\n---\na"])
def test_what_yaml_does_not_take_is_a_fault(text):
    assert "not YAML" in refused(text)


def test_a_file_larger_than_any_recipe_is_not_read_whole(tmp_path):
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(10**12)  # a sparse file: it takes no disk
    with pytest.raises(RecipeError, match="is larger than 1000000 bytes"):
        yamlstrict.load(path)


@pytest.mark.parametrize("name", ["x" * 5_000, "a\0b", "\udc80" * 300])
def test_a_path_that_no_file_can_have_is_a_fault_of_readable_length(name, registry):
    (fault,) = cliffkit.validate(name)
    assert len(fault) < 500


def test_a_mapping_in_memory_has_the_same_limits():
    deep: list[object] = []
    deep.append(deep)
    for value in (deep, [[0] * 400] * 400):
        with pytest.raises(RecipeError, match="more than 50 lists and mappings inside of each other, or 100000 values"):
            from_memory({"a": value}, "recipe")
    (fault,) = from_memory({"a": 10**5_000}, "recipe").faults
    assert "more than 64 bits" in str(fault)


def test_a_value_set_on_the_command_line_has_the_same_limits(tiny_recipe):
    for value in ("[" * 1_000, "9" * 5_000):
        (fault,) = cliffkit.validate(tiny_recipe, set=[f"train.depth.steps={value}"])
        assert len(fault) < 600


def test_a_number_too_long_to_read_is_one_fault_not_two(tiny_recipe):
    tiny_recipe.write_text(tiny_recipe.read_text().replace("seed: 0", f"seed: {'9' * 5_000}"))
    (fault,) = cliffkit.validate(tiny_recipe)
    assert fault.startswith(f"{tiny_recipe}:3: seed: 999")


def test_a_name_too_long_for_a_folder_is_refused_before_training(tiny_recipe):
    (fault,) = cliffkit.validate(tiny_recipe, set={"name": "n" * 255})
    assert "has 255 characters; a name becomes a folder's, 128 at most" in fault
    assert cliffkit.validate(tiny_recipe, set={"name": "n" * 128}) == []


def test_an_empty_path_is_a_fault_not_the_working_folder(tiny_recipe):
    (fault,) = cliffkit.validate(tiny_recipe, set={"train.depth.init": ""})
    assert "train.depth.init: the path is empty" in fault


def test_a_value_of_the_wrong_kind_is_shown_cut(tiny_recipe):
    for path in ("model", "seed", "train.depth.augment", "train.depth.steps", "name"):
        (fault,) = cliffkit.validate(tiny_recipe, set={path: "long " * 10_000})
        assert len(fault) < 700, path


def test_a_message_lists_so_many_faults_and_counts_the_rest():
    error = RecipeError([Fault("f.yaml", str(i), "is wrong") for i in range(SHOWN_FAULTS + 5)])
    assert len(error.faults) == SHOWN_FAULTS + 5
    assert str(error).splitlines()[-1] == "and 5 more"
    assert len(str(error).splitlines()) == SHOWN_FAULTS + 1


def test_text_is_cut_in_its_middle():
    assert cut("abcdefghij", 6) == "abc…ij"
    assert cut("abc", 3) == "abc"
    assert excerpt("x" * 500, 20) == repr("x" * 500)[:13] + "…" + repr("x" * 500)[-6:]
