from __future__ import annotations

from itertools import islice

import pytest

from builder.runtime.errors import InvalidContainerNameError
from builder.runtime.names import candidate_names, checked_name


@pytest.mark.parametrize("name", ["web", "0", "a_b.c-d", "X" * 255])
def test_a_name_of_letters_digits_and_marks_is_taken(name):
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", ".a", "_a", "a/b", "a b", "ä", "a\n", "..", "X" * 256])
def test_a_name_that_could_leave_its_directory_or_be_an_option_is_refused(name):
    with pytest.raises(InvalidContainerNameError):
        checked_name(name)


def test_a_made_up_name_is_an_adjective_and_a_surname():
    name = next(candidate_names("0123456789abcdef" * 4))
    adjective, surname = name.split("_")
    assert adjective.isalpha()
    assert surname.isalpha()
    assert checked_name(name) == name


def test_different_ids_mostly_give_different_names():
    names = {next(candidate_names(f"{number * 7919:016x}" + "0" * 48)) for number in range(100)}
    assert len(names) > 90


def test_the_candidates_of_one_id_are_all_different():
    names = list(islice(candidate_names("f" * 64), 3000))
    assert len(set(names)) == len(names)
