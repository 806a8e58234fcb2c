"""Build checks that need the text of the Dockerfile alone."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from builder.frontend.goformat import quoted
from builder.frontend.instructions import Arg, Dockerfile, From, Instruction, Maintainer, Stage
from builder.frontend.lint_rules import (
    CONSISTENT_INSTRUCTION_CASING,
    DUPLICATE_STAGE_NAME,
    FROM_AS_CASING,
    INVALID_DEFINITION_DESCRIPTION,
    MAINTAINER_DEPRECATED,
    NO_EMPTY_CONTINUATION,
    RESERVED_STAGE_NAME,
    STAGE_NAME_CASING,
)
from builder.frontend.plan import CheckWarning

RESERVED_STAGE_NAMES = frozenset({"context", "scratch"})


def check_form(dockerfile: Dockerfile) -> Iterator[CheckWarning]:
    """The findings of all rules here, rule by rule."""
    yield from _empty_continuations(dockerfile)
    yield from _stage_names(dockerfile)
    yield from _instruction_casing(dockerfile)
    for instruction in dockerfile.instructions:
        yield from _description(instruction)
        if isinstance(instruction, Maintainer):
            yield MAINTAINER_DEPRECATED.finding(
                "Maintainer instruction is deprecated in favor of using label",
                instruction.origin.span,
            )


def _empty_continuations(dockerfile: Dockerfile) -> Iterator[CheckWarning]:
    """One finding an instruction, at its first empty line."""
    ends = [instruction.origin.span.last_line for instruction in dockerfile.instructions]
    reported = -1
    for span in dockerfile.empty_continuations:
        number = bisect_left(ends, span.first_line)
        if number != reported:
            yield NO_EMPTY_CONTINUATION.finding("Empty continuation line", span)
        reported = number


def _stage_names(dockerfile: Dockerfile) -> Iterator[CheckWarning]:
    seen: set[str] = set()
    for stage in dockerfile.stages:
        base = stage.base
        span = base.origin.span
        if base.name_as_written != base.name:
            yield STAGE_NAME_CASING.finding(
                f"Stage name '{base.name_as_written}' should be lowercase", span
            )
        if not _cases_agree(base.origin.keyword, base.as_keyword):
            yield FROM_AS_CASING.finding(
                f"'{base.as_keyword}' and '{base.origin.keyword}' keywords' casing do not match",
                span,
            )
        if base.name in RESERVED_STAGE_NAMES:
            yield RESERVED_STAGE_NAME.finding(
                f"Stage name should not use the same name as reserved stage {quoted(base.name)}",
                span,
            )
        if base.name and base.name in seen:
            yield DUPLICATE_STAGE_NAME.finding(
                f"Duplicate stage name {quoted(base.name)}, stage names should be unique", span
            )
        seen.add(base.name)


def _cases_agree(from_keyword: str, as_keyword: str) -> bool:
    """A FROM in mixed case is the business of another rule."""
    if from_keyword.islower():
        return as_keyword == as_keyword.lower()
    return not from_keyword.isupper() or as_keyword == as_keyword.upper()


def _instruction_casing(dockerfile: Dockerfile) -> Iterator[CheckWarning]:
    """Of equally many, the upper case ones are right. ARGs above the first FROM don't count."""
    origins = [one.origin for stage in dockerfile.stages for one in _all(stage)]
    lower = sum(origin.keyword.islower() for origin in origins)
    upper = sum(origin.keyword.isupper() for origin in origins)
    casing = "lowercase" if lower > upper else "uppercase"
    for origin in origins:
        is_right = origin.keyword.islower() if lower > upper else origin.keyword.isupper()
        if not is_right:
            yield CONSISTENT_INSTRUCTION_CASING.finding(
                f"Command '{origin.keyword}' should match the case of the command majority "
                f"({casing})",
                origin.span,
            )


def _all(stage: Stage) -> tuple[Instruction, ...]:
    return (stage.base, *stage.body)


def _description(instruction: Instruction) -> Iterator[CheckWarning]:
    """The comment line right above an ARG or a named stage; an empty one describes nothing."""
    match instruction:
        case Arg(declarations=declarations):
            keyword, names = "ARG", [name for name, _ in declarations]
        case From(name=name) if name:
            keyword, names = "FROM", [name]
        case _:
            return
    comments = instruction.origin.comments
    if not comments or not comments[-1] or comments[-1].split(" ")[0] in names:
        return
    example = names[0] if len(names) == 1 else "<arg_key>"
    yield INVALID_DEFINITION_DESCRIPTION.finding(
        f"Comment for {keyword} should follow the format: `# {example} <description>`",
        instruction.origin.span,
    )
