"""Run a container of an image in the foreground."""

from __future__ import annotations

import os

from builder.commands.mounts import with_whole_mounts
from builder.engine import Engine
from builder.events import Warned
from builder.image.model import StoredImage
from builder.runtime.bundle import RunOptions, new_container
from builder.runtime.connecting import networks_of
from builder.runtime.container import Container, HostConfig
from builder.runtime.containers import Containers
from builder.runtime.errors import InvalidOptionError
from builder.runtime.lifecycle import Runner, given_up, run_to_end
from builder.runtime.names import checked_name
from builder.runtime.networkmode import host_name, settled, this_machine
from builder.runtime.signals import SignalQueue, queued_signals
from builder.runtime.streams import Attachment, CallerStreams, attached
from builder.runtime.terminal import require_terminal
from builder.sandbox.api import Executor
from cache.record import record, replace


@record
class RunRequest:
    """All that a run is asked for."""

    image: str
    options: RunOptions
    caller: CallerStreams
    cidfile: str = ""  # gets the container's id; must not be there


def run(engine: Engine, request: RunRequest) -> int:
    """Run a new container to its end; the exit status of its process.

    For the main thread, which gets the signals. ProgramNotFoundError and
    ProgramNotExecutableError where the process can't be started, other errors for the rest.
    """
    host = request.options.host
    if host.terminal and host.stdin_open:
        require_terminal(request.caller.stdin)
    executor = engine.executor()
    executor.prepare()  # first of all: it gets ready while the rest is looked up
    image = _image(engine, request.image)  # before signals are the container's: one may end a pull
    with queued_signals() as signals:
        containers = Containers(engine.state, engine.database, engine.now)
        containers.sweep()
        container = _new_container(engine, containers, request, image)
        runner = _runner(engine, containers, executor, signals)
        with attached(request.caller, container.host) as attachment:
            status = _run(container, runner, attachment, request.cidfile)
            attachment.drain(lambda: given_up(signals))
        return status


def _run(container: Container, runner: Runner, attachment: Attachment, cidfile: str) -> int:
    containers = runner.containers
    with containers.created(container) as created:
        try:
            if cidfile:
                _write_cidfile(cidfile, created.container_id)
            return run_to_end(created, runner, attachment)
        finally:
            if created.host.auto_remove:
                containers.remove(created.container_id, volumes=created.anonymous_volumes)


def _new_container(
    engine: Engine, containers: Containers, request: RunRequest, image: StoredImage
) -> Container:
    options = with_whole_mounts(engine, containers, request.options)
    if options.name:
        checked_name(options.name)
    options = replace(options, host=_settled_host(engine, options.host))
    return new_container(
        image,
        request.image,
        options,
        container_id=_new_id(),
        created=engine.now(),
        new_volume_name=_new_id,
    )


def _settled_host(engine: Engine, host: HostConfig) -> HostConfig:
    """The options with what depends on this machine put in."""
    networking = settled(
        host.networking,
        this_machine(rootless=engine.settings.rootless),
        os.environ,
        warn=lambda text: engine.emit(Warned(text)),
    )
    if "host" in {networking.mode, host.security.uts} and not networking.hostname:
        networking = replace(networking, hostname=host_name())
    return replace(host, networking=networking)


def _runner(
    engine: Engine, containers: Containers, executor: Executor, signals: SignalQueue
) -> Runner:
    networks = networks_of(
        engine.state, containers, rootless=engine.settings.rootless, now=engine.now
    )
    return Runner(containers, engine.snapshots, executor, signals, engine.now, networks)


def _image(engine: Engine, text: str) -> StoredImage:
    """The image that the store has, or a registry. UnknownImageError says why there is none."""
    image = engine.images.find(text)
    if image is None:
        from builder.commands.pull import pull_missing  # noqa: PLC0415 - few runs pull

        image = pull_missing(engine, text)
    return image


def _new_id() -> str:
    return os.urandom(32).hex()


def _write_cidfile(path: str, container_id: str) -> None:
    try:
        with open(path, "x", encoding="ascii") as file:
            file.write(container_id)
    except FileExistsError as error:
        raise InvalidOptionError(
            f"--cidfile {path}: the file is there already",
            hint="it may be another container's: remove it or name another file",
        ) from error
