import pytest

from builder.cli.entry import with_default_command


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["-t", "app", "."], ["build", "-t", "app", "."]),
        (["."], ["build", "."]),
        (["run", "app"], ["run", "app"]),
        (["--debug", "."], ["--debug", "build", "."]),
        (["--debug", "ps"], ["--debug", "ps"]),
        (["--version"], ["--version"]),
        ([], ["--help"]),
    ],
)
def test_build_is_the_command_where_none_is_named(typed, meant):
    assert with_default_command(typed) == meant
