"""What is attached to an image: signatures, SBOMs and other artifacts that have it as subject.

Spec: OCI distribution-spec 1.1, Listing Referrers. A registry without that API has an index of
them under a tag made from the image's digest, which its clients keep: the referrers tag schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

from builder.image.codec import JsonDict, encode_json, referrers_in
from builder.image.jsonobject import DOCUMENT_LIMIT_BYTES, parse_object
from builder.image.model import MediaType, Referrer
from builder.registry.client import Request
from builder.registry.errors import NotInRegistryError, RegistryError
from builder.registry.http import finish
from builder.registry.repository import Repository, next_page
from cache.digest import Digest, hex_of

_PAGES = 1000


def referrers(
    repository: Repository, subject: Digest, artifact_type: str = ""
) -> tuple[Referrer, ...]:
    """The artifacts that name `subject`, in the registry's order; "" takes every type."""
    found = _listed(repository, subject, artifact_type)
    if found is None:
        found = _under_tag(repository, subject)
    return tuple(one for one in found if artifact_type in {"", one.artifact_type})


def attach(repository: Repository, subject: Digest, referrer: Referrer) -> None:
    """Add to the index under the tag: for a registry that has not taken note of a subject itself.

    Two clients that do so at once may lose one entry, as the specification has it.
    """
    known = _under_tag(repository, subject)
    if any(one.descriptor.digest == referrer.descriptor.digest for one in known):
        return
    document: JsonDict = {
        "schemaVersion": 2,
        "mediaType": MediaType.OCI_INDEX,
        "manifests": [one.document for one in (*known, referrer)],
    }
    repository.put_manifest(referrers_tag(subject), MediaType.OCI_INDEX, encode_json(document))


def referrers_tag(subject: Digest) -> str:
    """The tag that stands in for the API."""
    return f"sha256-{hex_of(subject)}"


def _listed(repository: Repository, subject: Digest, artifact_type: str) -> list[Referrer] | None:
    """As the API tells; None where the registry has none."""
    query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
    target = f"v2/{repository.path}/referrers/{subject}{query}"
    found: list[Referrer] = []
    for _ in range(_PAGES):
        try:
            response = repository.client.request(Request("GET", target, repository.scopes))
        except NotInRegistryError:
            return None
        content = response.read(DOCUMENT_LIMIT_BYTES + 1)
        finish(response)
        found += _decoded(content)
        target = next_page(response.headers.get("Link", ""))
        if not target:
            return found
    raise RegistryError(f"{repository.name} has a list of referrers without an end")


def _under_tag(repository: Repository, subject: Digest) -> list[Referrer]:
    try:
        return list(_decoded(repository.manifest(referrers_tag(subject)).blob))
    except NotInRegistryError:
        return []


def _decoded(blob: bytes) -> Iterator[Referrer]:
    return referrers_in(parse_object(blob, what="list of referrers"))
