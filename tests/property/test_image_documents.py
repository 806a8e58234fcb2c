"""Any document is read as what it says or refused, and what is read is written the same way."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.image.codec import (
    decode_config,
    decode_index,
    decode_manifest,
    encode_config,
    encode_index,
    encode_manifest,
)
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
from cache.errors import PybuildError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
words = texts.filter(bool)
names = texts.filter(lambda text: text and "=" not in text)
lists = st.lists(texts, max_size=3).map(tuple)
pairs = st.dictionaries(names, texts, max_size=3).map(lambda found: tuple(sorted(found.items())))
sets = st.sets(texts, max_size=3).map(lambda found: tuple(sorted(found)))
numbers = st.integers(0, 2**62)
digests = st.binary(max_size=4).map(sha256_digest)
platforms = st.builds(Platform, words, words, texts)
healthchecks = st.builds(Healthcheck, lists, *[numbers] * 5)
containers = st.builds(
    ContainerConfig,
    user=texts,
    exposed_ports=sets,
    env=pairs,
    entrypoint=st.none() | lists,
    cmd=st.none() | lists,
    volumes=sets,
    working_dir=texts,
    labels=pairs,
    stop_signal=texts,
    healthcheck=st.none() | healthchecks,
    shell=st.none() | lists,
    on_build=lists,
)
entries = st.builds(HistoryEntry, texts, texts, texts, texts, st.booleans())
configs = st.builds(
    ImageConfig,
    platform=platforms,
    config=containers,
    diff_ids=st.lists(digests, max_size=3).map(tuple),
    history=st.lists(entries, max_size=3).map(tuple),
    created=texts,
    author=texts,
)
layers = st.builds(Descriptor, st.just(MediaType.OCI_LAYER_ZSTD), digests, numbers, pairs)
manifests = st.builds(
    Manifest,
    st.sampled_from([MediaType.OCI_MANIFEST, MediaType.DOCKER_MANIFEST]),
    st.builds(Descriptor, st.just(MediaType.OCI_CONFIG), digests, numbers),
    st.lists(layers, max_size=3).map(tuple),
    pairs,
)
indexes = st.builds(
    Index,
    st.sampled_from([MediaType.OCI_INDEX, MediaType.DOCKER_INDEX]),
    st.lists(st.builds(IndexEntry, layers, st.none() | platforms), max_size=3).map(tuple),
    pairs,
)


@given(configs)
def test_every_config_comes_back_as_it_was(image: ImageConfig) -> None:
    assert decode_config(encode_config(image)) == image


@given(manifests)
def test_every_manifest_comes_back_as_it_was(manifest: Manifest) -> None:
    assert decode_manifest(encode_manifest(manifest)) == manifest


@given(indexes)
def test_every_index_comes_back_as_it_was(index: Index) -> None:
    assert decode_index(encode_index(index)) == index


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | digests,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
DECODERS: list[Callable[[bytes], object]] = [decode_config, decode_manifest, decode_index]


@st.composite
def changed_documents(draw: st.DrawFn) -> bytes:
    """A document with one value, at any depth, replaced by another or left out."""
    made = draw(
        configs.map(encode_config) | manifests.map(encode_manifest) | indexes.map(encode_index)
    )
    document = json.loads(made)
    here = document
    while True:
        key = draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        inner = here[key]
        if not (isinstance(inner, dict | list) and inner) or draw(st.booleans()):
            break
        here = inner
    if draw(st.booleans()):
        here[key] = draw(values)
    else:
        del here[key]
    return json.dumps(document).encode()


@pytest.mark.parametrize("decode", DECODERS)
@given(
    blob=changed_documents() | values.map(lambda value: json.dumps(value).encode()) | st.binary()
)
def test_any_document_is_read_or_refused_with_a_reason(
    decode: Callable[[bytes], object], blob: bytes
) -> None:
    with suppress(PybuildError):
        decode(blob)
