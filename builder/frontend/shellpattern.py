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
    star = ".*" if is_greedy else ".*?"
    wildcards = {"*": star, "?": "."}
    return re.compile("".join(wildcards.get(token, token) for token in tokens))
