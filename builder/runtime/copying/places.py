"""What the paths of `cp` mean: Docker's rules, which are those of cp -a with an eye on `/.`.

A source that ends with `/.` is what is in the directory; any other is the directory, file or link
itself. A destination that is a directory takes the source under its own name; one that isn't there
is what the source is called there, and its parent must be there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager

from builder.kernel.paths import open_beneath, open_in_root
from builder.runtime.copying.entries import CopyError
from builder.runtime.copying.extract import Destination
from builder.sandbox.mountpoints import resolved
from cache.record import record

_PATH = os.O_PATH | os.O_CLOEXEC


@record
class Place:
    """One side of a copy."""

    container: str  # as the user named it; "": this machine
    path: str


@record
class Source:
    """What is to be copied, opened."""

    fd: int  # O_PATH
    name: str  # what it is called; "" where what is in it is meant
    is_directory: bool


def parse_place(text: str) -> Place:
    """`CONTAINER:PATH`, or a path of this machine; one with a colon begins with `/` or `.`."""
    container, colon, path = text.partition(":")
    if not colon or text.startswith(("/", ".")) or not container:
        return Place("", text)
    return Place(container, path)


def means_contents(path: str) -> bool:
    """Whether what is in a directory is meant."""
    return path == "." or path.endswith("/.")


@contextmanager
def opened_source(root_fd: int | None, path: str, *, follow: bool) -> Generator[Source, None, None]:
    """The source of a copy: below `root_fd`, or of this machine where that is None.

    A link is itself copied, unless `follow`, or a slash behind it, says otherwise.
    """
    path = path or "/"
    flags = _PATH if follow or path.endswith(("/", "/.")) else _PATH | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags) if root_fd is None else open_in_root(root_fd, path, flags)
    except OSError as error:
        raise CopyError(f"{path} cannot be copied: {error.strerror}") from error
    try:
        is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
        if path.endswith(("/", "/.")) and not is_directory:
            raise CopyError(f"{path} is not a directory")
        name = "" if means_contents(path) and is_directory else _name_of(root_fd, path)
        yield Source(fd, name, is_directory)
    finally:
        os.close(fd)


def _name_of(root_fd: int | None, path: str) -> str:
    absolute = os.path.normpath("/" + path) if root_fd is not None else os.path.abspath(path)
    return os.path.basename(absolute)  # of the root itself: none, so that its contents are meant


@contextmanager
def opened_destination(
    root_fd: int | None, path: str, source: Source
) -> Generator[Destination, None, None]:
    """Where the entries of `source` go: below `root_fd`, or on this machine where that is None.

    Its `keeps_…` are as `Destination` has them. CopyError for what the source cannot become.
    """
    whole = _without_links(root_fd, path)
    status = _status(root_fd, whole)
    is_directory = status is not None and stat.S_ISDIR(status.st_mode)
    asks_for_directory = path.endswith(("/", "/."))
    if status is not None and not is_directory and (asks_for_directory or source.is_directory):
        raise CopyError(
            f"{path} is not a directory"
            if asks_for_directory
            else f"{path} is no directory, and a directory is copied into one alone"
        )
    if status is None and asks_for_directory and not source.is_directory:
        raise CopyError(f"there is no directory {path}", hint="make it first")
    base, name = (whole, source.name) if is_directory else os.path.split(whole)
    parent = _status(root_fd, base)
    if parent is None or not stat.S_ISDIR(parent.st_mode):
        raise CopyError(f"there is no directory {base or '/'} to copy into", hint="make it first")
    if root_fd is not None:
        yield Destination(root_fd, base, name)
        return
    base_fd = os.open(base, _PATH | os.O_DIRECTORY)
    try:
        yield Destination(base_fd, "", name)
    finally:
        os.close(base_fd)


def _without_links(root_fd: int | None, path: str) -> str:
    """Links followed, the last one too; it may be missing from there on."""
    if root_fd is None:
        return os.path.realpath(path)
    try:
        return resolved(root_fd, path or "/")
    except OSError as error:
        raise CopyError(f"{path} leads nowhere: {error.strerror}") from error


def _status(root_fd: int | None, path: str) -> os.stat_result | None:
    try:
        if root_fd is None:
            return os.stat(path, follow_symlinks=False)
        fd = open_beneath(root_fd, path or ".", _PATH | os.O_NOFOLLOW, links=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CopyError(f"{path} cannot be looked at: {error.strerror}") from error
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)
