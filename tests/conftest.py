"""Fixtures that all tests share; support/ has what they are made of."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from support.debian import write_debian_tar
from support.leaks import adopt_orphans, leaks_since, traces
from support.needs import lacking, promised, scratch_parent
from support.pybuild import Pybuild, pybuild_of
from support.real import RealImages
from support.users import Person, current_person, ordinary_person

KINDS = {"root": ("root", "namespaces"), "rootless": ("subids",)}
"""Who calls pybuild → what that needs of the machine."""


# What a commit is held to must not depend on a throw of dice; people's own runs explore further.
settings.register_profile("ci", derandomize=True)


def pytest_configure() -> None:
    adopt_orphans()
    heed_signals()
    if promised():
        settings.load_profile("ci")


def heed_signals() -> None:
    """What is started by nohup or in the background ignores signals, and so would our children."""
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for need in marker.args:
            require(need)


def require(need: str) -> None:
    """Skip the running test where the machine can't give `need`; fail it where CI promised it."""
    why = lacking(need)
    if why and promised():
        pytest.fail(f"CI lacks {need}: {why}", pytrace=False)
    if why:
        pytest.skip(why)


def require_kind(kind: str) -> None:
    for need in KINDS[kind]:
        require(need)


def person_of(kind: str) -> Person:
    return current_person() if kind == "root" else ordinary_person()


@pytest.fixture(scope="session", params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    """Who calls pybuild: "root" or "rootless"."""
    require_kind(request.param)
    return str(request.param)


@pytest.fixture
def new_pybuild(kind: str) -> Iterator[Callable[[], Pybuild]]:
    """Makes callers with a store each; all are checked for leftovers in the end."""
    before = traces()
    with ExitStack() as stack:
        made: list[Pybuild] = []

        def make() -> Pybuild:
            made.append(stack.enter_context(pybuild_of(person_of(kind))))
            return made[-1]

        yield make
        left = [line for each in made for line in each.leftovers()]
        assert [*leaks_since(before), *left] == []


@pytest.fixture
def pybuild(new_pybuild: Callable[[], Pybuild]) -> Pybuild:
    """`pybuild` with a store of its own, as root and as an ordinary user."""
    return new_pybuild()


@pytest.fixture(scope="session")
def debian_tar() -> Iterator[Path]:
    """A minimal Debian's root filesystem."""
    for need in ("debian", "mmdebstrap"):
        require(need)
    with tempfile.TemporaryDirectory(prefix="pybuild-debian-", dir=scratch_parent()) as folder:
        Path(folder).chmod(0o755)
        yield write_debian_tar(Path(folder) / "debian.tar")


@pytest.fixture(scope="session")
def real_images(kind: str, debian_tar: Path) -> Iterator[RealImages]:
    """Images of real software in one store, built when a test asks for them."""
    with pybuild_of(person_of(kind)) as pybuild:
        yield RealImages(pybuild, debian_tar)


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """A privileged test leaves no mount, process or control group behind."""
    if request.node.get_closest_marker("privileged") is None:
        yield
        return
    before = traces()
    yield
    assert leaks_since(before) == []
