"""A misspelt name is answered with the name that was meant, else with the names that there are."""

from cliffkit.components.near import meant, near

KNOWN = ("cliff", "add", "concat")


def test_a_misspelt_name_is_answered_with_the_near_one():
    assert near("clif", KNOWN, "there are") == "did you mean 'cliff'?"
    assert meant("clif", KNOWN) == "did you mean 'cliff'?"


def test_a_name_far_from_all_is_answered_with_the_list():
    assert near("zzz", KNOWN, "there are") == "there are: cliff, add, concat"
    assert near("zzz", (), "there are") == "there are: none"
    assert meant("zzz", KNOWN) == ""


def test_what_is_no_text_has_no_near_name():
    assert near(3, iter(KNOWN), "it has") == "it has: cliff, add, concat"
