"""Layers that come in unusual forms: eStargz, zstd:chunked, foreign ones."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager

import pytest

from builder.image.errors import UnsupportedImageError
from builder.image.platform import host_platform
from builder.image.reference import parse_reference
from builder.registry.access import RegistryAccess
from builder.registry.registries import Registries
from builder.worker.pull import Puller
from cache.descriptor import chain_id
from support.layer_formats import TOC_NAME, digest_of, estargz, zstd_chunked
from support.registry import MANIFEST, running
from support.stores import open_store

FILES = {"etc-file": b"some text\n" * 500, "other": os.urandom(70_000), "empty": b""}
OCI = "application/vnd.oci.image."
GZIP, ZSTD = f"{OCI}layer.v1.tar+gzip", f"{OCI}layer.v1.tar+zstd"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


@pytest.fixture
def registry():
    with running() as made:
        yield made


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store") as made:
        yield made


@contextmanager
def registries():
    made = Registries(RegistryAccess(), {}, sleep=lambda _: None)
    try:
        yield made
    finally:
        made.close()


def put_image(registry, blob, plain, media_type, **fields):
    config = {
        "os": "linux",
        "architecture": host_platform().architecture,
        "rootfs": {"type": "layers", "diff_ids": [digest_of(plain)]},
    }
    config_blob = json.dumps(config).encode()
    registry.put_blob("team/app", config_blob)
    layer = {"mediaType": media_type, "digest": digest_of(blob), "size": len(blob), **fields}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": f"{OCI}config.v1+json",
            "digest": digest_of(config_blob),
            "size": len(config_blob),
        },
        "layers": [layer],
    }
    registry.put_manifest("team/app", "v1", manifest)


def pull(store, registry):
    reference = parse_reference(f"{registry.host}/team/app:v1")
    with registries() as made, store.leases.hold() as lease:
        return Puller(store, made).pull(reference, [host_platform()], lease).images[0]


@pytest.mark.parametrize(
    ("make", "media_type", "more"), [(estargz, GZIP, {TOC_NAME}), (zstd_chunked, ZSTD, set())]
)
def test_a_layer_that_could_be_read_in_pieces_is_read_whole_and_kept_as_it_is(
    store, registry, make, media_type, more
):
    blob, plain = make(FILES)
    registry.put_blob("team/app", blob)
    put_image(registry, blob, plain, media_type)
    image = pull(store, registry)
    tree = store.snapshots.info(chain_id(image.config.diff_ids)).diff_dir
    assert set(os.listdir(tree)) == FILES.keys() | more
    for name, content in FILES.items():
        with open(os.path.join(tree, name), "rb") as file:
            assert file.read() == content
    kept = store.images.origin_blob(image.config.diff_ids[0])
    assert (kept.digest, kept.media_type) == (digest_of(blob), media_type)


def test_a_foreign_layer_that_the_registry_has_is_one_like_any_other(store, registry):
    blob, plain = estargz(FILES)
    registry.put_blob("team/app", blob)
    put_image(registry, blob, plain, FOREIGN, urls=["http://127.0.0.1:9/layer"])
    assert len(pull(store, registry).layer_sizes) == 1


def test_a_foreign_layer_that_lies_elsewhere_is_said_and_not_fetched_from_there(store, registry):
    blob, plain = estargz(FILES)
    registry.put_blob("elsewhere", blob)
    url = f"http://{registry.host}/v2/elsewhere/blobs/{digest_of(blob)}"
    put_image(registry, blob, plain, FOREIGN, urls=[url])
    with pytest.raises(UnsupportedImageError, match="is foreign") as caught:
        pull(store, registry)
    assert "urls" in caught.value.hint
    assert not registry.requests("GET", "elsewhere")
    assert store.images.list() == ()
