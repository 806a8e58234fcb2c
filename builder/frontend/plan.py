"""What the frontend makes of a Dockerfile, and what it needs to know for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from builder.frontend.ignorefile import IgnoreMatcher
from builder.frontend.lintfacts import LintFacts
from builder.graph.model import Graph, NetworkMode
from builder.image.model import ContainerConfig, HistoryEntry, ImageConfig, Platform
from builder.location import Span
from cache.digest import Digest
from cache.record import field, record


@record
class ResolvedImage:
    """An image that FROM, --from or a mount names, as far as planning needs it."""

    reference: str
    config: ImageConfig  # with diff_ids, history
    digest: Digest | None = None


class ImageResolver(Protocol):
    """Finds images by name, wherever the caller looks for them: OCI layouts, the store."""

    def resolve(self, name: str, platform: Platform | None) -> ResolvedImage:
        """UnknownImageError (without a span; the frontend adds it) where there is none."""
        ...


@record
class FrontendOptions:
    """All that the command line says about the meaning of the Dockerfile."""

    build_args: Mapping[str, str] = field(default_factory=dict[str, str])
    target: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    platform: Platform | None = None  # None: the build platform
    build_platform: Platform = field(default=Platform("linux", "amd64"))
    names_platform: bool = False  # in the steps' names: where several are built for
    directory_contexts: frozenset[str] = frozenset()  # names given by --build-context NAME=DIR
    image_contexts: Mapping[str, str] = field(default_factory=dict[str, str])
    """--build-context NAME=oci-layout://... or docker-image://...: NAME → text for the resolver."""
    network: NetworkMode = "default"
    no_cache: bool = False
    no_cache_filter: frozenset[str] = frozenset()  # stage names
    extra_hosts: tuple[tuple[str, str], ...] = ()
    allow: frozenset[str] = frozenset()  # "security.insecure", "network.host"
    epoch: int | None = None  # SOURCE_DATE_EPOCH; the build arg of that name wins
    ignore: IgnoreMatcher | None = None  # the build context's .dockerignore: for its checks
    all_stages: bool = False  # look at stages that the target doesn't need too: for `--check`


@record
class PlannedHistory:
    """A history entry of the target's own instructions; `created` joins when it is assembled."""

    created_by: str
    empty_layer: bool
    comment: str = "buildkit.dockerfile.v0"


@record
class CheckWarning:
    """A build check that found something."""

    rule: str  # "StageNameCasing"
    message: str
    url: str
    span: Span | None


@record
class Plan:
    """The graph of the target stage and what its image says besides its files.

    The image's layers are the target vertex's stack; each history entry that isn't `empty_layer`
    stands for one layer, in order, after the base image's own history.
    """

    graph: Graph
    platform: Platform
    config: ContainerConfig
    base_history: tuple[HistoryEntry, ...]  # of the base image, kept as they are
    history: tuple[PlannedHistory, ...]
    author: str
    warnings: tuple[CheckWarning, ...]
    epoch: int | None
    unused_build_args: tuple[str, ...] = ()
    facts: LintFacts | None = None  # for checks that need more: CopyIgnoredFile, the ignore file
