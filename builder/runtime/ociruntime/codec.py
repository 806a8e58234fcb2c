"""A bundle's config.json as bytes."""

from __future__ import annotations

import json


def encode_document(document: dict[str, object]) -> bytes:
    """For people too: indented. Arguments that are no UTF-8 have no place in JSON: "?" each."""
    text = json.dumps(document, ensure_ascii=False, indent=2)
    return f"{text}\n".encode("utf-8", "replace")
