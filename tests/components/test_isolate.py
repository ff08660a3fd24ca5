"""Whose fault it is when a part raises."""

from __future__ import annotations

import pytest

from cliffkit.components.isolate import explain, isolated
from cliffkit.components.registry import Component
from cliffkit.errors import PartError, Stopped, UserError, cause

THIS = __name__


class Wrong:
    def __call__(self) -> None:
        raise TypeError("no number\n  at all")


class SilentError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("none of your business")


def component(name: str, reference: str) -> Component:
    return Component("fusion", name, reference, "", "mine", "1")


def raised_by(components: list[Component]) -> str:
    with pytest.raises(TypeError) as caught:
        Wrong()()
    return explain(caught.value, components)


def test_the_part_is_found_by_its_class() -> None:
    said = raised_by([component("other", f"{THIS}:Other"), component("wrong", f"{THIS}:Wrong")])
    assert said.startswith("TypeError: no number at all, in fusion 'wrong' of plugin 'mine' (test_isolate.py:")
    assert said.endswith("; mend or uninstall the plugin")


def test_where_several_parts_come_into_question_the_plugin_is_named() -> None:
    said = raised_by([component("one", f"{THIS}:One"), component("two", f"{THIS}:Two")])
    assert "no number at all, in plugin 'mine' (test_isolate.py:" in said


def test_code_of_no_part_is_nobodys_fault() -> None:
    assert raised_by([component("far", "far_away:Far")]) == "TypeError: no number at all"


def test_an_error_that_cannot_speak_is_named_all_the_same() -> None:
    assert cause(SilentError()) == "SilentError"
    assert cause(SystemExit()) == "SystemExit"


@pytest.mark.parametrize("error", [SystemExit(0), TypeError("no"), BaseException("no")])
def test_whatever_is_raised_within_becomes_a_fault_of_the_part(error: BaseException) -> None:
    with pytest.raises(PartError, match=f"cannot predict: {type(error).__name__}"), isolated("cannot predict", []):
        raise error


@pytest.mark.parametrize("error", [UserError("mine"), KeyboardInterrupt(), Stopped(15)])
def test_what_the_user_means_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, isolated("cannot predict", []):
        raise error
    assert caught.value is error
