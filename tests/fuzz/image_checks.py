"""What must hold of everything that reads images, whatever bytes it is given.

The first byte says which reader gets the rest.
"""

import io

from builder.image.codec import (
    decode_config,
    decode_index,
    decode_manifest,
    encode_config,
    encode_index,
    encode_manifest,
)
from builder.image.model import Platform
from builder.image.platform import choose_manifest, offered_platforms, parse_platform
from builder.image.reference import parse_reference
from builder.layer.apply import member_path
from builder.layer.compress import decompressed
from builder.layer.tarreader import read_members
from builder.registry.challenge import parse_challenges
from builder.worker.layer_unpack import media_type_of
from cache.errors import PybuildError

MEMBER_LIMIT = 10_000
PLAIN_LIMIT = 1 << 20
HOST = Platform("linux", "amd64")


def check(data):
    """AssertionError, or whatever was raised, where one of the rules below is broken."""
    if data:
        reader = READERS[data[0] % len(READERS)]
        try:
            reader(data[1:])
        except PybuildError as error:
            str(error).encode("utf-8", "surrogateescape")  # it can be printed


def check_manifest(blob):
    """What was read is written as what reads the same."""
    manifest = decode_manifest(blob)
    assert decode_manifest(encode_manifest(manifest)) == manifest


def check_config(blob):
    config = decode_config(blob)
    assert decode_config(encode_config(config)) == config


def check_index(blob):
    index = decode_index(blob)
    assert decode_index(encode_index(index)) == index
    offered = offered_platforms(index)
    chosen = choose_manifest(index, offered[0] if offered else HOST)
    assert chosen in [entry.descriptor for entry in index.manifests]


def check_reference(blob):
    """The normal form names the same, the familiar one too; neither leads anywhere as a path."""
    reference = parse_reference(blob.decode("utf-8", "surrogateescape"))
    assert parse_reference(reference.normal) == reference
    assert parse_reference(reference.familiar) == reference
    assert ".." not in reference.path.split("/")
    assert reference.normal.isascii()


def check_tar(blob):
    """A name is a path inside or an error; no more comes out than the archive holds."""
    read = 0
    for number, member in enumerate(read_members(io.BytesIO(blob))):
        assert number < MEMBER_LIMIT
        assert "\0" not in member.name
        assert ".." not in member_path(member.name)
        assert member.mode == member.mode & 0o7777
        assert 0 <= member.uid < 1 << 32
        assert 0 <= member.gid < 1 << 32
        while read < PLAIN_LIMIT and (data := member.data.read(1 << 16)):
            read += len(data)


def check_compressed(blob):
    """No more than the limit, whatever the data promises."""
    plain, count = decompressed(io.BytesIO(blob), limit_bytes=PLAIN_LIMIT), 0
    while data := plain.read(1 << 16):
        count += len(data)
        assert count <= PLAIN_LIMIT
    media_type_of(blob[:6])


def check_challenge(blob):
    for challenge in parse_challenges([blob.decode("latin-1")]):
        assert challenge.scheme


def check_platform(blob):
    platform = parse_platform(blob.decode("utf-8", "surrogateescape"))
    assert parse_platform(str(platform)) == platform


READERS = (
    check_manifest,
    check_config,
    check_index,
    check_reference,
    check_tar,
    check_compressed,
    check_challenge,
    check_platform,
)
