"""A repository's manifests and blobs, from a registry in this process."""

from __future__ import annotations

import re
from contextlib import contextmanager
from io import BytesIO

import pytest

from builder.image.codec import decode_index, decode_manifest
from builder.image.errors import InvalidImageError
from builder.image.reference import parse_reference
from builder.registry.access import Credentials, RegistryAccess
from builder.registry.errors import (
    NotInRegistryError,
    RateLimitedError,
    RegistryAccessError,
    RegistryError,
    UnreachableRegistryError,
)
from builder.registry.registries import Registries
from builder.registry.upload import put_blob
from cache.descriptor import Descriptor
from cache.digest import Digest
from cache.errors import CorruptContentError
from support.registry import Fault, digest_of, running

CONTENT = bytes(range(256)) * 4000
ANYBODY = RegistryAccess()
LOGIN = RegistryAccess(credentials=Credentials("user", "secret"))


@pytest.fixture
def registry():
    with running() as made:
        yield made


@contextmanager
def registries(access=ANYBODY, pauses=None, **environment):
    made = Registries(access, environment, sleep=(pauses if pauses is not None else []).append)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def repository(registry, access=ANYBODY, *, path="team/app", pauses=None, writes=False):
    with registries(access, pauses) as made:
        reference = parse_reference(f"{registry.host}/{path}:v1")
        yield made.for_writing(reference) if writes else made.for_reading(reference)[-1]


def blob_of(content=CONTENT):
    return Descriptor("application/octet-stream", Digest(digest_of(content)), len(content))


def fetched(found, content=CONTENT):
    return b"".join(found.blob_from(blob_of(content)))


def send(found, content=CONTENT, **options):
    return put_blob(found, blob_of(content), lambda: BytesIO(content), **options)


def test_a_manifest_comes_with_its_type_and_digest(registry):
    digest = registry.put_manifest("team/app", "v1", {"schemaVersion": 2})
    with repository(registry) as found:
        for name in ("v1", digest):
            manifest = found.manifest(name)
            assert manifest.descriptor.digest == digest
            assert manifest.descriptor.media_type == "application/vnd.oci.image.manifest.v1+json"
        assert found.manifest_digest("v1") == digest
        assert found.manifest_digest("v2") is None


def test_a_manifest_with_other_bytes_than_asked_for_is_refused(registry):
    digest = registry.put_manifest("team/app", "v1", {"schemaVersion": 2})
    with repository(registry) as found:
        registry.faults.append(Fault("GET", "manifests", corrupt=True))
        with pytest.raises(CorruptContentError):
            found.manifest(digest)
        registry.wrong_digest_header = True
        with pytest.raises(CorruptContentError):
            found.manifest("v1")


def test_a_manifest_of_100_megabytes_is_not_read(registry):
    registry.put_manifest("team/app", "v1", b"[" * (5 << 20))
    with repository(registry) as found, pytest.raises(InvalidImageError, match="more than"):
        found.manifest("v1")


def test_a_missing_manifest_is_said_without_the_registrys_escapes(registry):
    with repository(registry) as found:
        with pytest.raises(NotInRegistryError, match=r"there is no .*/team/app:v1"):
            found.manifest("v1")
        with pytest.raises(NotInRegistryError) as caught:
            fetched(found)
    assert "\x1b" not in str(caught.value)


def test_tags_come_from_all_pages(registry):
    for tag in ("a", "b", "c", "d", "e"):
        registry.put_manifest("team/app", tag, {})
    registry.page = 2
    with repository(registry) as found:
        assert found.tags() == ("a", "b", "c", "d", "e")


@pytest.mark.parametrize("tag", ["", "a b", "\x1b[31m", "v1@sha256:" + "0" * 64, "a/b", ".a"])
def test_a_tag_that_is_none_is_refused(registry, tag):
    registry.manifests = {("team/app", tag): ("", b"")}
    registry.lists_all = True
    with repository(registry) as found, pytest.raises(RegistryError) as caught:
        found.tags()
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("content", [b"[" * 1_000_000, b'{"a":' * 300_000, b"\xff", b"", b"nul"])
def test_a_manifest_that_is_no_json_is_refused(registry, content):
    registry.put_manifest("team/app", "v1", content)
    with repository(registry) as found:
        blob = found.manifest("v1").blob
    for decode in (decode_manifest, decode_index):
        with pytest.raises(InvalidImageError):
            decode(blob)


@pytest.mark.parametrize("knows_range", [True, False])
def test_a_download_that_is_cut_goes_on_where_it_ended(registry, knows_range):
    registry.put_blob("team/app", CONTENT)
    registry.knows_range = knows_range
    registry.faults.append(Fault("GET", "blobs", times=3, cut_after=300_000))
    with repository(registry) as found:
        assert fetched(found) == CONTENT
    assert len(registry.requests("GET", "blobs")) >= 4 if knows_range else True


def test_a_download_that_never_advances_is_given_up(registry):
    registry.put_blob("team/app", CONTENT)
    registry.faults.append(Fault("GET", "blobs", times=100, cut_after=0))
    with repository(registry) as found, pytest.raises(RegistryError, match="breaks off after 0"):
        fetched(found)
    assert len(registry.requests("GET", "blobs")) < 10


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_registry_in_trouble_is_asked_again(registry, status):
    registry.put_blob("team/app", CONTENT)
    registry.faults.append(Fault("GET", "blobs", times=2, status=status))
    pauses = []
    with repository(registry, pauses=pauses) as found:
        assert fetched(found) == CONTENT
    assert len(pauses) == 2
    assert pauses[1] > pauses[0] / 2


def test_the_pause_is_the_one_that_the_registry_asks_for(registry):
    registry.put_blob("team/app", CONTENT)
    registry.faults.append(Fault("GET", "blobs", status=429, headers={"Retry-After": "7"}))
    pauses = []
    with repository(registry, pauses=pauses) as found:
        assert fetched(found) == CONTENT
    assert pauses == [7.0]


def test_nobody_waits_an_hour(registry):
    registry.faults.append(Fault("GET", "manifests", status=429, headers={"Retry-After": "3600"}))
    with repository(registry) as found, pytest.raises(RateLimitedError) as caught:
        found.manifest("v1")
    assert "3600 seconds" in caught.value.hint


def test_a_registry_that_stays_in_trouble_is_given_up(registry):
    registry.faults.append(Fault("GET", "manifests", times=100, status=502))
    with repository(registry) as found, pytest.raises(RegistryError, match="status 502"):
        found.manifest("v1")
    assert len(registry.requests("GET", "manifests")) == 5


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", b""])
def test_a_blob_of_another_size_is_refused(registry, content):
    registry.blobs["team/app", digest_of(CONTENT)] = content
    with repository(registry) as found, pytest.raises(CorruptContentError, match="should have"):
        fetched(found)


def test_a_blob_without_an_end_is_cut_off(registry):
    registry.put_blob("team/app", CONTENT)
    registry.faults.append(Fault("GET", "blobs", endless=True))
    with repository(registry) as found, pytest.raises(CorruptContentError, match="more"):
        fetched(found)


def test_nobody_there_is_said_after_one_more_try():
    with running() as registry:
        pass
    with repository(registry) as found, pytest.raises(UnreachableRegistryError, match="refused"):
        found.manifest("v1")


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_credentials_open_what_is_closed_without_them(auth):
    with running(auth=auth) as registry:
        registry.put_blob("team/app", CONTENT)
        with repository(registry, LOGIN) as found:
            assert fetched(found) == CONTENT
            assert fetched(found) == CONTENT
        wrong = RegistryAccess(credentials=Credentials("user", "wrong"))
        for access in (wrong, RegistryAccess()):
            with repository(registry, access) as found, pytest.raises(RegistryAccessError):
                fetched(found)


def test_a_token_is_asked_for_once_and_names_the_repository():
    with running(auth="token") as registry:
        registry.put_blob("team/app", CONTENT)
        with repository(registry, LOGIN) as found:
            for _ in range(3):
                fetched(found)
        (asked,) = registry.requests("GET", "/token")
        assert "scope=repository%3Ateam%2Fapp%3Apull" in asked.path
        assert "service=reg" in asked.path


def test_a_token_that_has_expired_is_renewed():
    with running(auth="token") as registry:
        registry.put_blob("team/app", CONTENT)
        with repository(registry, LOGIN) as found:
            fetched(found)
            registry.tokens = {f"other-{number}": "" for number in range(5)}
            assert fetched(found) == CONTENT


def test_an_identity_token_is_changed_for_tokens():
    with running(auth="token") as registry:
        registry.put_blob("team/app", CONTENT)
        access = RegistryAccess(credentials=Credentials(identity_token="identity"))
        with repository(registry, access) as found:
            assert fetched(found) == CONTENT


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_credentials_do_not_follow_a_redirect_to_another_host(auth):
    with running(auth=auth) as registry, running() as storage:
        registry.put_blob("team/app", CONTENT)
        storage.put_blob("team/app", CONTENT)
        registry.redirect_to = f"http://{storage.host}"
        with repository(registry, LOGIN) as found:
            assert fetched(found) == CONTENT
        assert storage.seen
        assert not any("Authorization" in one.headers for one in storage.seen)


def test_a_redirect_in_a_circle_ends(registry):
    registry.put_blob("team/app", CONTENT)
    registry.redirect_to = f"http://{registry.host}"
    with repository(registry) as found, pytest.raises(RegistryError, match="circle"):
        fetched(found)


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
def test_a_blob_is_sent_once(registry, content):
    with repository(registry, writes=True) as found:
        assert send(found, content) == "sent"
        assert send(found, content) == "exists"
    assert registry.blobs["team/app", digest_of(content)] == content
    assert len(registry.requests("PUT", "uploads")) == 1


def test_a_blob_of_another_repository_is_mounted():
    with running(auth="token") as registry:
        registry.put_blob("team/base", CONTENT)
        with repository(registry, LOGIN, writes=True) as found:
            assert send(found, mount_from=["team/none", "team/base"]) == "mounted"
        assert registry.blobs["team/app", digest_of(CONTENT)] == CONTENT
        assert not registry.requests("PUT", "uploads")


def test_a_registry_that_mounts_nothing_gets_the_blob(registry):
    registry.put_blob("team/base", CONTENT)
    registry.can_mount = False
    with repository(registry, writes=True) as found:
        assert send(found, mount_from=["team/base"]) == "sent"
    assert registry.blobs["team/app", digest_of(CONTENT)] == CONTENT


def test_an_upload_that_is_cut_goes_on_where_it_ended(registry):
    registry.faults.append(Fault("PUT", "uploads", cut_after=300_000))
    with repository(registry, writes=True) as found:
        assert send(found) == "sent"
    assert registry.blobs["team/app", digest_of(CONTENT)] == CONTENT
    (rest,) = registry.requests("PATCH", "uploads")
    assert rest.headers["Content-Range"] == f"300000-{len(CONTENT) - 1}"


@pytest.mark.parametrize("status", [500, 503])
def test_an_upload_that_fails_is_tried_again(registry, status):
    registry.faults.append(Fault("PUT", "uploads", times=2, status=status))
    with repository(registry, writes=True) as found:
        assert send(found) == "sent"
    assert registry.blobs["team/app", digest_of(CONTENT)] == CONTENT


def test_an_upload_that_is_refused_is_not_tried_again(registry):
    registry.faults.append(Fault("PUT", "uploads", times=9, status=403))
    with repository(registry, writes=True) as found, pytest.raises(RegistryAccessError):
        send(found)
    assert len(registry.requests("PUT", "uploads")) == 1


def test_a_manifest_is_stored_under_its_tag(registry):
    with repository(registry, writes=True) as found:
        digest = found.put_manifest("v1", "application/vnd.oci.image.manifest.v1+json", b"{}")
    assert digest == digest_of(b"{}")
    assert registry.manifests["team/app", "v1"][1] == b"{}"


def test_a_mirror_is_asked_first_and_the_registry_when_it_fails(registry, tmp_path):
    with running() as mirror:
        config = tmp_path / "registries.toml"
        config.write_text(f'[registry."{registry.host}"]\nmirrors = ["http://{mirror.host}/hub"]\n')
        with registries(PYBUILD_REGISTRIES=str(config)) as made:
            first, own = made.for_reading(parse_reference(f"{registry.host}/team/app:v1"))
            with pytest.raises(NotInRegistryError):
                first.manifest("v1")
            registry.put_manifest("team/app", "v1", {})
            assert own.manifest("v1").blob == b"{}"
        assert [one.path for one in mirror.seen] == ["/hub/v2/team/app/manifests/v1"]


def test_a_proxy_of_the_environment_is_used_for_other_machines(registry):
    registry.put_manifest("team/app", "v1", {})
    with running() as proxy, registries(HTTPS_PROXY=f"http://u:p@{proxy.host}") as made:
        remote = made.for_reading(parse_reference("registry.example/team/app:v1"))[-1]
        with pytest.raises(UnreachableRegistryError):
            remote.manifest("v1")
        asked = proxy.requests("CONNECT", "registry.example:443")
        assert asked[0].headers["proxy-authorization"] == "Basic dTpw"
        made.for_reading(parse_reference(f"{registry.host}/team/app:v1"))[-1].manifest("v1")
        assert len(proxy.seen) == len(asked)


def test_a_socks_proxy_is_refused_by_name_and_asked_nothing(registry):
    with running() as proxy, registries(ALL_PROXY=f"socks5://u:secret@{proxy.host}") as made:
        remote = made.for_reading(parse_reference("registry.example/team/app:v1"))[-1]
        with pytest.raises(UnreachableRegistryError, match="socks5://127") as caught:
            remote.manifest("v1")
        assert "only http and https proxies" in caught.value.hint
        assert "secret" not in str(caught.value)
        assert proxy.seen == []


def test_a_password_is_in_no_message_and_no_repr():
    assert "secret" not in repr(LOGIN)
    with running(auth="token") as registry:
        wrong = RegistryAccess(credentials=Credentials("user", "hunter2"))
        with repository(registry, wrong) as found, pytest.raises(RegistryError) as caught:
            fetched(found)
    assert not re.search("hunter2", str(caught.value) + str(caught.value.hint))
