"""Images for several platforms: built, listed, saved, pushed, pulled; read by skopeo and podman."""

from __future__ import annotations

import json
import os
import platform
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.commands import run
from support.docker_registry import DockerRegistry, docker_registry
from support.foreign import QEMU, aarch64_program, emulated_aarch64
from support.pybuild import Pybuild

pytestmark = pytest.mark.privileged

DOCKERFILE = """\
FROM --platform=$BUILDPLATFORM base AS tools
RUN cat /proc/sys/kernel/random/uuid >/once
FROM scratch
ARG TARGETARCH
COPY --from=tools /once /once
COPY Dockerfile /for-$TARGETARCH
"""
BOTH = "linux/amd64,linux/arm64"


@pytest.fixture
def registry(pybuild: Pybuild) -> Iterator[DockerRegistry]:
    with docker_registry(pybuild.folder / "registry") as made:
        yield made


@pytest.fixture
def context(pybuild: Pybuild) -> Path:
    return pybuild.context({"Dockerfile": DOCKERFILE})


def build(pybuild: Pybuild, context: Path, *options: str | Path) -> str:
    base = f"base=oci-layout://{pybuild.busybox()}"
    args = ("--platform", BOTH, "--build-context", base, "--progress", "plain", *options, context)
    return pybuild("build", *args).ok().stderr


def test_steps_that_do_not_depend_on_the_platform_are_done_once(
    pybuild: Pybuild, context: Path
) -> None:
    told = build(pybuild, context, "-t", "two:v1", "-o", f"type=local,dest={context}/out")
    assert told.count("RUN cat") == 1
    once = {
        (context / "out" / name / "once").read_text() for name in ("linux_amd64", "linux_arm64")
    }
    assert len(once) == 1
    assert (context / "out/linux_amd64/for-amd64").exists()
    assert (context / "out/linux_arm64/for-arm64").exists()


def test_a_tar_has_a_directory_for_each_platform(pybuild: Pybuild, context: Path) -> None:
    build(pybuild, context, "-o", f"type=tar,dest={context}/out.tar")
    with tarfile.open(context / "out.tar") as archive:
        names = {name for name in archive.getnames() if name.count("/") == 1}
    assert names == {
        f"linux_{arch}/{name}" for arch in ("amd64", "arm64") for name in ("once", f"for-{arch}")
    }


def test_a_docker_archive_of_two_platforms_is_refused_before_anything_is_built(
    pybuild: Pybuild, context: Path
) -> None:
    args = ("--platform", BOTH, "-o", f"type=docker,dest={context}/out.tar", context)
    failed = pybuild("build", *args)
    assert failed.status == 2
    assert "a docker archive holds one platform" in failed.stderr


def test_a_name_shows_the_image_of_each_platform(pybuild: Pybuild, context: Path) -> None:
    build(pybuild, context, "-t", "two:v1")
    listed = pybuild("images", "--format", "{{.Repository}}:{{.Tag}}").ok().stdout.split()
    assert sorted(listed) == ["<none>:<none>", "two:v1"], "a line for the name, one for the base"
    for arch in ("amd64", "arm64"):
        args = ("--platform", f"linux/{arch}")
        document = json.loads(pybuild("inspect", *args, "two:v1").ok().stdout)[0]
        assert document["Architecture"] == arch
        assert f"COPY Dockerfile /for-{arch}" in pybuild("history", *args, "two:v1").ok().stdout
    failed = pybuild("history", "--platform", "linux/s390x", "two:v1")
    assert failed.status == 1
    assert "the store has two:v1 for linux/amd64, linux/arm64, not for linux/s390x" in failed.stderr


def test_one_platforms_image_can_go_and_then_the_rest(pybuild: Pybuild, context: Path) -> None:
    build(pybuild, context, "-t", "two:v1", "-t", "two:v2")
    amd64 = json.loads(pybuild("inspect", "--platform", "linux/amd64", "two:v1").ok().stdout)
    removed = pybuild("rmi", "--platform", "linux/amd64", "two:v1").ok().stdout
    assert removed == f"Deleted: {amd64[0]['Id']}\n"
    document = json.loads(pybuild("inspect", "two:v1").ok().stdout)[0]
    assert document["Architecture"] == "arm64"
    assert pybuild("rmi", "two:v1").ok().stdout == "Untagged: two:v1\n"
    assert pybuild("rmi", "two:v2").ok().stdout == f"Untagged: two:v2\nDeleted: {document['Id']}\n"


def test_a_name_goes_with_the_images_of_all_platforms(pybuild: Pybuild, context: Path) -> None:
    build(pybuild, context, "-t", "two:v1")
    assert pybuild("rmi", "two:v1").ok().stdout.count("Deleted: ") == 2


@pytest.mark.needs("skopeo")
def test_an_oci_archive_is_an_index_that_skopeo_reads_and_load_takes_back(
    pybuild: Pybuild, new_pybuild: Callable[[], Pybuild], context: Path
) -> None:
    build(pybuild, context, "-t", "two:v1", "-o", f"type=oci,dest={context}/built.tar")
    pybuild("save", "--format", "oci-archive", "-o", context / "saved.tar", "two:v1").ok()
    indexes = [skopeo_index(f"oci-archive:{context}/{name}.tar") for name in ("built", "saved")]
    assert indexes[0] == indexes[1]
    assert [entry["platform"]["architecture"] for entry in indexes[0]["manifests"]] == [
        "amd64",
        "arm64",
    ]
    other = new_pybuild()
    other("load", "-i", context / "saved.tar").ok()
    assert other("inspect", "--platform", "linux/arm64", "two:v1").status == 1
    other("load", "--all-platforms", "-i", context / "saved.tar").ok()
    for arch in ("amd64", "arm64"):
        args = ("inspect", "--format", "{{.Id}}", "--platform", arch, "two:v1")
        assert other(*args).ok().stdout == pybuild(*args).ok().stdout
    pybuild("save", "--platform", "arm64", "-o", context / "one.tar", "two:v1").ok()
    assert other("load", "-i", context / "one.tar").ok().stdout == "Loaded image: two:v1\n"
    assert json.loads(other("inspect", "two:v1").ok().stdout)[0]["Architecture"] == "arm64"


def skopeo_index(reference: str) -> Any:
    shown = run(["skopeo", "inspect", "--tls-verify=false", "--raw", reference]).ok().stdout
    return json.loads(shown)


@pytest.mark.needs("docker-registry", "skopeo")
def test_an_index_is_pushed_pulled_whole_and_pushed_with_the_same_digest(
    pybuild: Pybuild,
    new_pybuild: Callable[[], Pybuild],
    registry: DockerRegistry,
    context: Path,
) -> None:
    name, copy = f"{registry.host}/two:v1", f"{registry.host}/copy:v1"
    build(pybuild, context, "-t", name, "--push", "--metadata-file", context / "meta.json")
    digest = json.loads((context / "meta.json").read_text())["containerimage.digest"]
    index = skopeo_index(f"docker://{name}")
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    other = new_pybuild()
    pulled = other("pull", "--all-platforms", name).ok().stdout
    assert pulled.startswith(f"Digest: {digest}\n")
    other("tag", name, copy).ok()
    assert other("push", copy).ok().stdout == f"v1: digest: {digest}\n"
    assert skopeo_index(f"docker://{copy}") == index
    single = other("push", "--platform", "linux/arm64", copy).ok().stdout
    assert single == f"v1: digest: {index['manifests'][1]['digest']}\n"


@pytest.mark.needs("docker-registry", "skopeo")
def test_an_index_can_be_pushed_under_its_digest_alone(
    pybuild: Pybuild, registry: DockerRegistry, context: Path
) -> None:
    """As builds for one platform each do in CI, before their index is put together."""
    output = f"type=image,name={registry.host}/two,push-by-digest=true,push=true"
    build(pybuild, context, "-o", output, "--metadata-file", context / "meta.json")
    digest = json.loads((context / "meta.json").read_text())["containerimage.digest"]
    assert len(skopeo_index(f"docker://{registry.host}/two@{digest}")["manifests"]) == 2
    tags = run(["curl", "-s", f"http://{registry.host}/v2/two/tags/list"]).ok().stdout
    assert json.loads(tags).get("tags") is None
    assert "two" not in pybuild("images", "--format", "{{.Tag}}").ok().stdout


@pytest.mark.needs("docker-registry", "skopeo")
def test_what_skopeo_copied_whole_is_pulled_platform_by_platform(
    pybuild: Pybuild, new_pybuild: Callable[[], Pybuild], registry: DockerRegistry, context: Path
) -> None:
    build(pybuild, context, "-t", "two:v1", "-o", f"type=oci,dest={context}/built.tar")
    name = f"{registry.host}/two:v1"
    copy = ["skopeo", "--insecure-policy", "copy", "--all", "--quiet", "--dest-tls-verify=false"]
    run([*copy, f"oci-archive:{context}/built.tar", f"docker://{name}"]).ok()
    other = new_pybuild()
    other("pull", "--platform", "linux/arm64", name).ok()
    assert json.loads(other("inspect", name).ok().stdout)[0]["Architecture"] == "arm64"
    other("pull", name).ok()
    for arch in ("amd64", "arm64"):
        document = json.loads(other("inspect", "--platform", arch, name).ok().stdout)[0]
        assert document["Architecture"] == arch


@pytest.fixture
def foreign(pybuild: Pybuild) -> Path:
    """A RUN of a program for arm64."""
    context = pybuild.context({"Dockerfile": 'FROM scratch\nCOPY prog /prog\nRUN ["/prog"]\n'})
    (context / "prog").write_bytes(aarch64_program("spoken by another machine\n"))
    (context / "prog").chmod(0o755)
    return pybuild.give(context)


@pytest.mark.skipif(platform.machine() == "aarch64", reason="it is no other machine's here")
def test_a_foreign_run_without_an_emulator_is_said(pybuild: Pybuild, foreign: Path) -> None:
    failed = pybuild("build", "--platform", "linux/arm64", foreign)
    assert failed.status == 1
    assert 'the program "/prog" cannot be executed: Exec format error' in failed.stderr
    assert "qemu-user-static" in failed.stderr
    assert "Dockerfile:3" in failed.stderr


@pytest.mark.needs(QEMU)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root tells the kernel of an emulator")
def test_a_foreign_run_goes_through_an_emulator(pybuild: Pybuild, foreign: Path) -> None:
    with emulated_aarch64():
        built = pybuild("build", "--platform", "linux/arm64", "--progress", "plain", foreign).ok()
    assert "spoken by another machine" in built.stderr
