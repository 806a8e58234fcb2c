"""A repository of a registry: manifests by tag or digest, blobs by digest.

Spec: OCI distribution-spec 1.1.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from email.message import Message
from typing import Literal
from urllib.parse import quote, urlsplit

from urllib3.exceptions import HTTPError

from builder.image.codec import INDEX_TYPES, MANIFEST_TYPES
from builder.image.errors import InvalidImageError, InvalidReferenceError
from builder.image.jsonobject import DOCUMENT_LIMIT_BYTES, parse_object
from builder.image.reference import Reference, parse_reference
from builder.registry.client import ATTEMPTS, Client, Request
from builder.registry.errors import NotInRegistryError, RegistryError
from builder.registry.http import finish
from cache.descriptor import Descriptor
from cache.digest import Digest, parse_digest, sha256_digest
from cache.errors import CorruptContentError, InvalidDigestError
from cache.record import record

_ACCEPT = ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))
_CHUNK = 1 << 18
_TAG_PAGES = 1000
_TAGS_LIMIT_BYTES = 16 << 20
_VAGUE_TYPES = frozenset({"", "application/json", "text/plain", "application/octet-stream"})


@record
class FetchedManifest:
    """A manifest or index as the registry has it; its bytes have the descriptor's digest."""

    descriptor: Descriptor  # media type "" where the registry doesn't tell
    blob: bytes


class Repository:
    """Safe from several threads."""

    def __init__(self, client: Client, reference: Reference, *, writes: bool = False) -> None:
        self.client = client
        self.name = reference.repository  # for messages: docker.io/library/app
        self.path = reference.path
        self.scopes = (scope_of(reference.path, writes=writes),)

    def manifest(self, tag_or_digest: str) -> FetchedManifest:
        """NotInRegistryError where there is none; CorruptContentError for other bytes."""
        try:
            response = self.client.request(self._manifest_request("GET", tag_or_digest))
        except NotInRegistryError as error:
            raise NotInRegistryError(
                f"there is no {self._named(tag_or_digest)}",
                hint="is the name right? It may also be one that only some users see",
            ) from error
        content_type = response.headers.get("Content-Type", "")
        claimed = response.headers.get("Docker-Content-Digest", "")
        try:
            blob = response.read(DOCUMENT_LIMIT_BYTES + 1)
        except HTTPError as error:
            raise RegistryError(f"{self.name}: the manifest came incomplete") from error
        finally:
            finish(response)
        if len(blob) > DOCUMENT_LIMIT_BYTES:
            raise InvalidImageError(
                f"the manifest of {self.name} has more than {DOCUMENT_LIMIT_BYTES:,} bytes"
            )
        digest = sha256_digest(blob)
        expected = tag_or_digest if ":" in tag_or_digest else claimed
        if expected.startswith("sha256:") and expected != digest:
            raise CorruptContentError(
                f"{self.name}: the manifest {expected[:80]} came with other bytes: {digest}"
            )
        return FetchedManifest(Descriptor(_media_type(content_type), digest, len(blob)), blob)

    def manifest_digest(self, tag: str) -> Digest | None:
        """What the tag stands for now; None where it isn't there, or the registry doesn't tell."""
        try:
            response = self.client.request(self._manifest_request("HEAD", tag))
        except NotInRegistryError:
            return None
        finish(response)
        with suppress(InvalidDigestError):
            return parse_digest(response.headers.get("Docker-Content-Digest", ""))
        return None

    def put_manifest(self, tag_or_digest: str, media_type: str, blob: bytes) -> Digest:
        """Store it under a tag or its digest."""
        return self.store_manifest(tag_or_digest, media_type, blob)[0]

    def store_manifest(
        self, tag_or_digest: str, media_type: str, blob: bytes
    ) -> tuple[Digest, bool]:
        """As `put_manifest`; and whether the registry has taken note of the manifest's subject."""
        digest = sha256_digest(blob)
        request = Request(
            "PUT",
            self._path("manifests", tag_or_digest),
            self.scopes,
            (("Content-Type", media_type),),
            blob,
        )
        response = self.client.request(request, expect=(201, 200, 202))
        finish(response)
        given = response.headers.get("Docker-Content-Digest", str(digest))
        if given.startswith("sha256:") and given != digest:
            raise RegistryError(f"{self.name} stored another manifest than it was sent")
        return digest, "OCI-Subject" in response.headers

    def tags(self) -> tuple[str, ...]:
        """All tags, in the registry's order."""
        found: list[str] = []
        target = self._path("tags", "list")
        for _ in range(_TAG_PAGES):
            response = self.client.request(Request("GET", target, self.scopes))
            content = response.read(_TAGS_LIMIT_BYTES)
            finish(response)
            document = parse_object(content, what="list of tags")
            found += map(self._checked_tag, document.texts("tags") or ())
            target = next_page(response.headers.get("Link", ""))
            if not target:
                return tuple(dict.fromkeys(found))
        raise RegistryError(f"{self.name} has a list of tags without an end")

    def _checked_tag(self, tag: str) -> str:
        """Tags become names and are printed: nothing else may pass for one."""
        try:
            named = parse_reference(f"{self.name}:{tag}")
        except InvalidReferenceError:
            named = None
        if named is None or named.tag != tag:
            raise RegistryError(f"{self.name} lists a tag that is none: {tag[:100]!a}")
        return tag

    def has_blob(self, digest: Digest) -> bool:
        """Whether the repository has it already."""
        request = Request("HEAD", self._path("blobs", digest), self.scopes)
        try:
            finish(self.client.request(request))
        except NotInRegistryError:
            return False
        return True

    def blob_from(self, blob: Descriptor, offset: int = 0) -> Generator[bytes]:
        """The blob's bytes from `offset` on, as they come; a connection that breaks is taken up.

        Not checked against the digest: who keeps the bytes does that. CorruptContentError where
        there are more or less than the descriptor says.
        """
        failures = 0
        while offset < blob.size_bytes:
            before = offset
            try:
                for data in self._piece(blob, offset):
                    offset += len(data)
                    yield data
            except HTTPError as error:
                failures = 1 if offset > before else failures + 1
                if failures >= ATTEMPTS:
                    raise RegistryError(
                        f"{self.name}: the blob {blob.digest} breaks off after {offset:,} bytes",
                        hint="the next try goes on where this one ended",
                    ) from error
            else:
                if offset == before:
                    raise _wrong_size(blob, offset)

    def _piece(self, blob: Descriptor, offset: int) -> Iterator[bytes]:
        """What one request gives."""
        headers = (("Range", f"bytes={offset}-"),) if offset else ()
        request = Request("GET", self._path("blobs", blob.digest), self.scopes, headers)
        response = self.client.request(request, expect=(200, 206, 416))
        try:
            if response.status == 416:
                raise _wrong_size(blob, offset)
            skipped = offset if response.status == 200 else 0  # not every server knows Range
            _check_length(response.headers.get("Content-Length", ""), blob, offset - skipped)
            for data in response.stream(_CHUNK, decode_content=False):
                fresh = data[skipped:] if skipped else data
                skipped -= len(data) - len(fresh)
                offset += len(fresh)
                if offset > blob.size_bytes:
                    raise _wrong_size(blob, offset)
                yield fresh
        finally:
            finish(response)

    def _manifest_request(self, method: Literal["GET", "HEAD"], tag_or_digest: str) -> Request:
        target = self._path("manifests", tag_or_digest)
        return Request(method, target, self.scopes, (("Accept", _ACCEPT),))

    def _path(self, kind: str, name: str) -> str:
        return f"v2/{self.path}/{kind}/{quote(name, safe=':')}"

    def _named(self, tag_or_digest: str) -> str:
        return f"{self.name}{'@' if ':' in tag_or_digest else ':'}{tag_or_digest}"


def scope_of(path: str, *, writes: bool) -> str:
    """What a token is asked for."""
    return f"repository:{path}:{'pull,push' if writes else 'pull'}"


def _media_type(content_type: str) -> str:
    message = Message()
    message["Content-Type"] = content_type
    found = message.get_content_type() if content_type else ""
    return "" if found in _VAGUE_TYPES else found


def next_page(link: str) -> str:
    """The path of <URL>; rel="next"."""
    url, _, parameters = link.partition(">")
    if not url.startswith("<") or "next" not in parameters:
        return ""
    parts = urlsplit(url[1:])
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _check_length(text: str, blob: Descriptor, offset: int) -> None:
    """Before anything is read: what is announced must be what is left."""
    if text.isdecimal() and int(text) != blob.size_bytes - offset:
        raise _wrong_size(blob, offset + int(text))


def _wrong_size(blob: Descriptor, size_bytes: int) -> CorruptContentError:
    return CorruptContentError(
        f"the blob {blob.digest} should have {blob.size_bytes:,} bytes, the registry has "
        + (f"{size_bytes:,}" if size_bytes < blob.size_bytes else "more")
    )
