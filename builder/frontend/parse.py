"""From text to instructions: what each keyword's arguments mean, before anything is expanded."""

from __future__ import annotations

from builder.errors import SourceError, SyntaxProblemError
from builder.frontend.flags import split_command
from builder.frontend.instructions import Arg, Dockerfile, From, Instruction, Origin, Stage
from builder.frontend.problems import WordProblemError, did_you_mean, place
from builder.frontend.readers import READERS, Request
from builder.frontend.scan import LogicalLine, scan
from builder.location import SourceFile, Span


def parse(source: SourceFile) -> Dockerfile:
    """Read a Dockerfile; SyntaxProblemError with its span for the first thing that is wrong."""
    if not source.text:
        raise SyntaxProblemError(
            "the Dockerfile cannot be empty", hint="begin it with FROM and an image"
        )
    scanned = scan(source)
    if not scanned.lines:
        raise SyntaxProblemError("file with no instructions", hint="begin it with FROM")
    instructions = [_read_line(source, line, scanned.escape) for line in scanned.lines]
    global_args, stages = _stages(instructions)
    return Dockerfile(
        source=source,
        escape=scanned.escape,
        directives=scanned.directives,
        global_args=global_args,
        stages=stages,
        empty_continuations=tuple(
            Span(source, number, number) for line in scanned.lines for number in line.empty_lines
        ),
    )


def parse_trigger(trigger: str, place_of_use: Span) -> Instruction:
    """The instruction that an ONBUILD trigger is; it stands where the stage begins that fires it.

    A trigger out of an image was written under a directive that nobody knows any more, so it has
    the default escape character.
    """
    try:
        lines = scan(SourceFile("ONBUILD", trigger)).lines
        if len(lines) != 1:
            raise WordProblemError("onbuild trigger should be a single expression")
        return _read(lines[0], place_of_use, "\\")
    except SourceError as error:
        raise SyntaxProblemError(
            f"in the trigger ONBUILD {trigger}: {error.message}", span=place_of_use, hint=error.hint
        ) from error


def _read_line(source: SourceFile, line: LogicalLine, escape: str) -> Instruction:
    span = Span(source, line.first_line, line.last_line)
    try:
        return _read(line, span, escape)
    except SourceError as error:
        place(error, span)
        raise SyntaxProblemError(
            f"dockerfile parse error on line {line.first_line}: {error.message}",
            span=error.span,
            hint=error.hint,
        ) from error


def _read(line: LogicalLine, span: Span, escape: str) -> Instruction:
    command = split_command(line.text)
    reader = READERS.get(command.keyword.upper())
    if reader is None:
        raise WordProblemError(
            f"unknown instruction: {command.keyword}",
            word=command.keyword,
            hint=did_you_mean(command.keyword, READERS),
        )
    origin = Origin(span, command.keyword, line.text, line.comments)
    return reader(Request(origin, command.flags, command.rest, line.heredocs, escape))


def _stages(instructions: list[Instruction]) -> tuple[tuple[Arg, ...], tuple[Stage, ...]]:
    """Group instructions by the FROM above them; only ARG may stand above the first."""
    global_args: list[Arg] = []
    stages: list[tuple[From, list[Instruction]]] = []
    for instruction in instructions:
        if isinstance(instruction, From):
            stages.append((instruction, []))
        elif stages:
            stages[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            global_args.append(instruction)
        else:
            raise SyntaxProblemError(
                "no build stage in current context",
                span=instruction.origin.span,
                hint=f"only ARG may stand before the first FROM, not {instruction.origin.keyword}",
            )
    if not stages:
        raise SyntaxProblemError(
            "dockerfile contains no stages to build",
            span=instructions[-1].origin.span,
            hint="begin a stage with FROM and an image",
        )
    grouped = (Stage(index, base, tuple(body)) for index, (base, body) in enumerate(stages))
    return tuple(global_args), tuple(grouped)
