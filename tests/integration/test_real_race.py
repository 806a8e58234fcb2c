"""Builds at the same time on one store: all succeed, and what they share is done once."""

from __future__ import annotations

import pytest

from support.oci import read_image
from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]

# A step's output tells whether it ran once: the kernel gives another uuid each time.
DOCKERFILE = """\
FROM base AS left
RUN sleep 0.3; cat /proc/sys/kernel/random/uuid > /left
FROM base AS right
RUN sleep 0.3; cat /proc/sys/kernel/random/uuid > /right
FROM base
COPY --from=left /left /
COPY --from=right /right /
COPY file /file
RUN cat /proc/sys/kernel/random/uuid > /id
"""


@pytest.mark.parametrize("builders", [2, 4])
def test_builds_of_one_dockerfile_at_once_share_each_step(pybuild: Pybuild, builders: int) -> None:
    context = pybuild.context({"Dockerfile": DOCKERFILE, "file": "x"})
    base = f"base=oci-layout://{pybuild.busybox()}:latest"
    archives = [pybuild.folder / f"{number}.tar" for number in range(builders)]
    running = [
        pybuild.start(
            "build", "-t", f"app:{archive.stem}", "--build-context", base,
            "--output", f"type=oci,dest={archive}", context,
        )
        for archive in archives
    ]  # fmt: skip
    for process in running:
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, (stdout + stderr).decode()
    images = [read_image(archive) for archive in archives]
    assert len({tuple(image.diff_ids) for image in images}) == 1


def test_builds_of_different_dockerfiles_at_once_share_the_step_they_have_in_common(
    pybuild: Pybuild,
) -> None:
    common = "FROM base\nRUN sleep 0.5; cat /proc/sys/kernel/random/uuid > /id\n"
    base = f"base=oci-layout://{pybuild.busybox()}:latest"
    running = []
    for name in ("one", "two"):
        context = pybuild.context({"Dockerfile": f"{common}RUN echo {name} > /name\n"}, name=name)
        output = f"type=oci,dest={pybuild.folder / name}.tar"
        args = ("build", "-t", name, "--build-context", base, "--output", output, context)
        running.append(pybuild.start(*args))
    for process in running:
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, (stdout + stderr).decode()
    one, two = (read_image(pybuild.folder / f"{name}.tar") for name in ("one", "two"))
    assert one.diff_ids[:2] == two.diff_ids[:2]
    assert one.diff_ids[2] != two.diff_ids[2]
