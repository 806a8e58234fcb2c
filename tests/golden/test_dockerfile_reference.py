"""docs/reference/dockerfile.md leaves out nothing of what the frontend reads."""

import re

import pytest

from builder.frontend import mounts, readers
from support.examples import examples_in
from support.installation import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "reference" / "dockerfile.md"
TEXT = DOCUMENT.read_text()
EXAMPLES = "\n".join(one.dockerfile for one in examples_in(DOCUMENT))
FLAGS = {
    "FROM": readers._FROM_FLAGS,
    "RUN": readers._RUN_FLAGS,
    "COPY": readers._COPY_FLAGS,
    "ADD": readers._ADD_FLAGS,
    "HEALTHCHECK": readers._HEALTHCHECK_FLAGS,
}
SHARED = {"chown", "chmod", "link", "exclude"}  # of ADD, with examples under COPY


@pytest.mark.parametrize("keyword", readers.READERS)
def test_each_instruction_has_a_section_a_line_of_the_table_and_an_example(keyword):
    assert f"\n## {keyword}\n" in TEXT
    assert f"\n| [{keyword}](#{keyword.lower()}) |" in TEXT
    assert re.search(rf"^(ONBUILD )?{keyword}\b", EXAMPLES, re.MULTILINE)


@pytest.mark.parametrize("keyword", FLAGS)
def test_each_flag_is_in_the_table_and_in_an_example(keyword):
    row = re.search(rf"^\| \[{keyword}\].*$", TEXT, re.MULTILINE)[0]
    for flag in set(FLAGS[keyword]) - {"device"}:
        assert f"`--{flag}`" in row
        instructions = "(COPY|ADD)" if flag in SHARED else keyword
        assert re.search(rf"^{instructions}\b.*--{flag}\b", EXAMPLES, re.MULTILINE), flag


@pytest.mark.parametrize("mount_type", mounts._TYPES)
def test_each_kind_of_mount_has_an_example(mount_type):
    assert re.search(rf"--mount=\S*type={mount_type}\b", EXAMPLES)


def test_each_key_of_a_mount_is_told():
    section = TEXT[TEXT.index("### RUN --mount=type=bind") : TEXT.index("### RUN --network")]
    for key in set(mounts._KEYS) - set(mounts._SYNONYMS) - {"readonly", "readwrite", "type"}:
        assert re.search(rf"`{key}\b|{key}=", section), key
