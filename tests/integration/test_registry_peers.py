"""Images through a real registry to podman and buildah, and from them: same digests, same files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import run
from support.docker_registry import DockerRegistry, docker_registry
from support.peers import Buildah, Podman
from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.needs("docker-registry", "skopeo")]

DOCKERFILE = """\
FROM base
RUN echo made >/by && chmod 600 /by && rm /bin/yes
ENV GREETING=hello
CMD ["sh", "-c", "echo $GREETING; cat /by; ls /bin/yes || true"]
"""
HTTP = "--tls-verify=false"


@pytest.fixture
def registry(pybuild: Pybuild) -> Iterator[DockerRegistry]:
    with docker_registry(pybuild.folder / "registry") as made:
        yield made


@pytest.fixture
def peers(pybuild: Pybuild) -> Path:
    return pybuild.folder / "peers"


def digest_of(reference: str) -> str:
    argv = ["skopeo", "inspect", HTTP, "--format", "{{.Digest}}", f"docker://{reference}"]
    return run(argv).ok().stdout.strip()


@pytest.mark.needs("podman", "buildah", "root")
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_podman_and_buildah_pull_and_run_what_was_pushed(
    pybuild: Pybuild, registry: DockerRegistry, peers: Path, compression: str
) -> None:
    name = f"{registry.host}/made:v1"
    context = pybuild.context({"Dockerfile": DOCKERFILE})
    base = f"base=oci-layout://{pybuild.busybox()}"
    pybuild("build", "--build-context", base, "-t", name, context).ok()
    pybuild("push", "--compression", compression, "--force-compression", name).ok()
    podman, buildah = Podman(peers), Buildah(peers)
    podman("pull", HTTP, name).ok()
    assert podman.run(name).ok().stdout == "hello\nmade\n"
    container = buildah("from", HTTP, name).ok().stdout.strip()
    ran = buildah("run", "--isolation=chroot", container, "cat", "/by").ok()
    assert ran.stdout == "made\n"
    image_ids = json.loads(podman("inspect", "--type=image", name).ok().stdout)
    assert f"sha256:{image_ids[0]['Id']}" == pybuild.image_id(name)


@pytest.mark.needs("buildah", "root")
@pytest.mark.parametrize(
    "options", [("--format=docker",), ("--format=oci",), ("--compression-format=zstd:chunked",)]
)
def test_what_buildah_pushed_is_pulled_run_and_pushed_with_the_same_digest(
    pybuild: Pybuild, registry: DockerRegistry, peers: Path, options: tuple[str, ...]
) -> None:
    name, copy = f"{registry.host}/made:v1", f"{registry.host}/copy:v1"
    context = pybuild.context({"Dockerfile": "FROM scratch\nCOPY busybox /bin/\nCOPY file /file\n"})
    (context / "busybox").write_bytes(Path("/bin/busybox").read_bytes())
    (context / "busybox").chmod(0o755)
    (context / "file").write_text("from buildah\n")
    buildah, podman = Buildah(peers), Podman(peers)  # on one store
    buildah("bud", "-q", "--isolation=chroot", "-t", name, context).ok()
    podman("push", HTTP, *options, name).ok()
    pushed = digest_of(name)
    pulled = pybuild("pull", name).ok().stdout
    assert pulled.startswith(f"Digest: {pushed}\n")
    ran = pybuild("run", "--rm", "--network", "none", name, "/bin/busybox", "cat", "/file").ok()
    assert ran.stdout == "from buildah\n"
    pybuild("tag", name, copy).ok()
    assert pybuild("push", copy).ok().stdout == f"v1: digest: {pushed}\n"
    assert digest_of(copy) == pushed


@pytest.mark.needs("umoci", "root")
def test_what_umoci_made_is_pulled_and_built_upon(
    pybuild: Pybuild, registry: DockerRegistry, peers: Path
) -> None:
    layout, bundle = peers / "layout", peers / "bundle"
    peers.mkdir()
    run(["cp", "-r", pybuild.busybox(), layout]).ok()
    run(["umoci", "unpack", "--image", f"{layout}:latest", bundle]).ok()
    (bundle / "rootfs" / "added").write_text("by umoci\n")
    (bundle / "rootfs" / "bin" / "yes").unlink()
    run(["umoci", "repack", "--image", f"{layout}:new", bundle]).ok()
    name = f"{registry.host}/umoci:v1"
    copy = ["skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false"]
    run([*copy, f"oci:{layout}:new", f"docker://{name}"]).ok()
    context = pybuild.context(
        {"Dockerfile": f"FROM {name}\nRUN cat /added >/seen; ! ls /bin/yes\n"}
    )
    pybuild("build", "-t", "built", context).ok()
    assert pybuild("run", "--rm", "built", "cat", "/seen").ok().stdout == "by umoci\n"
    assert pybuild("pull", name).ok().stdout.startswith(f"Digest: {digest_of(name)}\n")
