"""docs/reference/cli.md is what the commands say of themselves."""

import importlib.util

from builder.cli.main import COMMANDS
from support.installation import REPOSITORY

SCRIPT = REPOSITORY / "docs" / "reference" / "cli.py"


def written() -> str:
    spec = importlib.util.spec_from_file_location("cli_reference", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.document() + "\n"


def test_the_command_line_reference_is_up_to_date():
    hint = "renew it with: python docs/reference/cli.py"
    assert SCRIPT.with_suffix(".md").read_text() == written(), hint


def test_the_reference_has_every_command():
    text = SCRIPT.with_suffix(".md").read_text()
    assert [name for name in COMMANDS if f"\n## pybuild {name}\n" not in text] == []
