"""Text from elsewhere is shown, and does nothing to a screen."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliffkit.errors import UserError
from cliffkit.text import printable


@given(st.text(alphabet=st.characters(codec=None)))
def test_what_is_printable_holds_nothing_that_acts_on_a_screen(text):
    acting = [c for c in printable(text) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert set(acting) <= set("\n\t\u200c\u200d")
    assert printable(printable(text)) == printable(text)
    printable(text).encode("utf-8")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb\x00\x07\x7f", "a\\rb\\x00\\x07\\x7f"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202egnp.exe\u2066\u200e\u200f", "\\u202egnp.exe\\u2066\\u200e\\u200f"),
        ("one\u2028two\u2029\ufeff", "one\\u2028two\\u2029\\ufeff"),
        ("file-\udcff", "file-\\udcff"),
        ("first\nsecond\tthird", "first\nsecond\tthird"),
        ("Grüße, 深度, عمق, 😀", "Grüße, 深度, عمق, 😀"),
    ],
)
def test_only_what_acts_on_a_screen_is_escaped(text, seen):
    assert printable(text) == seen


def test_messages_of_the_command_line_are_escaped_and_keep_their_lines(invoke, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text('name: "\\e[31mred"\n"\\u202Eboth": 1\n', encoding="utf-8")
    for command in ("run", "validate"):
        refused = invoke(command, path)
        assert refused.exit_code == 2
        assert "\x1b" not in refused.stderr
        assert "\u202e" not in refused.stderr
        assert "\\u202eboth: unknown key" in refused.stderr
        assert len(refused.stderr.splitlines()) > 3


def test_a_path_without_end_is_cut_in_a_message(invoke, tiny_recipe):
    refused = invoke("run", tiny_recipe, "--runs", "x" * 5_000)
    assert refused.exit_code == 2
    assert len(refused.stderr) < 600
    assert "xxx…xxx" in refused.stderr


def test_a_message_for_python_stays_as_it_is():
    assert str(UserError("\x1b")) == "\x1b"
