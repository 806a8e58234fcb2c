"""Vertices for what instructions take files from: contexts, images and other stages."""

from __future__ import annotations

from typing import assert_never

from builder.frontend.catalog import (
    MAIN_CONTEXT,
    ContextSource,
    ImageSource,
    OutsideSource,
    StageSource,
)
from builder.frontend.plan import ResolvedImage
from builder.frontend.stagestate import Planning, StageState
from builder.frontend.steps import GraphBuilder
from builder.graph.model import ContextOp, ImageOp, VertexId


def source_vertex(state: StageState, name: str) -> tuple[VertexId, bool]:
    """What `name` means in the stage, "" being the build context; and whether it is a context."""
    graph = state.planning.graph
    if not name:
        return context_vertex(graph, MAIN_CONTEXT), True
    source = state.sources[name]
    if isinstance(source, StageSource):
        replacement = state.planning.replacements.get(source.index)
        if replacement is None:
            return state.planning.results[source.index].root, False
        source = replacement
    return outside_vertex(state.planning, source), isinstance(source, ContextSource)


def outside_vertex(planning: Planning, source: OutsideSource) -> VertexId:
    """The vertex of a context or an image."""
    match source:
        case ContextSource(name):
            return context_vertex(planning.graph, name)
        case ImageSource(image):
            if image is None:
                return scratch_vertex(planning.graph)
            return image_vertex(planning.graph, image, name=f"FROM {shown_reference(image)}")
        case _:
            assert_never(source)


def context_vertex(graph: GraphBuilder, name: str) -> VertexId:
    """A directory that the user named."""
    shown = "load build context" if name == MAIN_CONTEXT else f"load from client: {name}"
    return graph.add(ContextOp(name), name=f"[internal] {shown}")


def scratch_vertex(graph: GraphBuilder) -> VertexId:
    """The image of no layers."""
    return graph.add(ImageOp("scratch", ()), name="FROM scratch")


def image_vertex(graph: GraphBuilder, image: ResolvedImage, *, name: str) -> VertexId:
    """An image that the resolver found."""
    return graph.add(ImageOp(image.reference, image.config.diff_ids), name=name)


def shown_reference(image: ResolvedImage) -> str:
    """An image's name with its digest."""
    if image.digest is None or "@" in image.reference:
        return image.reference
    return f"{image.reference}@{image.digest}"
