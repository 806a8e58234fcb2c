"""Places and sources as BuildKit's JSON has them, for the answers of --call."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence

from builder.location import SourceFile, Span

JsonObject = Mapping[str, object]


def location_object(span: Span) -> JsonObject:
    """pb.Location: its ranges count lines from 1."""
    start, end = {"line": span.first_line}, {"line": span.last_line}
    return {"ranges": [{"start": start, "end": end}]}


def source_data(source: SourceFile) -> str:
    """The text, as Go writes bytes."""
    return base64.b64encode(source.text.encode("utf-8", "surrogateescape")).decode("ascii")


def without_empty(pairs: Mapping[str, object]) -> JsonObject:
    """Leave out what Go's omitempty leaves out."""
    return {name: value for name, value in pairs.items() if value not in ("", None, False, [])}


def json_text(value: Mapping[str, object] | Sequence[object]) -> str:
    """Two blanks an indent, as BuildKit prints it, and a newline."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
