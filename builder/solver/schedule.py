"""Which step may start next: a state machine over the graph; no threads, no effects."""

from __future__ import annotations

from collections.abc import Mapping

from builder.graph.model import Graph, Vertex, VertexId
from builder.solver.api import Result


class Schedule:
    """Knows what is needed for the target, what is done and what can start.

    `known` are results that need no work, so neither do the inputs of those vertices.
    The object changes with each `start` and `finish`; it is used from one thread.
    """

    def __init__(self, graph: Graph, known: Mapping[VertexId, Result]) -> None:
        self._graph = graph
        self._results: dict[VertexId, Result] = {}
        self._users: dict[VertexId, list[VertexId]] = {}
        self._missing: dict[VertexId, int] = {}
        self._ready: list[Vertex] = []
        self._running = 0
        self._position = {vertex_id: place for place, vertex_id in enumerate(graph.vertices)}
        self._add(known)

    def _add(self, known: Mapping[VertexId, Result]) -> None:
        pending = list(self._graph.targets)
        while pending:
            vertex_id = pending.pop()
            if vertex_id in self._results or vertex_id in self._missing:
                continue
            if vertex_id in known:
                self._results[vertex_id] = known[vertex_id]
                continue
            inputs = dict.fromkeys(self._graph.vertices[vertex_id].inputs)
            self._missing[vertex_id] = len(inputs)
            for input_id in inputs:
                self._users.setdefault(input_id, []).append(vertex_id)
            pending.extend(inputs)
        for vertex_id, missing in self._missing.items():
            if not missing:
                self._ready.append(self._graph.vertices[vertex_id])
        for vertex_id in list(self._results):
            self._release(vertex_id)

    def _release(self, vertex_id: VertexId) -> None:
        for user in self._users.get(vertex_id, ()):
            self._missing[user] -= 1
            if not self._missing[user]:
                self._ready.append(self._graph.vertices[user])

    @property
    def done(self) -> bool:
        """Whether the targets' results are known."""
        return self._results.keys() >= set(self._graph.targets)

    @property
    def running(self) -> int:
        """How many steps were started and not finished."""
        return self._running

    def start(self) -> Vertex | None:
        """The file's first step that can be done, now counted as running; None where none can."""
        if not self._ready:
            return None
        self._running += 1
        first = min(self._ready, key=lambda vertex: self._position[vertex.id])
        self._ready.remove(first)
        return first

    def finish(self, vertex_id: VertexId, result: Result) -> None:
        """A started step has its result; what waited for it alone becomes ready."""
        self._running -= 1
        self._results[vertex_id] = result
        self._release(vertex_id)

    def must_run(self, vertex_id: VertexId) -> bool:
        """Whether the target needs this step to be done."""
        return vertex_id in self._missing

    def inputs_of(self, vertex: Vertex) -> tuple[Result, ...]:
        """The results of a ready step's inputs, in order."""
        return tuple(self._results[input_id] for input_id in vertex.inputs)

    def result_of(self, vertex_id: VertexId) -> Result:
        """KeyError where it is not done."""
        return self._results[vertex_id]
