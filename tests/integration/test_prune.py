"""Making room: what is needed stays whatever else happens, and what nobody needs goes."""

from __future__ import annotations

import os
import signal
import time

import pytest

from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]

DOCKERFILE = "FROM base\nRUN echo one > /one\nRUN echo two > /two\n"
SLOW = """\
FROM base AS left
RUN sleep 0.2; echo left > /left
RUN sleep 0.2; echo more >> /left
FROM base
COPY file /file
COPY --from=left /left /
RUN --mount=type=cache,target=/cache sleep 0.3; cat /left /file > /both
"""


def prune_all(pybuild: Pybuild) -> str:
    return pybuild("system", "prune", "--all", "--force").ok().stdout


def total_bytes_text(output: str) -> str:
    return output.splitlines()[-1].removeprefix("Total reclaimed space: ")


def build(pybuild: Pybuild, name: str, dockerfile: str = DOCKERFILE) -> None:
    context = pybuild.context({"Dockerfile": dockerfile, "file": "file\n"}, name=name)
    pybuild.build(context, "-t", name)


def test_tagged_images_and_containers_keep_what_they_need(pybuild: Pybuild) -> None:
    build(pybuild, "app")
    pybuild("run", "--name", "kept", "--network", "none", "app", "true").ok()
    pybuild("rmi", "-f", "app").ok()
    build(pybuild, "other", DOCKERFILE.replace("two", "three"))
    pybuild("builder", "prune", "--all", "--force").ok()
    pybuild("image", "prune", "--force").ok()
    shown = pybuild("run", "--rm", "--network", "none", "other", "cat", "/one", "/three").ok()
    assert shown.stdout == "one\nthree\n"
    assert "A /one" not in pybuild("diff", "kept").ok().stdout
    build(pybuild, "app")


def test_all_that_nobody_needs_goes_and_builds_begin_anew(pybuild: Pybuild) -> None:
    build(pybuild, "app")
    pybuild("run", "--network", "none", "app", "true").ok()
    assert total_bytes_text(prune_all(pybuild)) != "0B"
    assert pybuild("images", "-q").ok().stdout == ""
    assert pybuild("ps", "-aq").ok().stdout == ""
    lines = pybuild("system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Size}}").ok().stdout
    assert lines.splitlines() == [
        "Images 0 0B",
        "Containers 0 0B",
        "Local Volumes 0 0B",
        "Build Cache 0 0B",
    ]
    assert os.listdir(pybuild.root / "snapshots") == ["0"]
    build(pybuild, "app")
    assert pybuild("run", "--rm", "--network", "none", "app", "cat", "/two").ok().stdout == "two\n"


def test_a_running_container_keeps_its_image(pybuild: Pybuild) -> None:
    build(pybuild, "app")
    args = (
        "run",
        "--rm",
        "-i",
        "--network",
        "none",
        "app",
        "sh",
        "-c",
        "echo up; read x; cat /one",
    )
    with pybuild.start(*args, stdin=-1) as running:
        assert running.stdout is not None
        assert running.stdin is not None
        assert running.stdout.readline() == b"up\n"
        prune_all(pybuild)
        running.stdin.write(b"\n")
        running.stdin.close()
        assert running.stdout.read() == b"one\n"
        assert running.wait(30) == 0
    assert pybuild("images", "-q").ok().stdout != ""


def test_a_build_does_not_notice_prunes_beside_it(pybuild: Pybuild) -> None:
    context = pybuild.context({"Dockerfile": SLOW, "file": "file\n"})
    base = f"base=oci-layout://{pybuild.busybox()}:latest"
    with pybuild.start("build", "-t", "app", "--build-context", base, context) as building:
        prunes = 0
        while building.poll() is None:
            prune_all(pybuild)
            prunes += 1
        stdout, stderr = building.communicate()
        assert building.returncode == 0, (stdout + stderr).decode()
    assert prunes > 1
    build(pybuild, "app", SLOW)
    shown = pybuild("run", "--rm", "--network", "none", "app", "cat", "/both").ok()
    assert shown.stdout == "left\nmore\nfile\n"


def test_two_prunes_at_once_do_not_disturb_each_other(pybuild: Pybuild) -> None:
    build(pybuild, "app")
    pybuild("run", "--network", "none", "app", "true").ok()
    running = [pybuild.start("system", "prune", "--all", "--force") for _ in range(3)]
    for process in running:
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, (stdout + stderr).decode()
    assert os.listdir(pybuild.root / "snapshots") == ["0"]


@pytest.mark.parametrize("delay_s", [0.08, 0.12, 0.16, 0.2, 0.25, 0.3])
def test_a_prune_that_is_killed_leaves_a_store_that_works(pybuild: Pybuild, delay_s: float) -> None:
    build(pybuild, "kept")
    build(pybuild, "gone", DOCKERFILE.replace("one", "four"))
    pybuild("rmi", "gone").ok()
    pybuild("run", "--network", "none", "kept", "true").ok()
    with pybuild.start("system", "prune", "--force") as pruning:
        time.sleep(delay_s)
        pruning.send_signal(signal.SIGKILL)
    shown = pybuild("run", "--rm", "--network", "none", "kept", "cat", "/one", "/two").ok()
    assert shown.stdout == "one\ntwo\n"
    build(pybuild, "gone", DOCKERFILE.replace("one", "four"))
    prune_all(pybuild)
    assert os.listdir(pybuild.root / "snapshots") == ["0"]
    assert os.listdir(pybuild.root / "containers") == []


def test_a_filter_spares_what_it_does_not_mean(pybuild: Pybuild) -> None:
    build(pybuild, "app", DOCKERFILE + "LABEL keep=me\n")
    pybuild("run", "--name", "one", "-l", "a=b", "--network", "none", "app", "true").ok()
    for words in (("label=a=c",), ("until=1h",), ("label!=a",)):
        filters = [word for text in words for word in ("--filter", text)]
        assert "Deleted" not in pybuild("container", "prune", "-f", *filters).ok().stdout
    pybuild("image", "prune", "-af", "--filter", "label!=keep").ok()
    assert pybuild("ps", "-a", "--format", "{{.Names}}").ok().stdout == "one\n"
    assert "Deleted" in pybuild("container", "prune", "-f", "--filter", "label=a=b").ok().stdout
    pybuild("image", "prune", "-af", "--filter", "label!=keep").ok()
    assert pybuild("images", "--format", "{{.Repository}}").ok().stdout.split() == ["app"]


def test_whoever_does_not_say_yes_keeps_all(pybuild: Pybuild) -> None:
    build(pybuild, "app")
    for command in ("system", "image", "builder", "container"):
        asked = pybuild(command, "prune", stdin="n\n")
        assert asked.status == 1
        assert "[y/N]" in asked.stdout
        assert "cancelled" in asked.stderr
    assert pybuild("images", "-q", "app").ok().stdout != ""
    assert "Total reclaimed space: " in pybuild("system", "prune", "-a", stdin="y\n").ok().stdout
    assert pybuild("images", "-q").ok().stdout == ""


def test_a_check_finds_what_is_damaged_and_repair_makes_room_for_it(pybuild: Pybuild) -> None:
    build(pybuild, "app")
    assert "all as they should be" in pybuild("system", "fsck").ok().stdout
    (layer,) = (path for path in (pybuild.root / "snapshots").glob("*/fs/one"))
    content = layer.read_bytes()
    layer.write_bytes(content.upper())
    config = pybuild.root / "blobs" / "sha256" / pybuild.image_id("app").removeprefix("sha256:")
    config.write_bytes(config.read_bytes() + b" ")
    found = pybuild("system", "fsck")
    assert found.status == 1
    assert "has other files than it was made of" in found.stdout
    assert config.name in found.stdout
    pybuild("system", "fsck", "--repair").ok()
    assert "all as they should be" in pybuild("system", "fsck").ok().stdout
    build(pybuild, "app")
    assert pybuild("run", "--rm", "--network", "none", "app", "cat", "/one").ok().stdout == "one\n"


def test_unused_volumes_go_when_they_are_asked_for(pybuild: Pybuild) -> None:
    build(pybuild, "app")
    pybuild("run", "--network", "none", "-v", "/data", "app", "sh", "-c", "echo x > /data/x").ok()
    assert "Deleted Volumes" not in pybuild("system", "prune", "-f").ok().stdout
    assert pybuild("volume", "ls", "-q").ok().stdout != ""
    assert "Deleted Volumes" in pybuild("system", "prune", "-f", "--volumes").ok().stdout
    assert pybuild("volume", "ls", "-q").ok().stdout == ""


def test_an_image_that_is_being_saved_stays_until_it_is(pybuild: Pybuild) -> None:
    build(
        pybuild, "app", "FROM base\nRUN dd if=/dev/urandom of=/big bs=64k count=200 2>/dev/null\n"
    )
    save = pybuild.start("save", "app")  # its output fills the pipe, and then it waits
    assert save.stdout is not None
    first = save.stdout.read(4096)
    pybuild("rmi", "-f", "app").ok()
    prune_all(pybuild)
    rest, said = save.communicate(timeout=60)
    assert save.returncode == 0, said
    assert "app:latest" in pybuild("load", stdin=first + rest).ok().stdout
    shown = pybuild("run", "--rm", "--network", "none", "app", "stat", "-c", "%s", "/big").ok()
    assert shown.stdout == f"{64 * 1024 * 200}\n"
