"""One reader for each keyword: from an instruction's text to its frozen form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from builder.frontend.flags import FlagKind, FlagValues, read_flags, split_command
from builder.frontend.goformat import SPACE, duration_ns, quoted
from builder.frontend.heredoc import Heredoc, read_heredoc_word
from builder.frontend.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Origin,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from builder.frontend.jsonform import json_words
from builder.frontend.mounts import check_is_constant, mount_source
from builder.frontend.problems import WordProblemError
from builder.frontend.words import split_blanks, split_pairs, split_quoted
from builder.image.model import Healthcheck as HealthcheckConfig
from cache.record import record

_STAGE_NAME = r"[a-z][a-z0-9_.-]*\Z"
_ONBUILD = r"(?i)\s*ONBUILD\s*"
_NO_TRIGGERS = frozenset({"MAINTAINER", "FROM"})
_MILLISECOND_NS = 1000_000

_FROM_FLAGS: Mapping[str, FlagKind] = {"platform": "text"}
_RUN_FLAGS: Mapping[str, FlagKind] = {
    "mount": "texts",
    "network": "text",
    "security": "text",
    "device": "texts",
}
_COPY_FLAGS: Mapping[str, FlagKind] = {
    "from": "text",
    "chown": "text",
    "chmod": "text",
    "link": "truth",
    "parents": "truth",
    "exclude": "texts",
}
_ADD_FLAGS: Mapping[str, FlagKind] = {
    "chown": "text",
    "chmod": "text",
    "link": "truth",
    "exclude": "texts",
    "checksum": "text",
    "keep-git-dir": "truth",
    "unpack": "truth",
}
_HEALTHCHECK_FLAGS: Mapping[str, FlagKind] = {
    "interval": "text",
    "timeout": "text",
    "start-period": "text",
    "start-interval": "text",
    "retries": "text",
}
_PLAIN_FLAGS: Mapping[str, FlagKind] = {}


@record
class Request:
    """What a reader gets: the instruction without its keyword and flags."""

    origin: Origin
    flags: tuple[str, ...]
    rest: str
    heredocs: tuple[Heredoc, ...]
    escape: str

    def read_flags(self, kinds: Mapping[str, FlagKind] = _PLAIN_FLAGS) -> FlagValues:
        return read_flags(self.flags, kinds)


def _read_from(request: Request) -> From:
    words = split_blanks(request.rest)
    is_named = len(words) == 3 and words[1].lower() == "as"
    if len(words) != 1 and not is_named:
        raise WordProblemError(
            "FROM requires either one or three arguments",
            hint="write FROM IMAGE or FROM IMAGE AS NAME",
        )
    name = words[2] if is_named else ""
    if name and not re.match(_STAGE_NAME, name.lower()):
        raise WordProblemError(
            f"invalid name for build stage: {quoted(name)}, "
            "name can't start with a number or contain symbols",
            word=name,
        )
    return From(
        request.origin,
        image=words[0],
        name=name.lower(),
        name_as_written=name,
        as_keyword=words[1] if is_named else "",
        platform=request.read_flags(_FROM_FLAGS).text("platform"),
    )


def _command_args(request: Request) -> tuple[tuple[str, ...], bool]:
    """The arguments of RUN, CMD and ENTRYPOINT, and whether they are in the exec form."""
    words = json_words(request.rest)
    if words is not None:
        return words, True
    return (request.rest,), False


def _read_run(request: Request) -> Run:
    flags = request.read_flags(_RUN_FLAGS)
    args, is_exec_form = _command_args(request)
    if is_exec_form and not args:
        raise WordProblemError("RUN requires a command", word="[")
    for mount in flags.texts("mount"):
        mount_source(mount)  # refuses what no stage could be found by
    return Run(
        request.origin,
        args=args,
        is_exec_form=is_exec_form,
        heredocs=request.heredocs,
        mounts=flags.texts("mount"),
        network=flags.text("network"),
        security=flags.text("security"),
        devices=flags.texts("device"),
    )


def _read_cmd(request: Request) -> Cmd:
    request.read_flags()
    return Cmd(request.origin, *_command_args(request))


def _read_entrypoint(request: Request) -> Entrypoint:
    request.read_flags()
    return Entrypoint(request.origin, *_command_args(request))


def _sources_and_dest(
    request: Request, keyword: str
) -> tuple[tuple[str, ...], tuple[Heredoc, ...], str]:
    """What COPY and ADD take: paths, heredocs, and the last word."""
    words = json_words(request.rest)
    is_json = words is not None
    if words is None:
        words = tuple(split_blanks(request.rest))
    if len(words) < 2:
        raise WordProblemError(
            f"{keyword} requires at least two arguments, but only one was provided. "
            "Destination could not be determined"
        )
    *sources, dest = words
    if is_json:
        return tuple(sources), (), dest
    if read_heredoc_word(dest):
        raise WordProblemError(f"{keyword} cannot accept a heredoc as a destination", word=dest)
    bodies = list(request.heredocs)
    paths: list[str] = []
    heredocs: list[Heredoc] = []
    for source in sources:
        heredoc = _taken(read_heredoc_word(source), bodies)
        if heredoc:
            heredocs.append(heredoc)
        else:
            paths.append(source)
    return tuple(paths), tuple(heredocs), dest


def _taken(announced: Heredoc | None, bodies: list[Heredoc]) -> Heredoc | None:
    """The first of `bodies` that has the name, taken out of the list."""
    if announced is None:
        return None
    for index, heredoc in enumerate(bodies):
        if heredoc.name == announced.name:
            return bodies.pop(index)
    return None


def _read_copy(request: Request) -> Copy:
    sources, heredocs, dest = _sources_and_dest(request, "COPY")
    flags = request.read_flags(_COPY_FLAGS)
    check_is_constant("--from", flags.text("from"))
    return Copy(
        request.origin,
        sources=sources,
        heredocs=heredocs,
        dest=dest,
        from_name=flags.text("from"),
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=bool(flags.truth("link")),
        parents=bool(flags.truth("parents")),
        exclude=flags.texts("exclude"),
    )


def _read_add(request: Request) -> Add:
    sources, heredocs, dest = _sources_and_dest(request, "ADD")
    flags = request.read_flags(_ADD_FLAGS)
    return Add(
        request.origin,
        sources=sources,
        heredocs=heredocs,
        dest=dest,
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=bool(flags.truth("link")),
        exclude=flags.texts("exclude"),
        checksum=flags.text("checksum"),
        keep_git_dir=flags.truth("keep-git-dir"),
        unpack=flags.truth("unpack"),
    )


def _pairs(request: Request, keyword: str) -> tuple[tuple[tuple[str, str], ...], bool]:
    request.read_flags()
    pairs, is_legacy = split_pairs(request.rest, request.escape, keyword)
    if not pairs:
        raise _needs_arguments(keyword)
    for name, _ in pairs:
        if not name:
            raise WordProblemError(f"{keyword} names can not be blank", word="=")
    return pairs, is_legacy


def _read_env(request: Request) -> Env:
    return Env(request.origin, *_pairs(request, "ENV"))


def _read_label(request: Request) -> Label:
    return Label(request.origin, *_pairs(request, "LABEL"))


def _read_arg(request: Request) -> Arg:
    request.read_flags()
    words = split_quoted(request.rest, request.escape)
    if not words:
        raise _needs_arguments("ARG")
    declarations: list[tuple[str, str | None]] = []
    for word in words:
        name, equals, default = word.partition("=")
        if not name:
            raise WordProblemError("ARG names can not be blank", word=word)
        declarations.append((name, default if equals else None))
    return Arg(request.origin, tuple(declarations))


def _one_argument(request: Request, keyword: str) -> str:
    """The whole rest of the line."""
    if not request.rest:
        raise WordProblemError(f"{keyword} requires exactly one argument")
    request.read_flags()
    return request.rest


def _read_workdir(request: Request) -> Workdir:
    return Workdir(request.origin, _one_argument(request, "WORKDIR"))


def _read_user(request: Request) -> User:
    return User(request.origin, _one_argument(request, "USER"))


def _read_stopsignal(request: Request) -> Stopsignal:
    return Stopsignal(request.origin, _one_argument(request, "STOPSIGNAL"))


def _read_maintainer(request: Request) -> Maintainer:
    return Maintainer(request.origin, _one_argument(request, "MAINTAINER"))


def _read_expose(request: Request) -> Expose:
    words = split_blanks(request.rest)
    if not words:
        raise _needs_arguments("EXPOSE")
    request.read_flags()
    return Expose(request.origin, tuple(sorted(words)))


def _read_volume(request: Request) -> Volume:
    words = json_words(request.rest)
    if words is None:
        words = tuple(split_blanks(request.rest))
    if not words:
        raise _needs_arguments("VOLUME")
    request.read_flags()
    paths = tuple(word.strip(SPACE) for word in words)
    if not all(paths):
        raise WordProblemError("VOLUME specified can not be an empty string")
    return Volume(request.origin, paths)


def _read_shell(request: Request) -> Shell:
    request.read_flags()
    words = json_words(request.rest)
    if words or (words is None and request.rest):
        if words is None:
            raise WordProblemError(
                f"SHELL requires the arguments to be in JSON form: {request.origin.text}",
                word=request.rest,
                hint='write SHELL ["/bin/sh", "-c"]',
            )
        return Shell(request.origin, words)
    raise _needs_arguments("SHELL")


def _read_healthcheck(request: Request) -> Healthcheck:
    # the type ends at any white space, as the arguments after it may be of either form
    words = request.rest.split(maxsplit=1)
    if not words:
        raise _needs_arguments("HEALTHCHECK")
    kind = words[0].upper()
    command = words[1] if len(words) == 2 else ""
    if kind == "NONE":
        if command:
            raise WordProblemError("HEALTHCHECK NONE takes no arguments", word=command)
        return Healthcheck(request.origin, HealthcheckConfig(test=("NONE",)))
    flags = request.read_flags(_HEALTHCHECK_FLAGS)
    if kind != "CMD":
        raise WordProblemError(
            f"Unknown type {quoted(kind)} in HEALTHCHECK (try CMD)", word=words[0]
        )
    check = HealthcheckConfig(
        test=_health_test(command),
        interval_ns=_interval(flags, "interval"),
        timeout_ns=_interval(flags, "timeout"),
        start_period_ns=_interval(flags, "start-period"),
        start_interval_ns=_interval(flags, "start-interval"),
        retries=_retries(flags.text("retries")),
    )
    return Healthcheck(request.origin, check)


def _health_test(command: str) -> tuple[str, ...]:
    words = json_words(command)
    if words:
        return ("CMD", *words)
    if words is not None or not command:
        raise WordProblemError("Missing command after HEALTHCHECK CMD")
    return ("CMD-SHELL", command)


def _interval(flags: FlagValues, name: str) -> int:
    """Nanoseconds; 0 for the default."""
    text = flags.text(name)
    if not text:
        return 0
    try:
        duration = duration_ns(text)
    except ValueError as error:
        raise WordProblemError(
            str(error), word=text, hint="a duration is a number and a unit: 30s, 1m30s, 500ms"
        ) from error
    if duration != 0 and duration < _MILLISECOND_NS:
        raise WordProblemError(f"Interval {quoted(name)} cannot be less than 1ms", word=text)
    return duration


def _retries(text: str) -> int:
    if not text:
        return 0
    digits = text.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdecimal()) or int(digits) >= 1 << 31:
        raise WordProblemError(f"--retries must be a number, not {quoted(text)}", word=text)
    if text.startswith("-") and int(digits):
        raise WordProblemError(f"--retries cannot be negative ({text})", word=text)
    return int(digits)


def _read_onbuild(request: Request) -> Onbuild:
    trigger = split_command(request.rest)
    if not trigger.keyword:
        raise _needs_arguments("ONBUILD")
    request.read_flags()
    keyword = trigger.keyword.upper()
    if keyword == "ONBUILD":
        raise WordProblemError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if keyword in _NO_TRIGGERS:
        raise WordProblemError(
            f"{keyword} isn't allowed as an ONBUILD trigger", word=trigger.keyword
        )
    _check_shape(keyword, trigger.rest, request.escape)
    text = re.sub(_ONBUILD, "", request.origin.text, count=1).rstrip(SPACE)
    bodies = (f"\n{heredoc.body}{heredoc.name}" for heredoc in request.heredocs)
    return Onbuild(request.origin, text + "".join(bodies))


def _check_shape(keyword: str, rest: str, escape: str) -> None:
    """What is refused of a trigger already where it is stored: the rest shows when it fires."""
    if keyword in {"ENV", "LABEL"}:
        split_pairs(rest, escape, keyword)
    elif keyword == "HEALTHCHECK":
        json_words(" ".join(rest.split(maxsplit=1)[1:]))
    elif keyword in {"ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME"}:
        json_words(rest)


def _needs_arguments(keyword: str) -> WordProblemError:
    return WordProblemError(f"{keyword} requires at least one argument")


Reader = Callable[[Request], Instruction]

READERS: Mapping[str, Reader] = {
    "ADD": _read_add,
    "ARG": _read_arg,
    "CMD": _read_cmd,
    "COPY": _read_copy,
    "ENTRYPOINT": _read_entrypoint,
    "ENV": _read_env,
    "EXPOSE": _read_expose,
    "FROM": _read_from,
    "HEALTHCHECK": _read_healthcheck,
    "LABEL": _read_label,
    "MAINTAINER": _read_maintainer,
    "ONBUILD": _read_onbuild,
    "RUN": _read_run,
    "SHELL": _read_shell,
    "STOPSIGNAL": _read_stopsignal,
    "USER": _read_user,
    "VOLUME": _read_volume,
    "WORKDIR": _read_workdir,
}
"""All keywords."""
