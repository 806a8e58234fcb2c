"""Pin: digests behind the names of images in a Dockerfile, from the store's images."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress

from builder.errors import UsageError
from builder.frontend.rewrite import PinResult, pin
from builder.image.errors import InvalidReferenceError
from builder.image.imagestore import ImageStore, manifest_digest
from builder.image.reference import parse_reference
from builder.worker.contexts import dockerfile_path
from cache.digest import Digest
from cache.record import record, replace

_NOT_STORED = "the store has no such image"
_NO_MANIFEST = (
    "the store's image has no manifest: it was built here, or came from an archive without one"
)


@record
class PinnedFile:
    """A Dockerfile on disk, and what pinning it gives."""

    path: str
    name: str  # for messages
    result: PinResult


def pin_file(images: ImageStore, context: str, file: str | None) -> PinnedFile:
    """Write the digests that the store knows into the Dockerfile, all or nothing.

    Every other byte stays, as do the file's mode and, where it may be kept, its owner.
    """
    pinned = _pinned(context, file, lambda name: _digest_of(images, name))
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


def _digest_of(images: ImageStore, name: str) -> _Found:
    try:
        reference = parse_reference(name)
    except InvalidReferenceError as error:
        return _Found(None, error.message)
    image = images.find(name)
    if image is None or reference.normal not in image.names:  # the beginning of an id is no name
        return _Found(None, _NOT_STORED)
    return _Found(manifest_digest(image, reference), _NO_MANIFEST)


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
