"""Instructions that change the image's configuration and nothing else."""

from __future__ import annotations

from builder.frontend.goformat import (
    duration_text,
    plain_list,
    quoted,
    quoted_list,
    quoted_rune,
)
from builder.frontend.instructions import (
    Arg,
    Cmd,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Shell,
    Stopsignal,
    User,
    Volume,
)
from builder.frontend.lintfacts import ExpandedPorts
from builder.frontend.ports import exposed_ports
from builder.frontend.predefined import NOT_IN_ENVIRONMENT
from builder.frontend.problems import WordProblemError
from builder.frontend.signals import check_signal
from builder.frontend.stagestate import StageState
from builder.image.model import Healthcheck as HealthcheckConfig
from cache.record import replace

Pairs = tuple[tuple[str, str], ...]


def set_env(state: StageState, env: Env) -> None:
    """ENV: all of its values see the variables as they were before it."""
    pairs = _expanded_pairs(state, env)
    for name, value in pairs:
        state.set_value(name, value)
    state.config = replace(state.config, env=_merged(state.config.env, pairs))
    state.record(f"ENV {_joined(pairs)}")


def set_labels(state: StageState, label: Label) -> None:
    """LABEL."""
    pairs = _expanded_pairs(state, label)
    state.config = replace(state.config, labels=_merged(state.config.labels, pairs))
    state.record(f"LABEL {_joined(pairs)}")


def _expanded_pairs(state: StageState, instruction: Env | Label) -> Pairs:
    return tuple(
        (state.expand(name, instruction.origin), state.expand(value, instruction.origin))
        for name, value in instruction.pairs
    )


def _merged(pairs: Pairs, changes: Pairs) -> Pairs:
    """A changed value stays where it was, a new one comes last."""
    return tuple({**dict(pairs), **dict(changes)}.items())


def _joined(pairs: Pairs) -> str:
    return " ".join(f"{name}={value}" for name, value in pairs)


def declare_args(state: StageState, arg: Arg) -> None:
    """ARG: a given value wins over the default, and the default over a global ARG's value."""
    shown: list[str] = []
    for name, default in arg.declarations:
        value = _arg_value(state, arg, name, default)
        state.args[name] = value
        if value is not None and name not in NOT_IN_ENVIRONMENT:
            state.set_value(name, value)
        shown.append(name if value is None else f"{name}={value}")
    state.record(f"ARG {' '.join(shown)}")


def _arg_value(state: StageState, arg: Arg, name: str, default: str | None) -> str | None:
    given = state.planning.build_args.get(name)
    if given is not None:
        return given
    if default is not None:
        return state.expand(default, arg.origin)
    return state.planning.global_values.get(name)


def set_user(state: StageState, user: User) -> None:
    """USER: looked up when something runs, not here."""
    name = state.expand(user.user, user.origin)
    state.config = replace(state.config, user=name)
    state.record(f"USER {name}")


def set_cmd(state: StageState, cmd: Cmd) -> None:
    """CMD."""
    args = _command(state, cmd)
    state.config = replace(state.config, cmd=args)
    state.cmd_is_set = True
    state.record(f"CMD {quoted_list(args)}")


def set_entrypoint(state: StageState, entrypoint: Entrypoint) -> None:
    """ENTRYPOINT: a CMD from below was meant for another program and goes."""
    args = _command(state, entrypoint)
    state.config = replace(state.config, entrypoint=args)
    if not state.cmd_is_set:
        state.config = replace(state.config, cmd=None)
    state.record(f"ENTRYPOINT {quoted_list(args)}")


def _command(state: StageState, instruction: Cmd | Entrypoint) -> tuple[str, ...]:
    if instruction.is_exec_form:
        return instruction.args
    return state.with_shell(instruction.args[0])


def expose(state: StageState, expose: Expose) -> None:
    """EXPOSE: a variable may hold several ports."""
    words = tuple(word for port in expose.ports for word in state.expand_words(port, expose.origin))
    state.planning.findings.exposed.append(ExpandedPorts(words, expose.origin.span))
    ports = [port for word in words for port in exposed_ports(word)]
    state.config = replace(
        state.config, exposed_ports=tuple(sorted({*state.config.exposed_ports, *ports}))
    )
    state.record(f"EXPOSE {plain_list(ports)}")


def add_volumes(state: StageState, volume: Volume) -> None:
    """VOLUME."""
    paths = state.expand_all(volume.paths, volume.origin)
    for path, word in zip(paths, volume.paths, strict=True):
        if not path:
            raise WordProblemError("VOLUME specified can not be an empty string", word=word)
    state.config = replace(state.config, volumes=tuple(sorted({*state.config.volumes, *paths})))
    state.record(f"VOLUME {plain_list(paths)}")


def set_shell(state: StageState, shell: Shell) -> None:
    """SHELL."""
    state.config = replace(state.config, shell=shell.args)
    state.record(f"SHELL {plain_list(shell.args)}")


def set_stop_signal(state: StageState, stopsignal: Stopsignal) -> None:
    """STOPSIGNAL."""
    signal = state.expand(stopsignal.signal, stopsignal.origin)
    check_signal(signal)
    state.config = replace(state.config, stop_signal=signal)
    state.record(f"STOPSIGNAL {signal}")


def set_healthcheck(state: StageState, healthcheck: Healthcheck) -> None:
    """HEALTHCHECK."""
    state.config = replace(state.config, healthcheck=healthcheck.check)
    state.record(f"HEALTHCHECK {_shown_check(healthcheck.check)}")


def _shown_check(check: HealthcheckConfig) -> str:
    """As Go prints the structure with %q: the durations' names in quotes, the number a rune."""
    durations = (
        check.interval_ns,
        check.timeout_ns,
        check.start_period_ns,
        check.start_interval_ns,
    )
    texts = " ".join(quoted(duration_text(duration)) for duration in durations)
    return f"&{{{quoted_list(check.test)} {texts} {quoted_rune(check.retries)}}}"


def store_trigger(state: StageState, onbuild: Onbuild) -> None:
    """ONBUILD leaves no entry in the history."""
    state.config = replace(state.config, on_build=(*state.config.on_build, onbuild.trigger))


def set_maintainer(state: StageState, maintainer: Maintainer) -> None:
    """MAINTAINER."""
    state.author = maintainer.author
    state.record(f"MAINTAINER {maintainer.author}")
