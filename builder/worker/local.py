"""Does the steps of a build on this machine: hands each operation to the module that knows it."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from builder.errors import StepFailedError
from builder.events import StepProgress
from builder.graph.model import (
    BindMount,
    ContextOp,
    CopyOp,
    CopySource,
    ExecOp,
    GitOp,
    HttpOp,
    ImageOp,
    Vertex,
    WorkdirOp,
)
from builder.layer.clamp import clamp_times
from builder.layer.pack import pack
from builder.solver.api import Result
from builder.worker.copy_step import CopyStep
from builder.worker.parts import LayerSink, LayerSinks, StepInputs, StepParts
from builder.worker.source_tree import SourceTree
from builder.worker.views import Views
from cache.descriptor import Layer, chain_over
from cache.digest import Digest, sha256_digest
from cache.filehash import FileDigests
from cache.snapshot.api import ActiveSnapshot

if TYPE_CHECKING:  # a build that runs nothing imports no sandbox
    from builder.worker.exec_step import ExecStep
    from cache.leases import Lease


class LocalWorker:
    """A `Worker` over an parts's store. A `with` block: nothing of it is left when it ends."""

    def __init__(
        self,
        parts: StepParts,
        lease: Lease,
        inputs: StepInputs,
        *,
        sinks: LayerSinks | None = None,
    ) -> None:
        self._parts = parts
        self._lease = lease
        self._inputs = inputs
        self._sinks = sinks
        self._stack = ExitStack()
        self._views = self._stack.enter_context(Views(parts.state, parts.snapshots))
        self._copy = CopyStep(
            parts.state,
            FileDigests(parts.database),
            userxattr=parts.settings.rootless,
            find_snapshot=parts.snapshots.info,
            unpack_limit_bytes=parts.settings.unpack_limit_bytes,
        )
        self._fetched: dict[str, SourceTree] = {}
        self._cancelled = threading.Event()
        self._exec: ExecStep | None = None
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def file_digest(self, vertex: Vertex, inputs: tuple[Result | None, ...]) -> Digest | None:
        """As `Worker.file_digest`."""
        match vertex.operation:
            case CopyOp() as operation:
                return self._copy.file_digest(
                    operation, self._digested_trees(operation, inputs), vertex.span
                )
            case ExecOp() as operation:
                return self._mounted_files(operation, vertex, inputs)
            case _:
                return None

    def _digested_trees(
        self, operation: CopyOp, inputs: tuple[Result | None, ...]
    ) -> tuple[SourceTree | None, ...]:
        """The trees that a COPY's digest covers; with --link and names in --chown its base too."""
        base = inputs[0] if operation.link and operation.chown else None
        return tuple(None if item is None else self._tree(item) for item in (base, *inputs[1:]))

    def _mounted_files(
        self, operation: ExecOp, vertex: Vertex, inputs: tuple[Result | None, ...]
    ) -> Digest | None:
        """Of what bind mounts show of directories that are no stack of layers."""
        digests: list[str] = []
        for mount in operation.mounts:
            if not isinstance(mount, BindMount):
                continue
            item = inputs[mount.input_index]
            if item is not None and not item.diff_ids and item.source:
                taken = self._copy.file_digest(
                    bind_as_copy(mount), (None, self._tree(item)), vertex.span
                )
                digests.append(taken or "")
        return sha256_digest("\n".join(digests).encode()) if digests else None

    def _tree(self, result: Result) -> SourceTree:
        if result.source.startswith("context:"):
            return self._inputs.contexts.tree(result.source.removeprefix("context:"))
        if result.source:
            return self._fetched[result.source]
        return SourceTree(self._views.directory(result.chain))

    def has(self, result: Result) -> bool:
        """As `Worker.has`."""
        if not result.diff_ids:
            return True
        self._lease.add("chain", result.chain)
        return self._parts.snapshots.info(result.chain) is not None

    def restack(self, base: Result, diff_id: Digest) -> Result | None:
        """As `Worker.restack`."""
        self._lease.add("chain", chain_over(base.chain, diff_id))  # or a prune could be first
        if self._parts.snapshots.stack(base.chain, diff_id) is None:
            return None
        return Result((*base.diff_ids, diff_id))

    def cancel(self) -> None:
        """As `Worker.cancel`."""
        self._cancelled.set()
        with self._guard:
            if self._exec is not None:
                self._exec.cancel()

    def is_cancelled(self) -> bool:
        """Whether `cancel` was called: what waits for another may stop to."""
        return self._cancelled.is_set()

    def run(self, vertex: Vertex, inputs: tuple[Result, ...]) -> Result:
        """As `Worker.run`."""
        match vertex.operation:
            case ExecOp() | CopyOp() | WorkdirOp():
                return self._layer(vertex, inputs)
            case HttpOp() as operation:
                return self._fetch_http(operation, vertex)
            case GitOp() as operation:
                return self._fetch_git(operation, vertex)
            case ImageOp(diff_ids=diff_ids):
                return Result(diff_ids)
            case ContextOp(name=name):
                return Result(source=f"context:{name}")

    def _layer(self, vertex: Vertex, inputs: tuple[Result, ...]) -> Result:
        """A step that makes a layer: write it aside, pack it, keep it."""
        base = inputs[0]
        active = self._parts.snapshots.prepare(base.chain)
        try:
            packed = self._write(vertex, inputs, active)
            result = Result((*base.diff_ids, packed.diff_id))
            self._lease.add("chain", result.chain)  # before a prune can see it without one
            self._parts.snapshots.commit(
                active, diff_id=packed.diff_id, size_bytes=packed.size_bytes
            )
        except BaseException:
            self._parts.snapshots.discard(active)
            raise
        return result

    def _write(self, vertex: Vertex, inputs: tuple[Result, ...], active: ActiveSnapshot) -> Layer:
        makes_small_layer = isinstance(vertex.operation, WorkdirOp)
        if self._sinks is None or makes_small_layer or vertex.id not in self._sinks.vertices:
            return self._write_to(None, vertex, inputs, active)
        with self._sinks.open() as sink:
            layer = self._write_to(sink, vertex, inputs, active)
            sink.keep(layer)
            return layer

    def _write_to(
        self,
        sink: LayerSink | None,
        vertex: Vertex,
        inputs: tuple[Result, ...],
        active: ActiveSnapshot,
    ) -> Layer:
        match vertex.operation:
            case CopyOp() as operation:
                trees = tuple(self._tree(item) for item in inputs[1:])
                view = self._views.directory(inputs[0].chain)
                return self._copy.run(
                    operation, view, (None, *trees), active, vertex.span, target=sink
                )
            case WorkdirOp() as operation:
                view = self._views.directory(inputs[0].chain)
                return self._copy.make_workdir(operation, view, active, vertex.span)
            case ExecOp() as operation:
                self._exec_step().run(vertex, operation, inputs, active)
                if operation.epoch is not None:
                    clamp_times(active.upperdir, operation.epoch)
                userxattr = self._parts.settings.rootless
                return pack(active.upperdir, sink, userxattr=userxattr)
            case _:
                raise AssertionError(vertex.operation)

    def _exec_step(self) -> ExecStep:
        from builder.worker.exec_step import ExecStep

        with self._guard:
            if self._exec is None:
                self._exec = ExecStep(
                    self._parts, self._inputs, self._copy, self._tree, self._cancelled
                )
            return self._exec

    def _fetch_http(self, operation: HttpOp, vertex: Vertex) -> Result:
        from builder.worker.http_step import fetch_file

        def tell(done_bytes: int, total_bytes: int) -> None:
            if self.is_cancelled():
                raise StepFailedError("canceled", span=vertex.span)
            self._parts.emit(StepProgress(vertex.id, "downloading", done_bytes, total_bytes))

        return self._keep(
            fetch_file(operation, self._parts.state, tell, vertex.span, given_up=self.is_cancelled)
        )

    def _fetch_git(self, operation: GitOp, vertex: Vertex) -> Result:
        from builder.worker.git_step import check_out

        return self._keep(check_out(operation, self._parts.state, vertex.span))

    def _keep(self, fetched: tuple[Digest, SourceTree]) -> Result:
        digest, tree = fetched
        self._fetched[digest] = tree
        return Result(source=digest)


def bind_as_copy(mount: BindMount) -> CopyOp:
    """The COPY that would take what a bind mount shows."""
    return CopyOp(
        sources=(CopySource(1, mount.source, honours_ignorefile=True),), inline_files=(), dest="/"
    )
