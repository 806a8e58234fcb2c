"""The option string of an overlay."""

from __future__ import annotations

import errno

from builder.sandbox.rootfs import denied, distinct, overlay_options
from cache.snapshot.api import Mount

MOUNT = Mount(("/s/2/fs", "/s/1/fs"), "/t/a/upper", "/t/a/work")


def test_what_would_break_the_diff_is_off():
    options = overlay_options(MOUNT, volatile=False)
    assert options == (
        "lowerdir=/s/2/fs:/s/1/fs,upperdir=/t/a/upper,workdir=/t/a/work,"
        "redirect_dir=off,metacopy=off,index=off"
    )


def test_with_user_attributes_only_those_options_are_given_that_the_kernel_takes():
    mount = Mount(("/a",), "/u", "/w", userxattr=True)
    options = overlay_options(mount, volatile=True).split(",")
    assert options == [
        "lowerdir=/a",
        "upperdir=/u",
        "workdir=/w",
        "volatile",
        "userxattr",
        "index=off",
    ]


def test_a_view_is_never_volatile():
    assert "volatile" not in overlay_options(Mount(("/a", "/b")), volatile=True)


def test_the_options_own_characters_are_escaped():
    mount = Mount(("/a:b", "/c,d", "/e\\f"))
    assert overlay_options(mount, volatile=False).startswith("lowerdir=/a\\:b:/c\\,d:/e\\\\f,")


def test_names_may_be_relative_to_save_room():
    options = overlay_options(MOUNT, volatile=False, relative_to="/s")
    assert options.startswith("lowerdir=2/fs:1/fs,upperdir=../t/a/upper,workdir=../t/a/work,")


def test_a_layer_that_is_there_twice_counts_where_it_is_uppermost():
    mount = Mount(("/c", "/a", "/b", "/a", "/c"), "/u", "/w", userxattr=True)
    assert distinct(mount) == Mount(("/c", "/a", "/b"), "/u", "/w", userxattr=True)


def test_a_denied_mount_says_what_to_do():
    for number, word in (
        (errno.EPERM, "5.11"),
        (errno.EINVAL, "PYBUILD_ROOT"),
        (errno.ENODEV, "modprobe"),
    ):
        error = denied(MOUNT, OSError(number, "no"))
        assert word in str(error.hint)
    assert "500" in str(denied(Mount(("/a",) * 501), OSError(errno.EINVAL, "no")).hint)
