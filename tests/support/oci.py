"""Read an OCI layout (a directory or a tar of one) without pybuild, checking all of it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from support.trees import Node, tree_of_layers

# From Debian's golang-github-opencontainers-image-spec-dev: the specification's own schemas.
SCHEMAS = Path("/usr/share/gocode/src/github.com/opencontainers/image-spec/schema")
ALLOWED_LAYERS = ("", "+gzip", "+zstd")
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Image:
    """One image of a layout, its digests checked."""

    manifest_digest: str
    manifest: dict[str, Any]
    config_digest: str
    config: dict[str, Any]
    layers: tuple[bytes, ...]  # plain tars, lowest first

    @property
    def diff_ids(self) -> list[str]:
        return list(self.config["rootfs"]["diff_ids"])

    @property
    def runtime(self) -> dict[str, Any]:
        """The part of the config that says how a container starts."""
        return dict(self.config["config"])

    def tree(self) -> dict[str, Node]:
        return tree_of_layers(io.BytesIO(layer) for layer in self.layers)


class Layout:
    """An OCI layout: a directory, or a tar file of one."""

    def __init__(self, path: Path) -> None:
        self.files: dict[str, bytes] = {}
        if path.is_dir():
            files = [file for file in path.rglob("*") if file.is_file()]
            self.files = {str(file.relative_to(path)): file.read_bytes() for file in files}
            return
        with tarfile.open(path) as archive:
            for member in archive:
                stream = archive.extractfile(member)
                if stream is not None:
                    self.files[member.name.removeprefix("./")] = stream.read()

    def blob(self, descriptor: dict[str, Any]) -> bytes:
        """A blob whose digest and size are as the descriptor says."""
        algorithm, _, encoded = descriptor["digest"].partition(":")
        data = self.files[f"blobs/{algorithm}/{encoded}"]
        assert hashlib.new(algorithm, data).hexdigest() == encoded, descriptor
        assert len(data) == descriptor["size"], descriptor
        return data

    def image(self, position: int = 0) -> Image:
        """One image, checked against the specification and its JSON schemas."""
        check_schema("image-layout", json.loads(self.files["oci-layout"]))
        index = json.loads(self.files["index.json"])
        check_schema("image-index", index)
        descriptor = index["manifests"][position]
        manifest = json.loads(self.blob(descriptor))
        check_schema("image-manifest", manifest)
        config = json.loads(self.blob(manifest["config"]))
        check_schema("config", config)
        layers = tuple(plain_layer(layer, self.blob(layer)) for layer in manifest["layers"])
        image = Image(descriptor["digest"], manifest, manifest["config"]["digest"], config, layers)
        _check_layers(image)
        return image


def read_image(path: Path) -> Image:
    return Layout(path).image()


def plain_layer(descriptor: dict[str, Any], data: bytes) -> bytes:
    suffix = descriptor["mediaType"].removeprefix(LAYER_TYPE)
    assert suffix in ALLOWED_LAYERS, descriptor["mediaType"]
    if suffix == "+gzip":
        return gzip.decompress(data)
    if suffix == "+zstd":
        return subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=True).stdout
    return data


def _check_layers(image: Image) -> None:
    found = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in image.layers]
    assert found == image.diff_ids
    history = image.config.get("history", [])
    filled = [entry for entry in history if not entry.get("empty_layer")]
    assert len(filled) == len(image.layers), history


def check_schema(name: str, value: object) -> None:
    """Raise unless `value` is what the OCI image-spec's schema of that name allows."""
    schema = json.loads((SCHEMAS / f"{name}-schema.json").read_text())
    checker = jsonschema.Draft4Validator.FORMAT_CHECKER
    jsonschema.Draft4Validator(schema, registry=_registry(), format_checker=checker).validate(value)


@cache
def _registry() -> Registry[Any]:
    # The schemas name each other by file, against bases that lead nowhere: only the name counts.
    def retrieve(uri: str) -> Resource[Any]:
        path = SCHEMAS / uri.rsplit("/", 1)[-1]
        return Resource(json.loads(path.read_text()), DRAFT4)

    return Registry(retrieve=retrieve)
