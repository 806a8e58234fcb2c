"""RUN and WORKDIR: instructions that become steps over the stage's own root filesystem."""

from __future__ import annotations

from typing import TypeVar

from builder.errors import SyntaxProblemError, UnsupportedError
from builder.frontend.goformat import quoted
from builder.frontend.heredoc import read_heredoc_word
from builder.frontend.instructions import Run, Workdir
from builder.frontend.lintfacts import ExpandedWorkdir
from builder.frontend.paths import absolute
from builder.frontend.problems import did_you_mean, word_span
from builder.frontend.runmounts import MountInputs
from builder.frontend.stagestate import StageState
from builder.graph.model import ExecOp, InlineFile, NetworkMode, SecurityMode, WorkdirOp
from cache.record import replace

_Mode = TypeVar("_Mode", NetworkMode, SecurityMode)

_SCRIPTS_DIR = "/dev/pipes"
_NETWORKS: tuple[NetworkMode, ...] = ("default", "none", "host")
_SECURITIES: tuple[SecurityMode, ...] = ("sandbox", "insecure")


def plan_run(state: StageState, run: Run) -> None:
    """RUN: one step, one layer."""
    if run.devices:
        raise UnsupportedError(
            f"RUN --device={run.devices[0]} is not supported",
            span=word_span(run.origin.span, "--device"),
            hint="devices cannot be handed to a step",
        )
    command, summary, scripts = _command(run)
    args = run.args if run.is_exec_form else state.with_shell(command)
    options, settings = state.planning.options, state.planning.settings
    mounts = MountInputs(state)
    operation = ExecOp(
        args=args,
        env=tuple(state.values.items()),
        cwd=state.workdir,
        user=state.config.user,
        mounts=mounts.read_all(run),
        inline_files=scripts,
        network=_network(state, run),
        security=_security(state, run),
        unkeyed_env=tuple(pair for pair in settings.proxies if pair[0] not in state.values),
        extra_hosts=options.extra_hosts,
        hostname=settings.hostname,
        epoch=settings.epoch,
    )
    state.root = state.planning.graph.add(
        operation,
        (state.root, *mounts.vertices),
        name=state.step_name(run, summary),
        span=run.origin.span,
        no_cache=state.no_cache,
    )
    state.record(f"RUN {' '.join((*_shown_args(state), *args))} # buildkit", has_layer=True)


def _command(run: Run) -> tuple[str, str, tuple[InlineFile, ...]]:
    """The shell form's text, a summary of a script for people, and files that the step needs."""
    text = run.args[0]
    if not run.heredocs:
        return text, "", ()
    first = run.heredocs[0]
    if not read_heredoc_word(text):
        # here-documents among other words are the shell's business
        bodies = (f"\n{heredoc.body}{heredoc.name}" for heredoc in run.heredocs)
        return text + "".join(bodies), "", ()
    if not first.content.startswith("#!"):
        return first.content, first.summary, ()
    script = InlineFile(f"{_SCRIPTS_DIR}/{first.file_name}", first.content, mode=0o755)
    return script.name, first.summary, (script,)


def _shown_args(state: StageState) -> list[str]:
    """ARGs in force, as the history shows them before the command: |2 A=1 B=2."""
    if not state.args:
        return []
    shown = (f"{name}={state.values.get(name, value or '')}" for name, value in state.args.items())
    return [f"|{len(state.args)}", *shown]


def _network(state: StageState, run: Run) -> NetworkMode:
    mode = _one_of(run, "network", run.network or "default", _NETWORKS)
    options = state.planning.options
    if mode == "host" and options.network != "host" and "network.host" not in options.allow:
        raise UnsupportedError(
            "RUN --network=host: network.host is not allowed",
            span=word_span(run.origin.span, "--network"),
            hint="allow it with --allow network.host",
        )
    return options.network if mode == "default" else mode


def _security(state: StageState, run: Run) -> SecurityMode:
    mode = _one_of(run, "security", run.security or "sandbox", _SECURITIES)
    if mode == "insecure" and "security.insecure" not in state.planning.options.allow:
        raise UnsupportedError(
            "RUN --security=insecure: security.insecure is not allowed",
            span=word_span(run.origin.span, "--security"),
            hint="allow it with --allow security.insecure",
        )
    return mode


def _one_of(run: Run, flag: str, value: str, modes: tuple[_Mode, ...]) -> _Mode:
    for mode in modes:
        if mode == value:
            return mode
    raise SyntaxProblemError(
        f"invalid {flag} mode: {quoted(value)}",
        span=word_span(run.origin.span, value),
        hint=did_you_mean(value, modes) or f"it is one of {', '.join(modes)}",
    )


def plan_workdir(state: StageState, workdir: Workdir) -> None:
    """WORKDIR: makes the directory, except for the root, which is always there."""
    path = state.expand(workdir.dir, workdir.origin)
    workdir_path = absolute(path, state.workdir)
    state.config = replace(state.config, working_dir=workdir_path)
    state.planning.findings.workdirs.append(ExpandedWorkdir(path, workdir.origin.span))
    if workdir_path != "/":
        operation = WorkdirOp(
            workdir_path, user=state.config.user, epoch=state.planning.settings.epoch
        )
        state.root = state.planning.graph.add(
            operation, (state.root,), name=state.step_name(workdir), span=workdir.origin.span
        )
    state.record(f"WORKDIR {workdir_path}", has_layer=workdir_path != "/")
