"""A bundle as a directory. Spec: OCI runtime-spec bundle.md.

DIR/
  config.json                       how the process runs
  rootfs/                           the image's files
  hosts, hostname, resolv.conf      bound over the container's own in /etc
  volumes/N/                        a volume of the image's, with what the image has in its place
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from builder.kernel.paths import open_in_root
from builder.runtime.errors import BundleError
from builder.runtime.ociruntime.bundlemounts import volume_source
from builder.runtime.ociruntime.codec import encode_document
from builder.runtime.ociruntime.spec import ROOTFS
from builder.runtime.treecopy import copy_tree
from cache.statedir import remove_tree

CONFIG = "config.json"

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def new_bundle(dest: str) -> Generator[str, None, None]:
    """A directory that takes the place of `dest`, missing or empty, when the block is done.

    An error in the block leaves `dest` as it is. BundleError where something is there.
    """
    dest = os.path.abspath(dest)
    aside = f"{dest}.{os.urandom(6).hex()}"
    try:
        os.mkdir(aside, 0o700)  # as in the store: set-id programs are for nobody else
    except OSError as error:
        raise BundleError(f"{dest} cannot be made: {error.strerror}") from error
    try:
        _refuse_what_is_there(dest)
        yield aside
        os.rename(aside, dest)
    except BaseException as error:
        remove_tree(aside)
        if isinstance(error, OSError) and error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            _refuse_what_is_there(dest)
        raise


def _refuse_what_is_there(dest: str) -> None:
    try:
        names = os.listdir(dest)
    except FileNotFoundError:
        return
    except OSError as error:
        raise BundleError(f"{dest} is no directory: {error.strerror}") from error
    if names:
        raise BundleError(
            f"{dest} is not empty", hint="name a new directory, or remove what is there"
        )


def fill_rootfs(bundle_dir: str, source_dir: str, *, userxattr: bool) -> None:
    """Copy the tree at `source_dir`, with owners and all, to be the bundle's root filesystem."""
    rootfs_dir = os.path.join(bundle_dir, ROOTFS)
    os.mkdir(rootfs_dir, 0o700)
    with _opened(source_dir) as source_fd, _opened(rootfs_dir) as target_fd:
        copy_tree(source_fd, target_fd, userxattr=userxattr)


def fill_volumes(bundle_dir: str, volumes: Iterable[tuple[str, str]]) -> None:
    """Make the volumes, (name, path in the container) each, with what the rootfs has there."""
    with _opened(os.path.join(bundle_dir, ROOTFS)) as root_fd:
        for name, target in volumes:
            volume_dir = os.path.join(bundle_dir, volume_source(name))
            os.makedirs(volume_dir, 0o755)
            with _opened(volume_dir) as volume_fd:
                _fill(root_fd, target, volume_fd)


def _fill(root_fd: int, target: str, volume_fd: int) -> None:
    try:
        source_fd = open_in_root(root_fd, target, _DIRECTORY)
    except FileNotFoundError:
        os.fchmod(volume_fd, 0o755)
        return
    except NotADirectoryError as error:
        raise BundleError(
            f"a volume cannot be mounted at {target}: the image has a file there"
        ) from error
    try:
        copy_tree(source_fd, volume_fd, userxattr=False)
    finally:
        os.close(source_fd)


def write_config(bundle_dir: str, document: dict[str, object]) -> None:
    """Write config.json."""
    with open(os.path.join(bundle_dir, CONFIG), "xb") as file:
        file.write(encode_document(document))


@contextmanager
def _opened(directory: str) -> Generator[int, None, None]:
    fd = os.open(directory, _DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)
