"""Descriptors, layers, ids of layer stacks. Spec: OCI image-spec descriptor.md, config.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NewType

from cache.digest import Digest, sha256_digest
from cache.record import record

ChainId = NewType("ChainId", str)
"""The name of a whole stack of layers, a digest; `EMPTY_CHAIN` for the stack of none."""

EMPTY_CHAIN = ChainId("")


@record
class Descriptor:
    """Names a blob: what it is, its digest as stored, and its size in bytes."""

    media_type: str
    digest: Digest
    size_bytes: int
    annotations: tuple[tuple[str, str], ...] = ()


@record
class Layer:
    """One change set of a root filesystem. Spec: OCI image-spec layer.md.

    A layer made here has no blob until an exporter asks for one; a layer from elsewhere keeps the
    blob that it came in, since packing its tree again may give other bytes.
    """

    diff_id: Digest  # digest of the plain tar
    size_bytes: int  # of the plain tar


def chain_ids(diff_ids: Sequence[Digest]) -> tuple[ChainId, ...]:
    """Name each prefix of a layer stack: the i-th id names what layers 0..i make together.

    `diff_ids` has the base layer first; no layers, no ids. Spec: OCI image-spec config.md, ChainID.
    """
    ids: list[ChainId] = []
    for diff_id in diff_ids:
        ids.append(chain_over(ids[-1] if ids else EMPTY_CHAIN, diff_id))
    return tuple(ids)


def chain_over(parent: ChainId, diff_id: Digest) -> ChainId:
    """The name of the stack that one more layer on top of `parent` makes."""
    return ChainId(sha256_digest(f"{parent} {diff_id}".encode()) if parent else diff_id)


def chain_id(diff_ids: Sequence[Digest]) -> ChainId:
    """The name of the whole stack; `EMPTY_CHAIN` for no layers."""
    return chain_ids(diff_ids)[-1] if diff_ids else EMPTY_CHAIN
