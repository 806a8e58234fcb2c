from hypothesis import given
from hypothesis import strategies as st

from builder.errors import SourceError
from builder.frontend.lower import plan
from builder.frontend.parse import parse
from builder.frontend.plan import FrontendOptions
from builder.frontend.unparse import unparse
from builder.location import SourceFile
from cache.errors import PybuildError
from support.dockerfiles import FakeImages

KEYWORDS = [
    "FROM",
    "RUN",
    "COPY",
    "ADD",
    "ENV",
    "ARG",
    "LABEL",
    "CMD",
    "ENTRYPOINT",
    "EXPOSE",
    "VOLUME",
    "USER",
    "WORKDIR",
    "SHELL",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "ONBUILD",
    "MAINTAINER",
    "from",
    "Run",
]
FLAGS = [
    "--platform=linux/amd64",
    "--mount=type=cache,target=/c",
    "--mount=target=/x",
    "--network=none",
    "--chown=a",
    "--chmod=0644",
    "--link",
    "--link=false",
    "--parents",
    "--exclude=x",
    "--from=s",
    "--checksum=x",
    "--unpack",
    "--interval=5s",
    "--retries=2",
    "--",
    "--x",
    "--mount='a\\",
    "b'",
]
WORDS = [
    "base",
    "scratch",
    "s",
    "AS",
    "a=b",
    "A=$B",
    "${C:-d}",
    '"q',
    'e"',
    "'r'",
    '["a","b"]',
    '["a"',
    "$",
    "\\",
    "`",
    "<<E",
    "<<-'F'",
    "<<G",
    "\\$x",
    "/d/",
    ".",
    "#",
    "NONE",
    "CMD",
    "80/tcp",
    "é",
    '\\"',
    "''",
    "=",
    "[]",
    "{}",
    "${x",
]
ENDS = ["\n", "\r\n", " \\\n", "\\\n", "`\n", "\n\n", "\n# c\n", "\nE\n", "\n\tF\n", "\v\n", ""]

words = st.sampled_from([*FLAGS, *WORDS, *KEYWORDS]) | st.text("ab\\`\"'$<{}[], \t=", max_size=6)
lines = st.builds(
    lambda keyword, rest, end: " ".join([keyword, *rest]) + end,
    st.sampled_from(KEYWORDS),
    st.lists(words, max_size=5),
    st.sampled_from(ENDS),
)
dockerfiles = st.builds(
    lambda head, body: f"{head}FROM base\n{''.join(body)}",
    st.sampled_from(["", "# escape=`\n", "ARG A=1\n"]),
    st.lists(lines, max_size=4),
)


@given(dockerfiles)
def test_reading_what_was_printed_gives_the_same_instructions(text):
    try:
        dockerfile = parse(SourceFile("Dockerfile", text))
    except SourceError:
        return
    again = parse(SourceFile("Dockerfile", unparse(dockerfile)))
    assert list(again.instructions) == list(dockerfile.instructions)


@given(st.binary(max_size=200) | dockerfiles.map(str.encode))
def test_reading_refuses_or_reads_whatever_the_bytes_are(content):
    source = SourceFile("Dockerfile", content.decode("utf-8", "surrogateescape"))
    try:
        dockerfile = parse(source)
    except SourceError:
        return
    for instruction in dockerfile.instructions:
        span = instruction.origin.span
        assert 0 < span.first_line <= span.last_line <= source.text.count("\n") + 1


@given(dockerfiles)
def test_planning_refuses_or_plans_whatever_is_written(text):
    options = FrontendOptions(all_stages=True)
    try:
        planned = plan(SourceFile("Dockerfile", text), options, FakeImages())
    except PybuildError:
        return
    layers = sum(not entry.empty_layer for entry in planned.history)
    assert layers <= len(planned.graph.vertices)
