"""What the exporters write, read back by other means than pybuild's."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from dataclasses import replace

import jsonschema
import pytest
import zstandard

from builder.export.api import ExportRequest, NamedImage
from builder.export.blobs import LayerBlobs
from builder.export.dockerarchive import DockerArchiveExporter
from builder.export.ocilayout import OciLayoutExporter
from builder.export.output import ExportError
from builder.image.imagestore import ORIGIN
from builder.image.model import MediaType
from builder.layer.pack import pack
from cache.descriptor import Descriptor, chain_ids
from cache.errors import CorruptContentError
from support.layers import image_of, writing
from support.schemas import schema
from support.stores import open_store

APP = "docker.io/library/app:latest"
LAYERS = (writing("bin/a", "a" * 5000), writing("etc/b"))


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def blobs(store):
    return LayerBlobs(store.content, store.snapshots, store.images, userxattr=True)


def export(exporter, image, dest, **options):
    names = options.pop("names", (APP,))
    return exporter.export(ExportRequest(image=image, names=names, dest=str(dest), **options))


class Archive:
    """A tar's members by name; every blob is checked against its name."""

    def __init__(self, path):
        with tarfile.open(path) as archive:
            self.order = [member.name for member in archive]
            self.files = {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}
        for name, blob in self.files.items():
            if name.startswith("blobs/"):
                assert hashlib.sha256(blob).hexdigest() == name.rpartition("/")[2]

    def json(self, name):
        return json.loads(self.files[name])

    def blob(self, descriptor):
        blob = self.files["blobs/" + descriptor["digest"].replace(":", "/")]
        assert len(blob) == descriptor["size"]
        return blob


def names_in(layer: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        return archive.getnames()


def test_a_layout_archive_holds_what_its_documents_name(store, blobs, tmp_path):
    image = image_of(store, *LAYERS)
    done = export(OciLayoutExporter(store.content, blobs), image, tmp_path / "out.tar")
    archive = Archive(tmp_path / "out.tar")
    index = archive.json("index.json")
    manifest = json.loads(archive.blob(index["manifests"][0]))
    config = json.loads(archive.blob(manifest["config"]))
    jsonschema.validate(archive.json("oci-layout"), schema("layout"))
    jsonschema.validate(index, schema("index"))
    jsonschema.validate(manifest, schema("manifest"))
    jsonschema.validate(config, schema("config"))
    assert done.digest == index["manifests"][0]["digest"]
    assert manifest["config"]["digest"] == image.image_id
    assert index["manifests"][0]["platform"] == {"architecture": "amd64", "os": "linux"}
    assert index["manifests"][0]["annotations"] == {
        "io.containerd.image.name": APP,
        "org.opencontainers.image.ref.name": "latest",
    }
    plain = [gzip.decompress(archive.blob(layer)) for layer in manifest["layers"]]
    digests = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in plain]
    assert digests == config["rootfs"]["diff_ids"]
    assert names_in(plain[0]) == ["bin", "bin/a"]


def test_equal_images_give_equal_archives(store, blobs, tmp_path):
    image = image_of(store, *LAYERS)
    for name in ("one", "two"):
        export(OciLayoutExporter(store.content, blobs), image, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_layer_that_an_image_has_twice_stands_in_the_archive_once(store, blobs, tmp_path):
    same = writing("same")

    def fixed_time(folder):
        same(folder)
        os.utime(folder / "same", (1, 1))

    image = image_of(store, fixed_time, fixed_time)
    export(OciLayoutExporter(store.content, blobs), image, tmp_path / "out.tar")
    archive = Archive(tmp_path / "out.tar")
    manifest = json.loads(archive.blob(archive.json("index.json")["manifests"][0]))
    assert len(manifest["layers"]) == 2
    assert len(archive.order) == len(set(archive.order))


COMPRESSIONS = {
    "gzip": (MediaType.OCI_LAYER_GZIP, gzip.decompress),
    "zstd": (MediaType.OCI_LAYER_ZSTD, lambda blob: zstandard.decompress(blob, 1 << 20)),
    "uncompressed": (MediaType.OCI_LAYER, bytes),
}


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_layers_come_in_the_compression_asked_for(store, blobs, tmp_path, compression):
    media_type, unpack = COMPRESSIONS[compression]
    image = image_of(store, *LAYERS)
    exporter = OciLayoutExporter(store.content, blobs)
    export(exporter, image, tmp_path / "out.tar", compression=compression)
    archive = Archive(tmp_path / "out.tar")
    manifest = json.loads(archive.blob(archive.json("index.json")["manifests"][0]))
    assert [layer["mediaType"] for layer in manifest["layers"]] == [media_type] * 2
    plain = [unpack(archive.blob(layer)) for layer in manifest["layers"]]
    assert [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in plain] == list(
        image.config.diff_ids
    )


def with_origin(store, image, plain: bytes):
    """The image's first layer as if it had come from elsewhere, in this blob."""
    digest = store.keep_blob(plain)
    blob = Descriptor(MediaType.OCI_LAYER_ZSTD, digest, len(plain))
    store.images.record_blob(image.config.diff_ids[0], ORIGIN, blob)
    return blob


def plain_tar(store, image, number):
    chain = chain_ids(image.config.diff_ids)[number]
    target = io.BytesIO()
    pack(store.snapshots.info(chain).diff_dir, target, userxattr=True)
    return target.getvalue()


def test_a_layer_from_elsewhere_leaves_in_the_blob_it_came_in(store, blobs, tmp_path):
    image = image_of(store, *LAYERS)
    origin = with_origin(store, image, zstandard.compress(plain_tar(store, image, 0), 19))
    export(OciLayoutExporter(store.content, blobs), image, tmp_path / "out", compression="gzip")
    archive = Archive(tmp_path / "out")
    manifest = json.loads(archive.blob(archive.json("index.json")["manifests"][0]))
    assert manifest["layers"][0]["digest"] == origin.digest
    assert manifest["layers"][0]["mediaType"] == MediaType.OCI_LAYER_ZSTD


def test_a_layer_from_elsewhere_is_recompressed_where_that_is_forced(store, blobs, tmp_path):
    image = image_of(store, *LAYERS)
    plain = plain_tar(store, image, 0)
    with_origin(store, image, zstandard.compress(plain, 19))
    exporter = OciLayoutExporter(store.content, blobs)
    options = {"compression": "gzip", "force_compression": True}
    export(exporter, image, tmp_path / "out", **options)
    archive = Archive(tmp_path / "out")
    manifest = json.loads(archive.blob(archive.json("index.json")["manifests"][0]))
    assert gzip.decompress(archive.blob(manifest["layers"][0])) == plain


def test_a_snapshot_that_changed_is_not_exported(store, blobs, tmp_path):
    image = image_of(store, *LAYERS)
    damaged = store.snapshots.info(chain_ids(image.config.diff_ids)[0]).diff_dir
    with open(os.path.join(damaged, "bin/a"), "a") as file:
        file.write("more")
    for exporter in (OciLayoutExporter, DockerArchiveExporter):
        with pytest.raises(CorruptContentError, match="is damaged in the store"):
            export(exporter(store.content, blobs), image, tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["store"]


def test_what_was_packed_once_is_kept(store, blobs, tmp_path):
    image = image_of(store, *LAYERS)
    exporter = OciLayoutExporter(store.content, blobs)
    export(exporter, image, tmp_path / "one")
    for chain in chain_ids(image.config.diff_ids):
        os.rename(store.snapshots.info(chain).diff_dir, tmp_path / chain[7:15])
    export(exporter, image, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_annotations_go_into_the_manifest(store, blobs, tmp_path):
    image = image_of(store, *LAYERS)
    exporter = OciLayoutExporter(store.content, blobs)
    export(exporter, image, tmp_path / "out", annotations=(("k", "v"),))
    archive = Archive(tmp_path / "out")
    assert json.loads(archive.blob(archive.json("index.json")["manifests"][0]))["annotations"] == {
        "k": "v"
    }


def test_a_docker_archive_holds_plain_layers_and_a_layout_too(store, blobs, tmp_path):
    image = image_of(store, *LAYERS)
    names = (APP, "localhost:5000/app:v1", f"docker.io/library/app@{image.image_id}")
    export(DockerArchiveExporter(store.content, blobs), image, tmp_path / "out", names=names)
    archive = Archive(tmp_path / "out")
    assert archive.order[0] == "manifest.json"
    jsonschema.validate(archive.json("manifest.json"), schema("docker-archive"))
    (entry,) = archive.json("manifest.json")
    assert entry["RepoTags"] == ["app:latest", "localhost:5000/app:v1"]
    config = json.loads(archive.files[entry["Config"]])
    layers = [archive.files[name] for name in entry["Layers"]]
    digests = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    assert digests == config["rootfs"]["diff_ids"]
    manifest = json.loads(archive.blob(archive.json("index.json")["manifests"][0]))
    assert [layer["digest"] for layer in manifest["layers"]] == digests


def test_a_docker_archive_of_two_images_has_their_common_layer_once(store, blobs, tmp_path):
    first = image_of(store, *LAYERS, names=(APP,))
    config = replace(first.config, author="somebody")
    second = store.images.put(config, first.layer_sizes)
    more = (NamedImage(second, ("docker.io/library/other:latest",)),)
    export(DockerArchiveExporter(store.content, blobs), first, tmp_path / "out", more=more)
    archive = Archive(tmp_path / "out")
    entries = archive.json("manifest.json")
    assert [entry["RepoTags"] for entry in entries] == [["app:latest"], ["other:latest"]]
    assert entries[0]["Layers"] == entries[1]["Layers"]
    assert len(archive.order) == len(set(archive.order))
    tags = [
        entry["annotations"]["org.opencontainers.image.ref.name"]
        for entry in archive.json("index.json")["manifests"]
    ]
    assert tags == ["app:latest", "other:latest"]


def test_an_image_without_layers_can_be_exported(store, blobs, tmp_path):
    image = image_of(store)
    export(OciLayoutExporter(store.content, blobs), image, tmp_path / "out", names=())
    archive = Archive(tmp_path / "out")
    (entry,) = archive.json("index.json")["manifests"]
    assert json.loads(archive.blob(entry))["layers"] == []
    assert "annotations" not in entry


class Directory:
    def __init__(self, path):
        self.path = path
        self.index = json.loads((path / "index.json").read_text())

    @property
    def names(self):
        return [e["annotations"]["io.containerd.image.name"] for e in self.index["manifests"]]


@pytest.fixture
def into_directory(store, blobs):
    return OciLayoutExporter(store.content, blobs, as_directory=True)


def test_a_layout_directory_gets_the_image_beside_others(store, into_directory, tmp_path):
    first = image_of(store, LAYERS[0])
    second = image_of(store, LAYERS[1])
    dest = tmp_path / "layout"
    export(into_directory, first, dest, names=("docker.io/library/app:v1",))
    export(into_directory, second, dest, names=("docker.io/library/app:v2",))
    assert Directory(dest).names == ["docker.io/library/app:v1", "docker.io/library/app:v2"]
    export(into_directory, second, dest, names=("docker.io/library/app:v1",))
    layout = Directory(dest)
    assert layout.names == ["docker.io/library/app:v2", "docker.io/library/app:v1"]
    assert len({entry["digest"] for entry in layout.index["manifests"]}) == 1
    jsonschema.validate(layout.index, schema("index"))


def test_a_directory_with_other_things_is_left_alone(store, into_directory, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(ExportError, match="is not empty and no OCI layout"):
        export(into_directory, image_of(store, *LAYERS), tmp_path / "mine")
    assert os.listdir(tmp_path / "mine") == ["thesis.txt"]
