"""Pin: digests behind the names of images in a Dockerfile, from the store or a registry."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress

from builder.engine import Engine
from builder.errors import UsageError
from builder.frontend.rewrite import PinResult, pin
from builder.image.errors import InvalidReferenceError
from builder.image.imagestore import manifest_digest
from builder.image.reference import parse_reference
from builder.worker.contexts import dockerfile_path
from cache.digest import Digest
from cache.errors import PybuildError
from cache.record import record, replace

_NO_MANIFEST = (
    "the store's image has no manifest: it was built here, or came from an archive without one"
)
_NOWHERE = "neither the store nor its registry has such an image"


@record
class PinnedFile:
    """A Dockerfile on disk, and what pinning it gives."""

    path: str
    name: str  # for messages
    result: PinResult


def pin_file(engine: Engine, context: str, file: str | None) -> PinnedFile:
    """Write the images' digests into the Dockerfile: the store's, else the registry's.

    Every other byte stays, as do the file's mode and, where it may be kept, its owner.
    """
    pinned = _pinned(context, file, lambda name: _digest_of(engine, name))
    if pinned.result.pins:
        _replace(pinned.path, pinned.result.text.encode("utf-8", "surrogateescape"))
    return pinned


def check_file(context: str, file: str | None) -> PinnedFile:
    """What isn't pinned in the Dockerfile, which stays as it is."""
    return _pinned(context, file, lambda _: _Found(None, "it has no digest"))


@record
class _Found:
    digest: Digest | None
    reason: str = ""  # why there is none


def _pinned(context: str, file: str | None, find: Callable[[str], _Found]) -> PinnedFile:
    path, name = _place(context, file)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as opened:
            text = opened.read()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    reasons: dict[str, str] = {}

    def digest_of(image_name: str) -> Digest | None:
        found = find(image_name)
        reasons[image_name] = found.reason
        return found.digest

    result = pin(text, digest_of, name=name)
    unpinned = tuple(
        replace(one, reason=reasons.get(one.name, one.reason)) for one in result.unpinned
    )
    return PinnedFile(path, name, replace(result, unpinned=unpinned))


def _digest_of(engine: Engine, name: str) -> _Found:
    try:
        reference = parse_reference(name)
    except InvalidReferenceError as error:
        return _Found(None, error.message)
    image = engine.images.find(name)
    if image is not None and reference.normal in image.names:  # the beginning of an id is no name
        return _Found(manifest_digest(image, reference), _NO_MANIFEST)
    *_, repository = engine.registries().for_reading(reference)
    try:
        return _Found(repository.manifest_digest(reference.tag), _NOWHERE)
    except PybuildError as error:
        return _Found(None, f"the store has no such image, and {error.message}")


def _place(context: str, file: str | None) -> tuple[str, str]:
    if "-" in (context, file):
        raise UsageError("what comes from stdin can't be written", hint="name a file with -f FILE")
    if not os.path.isdir(context):
        raise UsageError(f'the context "{context}" is no directory')
    path, name = dockerfile_path(context, file)
    return os.path.realpath(path), name  # behind a link, the file is replaced, not the link


def _replace(path: str, text: bytes) -> None:
    """The file's new content: readers see the old or the new one, never a part."""
    aside = f"{path}.pybuild-{os.getpid()}"
    before = os.stat(path)
    try:
        with open(aside, "xb") as file:
            file.write(text)
            _take_over(file.fileno(), before)
            file.flush()
            os.fsync(file.fileno())
        os.rename(aside, path)
    except BaseException:
        if os.path.lexists(aside):
            os.unlink(aside)
        raise


def _take_over(fd: int, before: os.stat_result) -> None:
    now = os.fstat(fd)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        with suppress(PermissionError):  # it was somebody else's, and is the caller's now
            os.fchown(fd, before.st_uid, before.st_gid)
    os.fchmod(fd, stat.S_IMODE(before.st_mode))
