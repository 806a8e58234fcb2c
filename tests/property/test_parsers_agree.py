"""Our parser and dockerfile-parse, on Dockerfiles that both must read the same way.

Left out is what the library is known to read otherwise: here-documents, empty lines within a
continued instruction, escapes at a line's end, keywords broken in two, and what is invalid.
"""

import io

import pytest
from dockerfile_parse import DockerfileParser
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.frontend.parse import parse
from builder.location import SourceFile


def by_us(text):
    found = []
    for instruction in parse(SourceFile("Dockerfile", text)).instructions:
        origin = instruction.origin
        keyword = origin.keyword
        value = origin.text.strip()[len(keyword) :]
        lines = (origin.span.first_line - 1, origin.span.last_line - 1)
        found.append((keyword.upper(), " ".join(value.split()), *lines))
    return found


def by_the_library(text):
    structure = DockerfileParser(fileobj=io.BytesIO(text.encode())).structure
    return [
        (one["instruction"], " ".join(one["value"].split()), one["startline"], one["endline"])
        for one in structure
        if one["instruction"] != "COMMENT"
    ]


words = st.text(alphabet="abcXYZ019/._-=$", min_size=1, max_size=8).filter(
    lambda word: not word.startswith(("-", "="))
)
commands = st.lists(words, min_size=1, max_size=4)
gaps = st.sampled_from([" ", "  ", "\t", " \\\n", " \\\n    ", " \\\n# a comment\n  "])
keywords = st.sampled_from(["RUN", "run", "CMD", "Entrypoint", "WORKDIR", "USER", "STOPSIGNAL"])
between = st.sampled_from(["", "\n", "# a comment\n", "   # another\n\n", "\n\n"])


@st.composite
def instructions(draw):
    text = draw(st.sampled_from(["", "  "])) + draw(keywords)
    for word in draw(commands):
        text += draw(gaps) + word
    return text + "\n"


@st.composite
def dockerfiles(draw):
    text = draw(st.sampled_from(["", "# syntax=docker/dockerfile:1\n", "# a comment\n"]))
    for stage in range(draw(st.integers(1, 3))):
        text += f"FROM base{draw(st.sampled_from(['', f' AS s{stage}']))}\n"
        for _ in range(draw(st.integers(0, 4))):
            text += draw(between) + draw(instructions())
    return text


@settings(max_examples=200, deadline=None)
@given(dockerfiles())
def test_both_parsers_find_the_same_instructions(text):
    assert by_us(text) == by_the_library(text)


@pytest.mark.parametrize(
    "text",
    [
        'FROM base\nCMD ["a", "b c"]\nENV A=1 B="two words"\nLABEL x=y\nEXPOSE 80 443/tcp\n',
        "# escape=`\nFROM base\nRUN a `\n  b\nWORKDIR C:\\x\n",
        "FROM base\r\nRUN a \\\r\n  b\r\nUSER x\r\n",
        "ARG V=1\nFROM base:$V AS one\nARG V\nCOPY --from=one a b /d/\nADD x.tar /\n",
        'FROM base\nHEALTHCHECK --interval=5s CMD true\nONBUILD RUN make\nVOLUME /a\nSHELL ["x"]\n',
        "from base as x\nrun true",
    ],
)
def test_both_parsers_read_plain_dockerfiles_alike(text):
    assert by_us(text) == by_the_library(text)


@pytest.mark.parametrize(
    "text",
    [
        "FROM base\nRUN <<E\necho a\nE\n",
        "FROM base\nCOPY <<E /x\nRUN b\nE\n",
        "FROM base\nRUN a \\\n\n  b\n",
        "FROM base\nLABEL a=x\\\\\nLABEL b=y\n",
        "FR\\\nOM base\n",
    ],
)
def test_the_library_still_reads_otherwise_what_made_us_write_a_parser(text):
    assert by_us(text) != by_the_library(text)
