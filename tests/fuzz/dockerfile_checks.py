"""What must hold of the frontend whatever bytes it is given."""

from builder.errors import SourceError
from builder.frontend.ignorefile import read_ignore_file
from builder.frontend.lower import plan
from builder.frontend.parse import parse
from builder.frontend.pinning import image_mentions
from builder.frontend.plan import FrontendOptions, ResolvedImage
from builder.frontend.rewrite import pin
from builder.image.model import ImageConfig, Platform
from builder.location import SourceFile
from cache.errors import PybuildError

DIGEST = "sha256:" + "5a" * 32
OPTIONS = FrontendOptions(all_stages=True, directory_contexts=frozenset({"ctx"}))


class AnyImage:
    """Every name is an image."""

    def resolve(self, name, platform):
        return ResolvedImage(name, ImageConfig(platform or Platform("linux", "amd64")))


def check(data):
    """AssertionError, or whatever was raised, where one of the rules below is broken."""
    text = data.decode("utf-8", "surrogateescape")
    check_parser(text)
    check_planner(text)
    check_pin(text)
    check_ignore_file(text)


def check_parser(text):
    """Only errors of our own, at lines that are there; instructions in order, none overlapping."""
    source = SourceFile("Dockerfile", text)
    last_line = text.count("\n") + 1
    try:
        dockerfile = parse(source)
    except SourceError as error:
        span = error.span
        assert span is None or 1 <= span.first_line <= span.last_line <= last_line
        return
    end = 0
    for instruction in dockerfile.instructions:
        span = instruction.origin.span
        assert end < span.first_line <= span.last_line <= last_line
        end = span.last_line
    assert parse(source) == dockerfile


def check_planner(text):
    """Only errors of our own, and the same plan each time."""
    source = SourceFile("Dockerfile", text)
    try:
        planned = plan(source, OPTIONS, AnyImage())
    except PybuildError:
        return
    assert plan(source, OPTIONS, AnyImage()) == planned


def check_pin(text):
    """Nothing but digests is added, and a second time nothing at all."""
    try:
        mentions = list(image_mentions(parse(SourceFile("Dockerfile", text))))
        result = pin(text, lambda _: DIGEST)
    except SourceError:
        return
    assert len(result.pins) + len(result.unpinned) == sum("@" not in one.name for one in mentions)
    assert result.text.count("@" + DIGEST) == text.count("@" + DIGEST) + len(result.pins)
    if DIGEST not in text:
        assert result.text.replace("@" + DIGEST, "") == text
    assert pin(result.text, lambda _: DIGEST).text == result.text


def check_ignore_file(text):
    """Only errors of our own; what may be skipped is left out."""
    try:
        matcher = read_ignore_file(SourceFile(".dockerignore", text))
    except SourceError:
        return
    for line in text.split("\n")[:20]:
        path = line.strip("/!*? ")[:60]
        if path and matcher.may_skip_directory(path):
            assert matcher.excludes(path)
            assert matcher.excludes(f"{path}/below/it")
