"""Editing: digests written into a Dockerfile, and a configuration changed by instructions.

What the text means, our own parser says; the editing of its lines is dockerfile-parse's, which is
imported here alone and only when something is edited.
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from builder.errors import SourceError, SyntaxProblemError
from builder.frontend.dispatch import plan_instruction
from builder.frontend.goformat import quoted
from builder.frontend.inputs import scratch_vertex
from builder.frontend.instructions import Instruction
from builder.frontend.parse import parse
from builder.frontend.pinning import ImageMention, image_mentions
from builder.frontend.plan import FrontendOptions
from builder.frontend.predefined import build_settings
from builder.frontend.stagestate import Findings, Planning, StageResult, StageState
from builder.frontend.steps import GraphBuilder, StepNames
from builder.image.model import ContainerConfig
from builder.image.platform import host_platform
from builder.location import SourceFile, Span
from cache.record import record

_CHANGES = (
    "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL",
    "USER", "VOLUME", "WORKDIR",
)  # fmt: skip
_EQUALS_FORM = re.compile(rf"\s*({'|'.join(_CHANGES)})=", re.IGNORECASE)


def apply_changes(config: ContainerConfig, changes: Sequence[str]) -> ContainerConfig:
    """`config` after the instructions in `changes`, as a Dockerfile's stage on top of it has it.

    Podman's `CMD=/bin/sh` is taken for `CMD /bin/sh`. SyntaxProblemError names the change that is
    none or that a configuration can't take.
    """
    if not changes:
        return config
    state = _stage_over(config)
    for change in changes:
        try:
            for instruction in _instructions(change):
                plan_instruction(state, instruction)
        except SourceError as error:
            cause = error.__cause__ if isinstance(error.__cause__, SourceError) else error
            raise SyntaxProblemError(
                f"--change {quoted(change)}: {cause.message}", hint=error.hint
            ) from error
    return replace(state.config, on_build=(*config.on_build, *state.config.on_build))


def _instructions(change: str) -> tuple[Instruction, ...]:
    text = _EQUALS_FORM.sub(r"\1 ", change)
    stage, *others = parse(SourceFile("--change", f"FROM scratch\n{text}\n")).stages
    if others:
        raise _not_a_change("FROM")
    if not stage.body:
        raise SyntaxProblemError("this is no instruction", hint="write --change 'ENV NAME=value'")
    for instruction in stage.body:
        keyword = instruction.origin.keyword.upper()
        if keyword not in _CHANGES:
            raise _not_a_change(keyword)
    return stage.body


def _not_a_change(keyword: str) -> SyntaxProblemError:
    return SyntaxProblemError(
        f"{keyword} does not change a configuration",
        hint=f"what can be changed is {', '.join(_CHANGES)}",
    )


def _stage_over(config: ContainerConfig) -> StageState:
    """A stage that begins with `config` and has no files."""
    graph = GraphBuilder()
    planning = Planning(
        options=FrontendOptions(),
        settings=build_settings({}, ""),
        escape="\\",
        global_values={},
        build_args={},
        graph=graph,
        findings=Findings(),
        results={},
        replacements={},
    )
    base = StageResult(root=scratch_vertex(graph), config=config, platform=host_platform())
    return StageState(planning, base, StepNames("", 0), {}, no_cache=False)


DigestOf = Callable[[str], str | None]
"""An image's digest by the name that the Dockerfile gives it; None where it isn't known."""


@record
class Pin:
    """A digest that was written behind a name."""

    name: str  # as written before
    digest: str
    span: Span


@record
class Unpinned:
    """A name that stays without a digest."""

    name: str
    reason: str
    span: Span


@record
class PinResult:
    """A Dockerfile with its images pinned. Both lists are empty where all were pinned before."""

    text: str
    pins: tuple[Pin, ...]
    unpinned: tuple[Unpinned, ...]


class _LineEditor(Protocol):
    """What is used of dockerfile_parse.DockerfileParser: a file that changes with its lines."""

    lines: list[str]
    content: str


def pin(text: str, digest_of: DigestOf, *, name: str = "Dockerfile") -> PinResult:
    """Write digests behind the names of images; every other byte stays as it is.

    `name` is the file's, for errors. SyntaxProblemError where the text is no Dockerfile.
    """
    source = SourceFile(name, text)
    digests: dict[str, str | None] = {}
    pins: list[Pin] = []
    unpinned: list[Unpinned] = []
    insertions: list[tuple[int, int, str]] = []
    for mention in image_mentions(parse(source)):
        if "@" in mention.name:
            continue
        reason = _obstacle(mention)
        if reason is None and mention.name not in digests:
            digests[mention.name] = digest_of(mention.name)
        digest = digests.get(mention.name)
        if reason is not None or mention.line is None:
            unpinned.append(Unpinned(mention.name, reason or "", mention.span))
        elif digest is None:
            unpinned.append(Unpinned(mention.name, "its digest is not known", mention.span))
        else:
            pins.append(Pin(mention.name, digest, mention.span))
            end = mention.column + len(mention.name)
            insertions.append((mention.line, end, f"@{digest}"))
    return PinResult(_with_insertions(source, insertions), tuple(pins), tuple(unpinned))


def _obstacle(mention: ImageMention) -> str | None:
    if "$" in mention.name:
        return "it depends on a variable"
    if mention.line is None:
        return "its name is not written in one piece"
    return None


def _with_insertions(source: SourceFile, insertions: Sequence[tuple[int, int, str]]) -> str:
    """The text with each (line, column, inserted text), both counted from 0."""
    if not insertions:
        return source.text
    # its stubs ask for a text file where it needs a binary one
    library = importlib.import_module("dockerfile_parse")
    editor: _LineEditor = library.DockerfileParser(fileobj=io.BytesIO(_utf8(source)))
    lines = editor.lines
    for line, column, inserted in sorted(insertions, reverse=True):
        lines[line] = lines[line][:column] + inserted + lines[line][column:]
    editor.lines = lines
    return editor.content


def _utf8(source: SourceFile) -> bytes:
    try:
        return source.text.encode()
    except UnicodeEncodeError as error:
        number = source.text.count("\n", 0, error.start) + 1
        raise SyntaxProblemError(
            "this line is not UTF-8 text, so it cannot be edited",
            span=Span(source, number, number),
        ) from error
