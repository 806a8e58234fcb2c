"""What is attached to an image, from registries with the referrers API and without."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

from builder.image.codec import referrer_of
from builder.image.errors import InvalidImageError
from builder.image.reference import parse_reference
from builder.registry.access import RegistryAccess
from builder.registry.referrers import attach, referrers, referrers_tag
from builder.registry.registries import Registries
from cache.descriptor import Descriptor
from support.images import Entry, layer_tar, write_layout
from support.registry import MANIFEST, digest_of, running

SIGNATURE, SBOM = "application/vnd.example.signature", "application/spdx+json"


@pytest.fixture
def registry(tmp_path):
    with running() as made:
        layout = write_layout(tmp_path / "layout", [layer_tar({"file": Entry(b"x")})])
        made.put_layout("team/app", "v1", layout)
        yield made


def subject(registry):
    media_type, content = registry.manifests["team/app", "v1"]
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def artifact(registry, artifact_type):
    empty = b"{}"
    registry.put_blob("team/app", empty)
    entry = {
        "digest": digest_of(empty),
        "size": 2,
        "mediaType": "application/vnd.oci.empty.v1+json",
    }
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": entry,
            "layers": [entry],
            "subject": subject(registry),
            "annotations": {"made": "by hand"},
        }
    ).encode()


@contextmanager
def repository(registry):
    made = Registries(RegistryAccess(), {}, sleep=lambda _: None)
    try:
        yield made.for_writing(parse_reference(f"{registry.host}/team/app:v1"))
    finally:
        made.close()


def test_the_api_is_read_page_by_page_and_filtered(registry):
    registry.lists_referrers = True
    contents = [artifact(registry, one) for one in (SIGNATURE, SBOM)]
    for content in contents:
        registry.put_manifest("team/app", digest_of(content), content)
    with repository(registry) as found:
        every = referrers(found, subject(registry)["digest"])
        assert [one.descriptor.digest for one in every] == [digest_of(one) for one in contents]
        signatures = referrers(found, subject(registry)["digest"], SIGNATURE)
    assert [one.artifact_type for one in signatures] == [SIGNATURE]
    assert registry.requests("GET", "/referrers/.*artifactType=")


def test_without_the_api_the_index_under_the_tag_counts(registry):
    with repository(registry) as found:
        digest = subject(registry)["digest"]
        assert referrers(found, digest) == ()
        for one in (SIGNATURE, SBOM, SBOM):  # the last one is there already
            content = artifact(registry, one)
            descriptor = Descriptor(MANIFEST, digest_of(content), len(content))
            attach(found, digest, referrer_of(content, descriptor))
        listed = referrers(found, digest)
    assert [one.artifact_type for one in listed] == [SIGNATURE, SBOM]
    assert listed[0].document["annotations"] == {"made": "by hand"}
    assert ("team/app", referrers_tag(digest)) in registry.manifests


def test_a_list_with_two_meanings_is_refused(registry):
    digest = subject(registry)["digest"]
    blob = b'{"schemaVersion":2,"manifests":[],"manifests":[]}'
    registry.put_manifest("team/app", referrers_tag(digest), blob)
    with repository(registry) as found, pytest.raises(InvalidImageError, match="stands twice"):
        referrers(found, digest)
