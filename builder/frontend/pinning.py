"""Where a Dockerfile names images from outside: in FROM, COPY --from and RUN --mount=from.

The parser says what each instruction means; here its words are found again in the physical lines,
comments and continuations between them, so that an editor can change them and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from builder.frontend.instructions import Copy, Dockerfile, From, Instruction, Run
from builder.frontend.mounts import mount_source
from builder.frontend.problems import WordProblemError, place
from builder.location import Span
from cache.record import record

_WORD = re.compile(r"\S+")
_NO_IMAGES = frozenset({"", "scratch", "context"})


@record
class ImageMention:
    """One place where an image is named; `line` and `column` count from 0.

    `line` is None where the name is not in one piece: a continuation or quotes break it.
    """

    name: str  # as written
    span: Span  # of the instruction
    line: int | None
    column: int = 0


def image_mentions(dockerfile: Dockerfile) -> Iterator[ImageMention]:
    """All of them in order; names and numbers of stages are no images."""
    names = frozenset(stage.base.name for stage in dockerfile.stages)
    earlier: set[str] = set()
    for stage in dockerfile.stages:
        yield from _mentions(dockerfile, stage.base, frozenset(earlier))
        for instruction in stage.body:
            yield from _mentions(dockerfile, instruction, names)
        earlier.add(stage.base.name)


@record
class _Word:
    """A word of an instruction, in its place."""

    text: str
    line: int
    column: int


def _mentions(
    dockerfile: Dockerfile, instruction: Instruction, stage_names: frozenset[str]
) -> Iterator[ImageMention]:
    span = instruction.origin.span
    for name, word in _named(dockerfile, instruction):
        if name.lower() in stage_names | _NO_IMAGES or name.isdecimal():
            continue
        column = -1 if word is None else _column_of(name, word.text)
        if word is None or column < 0:
            yield ImageMention(name, span, None)
        else:
            yield ImageMention(name, span, word.line, word.column + column)


def _named(dockerfile: Dockerfile, instruction: Instruction) -> Iterator[tuple[str, _Word | None]]:
    """The names that `instruction` takes files from, each with the word that holds it."""
    match instruction:
        case From(image=image):
            words = _words(dockerfile, instruction.origin.span)
            yield image, next((word for word in words if not word.text.startswith("--")), None)
        case Copy(from_name=name) if name:
            yield name, next(_flags(dockerfile, instruction.origin.span, "--from="), None)
        case Run(mounts=mounts) if mounts:
            flags = list(_flags(dockerfile, instruction.origin.span, "--mount="))
            in_pieces = len(flags) == len(mounts)
            for index, mount in enumerate(mounts):
                name = _mount_source(mount, instruction.origin.span)
                yield name, flags[index] if in_pieces else None
        case _:
            pass


def _mount_source(mount: str, span: Span) -> str:
    try:
        return mount_source(mount)
    except WordProblemError as error:
        place(error, span)
        raise


def _flags(dockerfile: Dockerfile, span: Span, start: str) -> Iterator[_Word]:
    for word in _words(dockerfile, span):
        if not word.text.startswith("--"):
            return
        if word.text.startswith(start):
            yield word


def _words(dockerfile: Dockerfile, span: Span) -> Iterator[_Word]:
    """The words after the keyword; one that a continuation breaks comes in pieces."""
    lines = dockerfile.source.text.split("\n")
    is_keyword = True
    for line in range(span.first_line - 1, span.last_line):
        text = lines[line].rstrip()
        if not is_keyword and text.lstrip().startswith("#"):
            continue
        for match in _WORD.finditer(text.removesuffix(dockerfile.escape)):
            if not is_keyword:
                yield _Word(match[0], line, match.start())
            is_keyword = False


def _column_of(name: str, word: str) -> int:
    """Where `name` stands in `word`: all of it, or the value of --from or of a mount's from."""
    if word == name:
        return 0
    found = re.search(
        rf"""(?:\A--|[=,"'])from=["']?({re.escape(name)})(?=[,"']|\Z)""", word, re.IGNORECASE
    )
    return found.start(1) if found else -1
