import os

import pytest

from builder.layer.xattrs import is_kept, portable_value, read_xattrs, write_xattr

PERMITTED = bytes.fromhex("0020000000000000 0000000000000000".replace(" ", ""))
VERSION_2 = bytes.fromhex("01000002") + PERMITTED
VERSION_3 = bytes.fromhex("01000003") + PERMITTED + (100_000).to_bytes(4, "little")


def test_a_capability_of_a_user_namespace_becomes_one_of_any_root():
    assert portable_value("security.capability", VERSION_3) == VERSION_2


@pytest.mark.parametrize("value", [VERSION_2, b"", b"short", VERSION_3 + b"longer"])
def test_other_capabilities_stay_as_they_are(value):
    assert portable_value("security.capability", value) == value


def test_a_value_that_only_looks_like_one_stays_as_it_is():
    assert portable_value("user.note", VERSION_3) == VERSION_3


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("user.note", True),
        ("trusted.note", True),
        ("security.capability", True),
        ("system.posix_acl_access", True),
        ("system.posix_acl_default", True),
        ("security.selinux", False),
        ("security.ima", False),
        ("system.nfs4_acl", False),
        ("user.overlay.opaque", False),
        ("trusted.overlay.overlay.opaque", False),
    ],
)
def test_what_belongs_to_a_host_or_to_overlayfs_is_not_kept(name, kept):
    assert is_kept(name) == kept


def test_xattrs_are_read_in_the_order_of_their_names(tmp_path):
    for name in ("user.b", "user.a", "user.overlay.x"):
        os.setxattr(tmp_path, name, name.encode())
    names = [*os.listxattr(tmp_path), "user.gone"]
    expected = ((b"user.a", b"user.a"), (b"user.b", b"user.b"))
    assert read_xattrs(str(tmp_path), sorted(set(names) - {"user.gone"}, reverse=True)) == expected


def test_an_xattr_that_cannot_be_set_is_no_failure(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    assert write_xattr(str(tmp_path), b"user.fine", b"1")
    assert not write_xattr(str(tmp_path / "link"), b"user.on-a-link", b"1")
    assert not write_xattr(str(tmp_path), b"nonsense.name", b"1")
