"""Examples of docs/reference/dockerfile.md: Dockerfiles with what they give, in their last lines.

    # $ pybuild OPTIONS .       how it is built
    # with NAME: TEXT           one more file of the context
    # => PATH: TEXT             a file of the image, without its last newline
    # => PATH is WHAT           absent, a directory, a link to TARGET, or MODE UID:GID
    # => config KEY: JSON       of the image's config; of Env the variables that are named
    # => fails: TEXT            the build ends with an error that has this text
    # => warns: TEXT            it ends well, and has this text in its output
    # => runs: TEXT             what `pybuild run` of the image prints

Of TEXT, \\n is a newline.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

_FENCE = re.compile(r"^```dockerfile\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_NOTE = re.compile(r"# (\$|with|=>) (.+)\Z")
_KINDS = ("config", "fails", "warns", "runs")


@dataclass(frozen=True)
class Expectation:
    """One `=>` line: `kind` is a word of the notation, "holds" or "is"."""

    kind: str
    subject: str  # a path, or a key of the config
    text: str


@dataclass(frozen=True)
class Example:
    """One Dockerfile, what it is built with and what it gives."""

    name: str
    dockerfile: str
    options: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    expected: tuple[Expectation, ...] = ()


def examples_in(path: Path) -> list[Example]:
    """All of a document, named by their headings."""
    text = path.read_text()
    found: list[Example] = []
    for block in _FENCE.finditer(text):
        heading = _HEADING.findall(_without_blocks(text[: block.start()]))[-1]
        number = sum(one.name.startswith(f"{heading} ") for one in found) + 1
        found.append(_example(f"{heading} {number}", block[1]))
    return found


def _without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def _example(name: str, text: str) -> Example:
    lines = text.splitlines()
    first = len(lines)
    while first and _NOTE.match(lines[first - 1]):
        first -= 1
    options: list[str] = []
    files: dict[str, str] = {}
    expected: list[Expectation] = []
    for line in lines[first:]:
        note = _NOTE.match(line)
        assert note, line
        if note[1] == "$":
            program, *words, context = shlex.split(note[2])
            assert (program, context) == ("pybuild", "."), line
            options += words
        elif note[1] == "with":
            file, _, content = note[2].partition(": ")
            files[file] = _plain(content)
        else:
            expected.append(_expectation(note[2]))
    assert expected, f"{name} says nothing of what it gives"
    return Example(name, "\n".join(lines[:first]) + "\n", tuple(options), files, tuple(expected))


def _expectation(text: str) -> Expectation:
    word, _, rest = text.partition(" ")
    if word == "config":
        key, _, value = rest.partition(": ")
        json.loads(value)
        return Expectation("config", key, value)
    if word.removesuffix(":") in _KINDS:
        return Expectation(word.removesuffix(":"), "", _plain(rest))
    assert word.startswith("/"), text
    if rest.startswith("is "):
        return Expectation("is", word, rest.removeprefix("is "))
    path, colon, content = text.partition(": ")
    assert colon, text
    return Expectation("holds", path, _plain(content))


def _plain(text: str) -> str:
    return text.replace("\\n", "\n")
