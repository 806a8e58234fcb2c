"""Where an export goes: a file that is complete or not there, or standard output."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import BinaryIO, ClassVar

from cache.errors import PybuildError

STDOUT = "-"


class ExportError(PybuildError):
    """An image cannot be written where it should go."""

    code: ClassVar[str] = "export"


@contextmanager
def open_output(dest: str) -> Generator[BinaryIO, None, None]:
    """A file to write `dest` with; what `dest` was stays as it is unless the block ends well.

    "-" is standard output; a device or pipe is written to as it is.
    """
    if dest == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if _is_special(dest):
        with open(dest, "wb") as file:
            yield file
        return
    dest = os.path.realpath(dest)  # a link stays one: /dev/stdout is one, too
    aside = aside_path(dest)
    # not fsynced: losing power, a user loses an archive that another command makes again
    with open(aside, "xb") as file:
        try:
            yield file
            file.flush()
            os.rename(aside, dest)
        except BaseException:
            os.unlink(aside)
            raise


def aside_path(dest: str) -> str:
    """A new name beside `dest`; ExportError where nothing can be written there."""
    parent, name = os.path.split(os.path.abspath(dest))
    if os.path.isdir(dest):
        raise ExportError(f"{dest} is a directory", hint="name a file in it")
    if not os.path.isdir(parent):
        raise ExportError(f"there is no directory {parent}", hint="make it first")
    if not os.access(parent, os.W_OK):
        raise ExportError(f"{parent} cannot be written to")
    return os.path.join(parent, f".{name[:200]}.{secrets.token_hex(6)}")


def _is_special(dest: str) -> bool:
    try:
        mode = os.stat(dest).st_mode
    except FileNotFoundError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)
