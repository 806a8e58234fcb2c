"""Which files a COPY or ADD names: patterns of the instruction → what they match in their source.

A plain name is looked up inside the tree, links followed; `..` and absolute links stay inside. A
wildcard follows Go's filepath.Match over the paths below its first component that has one; what it
matches is followed too if it is a link. With --parents the part after `/./` selects below the part
before it, by the rules of .dockerignore's patterns.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator

from builder.errors import StepFailedError
from builder.frontend.pathpattern import PathPattern
from builder.frontend.wildcard import Wildcard, has_wildcards, without_escapes
from builder.graph.model import CopyOp, CopySource
from builder.worker.source_tree import SourceTree, failure_of
from cache.record import record


@record
class Match:
    """One thing to copy: a file, or the contents of a directory."""

    source: CopySource
    tree: SourceTree
    path: str  # inside the tree, without links; "" is its root
    name: str  # base name as written: the file's below a destination that is a directory
    is_dir: bool
    include: PathPattern | None = None  # --parents: what of the directory, with its parents


Trees = tuple[SourceTree | None, ...]
"""The trees of a step's inputs, in their order; None for one that isn't known yet."""


def tree_of(source: CopySource, sources: Trees) -> SourceTree:
    """The tree that `source` takes from; `sources` are the inputs after the first."""
    tree = sources[source.input_index - 1]
    assert tree is not None, source
    return tree


def select(op: CopyOp, source: CopySource, tree: SourceTree) -> tuple[Match, ...]:
    """All that `source` names, in the order in which it is copied.

    A wildcard may match nothing; StepFailedError where a plain name is not there.
    """
    try:
        found = _with_parents(source, tree) if op.parents else _plain(source, tree)
        return tuple(found)
    except OSError as error:
        raise failure_of(error, source.pattern) from error


def _plain(source: CopySource, tree: SourceTree) -> Iterator[Match]:
    path = _cleaned(source.pattern)
    if not has_wildcards(path):
        yield _match(source, tree, _literal(path, tree))
        return
    for matched in _expand(path, tree):
        yield _match(source, tree, matched)


def _with_parents(source: CopySource, tree: SourceTree) -> Iterator[Match]:
    pivot, has_pivot, below = source.pattern.partition("/./")
    if not has_pivot:
        pivot, below = "", source.pattern
    base, pattern = _cleaned(pivot), _cleaned(below)
    if not has_wildcards(base) and not has_wildcards(pattern):
        _require(source, tree, base, pattern)
    bases = _expand(base, tree) if has_wildcards(base) else [without_escapes(base)]
    include = PathPattern(pattern) if pattern else None
    for matched in bases:
        match = _match(source, tree, matched)
        if not match.is_dir:
            raise StepFailedError(f'"{matched}" in {tree.described} is not a directory')
        yield Match(source, tree, match.path, match.name, is_dir=True, include=include)


def _require(source: CopySource, tree: SourceTree, base: str, below: str) -> None:
    """--parents walks down from the pivot: all must be there, and no directory a link."""
    at = tree.resolve(without_escapes(base))
    names = without_escapes(below).split("/")
    for i, name in enumerate(names):
        at = posixpath.join(at, name)
        status = tree.status(at)
        if status is None:
            raise _missing(source, tree, posixpath.join(base, below))
        if i < len(names) - 1 and stat.S_ISLNK(status.st_mode):
            raise StepFailedError(
                f'"{source.pattern}": "{at}" is a symbolic link',
                hint="--parents rebuilds directories as they are: name the one that it leads to",
            )


def _cleaned(path: str) -> str:
    """Without `.`, `..`, doubled or outer slashes; `..` at the start stays at the root."""
    return posixpath.normpath("/" + path).lstrip("/")


def _literal(path: str, tree: SourceTree) -> str:
    """A name without wildcards: its backslashes escape, unless the very name is there."""
    plain = without_escapes(path)
    if plain != path and tree.status(tree.resolve(path)) is not None:
        return path
    return plain


def _match(source: CopySource, tree: SourceTree, path: str) -> Match:
    resolved = tree.resolve(path)
    status = tree.status(resolved)
    if status is None:
        raise _missing(source, tree, path)
    return Match(
        source, tree, resolved, posixpath.basename(path), is_dir=stat.S_ISDIR(status.st_mode)
    )


def _expand(path: str, tree: SourceTree) -> list[str]:
    """What a path with wildcards matches, in the order of a walk."""
    names = path.split("/")
    first = next(i for i, name in enumerate(names) if has_wildcards(name))
    base = tree.resolve(without_escapes("/".join(names[:first])))
    status = tree.status(base)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return []
    wildcard = Wildcard("/".join(names[first:]))
    return [posixpath.join(base, found) for found in _walk(tree, base, "", wildcard)]


def _walk(tree: SourceTree, base: str, below: str, wildcard: Wildcard) -> Iterator[str]:
    """Paths below `base` that match; what is inside of a match is not looked at."""
    fd = tree.open(posixpath.join(base, below), os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.scandir(fd) as found:
            entries = sorted(
                (os.fsencode(one.name), one.is_dir(follow_symlinks=False), one.name)
                for one in found
            )
    finally:
        os.close(fd)
    for _, is_dir, name in entries:
        path = f"{below}/{name}" if below else name
        if wildcard.matches(path):
            if tree.status(posixpath.join(base, path)) is not None:
                yield path
        elif is_dir and wildcard.may_match_below(path):
            yield from _walk(tree, base, path, wildcard)


def _missing(source: CopySource, tree: SourceTree, path: str) -> StepFailedError:
    return StepFailedError(
        f'"{source.pattern}" was not found in {tree.described}', hint=_hint(source, tree, path)
    )


def _hint(source: CopySource, tree: SourceTree, path: str) -> str | None:
    whole = SourceTree(tree.root_dir)
    try:
        resolved = whole.resolve(path)
        if whole.status(resolved) is not None and tree.ignore is not None:
            return f'"{resolved}" is there but excluded by the ignore file'
        status = whole.status(path)
        if status is not None and stat.S_ISLNK(status.st_mode):
            return (
                f'it is a symbolic link to "/{resolved}", which is looked up inside the same tree'
            )
        if posixpath.normpath(source.pattern).startswith("../"):
            return f'a path above the source is looked up inside it, here as "/{path}"'
        return _near(whole, path)
    except OSError:
        return None


def _near(tree: SourceTree, path: str) -> str | None:
    from difflib import get_close_matches  # noqa: PLC0415 only when something is missing

    parent, _, name = path.rpartition("/")
    directory = os.path.join(tree.root_dir, tree.resolve(parent))
    if not os.path.isdir(directory):
        return None
    near = get_close_matches(name, os.listdir(directory), n=1, cutoff=0.75)
    return f'did you mean "{posixpath.join(parent, near[0])}"?' if near else None
