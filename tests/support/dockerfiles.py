"""Dockerfile texts through the frontend, with images that exist only as configurations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from builder.errors import UnknownImageError
from builder.frontend.lower import plan
from builder.frontend.plan import FrontendOptions, Plan, ResolvedImage
from builder.graph.model import ExecOp, Operation, Vertex
from builder.graph.order import topological
from builder.image.model import ContainerConfig, HistoryEntry, ImageConfig, Platform
from builder.location import SourceFile
from cache.digest import sha256_digest

AMD64 = Platform("linux", "amd64")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BASE_CONFIG = ContainerConfig(env=(("PATH", PATH),), cmd=("/bin/sh",))


def image_config(
    config: ContainerConfig = BASE_CONFIG, *, platform: Platform = AMD64, layer: str = "base"
) -> ImageConfig:
    """An image of one layer."""
    return ImageConfig(
        platform=platform,
        config=config,
        diff_ids=(sha256_digest(layer.encode()),),
        history=(HistoryEntry(created_by=f"layer of {layer}"),),
    )


BASE = image_config()


class FakeImages:
    """Resolves the names that it was given, and keeps what it was asked for."""

    def __init__(self, images: Mapping[str, ImageConfig] | None = None) -> None:
        self.asked: list[tuple[str, Platform | None]] = []
        self._images = {"base": BASE, **(images or {})}

    def resolve(self, name: str, platform: Platform | None) -> ResolvedImage:
        self.asked.append((name, platform))
        if name not in self._images:
            raise UnknownImageError(f'no image is called "{name}"')
        return ResolvedImage(f"docker.io/library/{name}:latest", self._images[name])


def plan_of(text: str, images: Mapping[str, ImageConfig] | None = None, **options: object) -> Plan:
    """What `text` plans to; a leading newline is dropped."""
    source = SourceFile("Dockerfile", text.removeprefix("\n"))
    return plan(source, FrontendOptions(**options), FakeImages(images))


def with_config(**changes: object) -> ImageConfig:
    """The base image with another configuration."""
    return image_config(replace(BASE_CONFIG, **changes))


def steps(planned: Plan) -> list[Vertex]:
    """The steps in the order of their inputs."""
    return [planned.graph.vertices[vertex] for vertex in topological(planned.graph)]


def step_names(planned: Plan) -> list[str]:
    return [vertex.name for vertex in steps(planned)]


def target_operation(planned: Plan) -> Operation:
    """What the last step does."""
    return planned.graph.vertices[planned.graph.target].operation


def last_run(planned: Plan) -> ExecOp:
    """The last step, which must be a RUN."""
    operation = target_operation(planned)
    assert isinstance(operation, ExecOp)
    return operation


def created_by(planned: Plan) -> list[str]:
    return [entry.created_by for entry in planned.history]
