import pytest

from builder.errors import StepFailedError
from builder.worker.chmod import parse_chmod


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("u+x", 0o642, 0o742),
        ("+x", 0o642, 0o753),
        ("go-w,u=rwx", 0o642, 0o740),
        ("go=u", 0o642, 0o666),
        ("a=", 0o642, 0),
        ("u+s,g+s", 0o642, 0o6642),
        ("o=g", 0o642, 0o644),
        ("u=rw", 0o4755, 0o655),
        ("+t", 0o755, 0o1755),
        ("u+t", 0o755, 0o755),
        ("a=rx", 0o7777, 0o555),
        ("u+r-w=x", 0o600, 0o100),
        ("a+X", 0o644, 0o644),
        ("a+X", 0o744, 0o755),
        ("g+u-x", 0o750, 0o760),
    ],
)
def test_symbolic_clauses_change_a_files_own_mode(text, before, after):
    assert parse_chmod(text).apply(before, is_dir=False) == after


def test_a_capital_x_makes_every_directory_searchable():
    assert parse_chmod("a+X").apply(0o600, is_dir=True) == 0o711


@pytest.mark.parametrize(("text", "mode"), [("0", 0), ("600", 0o600), ("07777", 0o7777)])
def test_an_octal_number_replaces_the_mode(text, mode):
    assert parse_chmod(text).apply(0o123, is_dir=False) == mode


@pytest.mark.parametrize("text", ["689", "10000", "9z9", "u+q", "x", "u", "u+x,", ",", "0o644"])
def test_what_is_no_mode_is_refused_and_named(text):
    with pytest.raises(
        StepFailedError, match="invalid chmod parameter: '" + text.replace("+", r"\+")
    ):
        parse_chmod(text)


def test_only_an_octal_mode_sets_the_directories_on_the_way():
    assert parse_chmod("4711").parent_mode == 0o711
    assert parse_chmod("u+s").parent_mode == 0o755
    assert parse_chmod("").parent_mode == 0o755


def test_no_flag_changes_nothing():
    assert parse_chmod("").applier() is None
    assert parse_chmod("").apply(0o4321, is_dir=False) == 0o4321
