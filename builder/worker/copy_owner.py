"""`--chown`: who owns what is copied, by the names of the image that is copied into."""

from __future__ import annotations

import os

from builder.errors import StepFailedError
from builder.location import Span
from builder.sandbox.accounts import lookup_owner
from cache.errors import PybuildError


def owner_of(chown: str, rootfs_dir: str | None, span: Span | None) -> tuple[int, int] | None:
    """(uid, gid) for the value of --chown; None for "".

    StepFailedError for a name that the image at `rootfs_dir` does not have.
    """
    if not chown:
        return None
    directory = os.open(rootfs_dir or "/proc/self/fdinfo", os.O_PATH | os.O_DIRECTORY)
    try:
        return lookup_owner(directory, chown)
    except PybuildError as error:
        raise StepFailedError(
            f"--chown={chown}: {error.message}", span=span, hint=error.hint
        ) from error
    finally:
        os.close(directory)


def names_owner(chown: str) -> bool:
    """Whether --chown has a name in it, so that the image's passwd or group has a say."""
    return any(part and not part.isdigit() for part in chown.split(":"))
