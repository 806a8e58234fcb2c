from __future__ import annotations

import threading

import pytest

from builder.image.codec import encode_config
from builder.image.errors import AmbiguousImageError, InvalidReferenceError
from builder.image.model import ImageConfig, Platform
from cache.descriptor import Descriptor
from cache.digest import sha256_digest
from cache.errors import NotFoundError
from support.stores import open_store

APP = "docker.io/library/app:latest"
DIFF_ID = sha256_digest(b"layer")


def image(author: str = "") -> ImageConfig:
    return ImageConfig(Platform("linux", "amd64"), diff_ids=(DIFF_ID,), author=author)


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store") as opened:
        yield opened


def test_an_image_is_found_by_name_by_id_and_by_the_beginning_of_its_id(store):
    stored = store.images.put(image(), (512,))
    store.images.tag(APP, stored.image_id)
    digits = stored.image_id.removeprefix("sha256:")
    for text in (
        "app",
        "app:latest",
        APP,
        stored.image_id,
        digits,
        digits[:12],
        f"sha256:{digits[:8]}",
    ):
        found = store.images.find(text)
        assert found is not None, text
        assert (found.image_id, found.names, found.layer_sizes) == (stored.image_id, (APP,), (512,))
    assert store.images.find("app:other") is None
    assert store.images.find("0" * 64) is None


def test_an_images_id_is_the_digest_of_its_config(store):
    assert store.images.put(image(), (1,)).image_id == sha256_digest(encode_config(image()))


def test_a_config_made_elsewhere_keeps_its_bytes(store):
    blob = b" " + encode_config(image()) + b"\n"
    stored = store.images.adopt(blob, (1,))
    assert stored.image_id == sha256_digest(blob)
    assert store.content.read(stored.image_id) == blob


def test_an_image_put_twice_is_there_once(store):
    assert store.images.put(image(), (1,)).image_id == store.images.put(image(), (1,)).image_id
    assert len(store.images.list()) == 1


def test_a_name_moves_to_the_image_that_got_it_last(store):
    first, second = (store.images.put(image(author), (1,)) for author in ("a", "b"))
    store.images.tag(APP, first.image_id)
    store.images.tag(APP, second.image_id)
    assert store.images.find("app").image_id == second.image_id
    assert store.images.get(first.image_id).names == ()
    assert store.images.names() == (APP,)


def test_a_name_goes_before_the_beginning_of_an_id(store):
    first, second = (store.images.put(image(author), (1,)) for author in ("a", "b"))
    prefix = first.image_id[7:13]
    store.images.tag(f"docker.io/library/{prefix}:latest", second.image_id)
    assert store.images.find(prefix).image_id == second.image_id


def test_the_beginning_of_several_ids_is_refused(store):
    ids = [store.images.put(image(str(number)), (1,)).image_id[7] for number in range(17)]
    common = next(digit for digit in ids if ids.count(digit) > 1)
    with pytest.raises(AmbiguousImageError):
        store.images.find(common)


def test_what_can_be_no_name_and_no_id_is_refused(store):
    with pytest.raises(InvalidReferenceError):
        store.images.find("Not A Name")


def test_a_removed_image_leaves_no_name_and_no_config(store):
    stored = store.images.put(image(), (1,))
    store.images.tag(APP, stored.image_id)
    assert store.images.remove(stored.image_id)
    assert not store.images.remove(stored.image_id)
    assert store.images.find("app") is None
    assert store.images.names() == ()
    assert store.content.size(stored.image_id) is None
    with pytest.raises(NotFoundError):
        store.images.get(stored.image_id)


def test_only_an_image_that_is_there_can_be_named(store):
    with pytest.raises(NotFoundError):
        store.images.tag(APP, sha256_digest(b"nothing"))


def test_an_untagged_image_stays(store):
    stored = store.images.put(image(), (1,))
    store.images.tag(APP, stored.image_id)
    assert store.images.untag(APP)
    assert not store.images.untag(APP)
    assert store.images.get(stored.image_id).names == ()


def test_a_blob_on_record_that_has_gone_is_none(store):
    digest = store.keep_blob(b"blob")
    blob = Descriptor("a/b", digest, 4)
    store.images.record_blob(DIFF_ID, "gzip-1", blob)
    assert store.images.packed_blob(DIFF_ID, "gzip-1") == blob
    assert store.images.packed_blob(DIFF_ID, "gzip-2") is None
    assert store.images.origin_blob(DIFF_ID) is None
    store.content.delete(digest)
    assert store.images.packed_blob(DIFF_ID, "gzip-1") is None


def test_an_image_kept_and_removed_at_once_is_there_whole_or_not_at_all(store):
    def keep_and_remove():
        for _ in range(20):
            stored = store.images.put(image(), (1,))
            store.images.remove(stored.image_id)

    threads = [threading.Thread(target=keep_and_remove) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        store.images.list()
    for thread in threads:
        thread.join()
    assert store.images.list() == ()
