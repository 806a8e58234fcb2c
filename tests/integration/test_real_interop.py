"""Other people's tools accept each real image and see the same tree in it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.commands import run
from support.needs import scratch_parent
from support.oci import read_image
from support.peers import Buildah, Bundle, Podman, layout_of, skopeo_inspect
from support.real import RealImage, RealImages
from support.trees import Node, differences, tree_of_layers

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.slow,
    pytest.mark.needs("root", "debian", "mmdebstrap", "skopeo", "umoci"),
]


@dataclass(frozen=True)
class Unpacked:
    """An image as umoci unpacked it, and as its layers say."""

    bundle: Bundle
    tree: dict[str, Node]  # before anything ran in it
    applied: dict[str, Node]


NAMES = ("web", "changed", "compiled", "hello")


@pytest.fixture(params=NAMES)
def image(request: pytest.FixtureRequest, real_images: RealImages) -> RealImage:
    return real_images.get(str(request.param))


@pytest.fixture(scope="module")
def unpack(real_images: RealImages) -> Callable[[RealImage], Unpacked]:
    """Unpacks an image's first archive, once."""
    done: dict[str, Unpacked] = {}

    def unpacked(image: RealImage) -> Unpacked:
        if image.name not in done:
            folder = real_images.pybuild.folder / f"unpacked-{len(done)}"
            folder.mkdir()
            layout = layout_of(image.archives[0], folder / "layout")
            bundle = Bundle(layout, folder / "bundle")
            applied = read_image(layout).tree()
            done[image.name] = Unpacked(bundle, bundle.tree(), applied)
        return done[image.name]

    return unpacked


@pytest.fixture
def peer_store() -> Iterator[Path]:
    """A folder for podman, which wants a short path."""
    with tempfile.TemporaryDirectory(prefix="peer", dir=scratch_parent()) as folder:
        yield Path(folder)


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


@pytest.mark.parametrize("name", ["web", "compiled", "hello"])
def test_an_oci_archive_follows_the_specifications_schemas(
    name: str, real_images: RealImages
) -> None:
    image = read_image(real_images.get(name).archives[0])
    assert image.config_digest == real_images.pybuild.image_id(name)


def test_umoci_unpacks_the_tree_of_the_layers(
    image: RealImage, unpack: Callable[[RealImage], Unpacked]
) -> None:
    unpacked = unpack(image)
    assert differences(_without_root(unpacked.tree), _without_root(unpacked.applied)) == []


def _without_root(tree: dict[str, Node]) -> dict[str, Node]:
    return {path: node for path, node in tree.items() if path}


@pytest.mark.parametrize("name", ["web", "compiled", "hello"])
def test_a_tar_export_is_the_tree_of_the_layers(
    name: str, real_images: RealImages, unpack: Callable[[RealImage], Unpacked]
) -> None:
    dest = real_images.pybuild.folder / f"{name}.tree.tar"
    context = real_images.context(name)
    real_images.pybuild("build", "--output", f"type=tar,dest={dest}", context).ok()
    with dest.open("rb") as archive:
        exported = tree_of_layers([archive])
    applied = unpack(real_images.get(name)).applied
    assert differences(_without_root(exported), _without_root(applied)) == []


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_a_runtime_runs_the_unpacked_image(
    runtime: str, image: RealImage, unpack: Callable[[RealImage], Unpacked]
) -> None:
    ran = unpack(image).bundle.run_with(runtime, image.args)
    assert ran.ok().stdout == image.prints


@pytest.mark.needs("podman")
def test_podman_loads_and_runs_the_docker_archive(image: RealImage, peer_store: Path) -> None:
    podman = Podman(peer_store)
    loaded = podman("load", "-i", image.archives[-1]).ok().stdout.splitlines()
    reference = loaded[-1].removeprefix("Loaded image: ")
    assert podman.run(reference, *image.args).ok().stdout == image.prints


@pytest.mark.needs("buildah")
def test_buildah_starts_from_each_archive(image: RealImage, peer_store: Path) -> None:
    buildah = Buildah(peer_store)
    for archive in image.archives:
        buildah("from", transport(archive)).ok()
