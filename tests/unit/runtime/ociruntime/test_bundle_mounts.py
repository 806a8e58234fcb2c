"""The mounts that a bundle can have."""

from __future__ import annotations

import pytest

from builder.errors import UnsupportedError
from builder.runtime.ociruntime.bundlemounts import bundle_mounts, own_volumes
from builder.runtime.volumes import HostBind, HostMounts, ImageMount, TmpfsMount, VolumeMount
from builder.sandbox.api import BindEntry, TmpfsEntry


def test_binds_and_memory_stay_and_own_volumes_come_along():
    mounts = HostMounts((
        HostBind("/src", "/a", readonly=True, recursive=False, propagation="slave"),
        TmpfsMount("/b", options=("size=1m",), flags=("nodev",)),
        VolumeMount("0", "/c", anonymous=True, readonly=True),
    ))  # fmt: skip
    assert bundle_mounts(mounts) == (
        BindEntry("/src", "/a", readonly=True, recursive=False, propagation="slave"),
        TmpfsEntry("/b", options=("size=1m",), flags=("nodev",)),
        BindEntry("volumes/0", "/c", readonly=True),
    )
    assert list(own_volumes(mounts)) == [("0", "/c")]


@pytest.mark.parametrize("mount", [
    VolumeMount("named", "/x"),
    ImageMount("image", "/x"),
    HostBind("/src", "/x", overlaid=True),
    HostBind("/src", "/x", chown=True),
    VolumeMount("0", "/x", anonymous=True, relabel="shared"),
])  # fmt: skip
def test_what_only_the_store_can_mount_is_refused(mount):
    with pytest.raises(UnsupportedError):
        bundle_mounts(HostMounts((mount,)))
