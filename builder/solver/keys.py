"""Cache keys: what a step's result depends on, as a digest. Pure.

- The **definition key** is known before anything runs: the operation, the parents' definition keys,
  the digests of the files that it takes from contexts.
- The **content key** is known once the parents are solved: the same operation over the parents'
  chain ids and the digests of all files that it takes. A parent that was run again and gave the
  same layer as before gives the same content key below it: nothing more is run (early cutoff).

Kept out: names for people, progress, secrets' values, cache mounts' contents, proxies, labels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from builder.graph.codec import operation_to_json
from builder.graph.model import ContextOp, CopyOp, ExecOp, ImageOp, Vertex
from builder.solver.api import Result
from cache.digest import Digest, sha256_digest
from cache.index.api import CacheKey
from cache.record import record

KEY_VERSION = 1  # raise it when the meaning of an operation changes; golden tests hold the keys


@record
class KeyedBy:
    """A key and what it was made of; the ingredients explain a miss."""

    key: CacheKey
    ingredients: str  # canonical JSON


def _keyed(kind: str, vertex: Vertex, inputs: Sequence[str], files: Digest | None) -> KeyedBy:
    ingredients = json.dumps(
        {
            "version": KEY_VERSION,
            "kind": kind,
            "operation": _operation(vertex),
            "inputs": list(inputs),
            "files": files or "",
        },
        sort_keys=True,
        separators=(",", ":"),
    )
    return KeyedBy(CacheKey(sha256_digest(ingredients.encode())), ingredients)


def _operation(vertex: Vertex) -> object:
    operation = vertex.operation
    match operation:
        case ImageOp():
            return {"image": list(operation.diff_ids)}  # whatever it was called
        case ContextOp():
            return {"context": ""}  # its files count, not its name
        case _:
            return operation_to_json(operation)


def definition_key(vertex: Vertex, input_keys: Sequence[CacheKey], files: Digest | None) -> KeyedBy:
    """`input_keys` are the inputs' definition keys; `files` as of `Worker.file_digest`.

    With `files`, what a COPY takes is known by content, and where it comes from does not matter.
    """
    inputs: Sequence[str] = input_keys
    if files is not None and isinstance(vertex.operation, CopyOp):
        inputs = input_keys[:1]
    return _keyed("definition", vertex, inputs, files)


def content_key(vertex: Vertex, inputs: Sequence[Result], files: Digest | None) -> KeyedBy:
    """`inputs` are the solved inputs; `files` covers all that the step takes from them."""
    names: list[str] = []
    match vertex.operation:
        case CopyOp(link=True):
            names = []  # the layer is the same on whatever parent
        case CopyOp():
            names = [inputs[0].chain]
        case ExecOp():
            names = [item.chain or item.source for item in inputs]
        case _:
            names = [item.chain for item in inputs]
    return _keyed("content", vertex, names, files)
