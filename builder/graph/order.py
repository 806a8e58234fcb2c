"""Which steps a target needs, and in what order they can be done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from builder.graph.model import Graph, Vertex, VertexId


def topological(graph: Graph) -> tuple[VertexId, ...]:
    """The vertices that the targets need, each after all of its inputs; always in one order."""
    return tuple(_after_inputs(graph.vertices, *graph.targets))


def pruned(vertices: Mapping[VertexId, Vertex], target: VertexId) -> Graph:
    """The graph of the vertices that `target` needs, in topological order."""
    needed = {vertex: vertices[vertex] for vertex in _after_inputs(vertices, target)}
    return Graph(vertices=needed, target=target)


def merged(graphs: Sequence[Graph]) -> Graph:
    """The steps of all graphs, each once, for the targets of all: one platform's each."""
    vertices: dict[VertexId, Vertex] = {}
    for graph in graphs:
        for vertex_id, vertex in graph.vertices.items():
            known = vertices.get(vertex_id)
            if known is None or (vertex.no_cache and not known.no_cache):
                vertices[vertex_id] = vertex
    first, *others = (target for graph in graphs for target in graph.targets)
    return Graph(vertices=vertices, target=first, more_targets=tuple(others))


def stack_of(graph: Graph) -> tuple[Vertex, ...]:
    """The steps whose layers the target's root filesystem is made of, the base last."""
    stack = [graph.vertices[graph.target]]
    while stack[-1].inputs:
        stack.append(graph.vertices[stack[-1].inputs[0]])
    return tuple(stack)


def users(graph: Graph) -> dict[VertexId, tuple[VertexId, ...]]:
    """For each vertex, those that have it as an input."""
    found: dict[VertexId, list[VertexId]] = {vertex: [] for vertex in graph.vertices}
    for vertex in graph.vertices.values():
        for needed in dict.fromkeys(vertex.inputs):
            found[needed].append(vertex.id)
    return {vertex: tuple(ids) for vertex, ids in found.items()}


def _after_inputs(vertices: Mapping[VertexId, Vertex], *targets: VertexId) -> Iterable[VertexId]:
    """Depth first, without recursion: chains of stages can be thousands of steps long.

    There can be no circle, as an id is a digest over the ids of the inputs.
    """
    done: dict[VertexId, None] = {}
    waiting = list(reversed(targets))
    while waiting:
        vertex = waiting[-1]
        missing = [needed for needed in vertices[vertex].inputs if needed not in done]
        if missing:
            waiting.extend(reversed(missing))
            continue
        waiting.pop()
        done[vertex] = None
    return done
