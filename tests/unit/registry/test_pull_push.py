"""Whole images from a registry into a store and back, where something goes wrong on the way."""

from __future__ import annotations

import gzip
import json
import os
from contextlib import contextmanager

import pytest

from builder.errors import UnknownImageError
from builder.events import StepFinished, StepStarted
from builder.export.api import ExportRequest
from builder.export.blobs import LayerBlobs
from builder.export.push import RegistryExporter
from builder.image.errors import InvalidImageError, UnsupportedImageError
from builder.image.kept import documents_of
from builder.image.model import ImageConfig, Platform
from builder.image.platform import host_platform
from builder.image.reference import parse_reference
from builder.layer.errors import BadArchiveError
from builder.layer.pack import pack
from builder.registry.access import RegistryAccess
from builder.registry.errors import RegistryError
from builder.registry.registries import Registries
from builder.worker.image_step import StoreResolver, load_layout_image
from builder.worker.pull import Puller
from cache.descriptor import EMPTY_CHAIN
from cache.errors import CorruptContentError
from support.images import Entry, layer_tar, write_layout
from support.registry import INDEX, Fault, digest_of, running
from support.stores import Store, open_store

LAYERS = [layer_tar({f"file{n}": Entry(os.urandom(400_000))}) for n in range(3)]


@pytest.fixture
def registry(tmp_path):
    with running() as made:
        made.put_layout("team/app", "v1", write_layout(tmp_path / "layout", LAYERS))
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


def pull(store: Store, registry, tag="v1", platform: Platform | None = None):
    reference = parse_reference(f"{registry.host}/team/app:{tag}")
    with registries() as made, store.leases.hold() as lease:
        return Puller(store, made).pull(reference, [platform or host_platform()], lease)


def push(store: Store, image, name, **options):
    blobs = LayerBlobs(store.content, store.snapshots, store.images, userxattr=True)
    with registries() as made:
        exporter = RegistryExporter(store.content, store.images, blobs, made, store.emit)
        return exporter.export(
            ExportRequest(image=image, names=(parse_reference(name).normal,), dest="", **options)
        )


def left_in(store: Store):
    """Unfinished files of the store, and images."""
    scratch = os.path.join(store.state.root_dir, "tmp")
    unfinished = [
        name for owner in os.listdir(scratch) for name in os.listdir(f"{scratch}/{owner}")
    ]
    return [name for name in unfinished if name != "lock"], store.images.list()


def test_nothing_is_fetched_twice(store, registry):
    first = pull(store, registry)
    assert first.is_new
    registry.seen.clear()
    second = pull(store, registry)
    assert not second.is_new
    assert second.images[0] == first.images[0]
    assert [one.path for one in registry.seen if "blobs" in one.path] == []


def test_layers_that_the_store_has_are_not_fetched(store, registry, tmp_path):
    pull(store, registry)
    more = [*LAYERS, layer_tar({"more": Entry(b"more")})]
    registry.put_layout("team/app", "v2", write_layout(tmp_path / "more", more))
    registry.seen.clear()
    pull(store, registry, "v2")
    assert len(registry.requests("GET", "blobs")) == 2, "a config and a layer"


def test_progress_names_each_layer_once(store, registry):
    pull(store, registry)
    started = [event.vertex for event in store.events if isinstance(event, StepStarted)]
    finished = [event.vertex for event in store.events if isinstance(event, StepFinished)]
    assert len(set(started)) == len(started) == 3
    assert sorted(finished) == sorted(started)


def test_a_second_pull_takes_up_what_the_first_one_got(store, registry):
    registry.faults.append(Fault("GET", "blobs", cut_after=250_000))
    registry.faults.append(Fault("GET", "blobs", times=1000, status=404))
    config = json.loads(registry.manifests["team/app", "v1"][1])["config"]["digest"]
    registry.faults[0].path = registry.faults[1].path = f"blobs/(?!{config})"
    with pytest.raises(RegistryError):
        pull(store, registry)
    assert left_in(store) == ([], ())
    registry.faults.clear()
    registry.seen.clear()
    pull(store, registry)
    assert any("Range" in one.headers for one in registry.requests("GET", "blobs"))
    assert not os.path.exists(store.state.downloads_dir) or not os.listdir(
        store.state.downloads_dir
    )


def test_a_blob_that_came_with_other_bytes_is_fetched_again(store, registry):
    registry.faults.append(Fault("GET", "blobs", times=5, corrupt=True))
    config = json.loads(registry.manifests["team/app", "v1"][1])["config"]["digest"]
    registry.faults[0].path = f"blobs/(?!{config})"
    registry.faults[0].times = 1
    assert pull(store, registry).images[0].config.diff_ids


def test_a_blob_that_always_comes_with_other_bytes_leaves_nothing(store, registry):
    registry.faults.append(Fault("GET", "blobs", times=1000, corrupt=True))
    with pytest.raises(CorruptContentError, match="other bytes"):
        pull(store, registry)
    assert left_in(store) == ([], ())


def test_a_damaged_blob_of_the_store_is_fetched_again(store, registry):
    manifest = json.loads(registry.manifests["team/app", "v1"][1])
    layer = manifest["layers"][1]
    with open(store.state.blob(layer["digest"]), "wb") as file:
        file.write(bytes(layer["size"]))
    assert pull(store, registry).images[0].config.diff_ids


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"schemaVersion": 1}, UnsupportedImageError, "schema 1"),
        ({"mediaType": INDEX}, InvalidImageError, "mediaType"),
        ({"layers": []}, InvalidImageError, "layers"),
        ({"artifactType": "application/x.signature", "config": "empty"}, UnsupportedImageError,
         "artifact of type application/x.signature"),
        ({"layers": "negative"}, InvalidImageError, "negative"),
    ],
)  # fmt: skip
def test_a_hostile_manifest_is_refused(store, registry, change, error, words):
    document = json.loads(registry.manifests["team/app", "v1"][1]) | change
    if change.get("config") == "empty":
        document["config"] = {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": registry.put_blob("team/app", b"{}"),
            "size": 2,
        }
    if change.get("layers") == "negative":
        original = json.loads(registry.manifests["team/app", "v1"][1])
        document["layers"] = [one | {"size": -1} for one in original["layers"]]
    registry.put_manifest("team/app", "bad", document)
    with pytest.raises(error, match=words):
        pull(store, registry, "bad")
    assert left_in(store) == ([], ())


def test_a_manifest_that_says_a_thing_twice_is_refused(store, registry):
    content = registry.manifests["team/app", "v1"][1]
    registry.put_manifest("team/app", "bad", b'{"layers":[],' + content[1:])
    with pytest.raises(InvalidImageError, match=r"twice|duplicate"):
        pull(store, registry, "bad")


@pytest.mark.parametrize("name", ["../out", "a/../../out", ".wh...", "dir/.wh.."])
def test_a_layer_that_leads_out_of_the_tree_leaves_nothing(store, registry, tmp_path, name):
    layout = write_layout(tmp_path / "bad", [layer_tar({name: Entry(b"x")})])
    registry.put_layout("team/app", "bad", layout)
    with pytest.raises(BadArchiveError):
        pull(store, registry, "bad")
    assert left_in(store) == ([], ())
    assert not (tmp_path / "out").exists()


def test_a_layer_that_unpacks_to_something_else_is_refused(store, registry):
    document = json.loads(registry.manifests["team/app", "v1"][1])
    other = gzip.compress(layer_tar({"other": Entry(b"other")}))
    document["layers"][2] |= {"digest": registry.put_blob("team/app", other), "size": len(other)}
    registry.put_manifest("team/app", "bad", document)
    with pytest.raises(CorruptContentError, match="unpacks to"):
        pull(store, registry, "bad")
    assert left_in(store) == ([], ())


def test_attestations_of_an_index_are_passed_over(store, registry):
    media_type, content = registry.manifests["team/app", "v1"]
    image = {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}
    ours = {"os": "linux", "architecture": host_platform().architecture}
    unknown = {"os": "unknown", "architecture": "unknown"}
    entries = [image | {"platform": unknown, "digest": "sha256:" + "0" * 64}]
    entries += [image | {"platform": ours}]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    digest = registry.put_manifest("team/app", "multi", index, INDEX)
    pulled = pull(store, registry, "multi")
    assert pulled.digest == digest
    assert f"{registry.host}/team/app@{digest}" in pulled.images[0].names
    pushed = push(store, pulled.images[0], f"{registry.host}/copy/app:v1")
    assert pushed.digest == digest_of(content), "the manifest that was pulled"


def new_image(store):
    """An image of one layer that was made here and never compressed."""
    active = store.snapshots.prepare(EMPTY_CHAIN)
    with open(os.path.join(active.upperdir, "new"), "wb") as file:
        file.write(os.urandom(3 << 20))
    layer = pack(active.upperdir, userxattr=True)
    store.snapshots.commit(active, diff_id=layer.diff_id, size_bytes=layer.size_bytes)
    return store.images.put(
        ImageConfig(host_platform(), diff_ids=(layer.diff_id,)), (layer.size_bytes,)
    )


def test_a_new_layer_is_sent_while_it_is_packed_and_once(store, registry):
    registry.seen.clear()
    pushed = push(store, new_image(store), f"{registry.host}/team/new:v1")
    (sent,) = registry.requests("PATCH", "uploads")
    assert sent.headers["Transfer-Encoding"] == "chunked"
    layer = json.loads(registry.manifests["team/new", "v1"][1])["layers"][0]
    assert len(registry.blobs["team/new", layer["digest"]]) == layer["size"]
    assert pushed.digest == digest_of(registry.manifests["team/new", "v1"][1])
    assert len(registry.requests("POST", "uploads")) == 2, "the layer and the config"


@pytest.mark.parametrize("status", [405, 500])
def test_where_a_registry_takes_no_chunks_the_layer_is_sent_whole(store, registry, status):
    registry.faults.append(Fault("PATCH", "uploads", status=status))
    push(store, new_image(store), f"{registry.host}/team/new:v1")
    layer = json.loads(registry.manifests["team/new", "v1"][1])["layers"][0]
    assert len(registry.blobs["team/new", layer["digest"]]) == layer["size"]


def test_where_the_end_of_a_streamed_layer_is_refused_it_is_sent_whole(store, registry):
    registry.faults.append(Fault("PUT", "uploads.*sha256", status=400))
    push(store, new_image(store), f"{registry.host}/team/new:v1")
    layer = json.loads(registry.manifests["team/new", "v1"][1])["layers"][0]
    assert ("team/new", layer["digest"]) in registry.blobs


def test_an_unchanged_image_keeps_its_digest_and_is_mounted(store, registry):
    pulled = pull(store, registry)
    registry.seen.clear()
    pushed = push(store, pulled.images[0], f"{registry.host}/team/copy:v1")
    assert pushed.digest == pulled.digest
    assert len(registry.requests("PUT", "uploads")) == 1, "the config alone"
    assert registry.manifests["team/copy", "v1"] == registry.manifests["team/app", "v1"]


def test_a_loaded_image_is_pushed_with_the_manifest_that_it_came_with(store, registry, tmp_path):
    with store.leases.hold() as lease:
        layout = f"oci-layout://{tmp_path}/layout"
        image, digest = load_layout_image(store, layout, host_platform(), lease)
    store.images.tag(f"docker.io/library/app@{digest}", image.image_id)
    image = store.images.get(image.image_id)
    assert push(store, image, f"{registry.host}/other/app:v1").digest == digest


def test_what_a_push_made_is_kept_as_the_images_manifest(store, registry, tmp_path):
    with store.leases.hold() as lease:
        layout = f"oci-layout://{tmp_path}/layout"
        image, _ = load_layout_image(store, layout, host_platform(), lease)
    name = f"{registry.host}/other/app"
    digest = push(store, image, f"{name}:v1").digest
    assert f"{name}@{digest}" in store.images.get(image.image_id).names
    assert digest in documents_of(store.content, store.images.names())


@contextmanager
def resolver(store, **options):
    with registries() as made, store.leases.hold() as lease:
        yield StoreResolver(store, lease, lambda: Puller(store, made), **options)


def test_a_build_pulls_what_the_store_lacks_and_no_more(store, registry):
    with resolver(store) as found:
        resolved = found.resolve(f"{registry.host}/team/app:v1", None)
        assert len(resolved.config.diff_ids) == 3
    registry.seen.clear()
    with resolver(store) as found:
        found.resolve(f"{registry.host}/team/app:v1", None)
    assert registry.seen == []
    with resolver(store, always=True) as found:
        found.resolve(f"{registry.host}/team/app:v1", None)
    assert len(registry.requests("GET", "manifests")) == 1


def test_an_image_that_is_nowhere_is_said_with_the_reason(store, registry):
    with resolver(store) as found:
        with pytest.raises(UnknownImageError, match=r'no image ".*none", and there is no'):
            found.resolve(f"{registry.host}/none", None)
        with pytest.raises(UnknownImageError, match="cannot be reached") as caught:
            found.resolve("127.0.0.1:1/none", None)
    assert "oci-layout://" in caught.value.hint


def test_an_id_is_asked_for_nowhere(store):
    with resolver(store) as found, pytest.raises(UnknownImageError, match="no image"):
        found.resolve("0" * 64, None)


def test_forced_compression_gives_other_layers(store, registry):
    pulled = pull(store, registry)
    name = f"{registry.host}/team/copy:v1"
    push(store, pulled.images[0], name, compression="zstd", force_compression=True)
    manifest = json.loads(registry.manifests["team/copy", "v1"][1])
    assert {layer["mediaType"][-9:] for layer in manifest["layers"]} == {".tar+zstd"}


def test_a_push_that_fails_stores_no_manifest(store, registry):
    pulled = pull(store, registry)
    registry.can_mount = False
    registry.faults.append(Fault("PUT", "uploads", times=1000, status=507))
    with pytest.raises(RegistryError):
        push(store, pulled.images[0], f"{registry.host}/team/copy:v1")
    assert ("team/copy", "v1") not in registry.manifests
