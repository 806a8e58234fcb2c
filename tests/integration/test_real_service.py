"""A real service in the background: Debian's redis, checked, killed, started again, stopped."""

from __future__ import annotations

import time

import pytest

from support.commands import run
from support.debian import SUITE
from support.pybuild import Pybuild

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.slow,
    pytest.mark.needs("debian", "mmdebstrap"),
]

CHANGES = (
    *("-c", 'CMD ["redis-server", "--save", ""]'),
    *("-c", "HEALTHCHECK --interval=1s --timeout=2s CMD redis-cli ping | grep PONG"),
)


def wait_until_it_is(pybuild: Pybuild, wanted: str) -> None:
    deadline = time.monotonic() + 60
    template = "{{.State.Health.Status}} {{.RestartCount}}"
    while pybuild("inspect", "-f", template, "redis").ok().stdout.strip() != wanted:
        assert time.monotonic() < deadline, pybuild("inspect", "redis").output
        time.sleep(0.2)


def test_redis_is_kept_running_and_well(pybuild: Pybuild) -> None:
    tar = pybuild.folder / "redis.tar"
    run(["mmdebstrap", "--variant=essential", "--include=redis-server", SUITE, tar]).ok()
    tar.chmod(0o644)
    pybuild("import", *CHANGES, tar, "redis").ok()
    words = ("--network", "none", "--init", "--restart", "on-failure:3")
    pybuild("run", "-d", "--name", "redis", *words, "redis").ok()
    wait_until_it_is(pybuild, "healthy 0")
    assert pybuild("exec", "redis", "redis-cli", "set", "k", "v").ok().stdout == "OK\n"
    pybuild("exec", "redis", "sh", "-c", "kill -9 $(pidof redis-server)")
    wait_until_it_is(pybuild, "healthy 1")
    assert "(healthy)" in pybuild("ps", "--filter", "health=healthy").ok().stdout
    pybuild("stop", "redis").ok()
    assert pybuild("wait", "redis").ok().stdout == "0\n"
    assert "Ready to accept connections" in pybuild("logs", "redis").ok().stdout
