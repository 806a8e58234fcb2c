"""Settings: what the environment and the command line say about the program as a whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

from builder.errors import UsageError
from cache.record import record

Isolation = Literal["namespaces", "chroot"]

UNPACK_LIMIT = "PYBUILD_UNPACK_LIMIT"
DEFAULT_UNPACK_LIMIT_BYTES = 128 << 30
"""No layer comes near; a bomb of a few megabytes would fill any disk."""

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@record
class Settings:
    """Where the store is and how to run."""

    root_dir: str  # the store; see cache.statedir
    rootless: bool
    debug: bool = False
    unpack_limit_bytes: int | None = DEFAULT_UNPACK_LIMIT_BYTES  # of one archive; None: none
    isolation: Isolation = "namespaces"  # of RUN steps


def settings_from(environment: Mapping[str, str], *, euid: int, debug: bool = False) -> Settings:
    """PYBUILD_ROOT, else /var/lib/pybuild for root, else $XDG_DATA_HOME/pybuild.

    UsageError for a PYBUILD_UNPACK_LIMIT that is no size.
    """
    root_dir = environment.get("PYBUILD_ROOT", "")
    if not root_dir and euid == 0:
        root_dir = "/var/lib/pybuild"
    if not root_dir:
        home = environment.get("HOME", "/")
        data_home = environment.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
        root_dir = os.path.join(data_home, "pybuild")
    return Settings(
        root_dir=os.path.abspath(root_dir),
        rootless=euid != 0,
        debug=debug,
        unpack_limit_bytes=_unpack_limit(environment.get(UNPACK_LIMIT, "")),
        isolation=isolation_of(environment.get("PYBUILD_ISOLATION", "")),
    )


def isolation_of(text: str) -> Isolation:
    """What keeps RUN steps apart, by its name or by podman's; "" is the default."""
    match text:
        case "" | "default" | "namespaces" | "oci" | "rootless":
            return "namespaces"
        case "chroot":
            return text
        case _:
            raise UsageError(
                f'there is no isolation called "{text[:100]}"',
                hint="namespaces (the default) or chroot",
            )


def _unpack_limit(text: str) -> int | None:
    """`64g`; 0 is no limit, "" the default."""
    if not text:
        return DEFAULT_UNPACK_LIMIT_BYTES
    number = text.lower().removesuffix("b").rstrip("kmgt")
    unit = text.lower().removesuffix("b").removeprefix(number)
    if unit not in _UNITS or not (number.isascii() and number.isdecimal()):
        raise UsageError(
            f'{UNPACK_LIMIT}="{text[:100]}" is not a size', hint="for example 64g; 0 is no limit"
        )
    return int(number) * _UNITS[unit] or None
