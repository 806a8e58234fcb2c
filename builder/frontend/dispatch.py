"""Which function plans which instruction."""

from __future__ import annotations

from typing import assert_never

from builder.errors import SourceError
from builder.frontend import configure
from builder.frontend.copies import plan_add, plan_copy
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
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from builder.frontend.problems import place
from builder.frontend.runs import plan_run, plan_workdir
from builder.frontend.stagestate import StageState


def plan_instruction(state: StageState, instruction: Instruction) -> None:
    """Change `state` by one instruction; errors get its place."""
    try:
        _plan(state, instruction)
    except SourceError as error:
        place(error, instruction.origin.span)
        raise


def _plan(state: StageState, instruction: Instruction) -> None:  # noqa: C901, PLR0912 - a table
    match instruction:
        case Run():
            plan_run(state, instruction)
        case Copy():
            plan_copy(state, instruction)
        case Add():
            plan_add(state, instruction)
        case Workdir():
            plan_workdir(state, instruction)
        case Env():
            configure.set_env(state, instruction)
        case Label():
            configure.set_labels(state, instruction)
        case Arg():
            configure.declare_args(state, instruction)
        case User():
            configure.set_user(state, instruction)
        case Cmd():
            configure.set_cmd(state, instruction)
        case Entrypoint():
            configure.set_entrypoint(state, instruction)
        case Expose():
            configure.expose(state, instruction)
        case Volume():
            configure.add_volumes(state, instruction)
        case Shell():
            configure.set_shell(state, instruction)
        case Stopsignal():
            configure.set_stop_signal(state, instruction)
        case Healthcheck():
            configure.set_healthcheck(state, instruction)
        case Onbuild():
            configure.store_trigger(state, instruction)
        case Maintainer():
            configure.set_maintainer(state, instruction)
        case From():
            raise AssertionError("a FROM begins a stage and is in none")
        case _:
            assert_never(instruction)
