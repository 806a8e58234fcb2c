"""Small archives that unpack to enormous ones, wherever archives are unpacked."""

from __future__ import annotations

import gzip
import io
import os
from contextlib import ExitStack, closing

import pytest
import zstandard

from builder.commands.import_image import ImportRequest, import_image
from builder.commands.load import load
from builder.errors import StepFailedError, UsageError
from builder.image.platform import host_platform
from builder.layer.errors import BadArchiveError
from builder.worker.context_step import extract_context
from builder.worker.image_step import load_layout_image
from cache.record import replace
from support.copying import Copying
from support.images import Entry, layer_tar, write_layout
from support.stores import engine_of, open_store

LIMIT = 1 << 20
BOMB = layer_tar({"zeros": Entry(bytes(4 * LIMIT))})


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store") as opened:
        opened.settings = replace(opened.settings, unpack_limit_bytes=LIMIT)
        yield opened


@pytest.fixture(params=[gzip.compress, zstandard.ZstdCompressor().compress, bytes])
def bomb(request, tmp_path):
    path = tmp_path / "bomb.tar"
    path.write_bytes(request.param(BOMB))
    return path


def assert_nothing_is_left(store):
    assert store.images.list() == ()
    assert os.listdir(os.path.join(store.state.root_dir, "tmp", store.state.owner)) == ["lock"]


def test_a_layer_that_unpacks_to_more_than_is_allowed_is_refused(store, tmp_path):
    layout = write_layout(tmp_path / "layout", [BOMB])
    with (
        store.leases.hold() as lease,
        pytest.raises(BadArchiveError, match="unpacks to more than the 1,048,576 bytes") as caught,
    ):
        load_layout_image(store, f"oci-layout://{layout}", host_platform(), lease)
    assert "PYBUILD_UNPACK_LIMIT" in caught.value.hint
    assert_nothing_is_left(store)


def test_an_archive_of_images_that_unpacks_to_more_is_refused(store, tmp_path):
    path = tmp_path / "images.tar.gz"
    path.write_bytes(gzip.compress(BOMB))
    with pytest.raises(BadArchiveError, match="unpacks to more"):
        load(engine_of(store), str(path))
    assert_nothing_is_left(store)


def test_a_root_filesystem_that_unpacks_to_more_is_not_imported(store, bomb):
    with pytest.raises(BadArchiveError, match="unpacks to more"):
        import_image(engine_of(store), ImportRequest(str(bomb)))
    assert_nothing_is_left(store)


def test_a_context_that_unpacks_to_more_is_refused(bomb):
    with (
        ExitStack() as stack,
        pytest.raises(UsageError, match="the context: the archive unpacks to more"),
    ):
        extract_context(io.BytesIO(bomb.read_bytes()), stack, limit_bytes=LIMIT)


def test_an_archive_that_add_unpacks_to_more_is_refused(bomb, tmp_path):
    work = tmp_path / "copying"
    work.mkdir()
    with closing(Copying(work)) as copying:
        copying.unpack_limit_bytes = LIMIT
        (copying.source / "bomb.tar").write_bytes(bomb.read_bytes())
        with pytest.raises(StepFailedError, match=r'"bomb\.tar": the archive unpacks to more'):
            copying.copy("bomb.tar", dest="/d/", unpack=True)


def test_without_a_limit_it_is_unpacked(store, tmp_path):
    store.settings = replace(store.settings, unpack_limit_bytes=None)
    layout = write_layout(tmp_path / "layout", [BOMB])
    with store.leases.hold() as lease:
        image = load_layout_image(store, f"oci-layout://{layout}", host_platform(), lease)[0]
    assert image.layer_sizes == (len(BOMB),)
