"""The graph as it grows, and the names by which people see its steps."""

from __future__ import annotations

from builder.graph.codec import vertex_id
from builder.graph.model import Operation, Vertex, VertexId
from builder.location import Span


class GraphBuilder:
    """Collects vertices; equal steps become one, whichever stage they are in."""

    def __init__(self) -> None:
        self.vertices: dict[VertexId, Vertex] = {}

    def add(
        self,
        operation: Operation,
        inputs: tuple[VertexId, ...] = (),
        *,
        name: str,
        span: Span | None = None,
        no_cache: bool = False,
    ) -> VertexId:
        """The id of the step, new or known."""
        identity = vertex_id(operation, inputs)
        known = self.vertices.get(identity)
        if known is None or (no_cache and not known.no_cache):
            self.vertices[identity] = Vertex(
                id=identity,
                operation=operation,
                inputs=inputs,
                name=known.name if known else name,
                span=known.span if known else span,
                no_cache=no_cache,
            )
        return identity


class StepNames:
    """Numbers the steps of one stage: [build 2/4] RUN make, [linux/arm64 build 2/4] RUN make."""

    def __init__(self, stage_name: str, total: int, platform: str = "") -> None:
        self._prefix = "".join(f"{part} " for part in (platform, stage_name) if part)
        self._total = total
        self._number = 0

    def next(self, text: str, *, is_trigger: bool = False) -> str:
        self._number += 1
        number = str(self._number).rjust(len(str(self._total)))
        trigger = "ONBUILD " if is_trigger else ""
        return f"[{self._prefix}{number}/{self._total}] {trigger}{text}"
