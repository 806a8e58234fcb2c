"""Run a container of an image: in the foreground, or detached."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from builder.commands.mounts import with_whole_mounts
from builder.commands.network_choice import with_network
from builder.commands.run_image import ImageChoice, chosen_image
from builder.engine import Engine
from builder.runtime import ending
from builder.runtime.assigning import user_of_keep_id
from builder.runtime.bundle import RunOptions, new_container
from builder.runtime.connecting import networks_of
from builder.runtime.container import Container
from builder.runtime.containers import Containers, HeldContainer
from builder.runtime.errors import InvalidOptionError
from builder.runtime.lifecycle import Runner, start
from builder.runtime.names import checked_name
from builder.runtime.streams import CallerStreams, StreamChoice
from builder.runtime.terminal import require_terminal
from cache.record import field, record, replace

if TYPE_CHECKING:
    from builder.runtime.control import Connection
    from builder.runtime.streams import Attachment
    from builder.sandbox.api import ContainerExecutor


@record
class RunRequest:
    """All that a run is asked for."""

    image: str
    options: RunOptions
    caller: CallerStreams
    choice: ImageChoice = field(default_factory=ImageChoice)
    cidfile: str = ""  # gets the container's id; must not be there
    detached: bool = False
    attached: frozenset[str] = frozenset()  # of stdin, stdout, stderr; none: as -i and -d say
    detach_keys: bytes = b""
    forward_signals: bool = True


@record
class RunOutcome:
    """How a run ended, or that it goes on."""

    container_id: str
    exit_code: int | None  # None: the container goes on without this process
    announced: bool = False  # whether the caller wants to read the id


def run(engine: Engine, request: RunRequest) -> RunOutcome:
    """Run a new container: to its end, or until the caller detaches, or only start it.

    For the main thread, which gets the signals. ProgramNotFoundError and
    ProgramNotExecutableError where the process can't be started, other errors for the rest.
    """
    check_terminal(request)
    executor = engine.executor()
    executor.prepare()  # first of all: it gets ready while the rest is looked up
    runner = runner_of(engine, executor)
    runner.containers.sweep()
    container = new_container_of(engine, runner.containers, request)
    with runner.containers.created(container) as held:
        return run_held(held, runner, request)


def check_terminal(request: RunRequest) -> None:
    """TerminalError where the caller's stdin is to be one, and isn't."""
    choice = stream_choice(request)
    if choice is not None and choice.terminal and choice.stdin:
        require_terminal(request.caller.stdin)


def run_held(held: HeldContainer, runner: Runner, request: RunRequest) -> RunOutcome:
    """Run a container that there is: of the request only what is about the caller counts."""
    choice = stream_choice(request)
    if choice is not None:
        return _foreground(held, runner, request, choice)
    _started(held, runner, request)
    return RunOutcome(held.container.container_id, None, announced=True)


def runner_of(engine: Engine, executor: ContainerExecutor) -> Runner:
    """What it takes to start containers."""
    containers = Containers(engine.state, engine.database, engine.now)
    rootless = engine.settings.rootless
    return Runner(
        containers=containers,
        networks=networks_of(engine.state, containers, rootless=rootless, now=engine.now),
        snapshots=engine.snapshots,
        executor=executor,
        root_dir=engine.settings.root_dir,
        rootless=rootless,
        now=engine.now,
    )


def stream_choice(request: RunRequest) -> StreamChoice | None:
    """Which streams the caller is tied to; None for a container that runs by itself."""
    if request.detached:
        return None
    host = request.options.host
    wanted = request.attached or frozenset({"stdin", "stdout", "stderr"})
    return StreamChoice(
        stdin="stdin" in wanted and host.stdin_open,
        stdout="stdout" in wanted,
        stderr="stderr" in wanted,
        terminal=host.terminal,
        detach_keys=request.detach_keys,
    )


def _foreground(
    held: HeldContainer, runner: Runner, request: RunRequest, choice: StreamChoice
) -> RunOutcome:
    from builder.runtime.following import follow, given_up  # noqa: PLC0415 - not for -d
    from builder.runtime.signals import queued_signals  # noqa: PLC0415
    from builder.runtime.streams import attached  # noqa: PLC0415

    container = held.container
    with queued_signals() as signals, attached(request.caller, choice) as attachment:
        connection = _started(held, runner, request, attachment)
        assert connection is not None, "it was attached"
        exit_code = follow(
            connection,
            signals,
            attachment,
            forward_signals=request.forward_signals,
            owns=True,
        )
        if exit_code is None:
            connection.close()
            return RunOutcome(container.container_id, None)
        state = runner.containers.settle(container.container_id)
        if not state.restarting:
            ending.finish(container, runner.containers, runner.snapshots)
        attachment.drain(lambda: given_up(signals))
        if state.restarting:
            connection.close()
        else:
            connection.send("cleaned")
            runner.executor.join()
    return RunOutcome(container.container_id, exit_code)


def _started(
    held: HeldContainer,
    runner: Runner,
    request: RunRequest,
    attachment: Attachment | None = None,
) -> Connection | None:
    """As `start`; a container with --rm that can't be started is gone afterwards."""
    try:
        if request.cidfile:
            write_cidfile(request.cidfile, held.container.container_id)
        return start(held, runner, attachment=attachment)
    except BaseException:
        if held.container.host.auto_remove:
            ending.finish(held.container, runner.containers, runner.snapshots)
        raise


def new_container_of(engine: Engine, containers: Containers, request: RunRequest) -> Container:
    """The container that is asked for, as a record alone; its image is pulled if need be."""
    image = chosen_image(
        engine, request.image, request.choice
    )  # before signals are the container's: one may end a pull
    options = with_whole_mounts(engine, containers, request.options)
    if options.name:
        checked_name(options.name)
    options = replace(options, host=with_network(engine, containers, options.host))
    if options.user is None and options.host.security.userns:
        options = replace(options, user=user_of_keep_id(options.host.security.userns))
    return new_container(
        image,
        request.image,
        options,
        container_id=_new_id(),
        created=engine.now(),
        new_volume_name=_new_id,
    )


def _new_id() -> str:
    return os.urandom(32).hex()


def write_cidfile(path: str, container_id: str) -> None:
    """Write the id to a new file."""
    try:
        with open(path, "x", encoding="ascii") as file:
            file.write(container_id)
    except FileExistsError as error:
        raise InvalidOptionError(
            f"--cidfile {path}: the file is there already",
            hint="it may be another container's: remove it or name another file",
        ) from error
