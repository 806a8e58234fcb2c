"""Other people's tools accept each real image and see the same tree in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import run
from support.oci import read_image
from support.peers import Buildah, Bundle, Podman, layout_of, skopeo_inspect
from support.real import RealImage, RealImages
from support.trees import Node, differences, tree_of_layers

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.slow,
    pytest.mark.needs("root", "debian", "mmdebstrap", "skopeo", "umoci"),
]

Unpacked = Callable[[RealImage], tuple[Bundle, dict[str, Node]]]

NAMES = ("web", "changed", "compiled", "hello")


@pytest.fixture(params=NAMES)
def image(request: pytest.FixtureRequest, real_images: RealImages) -> RealImage:
    return real_images.get(str(request.param))


@pytest.fixture(scope="module")
def unpacked(real_images: RealImages) -> Unpacked:
    """Unpacks an image by umoci, once; its bundle, and the tree before anything ran in it."""
    done: dict[str, tuple[Bundle, dict[str, Node]]] = {}

    def unpack(image: RealImage) -> tuple[Bundle, dict[str, Node]]:
        if image.name not in done:
            folder = real_images.pybuild.folder / f"unpacked-{len(done)}"
            folder.mkdir()
            layout = layout_of(image.archives[0], folder / "layout")
            bundle = Bundle(layout, folder / "bundle")
            done[image.name] = (bundle, bundle.tree())
        return done[image.name]

    return unpack


def transport(archive: Path) -> str:
    return f"{'oci' if '.oci.' in archive.name else 'docker'}-archive:{archive}"


def test_skopeo_reads_what_pybuild_inspects(image: RealImage, real_images: RealImages) -> None:
    inspected = real_images.pybuild.inspect(image.name)
    for archive in image.archives:
        seen = skopeo_inspect(transport(archive))
        config = json.loads(run(["skopeo", "inspect", "--config", transport(archive)]).ok().stdout)
        assert (seen["Os"], seen["Architecture"]) == (inspected["Os"], inspected["Architecture"])
        assert config["rootfs"]["diff_ids"] == inspected["RootFS"]["Layers"]
        assert config["config"].get("Cmd") == inspected["Config"].get("Cmd")


def test_an_archive_follows_the_specifications_schemas(image: RealImage, tmp_path: Path) -> None:
    for number, archive in enumerate(image.archives):
        read_image(layout_of(archive, tmp_path / str(number)))
        if transport(archive).startswith("oci"):
            read_image(archive)


def test_umoci_unpacks_the_tree_of_the_layers(image: RealImage, unpacked: Unpacked) -> None:
    bundle, tree = unpacked(image)
    applied = read_image(layout_of(image.archives[0], bundle.path.parent / "again")).tree()
    assert differences(_without_root(tree), _without_root(applied)) == []


def _without_root(tree: dict[str, Node]) -> dict[str, Node]:
    return {path: node for path, node in tree.items() if path}


@pytest.mark.parametrize("name", ["web", "compiled", "hello"])
def test_a_tar_export_is_the_tree_of_the_layers(
    name: str, real_images: RealImages, tmp_path: Path
) -> None:
    image = real_images.get(name)
    dest = real_images.pybuild.folder / f"{name}.tree.tar"
    context = real_images.context(name)
    real_images.pybuild("build", "--output", f"type=tar,dest={dest}", context).ok()
    exported = tree_of_layers([dest.open("rb")])
    applied = read_image(image.archives[0]).tree()
    assert differences(_without_root(exported), _without_root(applied)) == []


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_a_runtime_runs_the_unpacked_image(
    runtime: str, image: RealImage, unpacked: Unpacked
) -> None:
    bundle, _ = unpacked(image)
    assert bundle.run_with(runtime, image.args).ok().stdout == image.prints


@pytest.mark.needs("podman")
def test_podman_loads_and_runs_the_docker_archive(image: RealImage, tmp_path: Path) -> None:
    podman = Podman(tmp_path)
    loaded = podman("load", "-i", image.archives[-1]).ok().stdout.splitlines()
    reference = loaded[-1].removeprefix("Loaded image: ")
    assert podman.run(reference, *image.args).ok().stdout == image.prints
    podman("rmi", "--all", "--force").ok()


@pytest.mark.needs("buildah")
def test_buildah_starts_from_each_archive(image: RealImage, tmp_path: Path) -> None:
    buildah = Buildah(tmp_path)
    for archive in image.archives:
        container = buildah("from", transport(archive)).ok().stdout.strip()
        buildah("rm", container).ok()
