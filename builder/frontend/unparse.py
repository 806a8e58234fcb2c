"""Instructions as text again. Reading what is printed gives equal instructions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import assert_never

from builder.frontend.goformat import SPACE, duration_text
from builder.frontend.heredoc import Heredoc
from builder.frontend.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Dockerfile,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from builder.image.model import Healthcheck as HealthcheckConfig

_UNSAFE_IN_WORD = re.compile(r"""[\s"'\\$`<]""")


def unparse(dockerfile: Dockerfile) -> str:
    """The whole Dockerfile: directives and instructions, no comments, nothing continued."""
    directives = (f"# {found.name}={found.value}\n" for found in dockerfile.directives)
    instructions = (
        unparse_instruction(instruction, dockerfile.escape)
        for instruction in dockerfile.instructions
    )
    return "".join((*directives, *instructions))


def unparse_instruction(instruction: Instruction, escape: str = "\\") -> str:
    """One instruction with the bodies of its heredocs; ends with a newline."""
    lines = [_line(instruction)]
    if isinstance(instruction, Run | Copy | Add):
        lines += [f"{heredoc.body}{heredoc.name}" for heredoc in instruction.heredocs]
    # white space that isn't a blank or tab keeps an escape character from continuing the line
    if lines[0].endswith(escape):
        lines[0] += "\v"
    return "\n".join(lines) + "\n"


def _line(instruction: Instruction) -> str:  # noqa: C901, PLR0911, PLR0912 - a table
    match instruction:
        case From():
            name = f" AS {instruction.name}" if instruction.name else ""
            flags = _flag("platform", instruction.platform)
            return _joined("FROM", flags, f"{instruction.image}{name}")
        case Run():
            return _joined("RUN", _run_flags(instruction), _command(instruction))
        case Copy():
            return _joined("COPY", _copy_flags(instruction), _sources_and_dest(instruction))
        case Add():
            return _joined("ADD", _add_flags(instruction), _sources_and_dest(instruction))
        case Env() | Label():
            keyword = "ENV" if isinstance(instruction, Env) else "LABEL"
            between = " " if instruction.is_legacy else "="
            pairs = (f"{name}{between}{value}" for name, value in instruction.pairs)
            return _joined(keyword, [], " ".join(pairs))
        case Arg():
            declared = (
                name if default is None else f"{name}={default}"
                for name, default in instruction.declarations
            )
            return _joined("ARG", [], " ".join(declared))
        case Workdir():
            return _joined("WORKDIR", [], instruction.dir)
        case User():
            return _joined("USER", [], instruction.user)
        case Cmd():
            return _joined("CMD", [], _command(instruction))
        case Entrypoint():
            return _joined("ENTRYPOINT", [], _command(instruction))
        case Expose():
            return _joined("EXPOSE", [], " ".join(instruction.ports))
        case Volume():
            return _joined("VOLUME", [], _words(instruction.paths))
        case Shell():
            return _joined("SHELL", [], _array(instruction.args))
        case Stopsignal():
            return _joined("STOPSIGNAL", [], instruction.signal)
        case Healthcheck():
            return _healthcheck(instruction.check)
        case Onbuild():
            return f"ONBUILD {instruction.trigger}"
        case Maintainer():
            return _joined("MAINTAINER", [], instruction.author)
        case _:
            assert_never(instruction)


def _joined(keyword: str, flags: Sequence[str], rest: str) -> str:
    """Flags, and "--" after them where what follows looks like one more."""
    guard = ["--"] if rest.startswith("--") else []
    return " ".join(word for word in (keyword, *flags, *guard, rest) if word)


def _flag(name: str, *values: str) -> list[str]:
    """Each value as a flag of its own; one that is empty isn't given."""
    return [f"--{name}={_escaped(value)}" for value in values if value]


def _escaped(value: str) -> str:
    """In flags a backslash escapes anything, whatever the directive says."""
    return re.sub(r"""([\s"'\\])""", r"\\\1", value)


def _truth(name: str, *, value: bool | None) -> list[str]:
    return [] if value is None else [f"--{name}={'true' if value else 'false'}"]


def _run_flags(run: Run) -> list[str]:
    return [
        *_flag("mount", *run.mounts),
        *_flag("network", run.network),
        *_flag("security", run.security),
        *_flag("device", *run.devices),
    ]


def _copy_flags(copy: Copy) -> list[str]:
    return [
        *_flag("from", copy.from_name),
        *_flag("chown", copy.chown),
        *_flag("chmod", copy.chmod),
        *_truth("link", value=copy.link or None),
        *_truth("parents", value=copy.parents or None),
        *_flag("exclude", *copy.exclude),
    ]


def _add_flags(add: Add) -> list[str]:
    return [
        *_flag("chown", add.chown),
        *_flag("chmod", add.chmod),
        *_truth("link", value=add.link or None),
        *_flag("exclude", *add.exclude),
        *_flag("checksum", add.checksum),
        *_truth("keep-git-dir", value=add.keep_git_dir),
        *_truth("unpack", value=add.unpack),
    ]


def _command(instruction: Run | Cmd | Entrypoint) -> str:
    return _array(instruction.args) if instruction.is_exec_form else instruction.args[0]


def _array(words: Sequence[str]) -> str:
    return json.dumps(words, ensure_ascii=False)


def _words(words: Sequence[str]) -> str:
    """Plain where every word stays one word, else a JSON array."""
    is_plain = all(word and not set(word) & set(SPACE) for word in words)
    plain = " ".join(words)
    return plain if is_plain and not plain.startswith("[") else _array(words)


def _sources_and_dest(instruction: Copy | Add) -> str:
    if not instruction.heredocs:
        return _words((*instruction.sources, instruction.dest))
    marks = map(_heredoc_mark, instruction.heredocs)
    return " ".join((*instruction.sources, *marks, instruction.dest))


def _heredoc_mark(heredoc: Heredoc) -> str:
    descriptor = heredoc.descriptor or ""
    dash = "-" if heredoc.strips_tabs else ""
    return f"{descriptor}<<{dash}{_heredoc_word(heredoc)}"


def _heredoc_word(heredoc: Heredoc) -> str:
    """The closing word, quoted where nothing is to be expanded."""
    if heredoc.expands:
        return _UNSAFE_IN_WORD.sub(r"\\\g<0>", heredoc.name)
    if "'" not in heredoc.name:
        return f"'{heredoc.name}'"
    escaped = re.sub(r'(["\\$])', r"\\\1", heredoc.name)
    return f'"{escaped}"'


def _healthcheck(check: HealthcheckConfig) -> str:
    kind, *words = check.test
    if kind == "NONE":
        return "HEALTHCHECK NONE"
    command = words[0] if kind == "CMD-SHELL" else _array(words)
    return _joined("HEALTHCHECK", list(_health_flags(check)), f"CMD {command}")


def _health_flags(check: HealthcheckConfig) -> Iterator[str]:
    durations = {
        "interval": check.interval_ns,
        "timeout": check.timeout_ns,
        "start-period": check.start_period_ns,
        "start-interval": check.start_interval_ns,
    }
    for name, duration in durations.items():
        if duration:
            yield f"--{name}={duration_text(duration)}"
    if check.retries:
        yield f"--retries={check.retries}"
