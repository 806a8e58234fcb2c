from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from builder.image.codec import (
    decode_config,
    decode_index,
    decode_manifest,
    encode_config,
    encode_index,
    encode_manifest,
)
from builder.image.errors import InvalidImageError, UnsupportedImageError
from builder.image.model import (
    ContainerConfig,
    Healthcheck,
    HistoryEntry,
    ImageConfig,
    Index,
    IndexEntry,
    Manifest,
    MediaType,
    Platform,
)
from cache.descriptor import Descriptor
from cache.digest import sha256_digest
from support.schemas import schema

DIFF_ID = sha256_digest(b"layer")
CONFIG = ImageConfig(
    platform=Platform("linux", "arm", "v7"),
    config=ContainerConfig(
        user="app:app",
        exposed_ports=("443/tcp", "80/tcp"),
        env=(("PATH", "/bin"), ("EMPTY", ""), ("EQUALS", "a=b")),
        entrypoint=("/bin/app", "--flag"),
        cmd=(),
        volumes=("/data",),
        working_dir="/srv",
        labels=(("a", "1"), ("b", "ü")),
        stop_signal="SIGINT",
        healthcheck=Healthcheck(("CMD", "true"), interval_ns=1_000_000_000, retries=3),
        shell=("/bin/bash", "-c"),
        on_build=("RUN true",),
    ),
    diff_ids=(DIFF_ID,),
    history=(
        HistoryEntry("2024-01-01T00:00:00Z", "RUN make", "me", "buildkit.dockerfile.v0"),
        HistoryEntry("2024-01-01T00:00:00Z", "ENV A=1", empty_layer=True),
    ),
    created="2024-01-01T00:00:00Z",
    author="me",
)
LAYER = Descriptor(MediaType.OCI_LAYER_GZIP, sha256_digest(b"blob"), 4)
MANIFEST = Manifest(
    media_type=MediaType.OCI_MANIFEST,
    config=Descriptor(MediaType.OCI_CONFIG, sha256_digest(b"config"), 6),
    layers=(LAYER, LAYER),
    annotations=(("k", "v"),),
)
INDEX = Index(
    MediaType.OCI_INDEX,
    (
        IndexEntry(
            Descriptor(MediaType.OCI_MANIFEST, sha256_digest(b"m"), 1, (("x", "y"),)),
            Platform("linux", "arm64"),
        ),
        IndexEntry(Descriptor(MediaType.OCI_MANIFEST, sha256_digest(b"n"), 1), None),
    ),
    annotations=(("k", "v"),),
)


def changed(blob: bytes, **fields: object) -> bytes:
    return json.dumps(json.loads(blob) | fields).encode()


def test_a_config_comes_back_as_it_was():
    assert decode_config(encode_config(CONFIG)) == CONFIG


def test_a_manifest_comes_back_as_it_was():
    assert decode_manifest(encode_manifest(MANIFEST)) == MANIFEST


def test_an_index_comes_back_as_it_was():
    assert decode_index(encode_index(INDEX)) == INDEX


def test_what_is_not_set_is_not_written():
    plain = ImageConfig(platform=Platform("linux", "amd64"))
    assert json.loads(encode_config(plain)) == {
        "architecture": "amd64",
        "config": {},
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": []},
    }


def test_equal_configs_give_equal_bytes_whatever_the_order_of_their_labels():
    turned = replace(CONFIG, config=replace(CONFIG.config, labels=(("b", "ü"), ("a", "1"))))
    assert encode_config(turned) == encode_config(CONFIG)


def test_a_command_set_to_nothing_differs_from_one_not_set():
    unset = replace(CONFIG, config=replace(CONFIG.config, cmd=None))
    assert decode_config(encode_config(unset)).config.cmd is None
    assert decode_config(encode_config(CONFIG)).config.cmd == ()


@pytest.mark.parametrize(
    ("name", "blob"),
    [
        ("config", encode_config(CONFIG)),
        ("manifest", encode_manifest(MANIFEST)),
        ("index", encode_index(INDEX)),
    ],
)
def test_what_is_written_follows_the_schema(name, blob):
    jsonschema.validate(json.loads(blob), schema(name))


def test_unknown_fields_are_ignored():
    blob = changed(encode_config(CONFIG), moby={"x": 1}, container="abc")
    assert decode_config(blob) == CONFIG


def test_null_means_not_there():
    blob = changed(encode_config(CONFIG), config=None, history=None, author=None)
    assert decode_config(blob).config == ContainerConfig()


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (b'{"os":"a","os":"b"}', 'key "os" stands twice'),
        (b'{"a":{"k":1,"k":1}}', 'key "k" stands twice'),
        (b"[]", "not a JSON object"),
        (b"{", "not JSON at byte 1"),
        (b'{"a":"\xff"}', "not UTF-8 at byte 6"),
        (b'{"a":"\\ud800"}', "not Unicode text"),
        (b'{"a":NaN}', "NaN is not JSON"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a":' + b"9" * 5000 + b"}", "4300"),
        (b" " * (4 << 20) + b"{}", "more than"),
    ],
)
def test_text_that_readers_could_understand_differently_is_refused(blob, words):
    with pytest.raises(InvalidImageError, match=words):
        decode_config(blob)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"os": ""}, "os is missing"),
        ({"os": 1}, "os is not a string"),
        ({"rootfs": None}, "rootfs is missing"),
        ({"rootfs": {"type": "tar"}}, 'rootfs.type is not "layers"'),
        ({"rootfs": {"type": "layers", "diff_ids": ["sha256:../../x"]}}, "rootfs.diff_ids"),
        ({"config": []}, "config is not an object"),
        ({"config": {"Env": "A=1"}}, "config.Env is not a list"),
        ({"config": {"Env": [1]}}, "config.Env is not a list of strings"),
        ({"config": {"Labels": {"a": 1}}}, "config.Labels is not an object of strings"),
        ({"config": {"Healthcheck": {"Retries": True}}}, "Healthcheck.Retries is not an integer"),
        ({"history": [1]}, r"history\[0\] is not an object"),
        ({"history": [{}, {"empty_layer": "yes"}]}, r"history\[1\].empty_layer is not true"),
    ],
)
def test_a_config_with_a_wrong_value_is_refused_by_name(fields, words):
    with pytest.raises(InvalidImageError, match=words):
        decode_config(changed(encode_config(CONFIG), **fields))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"schemaVersion": None}, "schemaVersion is missing"),
        ({"schemaVersion": 3}, "schemaVersion is not 2"),
        ({"mediaType": MediaType.OCI_INDEX}, "mediaType is"),
        ({"manifests": []}, "manifests belongs to an index"),
        ({"layers": None}, "layers is missing"),
        ({"config": None}, "config is missing"),
        ({"config": {"mediaType": "a/b", "digest": DIFF_ID, "size": -1}}, "size is negative"),
    ],
)
def test_a_manifest_with_a_wrong_value_is_refused_by_name(fields, words):
    with pytest.raises(InvalidImageError, match=words):
        decode_manifest(changed(encode_manifest(MANIFEST), **fields))


def test_a_manifest_that_its_descriptor_calls_otherwise_is_refused():
    with pytest.raises(InvalidImageError, match="its descriptor says"):
        decode_manifest(encode_manifest(MANIFEST), media_type=MediaType.DOCKER_MANIFEST)


def test_an_index_with_layers_is_refused():
    with pytest.raises(InvalidImageError, match="layers belongs to a manifest"):
        decode_index(changed(encode_index(INDEX), layers=[]))


def test_an_old_manifest_is_refused_as_what_it_is():
    with pytest.raises(UnsupportedImageError, match="schema 1"):
        decode_manifest(b'{"schemaVersion":1,"fsLayers":[]}')


def test_an_artifact_is_refused_as_what_it_is():
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": DIFF_ID, "size": 2}
    blob = changed(encode_manifest(MANIFEST), config=config, artifactType="application/x.chart")
    with pytest.raises(UnsupportedImageError, match=r"artifact of type application/x\.chart"):
        decode_manifest(blob)


def test_a_layer_of_an_unknown_kind_is_refused():
    layer = {"mediaType": "application/x.encrypted", "digest": DIFF_ID, "size": 2}
    with pytest.raises(UnsupportedImageError, match="unknown type"):
        decode_manifest(changed(encode_manifest(MANIFEST), layers=[layer]))


def test_text_that_is_no_utf8_cannot_be_written():
    broken = replace(CONFIG, author="\udcff")
    with pytest.raises(InvalidImageError, match="is no text"):
        encode_config(broken)
