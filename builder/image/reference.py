"""Image names: `registry.example:5000/team/app:1.2@sha256:...`. Grammar: distribution/reference."""

from __future__ import annotations

import re

from builder.image.errors import InvalidReferenceError
from cache.digest import Digest, parse_digest
from cache.errors import InvalidDigestError
from cache.record import record

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_OFFICIAL = "library/"
_NAME_LIMIT = 255

_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?\Z"
)
_IMAGE_ID = re.compile(r"[0-9a-f]{64}\Z")


@record
class Reference:
    """The name of an image, all defaults filled in; `tag` is "" where only a digest was given."""

    domain: str  # docker.io, localhost:5000
    path: str  # library/debian, team/app
    tag: str
    digest: Digest | None = None

    @property
    def repository(self) -> str:
        """Without tag and digest: docker.io/library/app."""
        return f"{self.domain}/{self.path}"

    @property
    def normal(self) -> str:
        """The one form under which a name is stored and compared: docker.io/library/app:latest."""
        return self.repository + self._suffix

    @property
    def familiar_repository(self) -> str:
        """As users write the repository: app."""
        if self.domain != DEFAULT_DOMAIN:
            return self.repository
        path = self.path.removeprefix(_OFFICIAL)
        # library/a/b cannot lose its prefix: it would come back as another name
        short = self.path if "/" in path else path
        comes_back = _split_domain(short) == (DEFAULT_DOMAIN, short) and not _IMAGE_ID.match(short)
        return short if comes_back else self.repository  # docker.io/example.com/app

    @property
    def familiar(self) -> str:
        """As users write it: app:latest."""
        return self.familiar_repository + self._suffix

    @property
    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{tag}@{self.digest}" if self.digest else tag


def parse_reference(text: str) -> Reference:
    """The name that `text` stands for; InvalidReferenceError says which part of it is wrong."""
    name, digest = _split_digest(text)
    name, tag = _split_tag(name, text)
    domain, path = _split_domain(name)
    _check_name(text, domain, path)
    if domain == "index." + DEFAULT_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = _OFFICIAL + path
    if not tag and digest is None:
        tag = DEFAULT_TAG
    return Reference(domain=domain, path=path, tag=tag, digest=digest)


def new_name(text: str) -> str:
    """The normal form of a name to give to an image.

    It has no digest: that says which manifest an image came with, and no user can give it.
    """
    reference = parse_reference(text)
    if reference.digest is not None:
        raise InvalidReferenceError(
            f'"{text}" has a digest, which no image can be given', hint="leave the @ part out"
        )
    return reference.normal


def familiar_name(normal: str) -> str:
    """The short form of a stored name."""
    return parse_reference(normal).familiar


def _error(text: str, problem: str, *, hint: str | None = None) -> InvalidReferenceError:
    return InvalidReferenceError(f'"{text[:300]}" is not an image name: {problem}', hint=hint)


def _split_digest(text: str) -> tuple[str, Digest | None]:
    name, at, digest_text = text.partition("@")
    if not at:
        return name, None
    try:
        return name, parse_digest(digest_text)
    except InvalidDigestError as error:
        raise _error(text, f"the digest {error.message}", hint=error.hint) from error


def _split_tag(name: str, text: str) -> tuple[str, str]:
    """A ":" after the last "/" begins the tag; one before it belongs to the port."""
    colon = name.rfind(":")
    if colon <= name.rfind("/"):
        return name, ""
    tag = name[colon + 1 :]
    if not _TAG.match(tag):
        raise _error(
            text,
            f'the tag "{tag[:150]}" is wrong',
            hint="a tag has 1 to 128 letters, digits, _ . and -, and begins with none of . and -",
        )
    return name[:colon], tag


def _split_domain(name: str) -> tuple[str, str]:
    """The first part is a registry where it has . or : or upper case, or is localhost."""
    first, slash, rest = name.partition("/")
    is_domain = "." in first or ":" in first or first == "localhost" or first.lower() != first
    if slash and is_domain:
        return first, rest
    return DEFAULT_DOMAIN, name


def _check_name(text: str, domain: str, path: str) -> None:
    if not path:
        raise _error(text, "the name is empty")
    if not _DOMAIN.match(domain):
        raise _error(
            text, f'the registry "{domain}" is wrong', hint="a registry is HOST or HOST:PORT"
        )
    if _IMAGE_ID.match(path):
        raise _error(text, "64 hex digits are an image id")
    for component in path.split("/"):
        if not _COMPONENT.match(component):
            raise _error(text, f'the part "{component}" is wrong', hint=_component_hint(component))
    if len(domain) + 1 + len(path) > _NAME_LIMIT:
        raise _error(text, f"it is longer than {_NAME_LIMIT} characters")


def _component_hint(component: str) -> str:
    if component != component.lower():
        return f'names are in lower case: "{component.lower()}"'
    return (
        "parts of a name are lower-case letters and digits, with single . or _, __ or - in between"
    )
