"""The ids that --userns gives."""

from __future__ import annotations

import pytest

from builder.runtime.errors import InvalidOptionError
from builder.runtime.userns import Available, UsernsMode, parse_userns, ranges_of
from builder.sandbox.userns import outside

ROOTLESS = Available(rootless=True, uid=1003, gid=1004, free=((1, 65536),), count=65537)
ROOT = Available(rootless=False, uid=0, gid=0, free=((1000, 300),), count=0)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("host", UsernsMode("host")),
        ("auto", UsernsMode("auto")),
        ("auto:size=10", UsernsMode("auto", size=10)),
        ("keep-id:uid=5,gid=6", UsernsMode("keep-id", uid=5, gid=6)),
        ("nomap", UsernsMode("nomap")),
    ],
)
def test_a_mode_is_read(text, mode):
    assert parse_userns(text) == mode


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "",
        "auto:uid=1",
        "auto:size=",
        "keep-id:uid=-1",
        "nomap:size=1",
        "keep-id:uid=2147483648",
    ],
)
def test_a_mode_that_there_is_not_is_refused(text):
    with pytest.raises(InvalidOptionError, match="userns"):
        parse_userns(text)


def test_keep_id_maps_every_id_once_and_the_callers_to_itself():
    uids, gids = ranges_of(parse_userns("keep-id"), ROOTLESS, ())
    assert outside(uids, 1003) == outside(gids, 1004) == 0
    found = [outside(uids, number) for number in range(65537)]
    assert sorted(map(int, filter(lambda each: each is not None, found))) == list(range(65537))


def test_an_id_beyond_the_subordinate_ones_can_be_kept():
    uids, _ = ranges_of(parse_userns("keep-id:uid=100000"), ROOTLESS, ())
    assert uids == ((0, 1, 65536), (100000, 0, 1))


def test_nomap_leaves_the_caller_out():
    uids, _ = ranges_of(parse_userns("nomap"), ROOTLESS, ())
    assert 0 not in {outside(uids, number) for number in range(65537)}


def test_auto_takes_the_lowest_ids_that_no_other_container_has():
    mode = parse_userns("auto:size=100")
    assert ranges_of(mode, ROOT, ())[0] == ((0, 1000, 100),)
    assert ranges_of(mode, ROOT, ((0, 1000, 100),))[0] == ((0, 1100, 100),)
    assert ranges_of(mode, ROOT, ((0, 1150, 50), (0, 1000, 50)))[0] == ((0, 1050, 100),)
    with pytest.raises(InvalidOptionError, match="100 ids"):
        ranges_of(mode, ROOT, ((0, 1050, 50), (0, 1180, 50)))


@pytest.mark.parametrize("text", ["keep-id", "nomap"])
def test_modes_about_the_caller_are_for_ordinary_users(text):
    with pytest.raises(InvalidOptionError, match="ordinary users"):
        ranges_of(parse_userns(text), ROOT, ())
    alone = Available(rootless=True, uid=1, gid=1, free=((1, 0),), count=1)
    with pytest.raises(InvalidOptionError, match="subordinate"):
        ranges_of(parse_userns(text), alone, ())


def test_host_has_no_map():
    assert ranges_of(parse_userns("host"), ROOT, ()) == ((), ())
