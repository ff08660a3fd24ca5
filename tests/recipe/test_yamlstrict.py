import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cliffkit.errors import RecipeError
from cliffkit.recipe import yamlstrict


def data(text):
    document = yamlstrict.parse(text, "f.yaml")
    assert document.faults == ()
    return document.data


def faults(text):
    return [str(fault) for fault in yamlstrict.parse(text, "f.yaml").faults]


def refused(text):
    with pytest.raises(RecipeError) as caught:
        yamlstrict.parse(text, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4),  # a string to PyYAML
        ("1e3", 1000.0),
        ("-2.5E+2", -250.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("+7", 7),
        ("010", 10),  # 8 to PyYAML
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("Yes", "Yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("1:30", "1:30"),  # 90 to PyYAML
        ("2024-01-02", "2024-01-02"),
        ("1e", "1e"),
        ("e5", "e5"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("1E310", "1E310"),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        ("+-.inf", "+-.inf"),
        ("'3'", "3"),
        ('"true"', "true"),
        ("'~'", "~"),
    ],
)
def test_scalars(text, value):
    read = data(f"key: {text}")["key"]
    assert read == value
    assert type(read) is type(value)


def test_nan():
    assert math.isnan(data("a: .nan")["a"])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_survives(number):
    read = yamlstrict.scalar(repr(number))
    assert isinstance(read, float)
    assert read == number


@given(st.integers(-(10**40), 10**40))
def test_every_integer_survives(number):
    assert yamlstrict.scalar(str(number)) == number


@given(st.text(alphabet="0123456789+-.eEinfaNtrul~_:xX ", max_size=8))
def test_a_scalar_is_a_number_exactly_where_python_reads_one(text):
    """Beside the words, and underscores, blanks and bare `inf` and `nan`, which Python allows."""
    read = yamlstrict.scalar(text)
    if isinstance(read, float) and not math.isfinite(read):
        assert re.fullmatch(r"[-+]?\.(inf|nan)", text.lower())
        return
    try:
        number = float(text)
    except ValueError:
        number = None
    if number is None or "_" in text or " " in text or not math.isfinite(number):
        assert not isinstance(read, int | float) or isinstance(read, bool)
    else:
        assert read == number


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**64) + 1, 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
        max_leaves=12,
    )
)
@example("0E0")
@example({" ": None, "\x85": "a\nb"})
@example({"1e5": "1.5e3", "no": "null"})
def test_what_is_written_is_read_back(value):
    assert data(yamlstrict.dump(value)) == value


NESTED = """\
# comment
name: a

model:
  fusion: {use: cliff,
           upsample: bilinear}
loss:
  - use: l1
    weight: 2
  - {use: l2}
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 2),
        (("model",), 4),
        (("model", "fusion"), 5),
        (("model", "fusion", "use"), 5),
        (("model", "fusion", "upsample"), 6),
        (("loss",), 7),
        (("loss", 0), 8),
        (("loss", 0, "weight"), 9),
        (("loss", 1, "use"), 10),
        (("loss", 1, "weight"), 10),  # not written: the line of its parent
        (("train", "depth"), 2),  # nor its parent: where the file begins to say something
    ],
)
def test_every_value_has_its_line(path, line):
    assert yamlstrict.parse(NESTED, "f.yaml").place(path) == f"f.yaml:{line}"


def test_every_line_is_that_of_the_key_or_item():
    document = yamlstrict.parse(NESTED, "f.yaml")
    lines = NESTED.splitlines()
    for path, line in document.lines.items():
        if path and isinstance(path[-1], str):
            assert f"{path[-1]}:" in lines[line - 1]


def test_a_repeated_key_is_a_fault_that_names_both_lines():
    document = yamlstrict.parse("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\na: 3\n", "f.yaml")
    assert [str(fault) for fault in document.faults] == [
        "f.yaml:5: b.c: repeated key; it stands first in line 3; keep one of the two",
        "f.yaml:6: a: repeated key; it stands first in line 1; keep one of the two",
        "f.yaml:7: a: repeated key; it stands first in line 1; keep one of the two",
    ]
    assert document.data == {"a": 1, "b": {"c": 1, "d": 2}}


def test_keys_that_yaml_would_make_one_are_one():
    assert faults("1: a\n'1': b\n")[0].startswith("f.yaml:2: 1: repeated key; it stands first in line 1")


def test_a_colon_without_a_blank_is_a_fault_and_is_read_as_it_was_meant():
    document = yamlstrict.parse("a: 1\nb: {use:add, width: 3}\n", "f.yaml")
    (fault,) = map(str, document.faults)
    assert fault == "f.yaml:2: b.use: 'use:add' is one word; write a blank after the colon, as use: add"
    assert document.data == {"a": 1, "b": {"use": "add", "width": 3}}
    assert faults("b: {'a:b', x:y: 1, c:d: null}\n") == []


@pytest.mark.parametrize("value", ["!cliff 3", "!cliff {use: cliff}", "!cliff [1]"])
def test_a_tag_is_a_fault(value):
    assert faults(f"a: 1\nb: {value}\n") == ["f.yaml:2: b: tag !cliff means nothing here; remove it"]


def test_a_tag_that_asks_for_python_gives_none():
    assert data("a: !!python/name:os.system x\n") == {"a": "x"}


def test_an_alias_is_what_it_refers_to():
    assert data("a: &x {b: [1, 2]}\nc: *x\n") == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}


@pytest.mark.parametrize("text", ["a: &x {b: *x}", "a: &x [1, *x]", "&x {a: {b: {c: *x}}}"])
def test_an_alias_that_loops_is_a_fault(text):
    assert "an alias refers to what it stands in" in faults(text)[0]


INDENT = "indent it like the lines that it belongs to"
QUOTE = "put text that begins with this character in quotes"
TAB = "indent with spaces, not with tabs; put text that begins with a tab in quotes"


@pytest.mark.parametrize(
    ("text", "line", "remedy"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3, "check brackets, quotes, colons and indentation there"),
        ("a: 1\n\tb: 2\n", 2, TAB),
        ('a: 1\nb: "2\nc: 3\n\nd: 4\n', 2, "close it"),
        ("a: 'it\nb: 2\n", 1, "close it"),
        ("a: 1\nb: [1, 2\n\n", 2, "close it"),
        ("a: 1\nb: c: d\n", 2, INDENT + ", and put text that has ': ' in quotes"),
        ("a:\n  b: 1\n   c: 2\n", 3, INDENT + ", and put text that has ': ' in quotes"),
        ("a:\n    b: 1\n  c: 2\n", 3, INDENT),
        ("a: 1\nb: @c\n", 2, QUOTE),
        ("a: *nowhere\n", 1, "put text that begins with * in quotes"),
        ("---\n---\n", 2, "remove the line ---, or what stands above it"),
        ("a: 1\nb: '\x00'\n", 2, "remove it"),
        ('a: 1\nb: "\\UFFFFFFFF"\n', 2, "write the character itself instead of its escape"),
        ("[" * 60, 1, "write a flatter one"),
    ],
)
def test_broken_yaml_is_refused_with_its_line_and_a_remedy(text, line, remedy):
    (message,) = refused(text).splitlines()
    assert re.fullmatch(rf"f\.yaml:{line}: not YAML: .+; {re.escape(remedy)}", message)


def test_a_value_that_is_no_file_has_no_line():
    for text, fault in {"[1, 2": "not YAML: ", "{b: 1, b: 2}": "b: repeated key; keep one of the two"}.items():
        with pytest.raises(RecipeError) as caught:
            yamlstrict.parse_value(text, "--option")
        assert str(caught.value).startswith(f"--option: {fault}")
    assert yamlstrict.parse_value("{b: 3e-4}", "--option") == {"b": 3e-4}


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n"])
def test_nothing_is_none(text):
    assert data(text) is None


def test_a_file_that_is_not_there_is_refused(tmp_path):
    for path, cause in ((tmp_path / "missing.yaml", "no such file"), (tmp_path, "cannot be read")):
        with pytest.raises(RecipeError, match=f"^{re.escape(str(path))}: {cause}"):
            yamlstrict.load(path)


def test_a_file_that_is_not_utf_8_is_refused_with_its_line_and_a_remedy(tmp_path):
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: 1\nname: caf\xe9\n")
    with pytest.raises(RecipeError, match=r"latin\.yaml:2: is no text in UTF-8: byte 0xe9; save it with the encoding"):
        yamlstrict.load(path)
    path.write_bytes(b"#" * (yamlstrict.MAX_BYTES - 1) + "é".encode() * 2)
    with pytest.raises(RecipeError, match="is larger than 1000000 bytes"):  # its last character is cut in two
        yamlstrict.load(path)


def test_a_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfname: a\n")
    assert yamlstrict.load(tmp_path / "a.yaml").data == {"name": "a"}


@pytest.mark.parametrize(
    "value", ["1e-3", "no", "true", "007", ".5", "", "a: b", "- x", "x # y", "é", 1e-5, 1, None, True]
)
def test_what_is_dumped_is_read_back(value):
    data = {"name": value, "1e-3": [value, {"inner": value}]}
    assert yamlstrict.parse(yamlstrict.dump(data), "f").data == data
