"""The distributions that a part computes with are named with their versions."""

from importlib.metadata import version

from cliffkit.components.versions import versions_of


def test_a_package_is_named_by_the_distribution_that_gives_it() -> None:
    assert versions_of(["numpy", "PIL", "no_such_package"]) == {
        "numpy": version("numpy"),
        "pillow": version("pillow"),
    }
