"""Small build graphs, and a worker that does their steps without a kernel."""

from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from builder.graph.model import (
    ContextOp,
    CopyOp,
    CopySource,
    ExecOp,
    Graph,
    ImageOp,
    Vertex,
    VertexId,
)
from builder.solver.api import Result
from builder.solver.solve import Solving
from cache.digest import sha256_digest
from cache.index.api import CacheRecord

BASE = Vertex(VertexId("base"), ImageOp("base", (sha256_digest(b"base"),)), (), "FROM base")
CONTEXT = Vertex(VertexId("context"), ContextOp("context"), (), "context")


def run(name: str, *inputs: Vertex, no_cache: bool = False) -> Vertex:
    """A RUN over `inputs`; its layer is named by its words alone."""
    operation = ExecOp(args=(name,), env=(), cwd="/", user="")
    ids = tuple(vertex.id for vertex in inputs)
    return Vertex(VertexId(name), operation, ids, f"RUN {name}", no_cache=no_cache)


def copy(name: str, base: Vertex, source: Vertex, *, link: bool = False) -> Vertex:
    operation = CopyOp(sources=(CopySource(1, name),), inline_files=(), dest="/", link=link)
    return Vertex(VertexId(f"copy {name}"), operation, (base.id, source.id), f"COPY {name}")


def graph(*vertices: Vertex) -> Graph:
    """The last one is the target."""
    return Graph({vertex.id: vertex for vertex in vertices}, vertices[-1].id)


@dataclass
class FakeWorker:
    """Gives each step a layer named by `layer_of` (default: the step's id); notes what it ran."""

    layers: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    ran: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    together: threading.Barrier | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    def file_digest(self, vertex, inputs):
        if not isinstance(vertex.operation, CopyOp) or inputs[1] is None:
            return None
        return sha256_digest(self.files.get(vertex.id, "").encode())

    def run(self, vertex, inputs):
        self.ran.append(vertex.id)
        if self.together:
            self.together.wait(timeout=5)
        if vertex.id in self.failing:
            raise ValueError(vertex.id)
        layer = sha256_digest(self.layers.get(vertex.id, vertex.id).encode())
        return Result((*inputs[0].diff_ids, layer))

    def has(self, result):
        return not self.gone.intersection(result.diff_ids)

    def restack(self, base, diff_id):
        return Result((*base.diff_ids, diff_id))

    def cancel(self):
        self.cancelled.set()


@dataclass
class FakeIndex:
    records: dict = field(default_factory=dict)

    def lookup(self, key):
        return self.records.get(key)

    def lookup_many(self, keys):
        return {key: self.records[key] for key in keys if key in self.records}

    def record(self, records: list[CacheRecord]):
        self.records.update({record.key: record for record in records})

    def forget(self, key):
        self.records.pop(key, None)


@contextmanager
def solving(worker: FakeWorker, index: FakeIndex, events: list | None = None):
    yield Solving(
        worker=worker,
        index=index,
        emit=(events if events is not None else []).append,
        lock=lambda name: nullcontext(),
        now=lambda: 0.0,
    )
