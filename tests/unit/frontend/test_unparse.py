import pytest

from builder.frontend.parse import parse
from builder.frontend.unparse import unparse
from builder.location import SourceFile


def round_trip(text):
    dockerfile = parse(SourceFile("Dockerfile", text))
    printed = unparse(dockerfile)
    again = parse(SourceFile("Dockerfile", printed))
    assert list(again.instructions) == list(dockerfile.instructions)
    assert again.escape == dockerfile.escape
    return printed


def test_what_is_printed_is_plain():
    text = (
        "# syntax=docker/dockerfile:1\n"
        "# escape=`\n"
        "ARG V=1\n"
        "FROM --platform=linux/amd64 base AS one\n"
        "RUN --mount=type=cache,target=/c --network=none make\n"
        'CMD ["a", "b c"]\n'
        "HEALTHCHECK --interval=5s --retries=2 CMD curl x\n"
    )
    assert round_trip(text) == text


@pytest.mark.parametrize(
    "instruction",
    [
        "run  a \\\n # c\n  b",
        "RUN -- --x",
        "RUN ['a']",
        "RUN",
        "RUN --mount='type=bind,source=a b\\'c' x",
        "RUN <<A 3<<-'B' x\n\\\nA\n\tb\nB",
        'COPY ["a b", "c\\\\", "[d", "/e/"]',
        'COPY ["[a", "b"]',
        "COPY --chown=$A:1 --exclude=a\\ b --exclude=c --link=true --parents=false a b",
        "COPY <<'it' <<eo\\'f <<\"q\\\"'\" <<$V x /d\n1\nit\n2\neo'f\n3\nq\"'\n4\n$V",
        "ADD --unpack=false --keep-git-dir --checksum=sha256:a http://x /y",
        'VOLUME ["a b"]',
        'ENV A "b c" d',
        "ENV A=\"b c\" 'D e'=f G=h\\ i J=",
        "LABEL a=b\\\\",
        "ARG A B= C='x y'",
        "EXPOSE 80 443/tcp",
        'SHELL ["/bin/sh", "-c", "é\\n"]',
        "HEALTHCHECK NONE",
        'HEALTHCHECK --timeout=1h2m3.5s CMD ["a"]',
        "ONBUILD copy <<A /x\na\nA",
        "MAINTAINER me <me@x>",
        "USER -- --x",
        "WORKDIR /a b",
        "STOPSIGNAL 9",
        "CMD",
    ],
)
def test_reading_what_is_printed_gives_the_same_instructions(instruction):
    round_trip(f"FROM x\n{instruction}\nLABEL end=1\n")
