"""Each way out of the sandbox is shut, and what shuts it is what the code says it is."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import person_of, require_kind
from support.escapes import ESCAPED_DIR, ESCAPES, Escape
from support.sandbox import changed_packages, sandbox_of
from support.users import Person

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]


@pytest.fixture(params=["root", "rootless"])
def person(request: pytest.FixtureRequest) -> Person:
    require_kind(request.param)
    return person_of(request.param)


@pytest.fixture
def bait(person: Person) -> Iterator[None]:
    """What there is on the host to get at: a directory to write to, an abstract socket."""
    directory = Path(ESCAPED_DIR)
    directory.mkdir()
    os.chown(directory, person.uid, person.gid)
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0pybuild-abstract")
        yield
    directory.rmdir()


@pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape.name)
def test_a_way_out_is_shut_by_its_protection(person: Person, escape: Escape, bait: None):
    if escape.only_root and not person.is_root:
        pytest.skip("root's alone: an ordinary user's kernel has no such thing")
    assert not gets_out(person, escape, escape.weakness)
    assert gets_out(person, escape, (*escape.weakness, *escape.protection))


def gets_out(person: Person, escape: Escape, changes: tuple[tuple[str, str, str], ...]) -> bool:
    with sandbox_of(
        person,
        change=escape.image,
        around=escape.around,
        packages_dir=changed_packages(changes),
        keys=escape.keys,
    ) as sandbox:
        return escape.attempt(sandbox)
