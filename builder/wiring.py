"""Settings to engine: alone in naming implementations.

Imports stand inside the functions where they would slow commands that don't use them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING

from builder.errors import UsageError
from builder.settings import Settings
from cache.record import replace

if TYPE_CHECKING:  # names only, see above
    from builder.engine import Engine
    from builder.events import Emit, Event
    from builder.export.api import Compression, Exporter
    from builder.export.blobs import LayerBlobs, LayerSink
    from builder.registry.access import RegistryAccess
    from builder.registry.registries import Registries
    from builder.runtime.containers import Containers
    from builder.runtime.paths import ContainerPaths
    from builder.sandbox.api import ContainerExecutor
    from builder.sandbox.server_process import ServerProcess
    from cache.descriptor import ChainId
    from cache.digest import Digest
    from cache.statedir import StateDir


def ignore(event: Event) -> None:
    """An Emit for commands without progress."""


@contextmanager
def open_engine(
    settings: Settings,
    *,
    emit: Emit = ignore,
    mounts: bool = True,
    runs: bool = False,
    access: RegistryAccess | None = None,
) -> Generator[Engine]:
    """The engine over the store; what it started or mounted is gone when the block ends.

    `mounts`: enter namespaces of this process's own, for mounts and, when not root, for the ids
    of the store's files. Commands that only read the index leave it out. Single-threaded up to
    here, or the kernel refuses. `runs`: a process will be run for sure, so the sandbox's server
    gets ready while the rest is imported. `access`: how registries are spoken to.
    """
    with ExitStack() as stack:
        if settings.isolation == "chroot":
            settings = replace(settings, rootless=_without_namespaces(runs=runs))
        elif mounts:
            settings = replace(settings, rootless=_enter_namespaces(emit))
        sandbox = _Sandbox(stack, settings)
        if runs:
            sandbox.start_server()
        yield _engine(settings, sandbox, _Network(stack, access), emit, stack)


@contextmanager
def open_container_paths(settings: Settings) -> Generator[Callable[[str], ContainerPaths]]:
    """Finds the paths of the container that a user means; nothing else of the store is opened."""
    from builder.runtime.lookup import find_container
    from builder.runtime.paths import ContainerPaths
    from cache.database import Database
    from cache.statedir import StateDir

    state = StateDir(settings.root_dir)
    database = Database(state)
    try:
        yield lambda text: ContainerPaths(state.container(find_container(database, text)))
    finally:
        database.close()
        state.close()


@contextmanager
def open_containers(settings: Settings) -> Generator[Containers]:
    """The containers of the store alone, for what their monitors do; no namespace is entered."""
    from builder.runtime.containers import Containers
    from cache.database import Database
    from cache.statedir import StateDir

    state = StateDir(settings.root_dir)
    database = Database(state)
    try:
        yield Containers(state, database, time.time)
    finally:
        database.close()
        state.close()


def _engine(
    settings: Settings, sandbox: _Sandbox, network: _Network, emit: Emit, stack: ExitStack
) -> Engine:
    from builder.engine import Engine
    from builder.image.imagestore import ImageStore
    from cache.content.local import LocalContentStore
    from cache.database import Database
    from cache.index.sqlite import SqliteCacheIndex
    from cache.leases import Leases
    from cache.snapshot.overlay import OverlaySnapshotter
    from cache.statedir import StateDir

    state = StateDir(settings.root_dir)
    stack.callback(state.close)
    swept = state.sweep()
    database = Database(state)
    stack.callback(database.close)
    content = LocalContentStore(state)
    snapshots = OverlaySnapshotter(
        state,
        database,
        userxattr=settings.rootless,
        copied=settings.isolation == "chroot",
        verify=_diff_id_of(settings),
    )
    if swept:
        snapshots.sweep()
    images = ImageStore(database, content)
    engine = Engine(
        settings=settings,
        state=state,
        database=database,
        content=content,
        snapshots=snapshots,
        index=SqliteCacheIndex(database),
        images=images,
        leases=Leases(state, database),
        executor=lambda: sandbox.executor(state),
        exporter=lambda kind: _exporter(kind, engine),
        layer_sink=lambda compression, level: _layer_sink(engine, compression, level),
        registries=network.registries,
        emit=emit,
        now=time.time,
    )
    return engine


def _enter_namespaces(emit: Emit) -> bool:
    """Whether this process is now root of a user namespace of its own."""
    from builder.sandbox.idmap import enter_private_namespaces

    mapping = enter_private_namespaces()
    for warning in mapping.warnings:
        from builder.events import Warned

        emit(Warned(warning))
    return mapping.rootless


def _without_namespaces(*, runs: bool) -> bool:
    """Whether this process, root without more, must do without the xattrs that only root has."""
    from builder.sandbox.chroot import check_caller

    return check_caller(runs_containers=runs)


class _Sandbox:
    """The executor, made when it is first asked for; ended with `stack`."""

    def __init__(self, stack: ExitStack, settings: Settings) -> None:
        self._stack = stack
        self._settings = settings
        self._server: ServerProcess | None = None
        self._executor: ContainerExecutor | None = None
        self._guard = threading.Lock()

    def start_server(self) -> None:
        """Without the executor, whose import takes longer than this."""
        from builder.sandbox.server_process import ServerProcess

        self._server = ServerProcess("monitor.main")
        self._stack.callback(self._server.stop)

    def executor(self, state: StateDir) -> ContainerExecutor:
        with self._guard:  # steps ask for it from threads of their own
            if self._executor is None:
                self._executor = self._new_executor(state)
                self._stack.callback(self._executor.close)
            return self._executor

    def _new_executor(self, state: StateDir) -> ContainerExecutor:
        if self._settings.isolation == "chroot":
            from builder.sandbox.chroot import ChrootExecutor

            return ChrootExecutor()
        from builder.sandbox.executor import NamespaceExecutor

        return NamespaceExecutor(state, rootless=self._settings.rootless, server=self._server)


class _Network:
    """The registries, made when they are first asked for; their connections end with `stack`."""

    def __init__(self, stack: ExitStack, access: RegistryAccess | None) -> None:
        self._stack = stack
        self._access = access
        self._registries: Registries | None = None

    def registries(self) -> Registries:
        from builder.registry.access import RegistryAccess
        from builder.registry.registries import Registries

        if self._registries is None:
            self._registries = Registries(self._access or RegistryAccess())
            self._stack.callback(self._registries.close)
        return self._registries


def _layer_sink(
    engine: Engine, compression: Compression | None, level: int | None
) -> AbstractContextManager[LayerSink]:
    from builder.export.blobs import Packing

    return _layer_blobs(engine).sink(Packing(compression, level))


def _layer_blobs(engine: Engine) -> LayerBlobs:
    from builder.export.blobs import LayerBlobs

    userxattr = engine.settings.rootless
    return LayerBlobs(engine.content, engine.snapshots, engine.images, userxattr=userxattr)


def _exporter(kind: str, engine: Engine) -> Exporter:
    """Of `--output type=`; oci-dir is an OCI layout as a directory."""
    blobs = _layer_blobs(engine)
    userxattr = engine.settings.rootless
    match kind:
        case "oci" | "oci-dir":
            from builder.export.ocilayout import OciLayoutExporter

            return OciLayoutExporter(engine.content, blobs, as_directory=kind == "oci-dir")
        case "docker":
            from builder.export.dockerarchive import DockerArchiveExporter

            return DockerArchiveExporter(engine.content, blobs)
        case "tar":
            from builder.export.tree import TarExporter

            return TarExporter(_mounted_view(engine), userxattr=userxattr)
        case "local":
            from builder.export.tree import LocalExporter

            return LocalExporter(_mounted_view(engine))
        case "registry":
            from builder.export.push import RegistryExporter

            return RegistryExporter(
                engine.content, engine.images, blobs, engine.registries(), engine.emit
            )
        case _:
            raise UsageError(f'there is no output of type "{kind}"')


def _mounted_view(engine: Engine) -> Callable[[Mapping[str, ChainId]], AbstractContextManager[str]]:
    from builder.sandbox.rootfs import mounted

    @contextmanager
    def view(trees: Mapping[str, ChainId]) -> Generator[str]:
        at = engine.state.scratch("view")
        with ExitStack() as stack:
            stack.callback(os.rmdir, at)
            for name, chain in trees.items():
                place = os.path.join(at, name) if name else at
                if name:
                    os.mkdir(place)
                    stack.callback(os.rmdir, place)
                stack.enter_context(mounted(engine.snapshots.view(chain), place, volatile=False))
            yield at

    return view


def _diff_id_of(settings: Settings) -> Callable[[str], Digest]:
    """What the snapshotter asks about a tree that a crash may have damaged."""

    def diff_id_of(upperdir: str) -> Digest:
        from builder.layer.pack import pack

        return pack(upperdir, userxattr=settings.rootless).diff_id

    return diff_id_of
