"""A build killed at any instant leaves a store that the next build uses as it is."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.leaks import leaks_since, traces
from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.slow, pytest.mark.needs("busybox")]

INSTANTS = 30
SEED = 20_260_101
DATE = {"SOURCE_DATE_EPOCH": "1700000000"}
DOCKERFILE = """\
FROM base AS one
COPY many /many
RUN cat /many/* | sha256sum > /sum && sleep 0.05

FROM base
RUN i=0; while [ $i -lt 300 ]; do echo $i > /tmp/$i; i=$((i+1)); done
COPY --from=one /sum /sum
RUN rm /tmp/1* && sleep 0.05 && dd if=/dev/zero of=/zeros bs=1M count=8 2>/dev/null
RUN ln /sum /again && chmod 4755 /again
"""


def context_of(pybuild: Pybuild) -> Path:
    files = {f"many/{number}": f"{number}\n" * 50 for number in range(400)}
    return pybuild.context({"Dockerfile": DOCKERFILE, **files})


def arguments(pybuild: Pybuild, context: Path) -> list[str]:
    archive = pybuild.folder / "image.tar"
    base = f"base=oci-layout://{pybuild.busybox()}:latest"
    output = f"type=oci,dest={archive}"
    return ["build", "-t", "app", "--build-context", base, "--output", output, str(context)]


def build(pybuild: Pybuild, context: Path) -> str:
    """Build to the end; the image's id."""
    pybuild(*arguments(pybuild, context), env=DATE).ok()
    return pybuild.image_id("app")


def test_a_build_after_a_kill_gives_the_undisturbed_image(
    new_pybuild: Callable[[], Pybuild],
) -> None:
    undisturbed = new_pybuild()
    started = time.monotonic()
    expected = build(undisturbed, context_of(undisturbed))
    duration_s = time.monotonic() - started

    instants = random.Random(SEED)
    for _ in range(INSTANTS):
        pybuild = new_pybuild()
        context = context_of(pybuild)
        before = traces()
        instant_s = instants.uniform(0, duration_s)
        kill_build(pybuild, context, instant_s)
        assert leaks_since(before) == [], f"killed after {instant_s:.3f} s"
        assert build(pybuild, context) == expected, f"killed after {instant_s:.3f} s"
        assert pybuild.leftovers() == [], f"killed after {instant_s:.3f} s"


def test_a_store_survives_one_kill_after_another(pybuild: Pybuild) -> None:
    context = context_of(pybuild)
    started = time.monotonic()
    expected = build(pybuild, context)
    duration_s = time.monotonic() - started

    instants = random.Random(SEED)
    for number in range(10):
        (context / "many" / "0").write_text(f"changed {number}\n")  # so that there is work to kill
        kill_build(pybuild, context, instants.uniform(0, duration_s))
    (context / "many" / "0").write_text("0\n" * 50)
    assert build(pybuild, context) == expected
    assert pybuild.leftovers() == []


def kill_build(pybuild: Pybuild, context: Path, instant_s: float) -> None:
    """Start a build and SIGKILL its first process after a while."""
    process = pybuild.start(*arguments(pybuild, context), env=DATE)
    time.sleep(instant_s)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
