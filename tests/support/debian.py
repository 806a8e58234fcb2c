"""A Debian root filesystem, from this machine's own package mirror."""

from __future__ import annotations

import os
from pathlib import Path

from support.commands import run

SUITE = "bookworm"


def write_debian_tar(path: Path) -> Path:
    """A minimal Debian as a tar in `path`, by mmdebstrap. PYBUILD_TEST_DEBIAN names a ready one."""
    ready = os.environ.get("PYBUILD_TEST_DEBIAN")
    if ready:
        path.symlink_to(ready)
        return path
    # An ordinary user may be denied the bind mounts of /dev; a minimal Debian needs none.
    mode = ["--mode=root"] if os.geteuid() == 0 else ["--mode=unshare", "--skip=chroot/mount/dev"]
    run(["mmdebstrap", *mode, "--variant=minbase", SUITE, path]).ok()
    path.chmod(0o644)
    return path
