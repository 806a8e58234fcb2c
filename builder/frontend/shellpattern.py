"""The patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: * and ?, without brackets."""

from __future__ import annotations

import re

from builder.frontend.problems import WordProblemError


def without_prefix(pattern: str, value: str, *, is_greedy: bool) -> str:
    """`value` without the shortest start that `pattern` matches, or the longest."""
    match = _compiled(_tokens(pattern), is_greedy=is_greedy).match(value)
    return value[match.end() :] if match else value


def without_suffix(pattern: str, value: str, *, is_greedy: bool) -> str:
    """`value` without the shortest end that `pattern` matches, or the longest."""
    # read backwards, the shortest end is the shortest start
    tokens = _tokens(pattern)[::-1]
    match = _compiled(tokens, is_greedy=is_greedy).match(value[::-1])
    return value[: len(value) - match.end()] if match else value


def replaced(pattern: str, replacement: str, value: str, *, is_global: bool) -> str:
    """`value` with the first match of `pattern` replaced, or all; each as long as can be."""
    compiled = _compiled(_tokens(pattern), is_greedy=True)
    return compiled.sub(lambda _: replacement, value, count=0 if is_global else 1)


def _tokens(pattern: str) -> list[str]:
    """One token a character: itself where it is a wildcard, a regular expression otherwise."""
    tokens: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if character in "*?":
            tokens.append(character)
            continue
        if character == "\\":
            character = next(characters, "")  # noqa: PLW2901 - what is escaped, in its place
            if not character or character not in "*?\\}/":
                raise WordProblemError(
                    f"invalid pattern ({pattern}) in substitution: invalid escape '\\{character}'"
                )
        tokens.append(re.escape(character))
    return tokens


def _compiled(tokens: list[str], *, is_greedy: bool) -> re.Pattern[str]:
    """Only the last gap decides how long a match is; all before it end as early as they can.

    Nothing is gained by ending one of them later, so atomic groups keep `re` from trying: its
    time would double with each star of a hostile pattern.
    """
    stretches = [""]  # what stands between stars
    for piece in tokens:
        if piece != "*":
            stretches[-1] += "." if piece == "?" else piece
        elif stretches[-1] or len(stretches) == 1:  # several stars in a row are one
            stretches.append("")
    start, *rest = stretches
    if not rest:
        return re.compile(start)
    middle = "".join(f"(?>.*?{stretch})" for stretch in rest[:-1])
    gap = ".*" if is_greedy else ".*?"
    return re.compile(f"{start}{middle}{gap}{rest[-1]}")
