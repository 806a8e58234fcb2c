"""OCI images as data. Spec: OCI image-spec config.md, manifest.md, image-index.md."""

from __future__ import annotations

from collections.abc import Mapping

from cache.descriptor import Descriptor
from cache.digest import Digest
from cache.record import field, record

Pairs = tuple[tuple[str, str], ...]


class MediaType:
    """The media types that are written or read, each in one place."""

    OCI_INDEX = "application/vnd.oci.image.index.v1+json"
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
    OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
    OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
    OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
    OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
    DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
    DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
    DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd"


@record
class Platform:
    """What an image runs on."""

    os: str
    architecture: str  # Go's name: amd64, arm64
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@record
class Healthcheck:
    """HEALTHCHECK; durations in nanoseconds, 0 for the default."""

    test: tuple[str, ...]  # ("NONE",), ("CMD", ...) or ("CMD-SHELL", text)
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


@record
class ContainerConfig:
    """The `config` object: how a container of the image runs. None: not set; (): set to nothing."""

    user: str = ""
    exposed_ports: tuple[str, ...] = ()  # "80/tcp", sorted
    env: Pairs = ()  # in order
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()  # sorted
    working_dir: str = ""
    labels: Pairs = ()  # sorted by name when written
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] | None = None
    on_build: tuple[str, ...] = ()


@record
class HistoryEntry:
    """One instruction. `created` is RFC 3339 in UTC."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


@record
class ImageConfig:
    """The config blob; the image id is its digest."""

    platform: Platform
    config: ContainerConfig = field(default_factory=ContainerConfig)
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    created: str = ""
    author: str = ""


@record
class Manifest:
    """A manifest: the config and the layers of one image, as stored."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Pairs = ()


@record
class IndexEntry:
    """One manifest of an index."""

    descriptor: Descriptor
    platform: Platform | None


@record
class Index:
    """An index (manifest list): the manifests of one name, mostly one a platform."""

    media_type: str
    manifests: tuple[IndexEntry, ...]
    annotations: Pairs = ()


@record
class Referrer:
    """An artifact that names an image as its subject, as a list of referrers has it."""

    descriptor: Descriptor
    artifact_type: str
    document: Mapping[str, object]  # the descriptor whole, as it stands in the list


@record
class StoredImage:
    """An image of the store: its id is the config's digest; `names` are its references, sorted.

    A name may stand for an image for each of several platforms: all of those have it.
    """

    image_id: Digest
    config: ImageConfig
    layer_sizes: tuple[int, ...]  # plain tar bytes, one a diff_id
    names: tuple[str, ...] = ()
    stored_at: int = 0  # seconds since the epoch
    platform_names: tuple[str, ...] = ()  # those of `names` that mean it on its platform alone
