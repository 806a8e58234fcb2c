from __future__ import annotations

import pytest

from builder.runtime.detachkeys import DEFAULT, DetachScanner, parse_detach_keys
from builder.runtime.errors import InvalidOptionError


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (DEFAULT, b"\x10\x11"),
        ("a", b"a"),
        ("ctrl-a,x", b"\x01x"),
        ("ctrl-z", b"\x1a"),
        ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x1b\x1c\x1d\x1e\x1f"),
        ("", b""),
    ],
)
def test_keys_are_written_as_docker_writes_them(text: str, keys: bytes):
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ctrl-ab", "ab", "é", ",", "a,"])
def test_what_is_no_key_is_refused(text: str):
    with pytest.raises(InvalidOptionError):
        parse_detach_keys(text)


def fed(keys: bytes, *typed: bytes) -> tuple[bytes, bool]:
    scanner = DetachScanner(keys)
    passed = b""
    for chunk in typed:
        more, done = scanner.feed(chunk)
        passed += more
        if done:
            return passed, True
    return passed, False


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ((b"abc",), (b"abc", False)),
        ((b"\x10\x11",), (b"", True)),
        ((b"a\x10", b"\x11b"), (b"a", True)),
        ((b"\x10a",), (b"\x10a", False)),
        ((b"\x10\x10\x11",), (b"\x10", True)),
        ((b"\x10",), (b"", False)),
        ((b"\x10", b"\x10", b"x"), (b"\x10\x10x", False)),
    ],
)
def test_all_but_the_keys_is_passed_on(typed: tuple[bytes, ...], expected: tuple[bytes, bool]):
    assert fed(b"\x10\x11", *typed) == expected


def test_without_keys_all_is_passed_on():
    assert fed(b"", b"\x10\x11") == (b"\x10\x11", False)
