from __future__ import annotations

import pytest

from builder.image.errors import InvalidImageError, UnsupportedImageError
from builder.image.model import Index, IndexEntry, MediaType, Platform
from builder.image.platform import choose_manifest, host_platform, parse_platform, serves
from cache.descriptor import Descriptor
from cache.digest import sha256_digest


def entry(platform: str | None, **annotations: str) -> IndexEntry:
    pairs = tuple((name.replace("_", "."), value) for name, value in annotations.items())
    digest = sha256_digest(f"{platform} {pairs}".encode())
    parts = Platform(*platform.split("/")) if platform else None
    return IndexEntry(Descriptor(MediaType.OCI_MANIFEST, digest, 1, pairs), parts)


def chosen(wanted: str, *offered: IndexEntry) -> str:
    descriptor = choose_manifest(Index(MediaType.OCI_INDEX, offered), parse_platform(wanted))
    return next(str(one.platform) for one in offered if one.descriptor == descriptor)


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/x86_64", Platform("linux", "amd64")),
        ("linux/arm64/v8", Platform("linux", "arm64")),
        ("linux/aarch64", Platform("linux", "arm64")),
        ("linux/arm", Platform("linux", "arm", "v7")),
        ("Linux/ARM/v6", Platform("linux", "arm", "v6")),
        ("arm64", Platform("linux", "arm64")),
        ("linux", host_platform()),
    ],
)
def test_a_platform_is_read_in_any_of_its_names(text, platform):
    assert parse_platform(text) == platform


@pytest.mark.parametrize("text", ["", "linux/", "a/b/c/d", "/amd64"])
def test_what_is_no_platform_is_refused(text):
    with pytest.raises(InvalidImageError, match="is not a platform"):
        parse_platform(text)


def test_the_nearest_older_variant_is_chosen():
    offered = (entry("linux/arm/v5"), entry("linux/arm/v6"), entry("linux/arm64"))
    assert chosen("linux/arm/v7", *offered) == "linux/arm/v6"


def test_a_newer_variant_does_not_serve():
    assert not serves(Platform("linux", "arm", "v7"), Platform("linux", "arm", "v6"))
    assert not serves(Platform("linux", "amd64", "v3"), Platform("linux", "amd64"))
    assert serves(Platform("linux", "amd64"), Platform("linux", "amd64", "v3"))


def test_attestations_are_passed_over():
    attestation = entry("unknown/unknown", vnd_docker_reference_type="attestation-manifest")
    assert chosen("linux/amd64", attestation, entry("linux/amd64")) == "linux/amd64"


def test_a_lone_manifest_without_a_platform_is_taken():
    assert chosen("linux/amd64", entry(None)) == "None"


def test_what_is_on_offer_is_said_where_nothing_serves():
    with pytest.raises(UnsupportedImageError, match="no manifest for linux/amd64") as caught:
        chosen("linux/amd64", entry("linux/arm64"), entry("linux/s390x"))
    assert caught.value.hint == "it has: linux/arm64, linux/s390x"


def test_an_absurd_variant_is_no_bug():
    assert not serves(Platform("linux", "arm", "v" + "9" * 5000), Platform("linux", "arm"))
