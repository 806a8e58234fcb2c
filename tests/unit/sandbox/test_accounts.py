"""USER and --chown over an image's account files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.sandbox.accounts import (
    GroupEntry,
    PasswdEntry,
    home_of,
    lookup_owner,
    lookup_user,
    parse_group,
    parse_passwd,
)
from builder.sandbox.api import Credentials
from builder.sandbox.errors import AccountError

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
app:x:100:101:App:/home/app:/bin/sh
1234:x:0:0:a trap:/root:/bin/sh
homeless:x:55:55:::
"""
GROUP = "root:x:0:\napp:x:101:\naudio:x:29:app,other\nvideo:x:44:other,app\ntwice:x:29:app\n"


@pytest.fixture
def root_fd(tmp_path: Path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text(PASSWD)
    (tmp_path / "etc" / "group").write_text(GROUP)
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", Credentials(0, 0)),
        ("root", Credentials(0, 0)),
        ("app", Credentials(100, 101, (29, 44))),
        ("100", Credentials(100, 101, (29, 44))),
        ("app:audio", Credentials(100, 29)),
        ("app:7", Credentials(100, 7)),
        ("5", Credentials(5, 0)),
        ("5:6", Credentials(5, 6)),
        ("app:", Credentials(100, 101, (29, 44))),
        ("2147483647", Credentials(2147483647, 0)),
    ],
)
def test_a_user_is_found_with_its_groups(root_fd: int, user: str, expected: Credentials):
    assert lookup_user(root_fd, user).credentials == expected


def test_a_number_is_an_id_though_a_name_looks_like_it(root_fd: int):
    assert lookup_user(root_fd, "1234").credentials.uid == 1234
    assert lookup_owner(root_fd, "1234") == (1234, 1234)


@pytest.mark.parametrize(
    "user", ["nobody-here", "app:nogroup", "2147483648", "-1", "1:99999999999"]
)
def test_what_is_no_account_is_refused(root_fd: int, user: str):
    with pytest.raises(AccountError):
        lookup_user(root_fd, user)
    with pytest.raises(AccountError):
        lookup_owner(root_fd, user)


@pytest.mark.parametrize(
    ("chown", "expected"),
    [
        ("app", (100, 101)),
        ("100", (100, 100)),
        ("app:audio", (100, 29)),
        ("app:5", (100, 5)),
        ("7:audio", (7, 29)),
        ("0:0", (0, 0)),
        (":audio", (0, 29)),
    ],
)
def test_an_owner_is_a_pair_of_ids(root_fd: int, chown: str, expected: tuple[int, int]):
    assert lookup_owner(root_fd, chown) == expected


def test_homes_come_from_passwd_and_are_never_empty(root_fd: int):
    assert [home_of(root_fd, uid) for uid in (0, 100, 55, 999)] == ["/root", "/home/app", "/", "/"]


def test_an_image_without_account_files_has_numbers_and_root(tmp_path: Path):
    fd = os.open(tmp_path, os.O_PATH)
    assert lookup_user(fd, "").credentials == Credentials(0, 0)
    assert lookup_user(fd, "7").credentials == Credentials(7, 0)
    with pytest.raises(AccountError, match='no user "root"'):
        lookup_user(fd, "root")
    os.close(fd)


def test_account_files_are_read_inside_the_root_and_only_small_regular_ones(tmp_path: Path):
    (tmp_path / "etc").mkdir()
    passwd = tmp_path / "etc" / "passwd"
    fd = os.open(tmp_path, os.O_PATH)
    passwd.symlink_to("/etc/group")  # the image's own, that is not there
    assert home_of(fd, 0) == "/"
    passwd.unlink()
    passwd.mkdir()
    with pytest.raises(AccountError):
        lookup_user(fd, "app")
    passwd.rmdir()
    passwd.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(AccountError, match="1 MiB"):
        lookup_user(fd, "app")
    os.close(fd)


def test_ill_formed_lines_are_skipped():
    text = "\n#x:x:1:1::/:\nshort:x:1\nbad:x:x:1::/:\n+:x:1:1::/:\n"
    text += "huge:x:99999999999:1::/:\nok:x:1:2:g:/h:s\n"
    assert parse_passwd(text) == (PasswdEntry("ok", 1, 2, "/h"),)
    assert parse_group("bad:x:y:\nok:x:3:a,,b\n") == (GroupEntry("ok", 3, ("a", "b")),)
