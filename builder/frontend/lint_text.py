"""Findings of build checks as BuildKit prints them; warnings of our own have no rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from builder.frontend.lint_rules import RULES
from builder.frontend.plan import CheckWarning
from builder.frontend.sourcejson import (
    JsonObject,
    json_text,
    location_object,
    source_data,
    without_empty,
)
from builder.location import SourceFile, Span

QuotedLines = Callable[[Span], Sequence[str]]
"""The lines of a place among their neighbours, as errors show them."""


def render_check_text(warnings: Sequence[CheckWarning], quoted_lines: QuotedLines) -> str:
    """What `--check` prints: how many, then each with its lines."""
    if not warnings:
        return "Check complete, no warnings found.\n"
    count = "1 warning has" if len(warnings) == 1 else f"{len(warnings)} warnings have"
    lines = [f"Check complete, {count} been found!"]
    for warning in warnings:
        title = " - ".join(part for part in (warning.rule, warning.url) if part)
        lines += ["", f"WARNING: {title}".rstrip(": "), warning.message]
        if warning.span is not None:
            lines += quoted_lines(warning.span)
    return "\n".join(lines) + "\n"


def render_check_json(warnings: Sequence[CheckWarning], source: SourceFile) -> str:
    """What `--check --format=json` prints: BuildKit's LintResults."""
    return json_text(
        {
            "warnings": [_object(warning) for warning in warnings],
            "sources": [
                {
                    "filename": source.name,
                    "language": "Dockerfile",
                    "data": source_data(source),
                }
            ],
        }
    )


def _object(warning: CheckWarning) -> JsonObject:
    rule = RULES.get(warning.rule)
    return without_empty(
        {
            "ruleName": warning.rule,
            "description": rule.description if rule else "",
            "url": warning.url,
            "detail": warning.message,
            "location": location_object(warning.span) if warning.span else None,
        }
    )
