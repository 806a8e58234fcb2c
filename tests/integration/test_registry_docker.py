"""Images through Debian's docker-registry, with skopeo on the other side."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.commands import Finished, run
from support.docker_registry import PASSWORD, USER, DockerRegistry, docker_registry
from support.images import Entry, busybox_root, layer_tar, write_layout
from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.needs("docker-registry", "skopeo")]


@pytest.fixture
def registry(pybuild: Pybuild) -> Iterator[DockerRegistry]:
    with docker_registry(pybuild.folder / "registry") as made:
        yield made


@pytest.fixture
def closed(pybuild: Pybuild) -> Iterator[DockerRegistry]:
    with docker_registry(pybuild.folder / "closed", closed=True) as made:
        yield made


def skopeo(*words: str) -> Finished:
    return run(["skopeo", "--insecure-policy", *words]).ok()


def raw(reference: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{reference}").stdout
    )
    return document


def digest(reference: str) -> str:
    return skopeo(
        "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{reference}"
    ).stdout.strip()


def skopeo_push(layout: Path, reference: str, *options: str) -> str:
    options = ("--quiet", "--dest-tls-verify=false", *options)
    skopeo("copy", *options, f"oci:{layout}:latest", f"docker://{reference}")
    return digest(reference)


@pytest.mark.parametrize("options", [(), ("--format=v2s2",), ("--dest-compress-format=zstd",)])
def test_what_skopeo_pushed_is_pulled_run_and_pushed_with_the_same_digest(
    pybuild: Pybuild, registry: DockerRegistry, options: tuple[str, ...]
) -> None:
    name = f"{registry.host}/team/tiny:v1"
    pushed = skopeo_push(pybuild.busybox(), name, *options)
    printed = pybuild("pull", name).ok().stdout
    assert printed == f"Digest: {pushed}\nStatus: Downloaded newer image for {name}\n{name}\n"
    again = pybuild("pull", name).ok().stdout
    assert f"Status: Image is up to date for {name}\n" in again
    assert pybuild("pull", "-q", name).ok().stdout == f"{name}\n"
    assert pybuild("run", "--rm", name, "echo", "hello").ok().stdout == "hello\n"
    copy = f"{registry.host}/copy/tiny:v2"
    pybuild("tag", name, copy).ok()
    assert pybuild("push", copy).ok().stdout == f"v2: digest: {pushed}\n"
    third = f"{registry.host}/third:v3"
    assert pybuild("push", copy, f"docker://{third}").ok().stdout == f"v3: digest: {pushed}\n"
    assert digest(third) == pushed
    assert digest(copy) == pushed
    assert raw(copy) == raw(name)
    by_digest = f"{registry.host}/team/tiny@{pushed}"
    assert by_digest in pybuild("pull", by_digest).ok().stdout


def test_a_build_pulls_its_bases_and_pushes_what_it_made(
    pybuild: Pybuild, new_pybuild: Callable[[], Pybuild], registry: DockerRegistry
) -> None:
    base = f"{registry.host}/base:v1"
    skopeo_push(pybuild.busybox(), base)
    dockerfile = f"FROM {base}\nCOPY --from={base} /bin/busybox /copied\nRUN echo built > /built\n"
    context = pybuild.context({"Dockerfile": dockerfile})
    name = f"{registry.host}/team/app:v1"
    pybuild("build", "--push", "-t", name, context).ok()
    other = new_pybuild()
    other("pull", name).ok()
    assert other("run", "--rm", name, "cat", "/built").ok().stdout == "built\n"
    assert other.image_id(name) == pybuild.image_id(name)
    assert raw(name)["layers"][0] == raw(base)["layers"][0], "mounted, not packed again"


def test_run_pulls_what_the_store_lacks(pybuild: Pybuild, registry: DockerRegistry) -> None:
    name = f"{registry.host}/base:v1"
    skopeo_push(pybuild.busybox(), name)
    first = pybuild("run", "--rm", name, "echo", "hello").ok()
    assert (first.stdout, name in first.stderr) == ("hello\n", True)
    again = pybuild("run", "--rm", name, "echo", "again").ok()
    assert (again.stdout, again.stderr) == ("again\n", "")


def test_pull_asks_for_what_a_tag_means_now(pybuild: Pybuild, registry: DockerRegistry) -> None:
    base = f"{registry.host}/base:v1"
    context = pybuild.context({"Dockerfile": f"FROM {base}\nRUN cat /who > /seen\n"})
    names = ("kept", "asked")
    for who in ("first", "second"):
        tree = {"who": Entry(who.encode())}
        busybox = [layer_tar(busybox_root()), layer_tar(tree)]
        skopeo_push(write_layout(pybuild.folder / who, busybox), base)
        pybuild("build", "-t", "kept", context).ok()
        pybuild("build", "--pull", "-t", "asked", context).ok()
        seen = [pybuild("run", "--rm", name, "cat", "/seen").ok().stdout for name in names]
        assert seen == ["first", who]


def test_a_missing_base_is_said_with_the_dockerfiles_line(
    pybuild: Pybuild, registry: DockerRegistry
) -> None:
    context = pybuild.context({"Dockerfile": f"FROM scratch\nCOPY --from={registry.host}/no /a /"})
    failed = pybuild("build", context)
    assert failed.status == 1
    assert "Dockerfile:2" in failed.stderr
    assert f"there is no {registry.host}/no:latest" in failed.stderr


def test_the_manifest_for_a_platform_is_chosen(pybuild: Pybuild, registry: DockerRegistry) -> None:
    layers = {name: [layer_tar({name: Entry(b"x")})] for name in ("amd64", "arm64")}
    entries = []
    for architecture, tars in layers.items():
        layout = write_layout(pybuild.folder / architecture, tars)
        single = f"{registry.host}/multi:{architecture}"
        skopeo_push(layout, single)
        manifest = raw(single)
        size = len(skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{single}").stdout)
        entries.append(
            {
                "mediaType": manifest["mediaType"],
                "digest": digest(single),
                "size": size,
                "platform": {"os": "linux", "architecture": architecture},
            }
        )
    index = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": entries,
        }
    )
    url = f"http://{registry.host}/v2/multi/manifests/all"
    header = "Content-Type: application/vnd.oci.image.index.v1+json"
    run(["curl", "-sfX", "PUT", "-H", header, "--data-binary", index, url]).ok()
    name = f"{registry.host}/multi:all"
    for architecture, tars in layers.items():
        platform = ("--platform", f"linux/{architecture}")
        pybuild("pull", *platform, name).ok()
        document = json.loads(pybuild("inspect", *platform, name).ok().stdout)[0]
        assert len(document["RootFS"]["Layers"]) == len(tars)
        pulled = document["Id"]
        pybuild("pull", f"{registry.host}/multi:{architecture}").ok()
        assert pybuild.image_id(f"{registry.host}/multi:{architecture}") == pulled
    failed = pybuild("pull", "--platform", "linux/s390x", name)
    assert failed.status == 1
    assert "linux/amd64, linux/arm64" in failed.stderr


def test_all_tags_come_and_go(
    pybuild: Pybuild, new_pybuild: Callable[[], Pybuild], registry: DockerRegistry
) -> None:
    pybuild("load", "-i", pybuild.busybox()).ok()
    image_id = pybuild("images", "-q", "--no-trunc").ok().stdout.strip()
    repository = f"{registry.host}/team/many"
    for tag in ("a", "b"):
        pybuild("tag", image_id, f"{repository}:{tag}").ok()
    assert len(pybuild("push", "--all-tags", repository).ok().stdout.splitlines()) == 2
    other = new_pybuild()
    assert other("pull", "-aq", repository).ok().stdout == f"{repository}:a\n{repository}:b\n"
    assert other.image_id(f"{repository}:b") == image_id
    assert pybuild("push", "-a", f"{repository}:a").status == 2


@pytest.mark.parametrize("compression", ["gzip", "zstd", "uncompressed"])
def test_layers_are_pushed_in_the_compression_asked_for(
    pybuild: Pybuild, registry: DockerRegistry, compression: str
) -> None:
    context = pybuild.context({"Dockerfile": "FROM scratch\nCOPY file /\n", "file": "x" * 99999})
    name = f"{registry.host}/small:{compression}"
    pybuild("build", "-t", name, context).ok()
    pybuild("push", "--compression", compression, name).ok()
    (layer,) = raw(name)["layers"]
    ending = {"uncompressed": "v1.tar"}.get(compression, f"v1.tar+{compression}")
    assert layer["mediaType"].endswith(ending)
    pulled = pybuild.folder / "pulled"
    skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{name}", f"oci:{pulled}:x")


def test_a_closed_registry_opens_after_login(pybuild: Pybuild, closed: DockerRegistry) -> None:
    assert closed.ca is not None
    home = pybuild.folder / "home"
    home.mkdir()
    pybuild.give(home)
    env = {"HOME": str(home), "DOCKER_CONFIG": str(home / "docker")}
    name = f"{closed.host}/team/tiny:v1"
    pybuild("load", "-i", pybuild.busybox()).ok()
    pybuild("tag", pybuild("images", "-q").ok().stdout.strip(), name).ok()
    untrusted = pybuild("push", name, env=env)
    assert untrusted.status == 1
    assert "certificate" in untrusted.stderr
    trusting = env | {"SSL_CERT_FILE": str(closed.ca)}
    refused = pybuild("push", name, env=trusting)
    assert refused.status == 1
    assert f"pybuild login {closed.host}" in refused.stderr
    login = ("login", "-u", USER, "--password-stdin", closed.host)
    assert pybuild(*login, stdin="wrong", env=trusting).status == 1
    assert not (home / "docker").exists()
    done = pybuild(*login, stdin=f"{PASSWORD}\n", env=trusting).ok()
    assert "Login Succeeded" in done.stdout
    config = home / "docker" / "config.json"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    pybuild("push", name, env=trusting).ok()
    pybuild("push", "--tls-verify=false", name, env=env).ok()
    credentials = f"{USER}:{PASSWORD}"
    seen = skopeo("inspect", "--tls-verify=false", "--creds", credentials, f"docker://{name}")
    assert json.loads(seen.stdout)["Name"] == f"{closed.host}/team/tiny"
    assert "Removed" in pybuild("logout", closed.host, env=trusting).ok().stdout
    assert pybuild("pull", name, env=trusting).status == 1
    pybuild("pull", "--creds", credentials, name, env=trusting).ok()


def test_a_registry_that_nobody_knows_is_said_at_once(pybuild: Pybuild) -> None:
    failed = pybuild("pull", "registry.invalid/x", timeout_s=60)
    assert failed.status == 1
    assert "registry.invalid cannot be reached" in failed.stderr
