"""Solve a graph: look up what is known, do the rest, as much at once as the graph allows.

All decisions are taken in the calling thread, with `Schedule`; a thread a step does the waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager

from builder.events import Emit, StepCached, StepFinished, StepStarted
from builder.graph.model import (
    ContextOp,
    CopyOp,
    ExecOp,
    GitOp,
    Graph,
    HttpOp,
    ImageOp,
    Vertex,
    VertexId,
    WorkdirOp,
)
from builder.graph.order import topological
from builder.solver.api import Result, Worker
from builder.solver.keys import KeyedBy, content_key, definition_key
from builder.solver.schedule import Schedule
from builder.solver.threads import StepThreads
from cache.index.api import CacheIndex, CacheRecord
from cache.record import record

MAX_PARALLEL = 16
"""Steps at once. Most wait for their process; the kernel shares the processors among them."""

Lock = Callable[[str], AbstractContextManager[None]]
"""A lock by name across all processes that use the store."""


@record
class Solving:
    """What solving needs of the outside."""

    worker: Worker
    index: CacheIndex
    emit: Emit
    lock: Lock
    now: Callable[[], float]  # seconds since the epoch


def solve(graph: Graph, solving: Solving) -> Result:
    """The target's root filesystem; the first error of a step, when all others have ended.

    An interrupt ends the running steps too and leaves nothing half done in the store.
    """
    return solve_all(graph, solving)[0]


def solve_all(graph: Graph, solving: Solving) -> tuple[Result, ...]:
    """As `solve`, of each of the graph's targets; steps that several of them need are done once."""
    order = [graph.vertices[vertex_id] for vertex_id in topological(graph)]
    sources = _fetch_sources(order, solving)
    keys = _definition_keys(order, sources, solving.worker)
    hits = _look_up(graph, order, keys, solving)
    schedule = Schedule(graph, {**hits, **sources})
    _emit_cached(order, hits, schedule, solving.emit)
    if not schedule.done:
        _run_all(schedule, keys, solving)
    return tuple(map(schedule.result_of, graph.targets))


def _fetch_sources(vertices: Iterable[Vertex], solving: Solving) -> dict[VertexId, Result]:
    """Results of what has no inputs: known at once, or fetched now since keys depend on it."""
    results: dict[VertexId, Result] = {}
    remote: list[Vertex] = []
    for vertex in vertices:
        match vertex.operation:
            case ImageOp(diff_ids=diff_ids):
                results[vertex.id] = Result(diff_ids=diff_ids)
            case ContextOp(name=name):
                results[vertex.id] = Result(source=f"context:{name}")
            case HttpOp() | GitOp():
                remote.append(vertex)
            case ExecOp() | CopyOp() | WorkdirOp():
                pass
    if remote:
        results.update(_fetched(remote, solving))
    return results


def _fetched(vertices: list[Vertex], solving: Solving) -> dict[VertexId, Result]:
    """All at once; the first error when the others have ended."""
    results: dict[VertexId, Result] = {}
    threads = StepThreads(solving.emit)
    try:
        for vertex in vertices:
            threads.start(vertex, lambda vertex: _run(vertex, (), solving))
        while len(results) < len(vertices):
            vertex, results[vertex.id] = threads.take()
    except BaseException:
        threads.end(solving.worker.cancel)
        raise
    return results


def _definition_keys(
    order: Iterable[Vertex], sources: Mapping[VertexId, Result], worker: Worker
) -> dict[VertexId, KeyedBy]:
    keys: dict[VertexId, KeyedBy] = {}
    for vertex in order:
        files = None
        if _takes_files(vertex):
            files = worker.file_digest(vertex, tuple(sources.get(i) for i in vertex.inputs))
        keys[vertex.id] = definition_key(vertex, [keys[i].key for i in vertex.inputs], files)
    return keys


def _look_up(
    graph: Graph,
    order: Iterable[Vertex],
    keys: Mapping[VertexId, KeyedBy],
    solving: Solving,
) -> dict[VertexId, Result]:
    wanted = {vertex.id: keys[vertex.id].key for vertex in _known_by_definition(order)}
    records = solving.index.lookup_many(list(wanted.values()))
    hits: dict[VertexId, Result] = {}
    for vertex_id, key in wanted.items():
        record = records.get(key)
        if record is not None:
            hits[vertex_id] = Result(diff_ids=record.diff_ids)
    return _only_present(graph, hits, solving.worker)


def _only_present(
    graph: Graph, hits: dict[VertexId, Result], worker: Worker
) -> dict[VertexId, Result]:
    """Less those whose layers are gone. What the target's stack holds needs one look for all."""
    target = hits.get(graph.target)
    if target and worker.has(target):
        stack = target.diff_ids
        return {
            vertex_id: result
            for vertex_id, result in hits.items()
            if result.diff_ids == stack[: len(result.diff_ids)] or worker.has(result)
        }
    return {vertex_id: result for vertex_id, result in hits.items() if worker.has(result)}


def _known_by_definition(order: Iterable[Vertex]) -> Iterable[Vertex]:
    """The steps that need not run if they ran before.

    Not those below a step that is to run in any case: what they get from it is not known yet.
    """
    run_anew: set[VertexId] = set()
    for vertex in order:
        if vertex.no_cache or not run_anew.isdisjoint(vertex.inputs):
            run_anew.add(vertex.id)
        elif isinstance(vertex.operation, ExecOp | CopyOp | WorkdirOp):
            yield vertex


def _takes_files(vertex: Vertex) -> bool:
    """Whether files of its inputs are part of what it depends on.

    A linked COPY depends on its base too, where that says which ids the names in --chown have.
    """
    operation = vertex.operation
    named = isinstance(operation, CopyOp) and operation.link and bool(operation.chown)
    return len(vertex.inputs) > 1 or named


def _emit_cached(
    order: Iterable[Vertex],
    hits: Mapping[VertexId, Result],
    schedule: Schedule,
    emit: Emit,
) -> None:
    for vertex in order:
        if isinstance(vertex.operation, ImageOp) or (
            vertex.id in hits and not schedule.must_run(vertex.id)
        ):
            emit(StepCached(vertex=vertex.id, name=vertex.name))


def _run_all(schedule: Schedule, keys: Mapping[VertexId, KeyedBy], solving: Solving) -> None:
    threads = StepThreads(solving.emit)
    try:
        while not (schedule.done and not schedule.running):
            while schedule.running < MAX_PARALLEL and (vertex := schedule.start()) is not None:
                step = _Step(keys[vertex.id], schedule.inputs_of(vertex), solving)
                threads.start(vertex, step.solve)
            vertex, result = threads.take()
            schedule.finish(vertex.id, result)
    except BaseException:
        threads.end(solving.worker.cancel)
        raise


def _run(vertex: Vertex, inputs: tuple[Result, ...], solving: Solving) -> Result:
    started = time.monotonic()
    solving.emit(StepStarted(vertex.id, vertex.name))
    result = solving.worker.run(vertex, inputs)
    solving.emit(StepFinished(vertex.id, time.monotonic() - started))
    return result


@record
class _Step:
    """One vertex whose inputs are solved."""

    keyed: KeyedBy  # by definition
    inputs: tuple[Result, ...]
    solving: Solving

    def solve(self, vertex: Vertex) -> Result:
        """From the cache by content key, else by doing it; in the cache afterwards."""
        files = None
        if _takes_files(vertex):
            files = self.solving.worker.file_digest(vertex, self.inputs)
        by_content = content_key(vertex, self.inputs, files)
        with self.solving.lock(f"step {by_content.key}"):
            result = None if vertex.no_cache else self._known(vertex, by_content)
            if result is None:
                result = _run(vertex, self.inputs, self.solving)
            else:
                self.solving.emit(StepCached(vertex.id, vertex.name))
            self._record(result, by_content)
        return result

    def _known(self, vertex: Vertex, by_content: KeyedBy) -> Result | None:
        record = self.solving.index.lookup(by_content.key)
        if record is None:
            return None
        result = Result(diff_ids=record.diff_ids)
        if isinstance(vertex.operation, CopyOp) and vertex.operation.link:
            return self.solving.worker.restack(self.inputs[0], record.diff_ids[-1])
        return result if self.solving.worker.has(result) else None

    def _record(self, result: Result, by_content: KeyedBy) -> None:
        created = int(self.solving.now())
        self.solving.index.record(
            [
                CacheRecord(
                    self.keyed.key, "definition", result.diff_ids, self.keyed.ingredients, created
                ),
                CacheRecord(
                    by_content.key, "content", result.diff_ids, by_content.ingredients, created
                ),
            ]
        )
