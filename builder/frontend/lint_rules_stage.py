"""Build checks of the instructions within a stage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from builder.frontend.goformat import quoted
from builder.frontend.instructions import (
    Arg,
    Cmd,
    Entrypoint,
    Env,
    Healthcheck,
    Instruction,
    Label,
    Shell,
    Stage,
    Workdir,
)
from builder.frontend.lint_rules import (
    JSON_ARGS_RECOMMENDED,
    LEGACY_KEY_VALUE_FORMAT,
    MULTIPLE_INSTRUCTIONS_DISALLOWED,
    SECRETS_USED_IN_ARG_OR_ENV,
    WORKDIR_RELATIVE_PATH,
)
from builder.frontend.lintfacts import StageFacts
from builder.frontend.plan import CheckWarning
from builder.location import Span

_SECRET_WORDS = "apikey|auth|credential|credentials|key|password|pword|passwd|secret|token"  # noqa: S105
_HARMLESS_WORDS = "public|file|version"


def check_stage(
    stage: Stage, facts: StageFacts, workdirs: Mapping[Span, str]
) -> Iterator[CheckWarning]:
    """The findings of all rules here; `workdirs`: what each WORKDIR came to, by its place."""
    yield from _repeated(stage)
    yield from _shell_forms(stage, has_shell=facts.base_has_shell)
    yield from _relative_workdir(stage, workdirs, has_workdir=facts.base_has_workdir)
    for instruction in stage.body:
        yield from _legacy_form(instruction)
        yield from _secrets(instruction)


def _repeated(stage: Stage) -> Iterator[CheckWarning]:
    """Reported where the one stands that does nothing."""
    last: dict[str, Instruction] = {}
    for instruction in stage.body:
        if not isinstance(instruction, Cmd | Entrypoint | Healthcheck):
            continue
        keyword = instruction.origin.keyword.upper()
        before = last.get(keyword)
        last[keyword] = instruction
        if before is not None:
            yield MULTIPLE_INSTRUCTIONS_DISALLOWED.finding(
                f"Multiple {instruction.origin.keyword} instructions should not be used in the "
                "same stage because only the last one will be used",
                before.origin.span,
            )


def _shell_forms(stage: Stage, *, has_shell: bool) -> Iterator[CheckWarning]:
    """Whoever has given a SHELL means the shell form."""
    for instruction in stage.body:
        if isinstance(instruction, Shell):
            return
        if has_shell or not isinstance(instruction, Cmd | Entrypoint) or instruction.is_exec_form:
            continue
        yield JSON_ARGS_RECOMMENDED.finding(
            f"JSON arguments recommended for {instruction.origin.keyword} to prevent unintended "
            "behavior related to OS signals",
            instruction.origin.span,
        )


def _relative_workdir(
    stage: Stage, workdirs: Mapping[Span, str], *, has_workdir: bool
) -> Iterator[CheckWarning]:
    """Only the first WORKDIR counts: once it is absolute, so are those that build on it."""
    first = next((one for one in stage.body if isinstance(one, Workdir)), None)
    if has_workdir or first is None:
        return
    path = workdirs.get(first.origin.span, first.dir)
    if not path.startswith(("/", "$")):
        yield WORKDIR_RELATIVE_PATH.finding(
            f"Relative workdir {quoted(path)} can have unexpected results if the base image "
            "changes",
            first.origin.span,
        )


def _legacy_form(instruction: Instruction) -> Iterator[CheckWarning]:
    if isinstance(instruction, Env | Label) and instruction.is_legacy:
        keyword = instruction.origin.keyword
        yield LEGACY_KEY_VALUE_FORMAT.finding(
            f'"{keyword} key=value" should be used instead of legacy "{keyword} key value" format',
            instruction.origin.span,
        )


def _secrets(instruction: Instruction) -> Iterator[CheckWarning]:
    match instruction:
        case Arg(declarations=pairs):
            keyword, names = "ARG", [name for name, _ in pairs]
        case Env(pairs=pairs):
            keyword, names = "ENV", [name for name, _ in pairs]
        case _:
            return
    for name in names:
        if _has_word(name, _SECRET_WORDS) and not _has_word(name, _HARMLESS_WORDS):
            yield SECRETS_USED_IN_ARG_OR_ENV.finding(
                f"Do not use ARG or ENV instructions for sensitive data ({keyword} {quoted(name)})",
                instruction.origin.span,
            )


def _has_word(name: str, words: str) -> bool:
    return re.search(f"(?:_|^)(?:{words})(?:_|$)", name, re.IGNORECASE | re.ASCII) is not None
