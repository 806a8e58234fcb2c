"""Image documents as bytes and back. Spec: OCI image-spec config.md, manifest.md, image-index.md.

Writing: fields in the order that BuildKit writes them, no blanks, UTF-8; the same value gives the
same bytes. Reading: unknown fields are ignored, everything known is checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from builder.image.errors import InvalidImageError, UnsupportedImageError
from builder.image.jsonobject import JsonObject, parse_object
from builder.image.model import (
    ContainerConfig,
    Healthcheck,
    HistoryEntry,
    ImageConfig,
    Index,
    IndexEntry,
    Manifest,
    MediaType,
    Platform,
    Referrer,
)
from cache.descriptor import Descriptor
from cache.digest import Digest, parse_digest
from cache.errors import InvalidDigestError
from cache.record import replace

MANIFEST_TYPES = (MediaType.OCI_MANIFEST, MediaType.DOCKER_MANIFEST)
INDEX_TYPES = (MediaType.OCI_INDEX, MediaType.DOCKER_INDEX)
CONFIG_TYPES = (MediaType.OCI_CONFIG, MediaType.DOCKER_CONFIG)
FOREIGN_TYPES = frozenset(
    {
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    }
)
"""Layers that mostly lie elsewhere, for a licence's sake."""

LAYER_TYPES = frozenset(
    {
        MediaType.OCI_LAYER,
        MediaType.OCI_LAYER_GZIP,
        MediaType.OCI_LAYER_ZSTD,
        MediaType.DOCKER_LAYER,
        MediaType.DOCKER_LAYER_GZIP,
        MediaType.DOCKER_LAYER_ZSTD,
        *FOREIGN_TYPES,
    }
)
"""What a root filesystem's layer may be called; how it is compressed, its first bytes say."""

_SCHEMA_1 = ("application/vnd.docker.distribution.manifest.v1", "prettyjws")

JsonDict = dict[str, object]
_PRESENT: JsonDict = {}
"""Ports and volumes are objects whose keys alone matter: Go's map[string]struct{}."""


def encode_json(document: JsonDict | list[JsonDict]) -> bytes:
    """The same bytes for the same document; InvalidImageError for text that UTF-8 can't hold."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidImageError(
            f"the image's description holds a byte that is no text: {error.object[error.start]!a}",
            hint="labels, environment and instructions must be UTF-8",
        ) from error


def encode_config(image: ImageConfig) -> bytes:
    """The config blob; its digest is the image id."""
    document: JsonDict = {"architecture": image.platform.architecture}
    _set(document, "author", image.author)
    document["config"] = container_dict(image.config)
    _set(document, "created", image.created)
    _set(document, "history", [_history_dict(entry) for entry in image.history])
    document["os"] = image.platform.os
    document["rootfs"] = {"type": "layers", "diff_ids": list(image.diff_ids)}
    _set(document, "variant", image.platform.variant)
    return encode_json(document)


def decode_config(blob: bytes) -> ImageConfig:
    """The config that `blob` holds."""
    document = parse_object(blob, what="image config")
    rootfs = document.child("rootfs")
    if rootfs is None:
        raise document.error("rootfs", "is missing")
    if rootfs.text("type") != "layers":
        raise rootfs.error("type", 'is not "layers"')
    container = document.child("config")
    return ImageConfig(
        platform=Platform(
            os=document.text("os", required=True),
            architecture=document.text("architecture", required=True),
            variant=document.text("variant"),
        ),
        config=container_of(container) if container else ContainerConfig(),
        diff_ids=tuple(_digests(rootfs, "diff_ids")),
        history=tuple(_history_of(entry) for entry in document.children("history")),
        created=document.text("created"),
        author=document.text("author"),
    )


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest blob."""
    document: JsonDict = {
        "schemaVersion": 2,
        "mediaType": manifest.media_type,
        "config": descriptor_dict(manifest.config),
        "layers": [descriptor_dict(layer) for layer in manifest.layers],
    }
    _set(document, "annotations", dict(sorted(manifest.annotations)))
    return encode_json(document)


def decode_manifest(blob: bytes, *, media_type: str = "") -> Manifest:
    """The manifest of an image that `blob` holds, which its descriptor calls `media_type`.

    UnsupportedImageError for a schema 1 manifest and for an artifact that is no image.
    """
    document = parse_object(blob, what="manifest")
    actual_type = _checked_type(document, media_type, MANIFEST_TYPES)
    if document.has("manifests"):
        raise document.error("manifests", "belongs to an index")
    config = document.child("config")
    if config is None:
        raise document.error("config", "is missing")
    manifest = Manifest(
        media_type=actual_type,
        config=descriptor_of(config),
        layers=tuple(descriptor_of(layer) for layer in document.children("layers", required=True)),
        annotations=document.pairs("annotations"),
    )
    _refuse_artifact(manifest, document.text("artifactType"))
    return manifest


def encode_index(index: Index) -> bytes:
    """The index blob."""
    document: JsonDict = {
        "schemaVersion": 2,
        "mediaType": index.media_type,
        "manifests": [_entry_dict(entry) for entry in index.manifests],
    }
    _set(document, "annotations", dict(sorted(index.annotations)))
    return encode_json(document)


def decode_index(blob: bytes, *, media_type: str = "") -> Index:
    """The index that `blob` holds, which its descriptor calls `media_type`."""
    document = parse_object(blob, what="index")
    actual_type = _checked_type(document, media_type, INDEX_TYPES)
    for name in ("layers", "config"):
        if document.has(name):
            raise document.error(name, "belongs to a manifest")
    return Index(
        media_type=actual_type,
        manifests=tuple(
            _entry_of(entry) for entry in document.children("manifests", required=True)
        ),
        annotations=document.pairs("annotations"),
    )


def referrers_in(index: JsonObject) -> Iterator[Referrer]:
    """The entries of a list of referrers, which is an index."""
    for entry in index.children("manifests", required=True):
        yield Referrer(descriptor_of(entry), entry.text("artifactType"), entry.fields)


def subject_of(manifest: bytes) -> Digest | None:
    """The digest of what the manifest says that it is attached to."""
    subject = parse_object(manifest, what="manifest").child("subject")
    return None if subject is None else descriptor_of(subject).digest


def referrer_of(manifest: bytes, descriptor: Descriptor) -> Referrer:
    """A manifest with a subject, as an entry of a list of referrers."""
    document = parse_object(manifest, what="manifest")
    config = document.child("config")
    config_type = config.text("mediaType") if config else ""
    artifact_type = document.text("artifactType") or config_type
    annotations = document.pairs("annotations")
    entry = descriptor_dict(replace(descriptor, annotations=annotations))
    return Referrer(descriptor, artifact_type, {**entry, "artifactType": artifact_type})


def descriptor_dict(descriptor: Descriptor) -> JsonDict:
    """A descriptor as it stands in a document."""
    document: JsonDict = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size_bytes,
    }
    _set(document, "annotations", dict(sorted(descriptor.annotations)))
    return document


def descriptor_of(document: JsonObject) -> Descriptor:
    """The descriptor that stands in a document."""
    size_bytes = document.integer("size", required=True)
    if size_bytes < 0:
        raise document.error("size", "is negative")
    return Descriptor(
        media_type=document.text("mediaType", required=True),
        digest=document.digest("digest"),
        size_bytes=size_bytes,
        annotations=document.pairs("annotations"),
    )


def _checked_type(document: JsonObject, expected: str, allowed: tuple[str, ...]) -> str:
    """The document's media type; one that says two things at once is refused (CVE-2021-41190)."""
    if document.integer("schemaVersion") == 1 or any(mark in expected for mark in _SCHEMA_1):
        raise UnsupportedImageError(
            "the image has a schema 1 manifest, a format that was given up in 2017",
            hint="pull it with an older tool and push it again, e.g. with skopeo copy",
        )
    if document.integer("schemaVersion", required=True) != 2:
        raise document.error("schemaVersion", "is not 2")
    own = document.text("mediaType")
    if own and expected and own != expected:
        raise document.error("mediaType", f"is {own[:100]}, its descriptor says {expected[:100]}")
    actual = own or expected or allowed[0]
    if actual not in allowed:
        raise document.error("mediaType", f"is {actual[:100]}, not one of {', '.join(allowed)}")
    return actual


def _refuse_artifact(manifest: Manifest, artifact_type: str) -> None:
    if manifest.config.media_type not in CONFIG_TYPES:
        kind = artifact_type or manifest.config.media_type
        raise UnsupportedImageError(f"this is no image but an artifact of type {kind[:100]}")
    for layer in manifest.layers:
        if layer.media_type not in LAYER_TYPES:
            raise UnsupportedImageError(f"a layer has the unknown type {layer.media_type[:100]}")


def _entry_dict(entry: IndexEntry) -> JsonDict:
    document = descriptor_dict(entry.descriptor)
    if entry.platform is not None:
        document["platform"] = platform_dict(entry.platform)
    return document


def _entry_of(document: JsonObject) -> IndexEntry:
    platform = document.child("platform")
    return IndexEntry(
        descriptor=descriptor_of(document),
        platform=platform_of(platform) if platform else None,
    )


def platform_of(document: JsonObject) -> Platform:
    """The platform that stands in a document."""
    return Platform(
        os=document.text("os"),
        architecture=document.text("architecture"),
        variant=document.text("variant"),
    )


def platform_dict(platform: Platform) -> JsonDict:
    """A platform as it stands in an index."""
    document: JsonDict = {"architecture": platform.architecture, "os": platform.os}
    _set(document, "variant", platform.variant)
    return document


def container_dict(config: ContainerConfig) -> JsonDict:
    """The `config` object: what isn't set is left out."""
    document: JsonDict = {}
    _set(document, "User", config.user)
    _set(document, "ExposedPorts", dict.fromkeys(config.exposed_ports, _PRESENT))
    _set(document, "Env", [f"{name}={value}" for name, value in config.env])
    _set_list(document, "Entrypoint", config.entrypoint)
    _set_list(document, "Cmd", config.cmd)
    _set(document, "Volumes", dict.fromkeys(config.volumes, _PRESENT))
    _set(document, "WorkingDir", config.working_dir)
    _set(document, "Labels", dict(sorted(config.labels)))
    _set(document, "StopSignal", config.stop_signal)
    if config.healthcheck is not None:
        document["Healthcheck"] = _healthcheck_dict(config.healthcheck)
    _set(document, "OnBuild", list(config.on_build))
    _set_list(document, "Shell", config.shell)
    return document


def container_of(document: JsonObject) -> ContainerConfig:
    """The `config` object that `container_dict` wrote, or another tool."""
    healthcheck = document.child("Healthcheck")
    return ContainerConfig(
        user=document.text("User"),
        exposed_ports=document.keys("ExposedPorts"),
        env=tuple(_env_pair(entry) for entry in document.texts("Env") or ()),
        entrypoint=document.texts("Entrypoint"),
        cmd=document.texts("Cmd"),
        volumes=document.keys("Volumes"),
        working_dir=document.text("WorkingDir"),
        labels=document.pairs("Labels"),
        stop_signal=document.text("StopSignal"),
        healthcheck=_healthcheck_of(healthcheck) if healthcheck else None,
        shell=document.texts("Shell"),
        on_build=document.texts("OnBuild") or (),
    )


def _env_pair(entry: str) -> tuple[str, str]:
    name, _, value = entry.partition("=")
    return name, value


def _healthcheck_dict(check: Healthcheck) -> JsonDict:
    document: JsonDict = {"Test": list(check.test)}
    _set(document, "Interval", check.interval_ns)
    _set(document, "Timeout", check.timeout_ns)
    _set(document, "StartPeriod", check.start_period_ns)
    _set(document, "StartInterval", check.start_interval_ns)
    _set(document, "Retries", check.retries)
    return document


def _healthcheck_of(document: JsonObject) -> Healthcheck:
    return Healthcheck(
        test=document.texts("Test") or (),
        interval_ns=document.integer("Interval"),
        timeout_ns=document.integer("Timeout"),
        start_period_ns=document.integer("StartPeriod"),
        start_interval_ns=document.integer("StartInterval"),
        retries=document.integer("Retries"),
    )


def _history_dict(entry: HistoryEntry) -> JsonDict:
    document: JsonDict = {}
    _set(document, "created", entry.created)
    _set(document, "created_by", entry.created_by)
    _set(document, "author", entry.author)
    _set(document, "comment", entry.comment)
    _set(document, "empty_layer", entry.empty_layer)
    return document


def _history_of(document: JsonObject) -> HistoryEntry:
    return HistoryEntry(
        created=document.text("created"),
        created_by=document.text("created_by"),
        author=document.text("author"),
        comment=document.text("comment"),
        empty_layer=document.boolean("empty_layer"),
    )


def _digests(document: JsonObject, name: str) -> list[Digest]:
    digests: list[Digest] = []
    for text in document.texts(name) or ():
        try:
            digests.append(parse_digest(text))
        except InvalidDigestError as error:
            raise document.error(name, error.message) from error
    return digests


def _set(document: JsonDict, name: str, value: object) -> None:
    """Leaves out what is empty, as Go's omitempty does."""
    if value:
        document[name] = value


def _set_list(document: JsonDict, name: str, values: tuple[str, ...] | None) -> None:
    if values is not None:
        document[name] = list(values)
