"""Names that stand for an image for each of several platforms."""

from __future__ import annotations

import pytest

from builder.image.model import ImageConfig, Platform
from builder.image.platform import parse_platforms
from cache.digest import sha256_digest
from support.stores import open_store

APP = "docker.io/library/app:latest"
AMD64, ARM64, ARMV7 = (
    Platform("linux", "amd64"),
    Platform("linux", "arm64"),
    Platform("linux", "arm", "v7"),
)


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def images(store):
    diff_id = sha256_digest(b"layer")
    platforms = (AMD64, ARM64, ARMV7)
    return {one: store.images.put(ImageConfig(one, diff_ids=(diff_id,)), (1,)) for one in platforms}


def test_a_name_means_one_image_and_has_one_for_each_platform(store, images):
    store.images.tag_platforms(APP, images, images[AMD64])
    assert store.images.find("app").image_id == images[AMD64].image_id
    for platform, image in images.items():
        assert store.images.find_for("app", platform).image_id == image.image_id
        assert store.images.get(image.image_id).names == (APP,)
    assert store.images.find_for("app", Platform("linux", "arm", "v8")).config.platform == ARMV7
    assert store.images.find_for("app", Platform("linux", "s390x")) is None
    assert list(store.images.platforms(APP)) == [AMD64, ARM64, ARMV7]


def test_only_the_meant_image_is_named_without_a_platform(store, images):
    store.images.tag_platforms(APP, images, images[ARM64])
    assert store.images.get(images[ARM64].image_id).platform_names == ()
    assert store.images.get(images[AMD64].image_id).platform_names == (APP,)


def test_a_new_image_takes_the_name_from_all_platforms(store, images):
    store.images.tag_platforms(APP, images, images[AMD64])
    other = store.images.put(ImageConfig(AMD64), ())
    store.images.tag(APP, other.image_id)
    assert {one.names for one in map(store.images.get, map(id_of, images.values()))} == {()}
    assert list(store.images.platforms(APP).values()) == [store.images.get(other.image_id)]


def id_of(image):
    return image.image_id


def test_without_the_meant_image_the_name_means_the_next_one(store, images):
    store.images.tag_platforms(APP, images, images[AMD64])
    store.images.remove(images[AMD64].image_id)
    assert store.images.find("app").image_id == images[ARM64].image_id
    assert list(store.images.platforms(APP)) == [ARM64, ARMV7]
    store.images.remove(images[ARM64].image_id)
    store.images.remove(images[ARMV7].image_id)
    assert store.images.names() == ()


def test_a_name_leaves_all_platforms_at_once(store, images):
    store.images.tag_platforms(APP, images, images[AMD64])
    assert store.images.untag(APP)
    assert store.images.platforms(APP) == {}
    assert not any(store.images.get(one.image_id).names for one in images.values())


def test_a_command_lines_platforms_stand_between_commas_or_apart_and_count_once():
    texts = ("linux/amd64, arm64", "linux/arm64/v8")
    assert parse_platforms(texts) == (AMD64, ARM64)
    assert parse_platforms(()) == ()
