"""Images for several platforms from a registry and to one."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

from builder.commands.load import load
from builder.commands.save import SaveRequest, save
from builder.export.api import ExportRequest
from builder.export.blobs import LayerBlobs
from builder.export.push import RegistryExporter
from builder.image.model import Platform
from builder.image.platform import host_platform
from builder.image.reference import parse_reference
from builder.registry.access import RegistryAccess
from builder.registry.registries import Registries
from builder.worker.pull import Puller
from builder.worker.stored_images import find_image, images_of
from support.images import Entry, layer_tar, write_layout
from support.registry import INDEX, digest_of, running
from support.stores import engine_of, open_store

HOST = host_platform()
OTHER = Platform("linux", "arm64" if HOST.architecture == "amd64" else "amd64")
PLATFORMS = {HOST: "ours", OTHER: "theirs"}


@pytest.fixture
def registry(tmp_path):
    """team/app:multi is an index over :ours and :theirs, and an attestation."""
    with running() as made:
        entries = []
        for platform, tag in PLATFORMS.items():
            layers = [layer_tar({tag: Entry(tag.encode() * 9999)})]
            made.put_layout("team/app", tag, write_layout(tmp_path / tag, layers))
            entries.append(entry_of(made, tag) | {"platform": platform_dict(platform)})
        unknown = {"os": "unknown", "architecture": "unknown"}
        entries.append(entries[0] | {"digest": "sha256:" + "0" * 64, "platform": unknown})
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries[:2]}
        made.put_manifest("team/app", "multi", index, INDEX)
        attested = {**index, "manifests": entries}
        made.put_manifest("team/app", "attested", attested, INDEX)
        yield made


def entry_of(registry, tag):
    media_type, content = registry.manifests["team/app", tag]
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def platform_dict(platform):
    return {"os": platform.os, "architecture": platform.architecture}


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


def pull(store, registry, tag, *platforms, every=False):
    reference = parse_reference(f"{registry.host}/team/app:{tag}")
    with registries() as made, store.leases.hold() as lease:
        return Puller(store, made).pull(reference, platforms or [HOST], lease, every=every)


def push(store, source, target):
    blobs = LayerBlobs(store.content, store.snapshots, store.images, userxattr=True)
    with registries() as made:
        exporter = RegistryExporter(store.content, store.images, blobs, made, store.emit)
        request = ExportRequest(
            image=find_image(store, source),
            names=(parse_reference(target).normal,),
            dest="",
            platforms=images_of(store, source),
        )
        return exporter.export(request)


def test_of_an_index_the_platform_asked_for_is_pulled(store, registry):
    pull(store, registry, "multi", OTHER)
    name = f"{registry.host}/team/app:multi"
    assert files_of(store, find_image(store, name)) == ["theirs"]


def files_of(store, image):
    import os

    from cache.descriptor import chain_id

    return os.listdir(store.snapshots.info(chain_id(image.config.diff_ids)).diff_dir)


def test_platforms_pulled_one_after_the_other_stand_under_one_name(store, registry):
    name = f"{registry.host}/team/app:multi"
    assert pull(store, registry, "multi", OTHER).is_new
    assert pull(store, registry, "multi", HOST).is_new
    assert not pull(store, registry, "multi", OTHER).is_new
    assert list(store.images.platforms(name)) == [OTHER, HOST]
    assert files_of(store, find_image(store, name)) == ["ours"], "what runs here is meant"
    assert files_of(store, find_image(store, name, OTHER)) == ["theirs"]


def test_a_tag_that_moved_to_another_index_keeps_no_image_of_the_old_one(store, registry):
    pull(store, registry, "multi", OTHER)
    media_type, content = registry.manifests["team/app", "multi"]
    changed = json.loads(content) | {"annotations": {"is": "new"}}
    registry.put_manifest("team/app", "multi", changed, media_type)
    pull(store, registry, "multi", HOST)
    assert list(store.images.platforms(f"{registry.host}/team/app:multi")) == [HOST]


def test_a_whole_index_is_pushed_with_the_digest_that_it_was_pulled_with(store, registry):
    pulled = pull(store, registry, "multi", every=True)
    assert len(pulled.images) == 2
    pushed = push(store, f"{registry.host}/team/app:multi", f"{registry.host}/copy/app:v1")
    assert pushed.digest == pulled.digest
    media_type, content = registry.manifests["copy/app", "v1"]
    assert media_type == INDEX
    for entry in json.loads(content)["manifests"]:
        assert ("copy/app", entry["digest"]) in registry.manifests


def test_a_whole_index_goes_through_an_archive_with_its_digest(store, registry, tmp_path):
    name = f"{registry.host}/team/app:multi"
    pulled = pull(store, registry, "multi", every=True)
    archive = str(tmp_path / "saved.tar")
    save(engine_of(store), SaveRequest((name,), archive, "oci-archive"))
    with open_store(tmp_path / "inside") as inside:
        load(engine_of(inside), archive, every=True)
        assert push(inside, name, f"{registry.host}/copy/app:v2").digest == pulled.digest


def test_a_part_of_an_index_is_pushed_as_a_manifest(store, registry):
    pull(store, registry, "multi")
    pushed = push(store, f"{registry.host}/team/app:multi", f"{registry.host}/copy/app:v1")
    assert pushed.digest == entry_of(registry, "ours")["digest"]


def test_every_platform_of_an_index_comes_without_its_attestations(store, registry):
    pulled = pull(store, registry, "attested", every=True)
    assert len(pulled.images) == 2


def test_a_pushed_image_with_a_subject_is_among_its_referrers(store, registry):
    """Where the registry doesn't take note of it, the index under the subject's tag does."""
    theirs = entry_of(registry, "theirs")
    document = json.loads(registry.manifests["team/app", "ours"][1]) | {"subject": theirs}
    registry.put_manifest("team/app", "attached", document)
    pull(store, registry, "attached")
    pushed = push(store, f"{registry.host}/team/app:attached", f"{registry.host}/copy/app:v1")
    _, content = registry.manifests["copy/app", f"sha256-{theirs['digest'][7:]}"]
    assert [entry["digest"] for entry in json.loads(content)["manifests"]] == [pushed.digest]


def test_with_every_platform_a_plain_image_comes_as_it_is(store, registry):
    assert len(pull(store, registry, "theirs", every=True).images) == 1
