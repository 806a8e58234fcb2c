import gzip
import os

import pytest

from builder.export.blobs import LayerBlobs, Packing
from cache.descriptor import Layer
from cache.digest import sha256_digest
from support.stores import open_store

TAR = b"a tar, as far as a sink can tell " * 10_000
LAYER = Layer(sha256_digest(TAR), len(TAR))


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store") as opened:
        yield opened


def sink_of(store, compression="gzip"):
    blobs = LayerBlobs(store.content, store.snapshots, store.images, userxattr=True)
    return blobs.sink(Packing(compression))


def test_a_layer_that_is_kept_has_its_blob_when_it_is_asked_for(store):
    with sink_of(store) as sink:
        sink.write(TAR)
        sink.keep(LAYER)
    blob = store.images.packed_blob(LAYER.diff_id, "gzip-1")
    assert gzip.decompress(store.content.read(blob.digest)) == TAR


def test_what_is_not_kept_leaves_no_blob(store):
    failing = sink_of(store, "zstd")
    failing.__enter__().write(TAR)
    assert not failing.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    with sink_of(store) as sink:
        sink.write(TAR)
    assert store.images.packed_blob(LAYER.diff_id, "gzip-1") is None
    assert os.listdir(store.state.blobs_dir) == []
