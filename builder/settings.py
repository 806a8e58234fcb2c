"""Settings: what the environment and the command line say about the program as a whole."""

from __future__ import annotations

import os
from collections.abc import Mapping

from cache.record import record


@record
class Settings:
    """Where the store is and how to run."""

    root_dir: str  # the store; see cache.statedir
    rootless: bool
    debug: bool = False


def settings_from(environment: Mapping[str, str], *, euid: int, debug: bool = False) -> Settings:
    """PYBUILD_ROOT, else /var/lib/pybuild for root, else $XDG_DATA_HOME/pybuild."""
    root_dir = environment.get("PYBUILD_ROOT", "")
    if not root_dir and euid == 0:
        root_dir = "/var/lib/pybuild"
    if not root_dir:
        home = environment.get("HOME", "/")
        data_home = environment.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
        root_dir = os.path.join(data_home, "pybuild")
    return Settings(root_dir=os.path.abspath(root_dir), rootless=euid != 0, debug=debug)
