"""What of a tree a .dockerignore, or --exclude, leaves out: as moby/patternmatcher decides it.

BuildKit asks on a walk from the root and hands each directory's results down: a pattern that
matched a directory holds for all below it. A pattern is only asked when it would change the
verdict so far, and what was not asked does not hold below. That is why an exception for a
directory does not bring back a file in it that an earlier pattern named: on the directory itself
the exception was never asked, and it does not match the file.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Literal, assert_never

from builder.errors import SourceError
from builder.frontend.goformat import SPACE
from builder.frontend.pathpattern import PathPattern, clean_path
from builder.location import SourceFile, Span
from cache.record import record

_MEMO_LIMIT = 8192  # directories whose results are kept: more than any walk has open at once


class IllegalExceptionError(SourceError):
    """A `!` with nothing after it."""

    code: ClassVar[str] = "illegal-exception"

    def __init__(self, *, span: Span | None = None) -> None:
        super().__init__(
            'illegal exclusion pattern: "!"',
            span=span,
            hint="write the pattern to bring back after the !",
        )


def read_ignore_file(source: SourceFile) -> IgnoreMatcher:
    """The matcher of a .dockerignore; its errors carry the line."""
    compiled: list[IgnorePattern] = []
    for number, text in _numbered_patterns(source.text):
        try:
            compiled.extend(_ignore_patterns([text]))
        except SourceError as error:
            error.span = Span(source, number, number)
            raise
    return IgnoreMatcher(compiled)


def _numbered_patterns(text: str) -> Iterator[tuple[int, str]]:
    """Each pattern with its line: comments and blank lines gone, cleaned, without leading slash."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if line.startswith("#"):
            continue
        pattern = line.strip(SPACE)
        if not pattern:
            continue
        exception = pattern.startswith("!")
        if exception:
            pattern = pattern[1:].strip(SPACE)
        if pattern:
            pattern = clean_path(pattern)
            if len(pattern) > 1:
                pattern = pattern.removeprefix("/")
        yield number, f"!{pattern}" if exception else pattern


@record
class IgnorePattern:
    """A pattern and whether it brings back (`!`) or leaves out."""

    pattern: PathPattern
    exception: bool


def _ignore_patterns(texts: Iterable[str]) -> Iterator[IgnorePattern]:
    for text in texts:
        stripped = text.strip(SPACE)
        if not stripped:
            continue
        cleaned = clean_path(stripped)
        if cleaned == "!":
            raise IllegalExceptionError
        exception = cleaned.startswith("!")
        yield IgnorePattern(PathPattern(cleaned.removeprefix("!")), exception)


class IgnoreMatcher:
    """Patterns in order, the last that applies wins. Paths are relative, with slashes.

    Any path may be asked about in any order; asking in the order of a walk is fastest, since a
    directory's results are found once.
    """

    def __init__(self, patterns: Iterable[IgnorePattern]) -> None:
        self.patterns = tuple(patterns)
        self._exceptions = tuple(i for i, one in enumerate(self.patterns) if one.exception)
        self._index = _PatternIndex([one.pattern for one in self.patterns])
        self._root = _Directory((), ("",), (), excluded=False)
        self._directories = {"": self._root}

    @classmethod
    def of(cls, patterns: Sequence[str]) -> IgnoreMatcher:
        """The matcher of patterns as --exclude gives them, `!` before an exception."""
        return cls(_ignore_patterns(patterns))

    def __bool__(self) -> bool:
        return bool(self.patterns)

    @property
    def has_exceptions(self) -> bool:
        """Whether any pattern brings something back."""
        return bool(self._exceptions)

    def excludes(self, path: str) -> bool:
        """Whether `path` itself is left out. A directory that is may hold files that are not."""
        if not self.patterns:
            return False
        parent, _, name = path.rpartition("/")
        directory = self._directories.get(parent) or self._directory(parent)
        hits = self._index.matching(path, name, directory)
        if not hits and not directory.matched:
            return False
        return self._verdict(directory.matched, hits)[0]

    def may_skip_directory(self, path: str) -> bool:
        """Whether `path` and all that lies below it is left out: it need not be opened."""
        if not self.patterns or not path:
            return False
        directory = self._directories.get(path) or self._directory(path)
        if not directory.excluded:
            return False
        # The last pattern that left it out does so for all below: only later ones bring back.
        patterns = self.patterns
        last = max(i for i in directory.matched if not patterns[i].exception)
        later = self._exceptions[bisect_right(self._exceptions, last) :]
        return not any(patterns[i].pattern.may_match_below(path) for i in later)

    def _directory(self, path: str) -> _Directory:
        """The results for `path`, found from the root down where they aren't known."""
        directory = self._root
        end = -1
        while end < len(path):
            end = path.find("/", end + 1)
            if end < 0:
                end = len(path)
            directory = self._directories.get(path[:end]) or self._below(directory, path[:end])
        return directory

    def _below(self, parent: _Directory, path: str) -> _Directory:
        index = self._index
        name = path.rpartition("/")[2]
        excluded, matched = self._verdict(parent.matched, index.matching(path, name, parent))
        made = _Directory(
            matched,
            (*parent.heads, path) if path in index.heads else parent.heads,
            (*parent.groups, *index.gram_groups(f"{path}/", len(name) + 1)),
            excluded=excluded,
        )
        if len(self._directories) >= _MEMO_LIMIT:
            self._directories.clear()
            self._directories[""] = self._root
        self._directories[path] = made
        return made

    def _verdict(self, inherited: tuple[int, ...], hits: set[int]) -> tuple[bool, tuple[int, ...]]:
        """Whether a path is left out, and the patterns that hold for it.

        Goes through the patterns that can have a say, in order; all others don't match.
        """
        patterns = self.patterns
        held = set(inherited)
        excluded = False
        matched: list[int] = []
        for i in sorted(held | hits):
            exception = patterns[i].exception
            if i not in held and exception != excluded:
                continue  # it would change nothing, so moby doesn't ask
            matched.append(i)
            excluded = not exception
        return excluded, tuple(matched)


class _Directory:
    """Results for one directory that its children need."""

    __slots__ = ("excluded", "groups", "heads", "matched")

    def __init__(
        self,
        matched: tuple[int, ...],
        heads: tuple[str, ...],
        groups: tuple[_Candidates, ...],
        *,
        excluded: bool,
    ) -> None:
        self.matched = matched
        self.heads = heads  # it and its ancestors, as far as patterns have them as literal heads
        self.groups = groups  # filed under characters that its path holds
        self.excluded = excluded


_Candidates = dict[str, list[int]]  # literal head → indexes of patterns
_GRAM = 3


class _PatternIndex:
    """Finds the patterns that match a path without asking most of them.

    Each pattern is filed under one thing that its matches must show: all of their last component,
    the end of it, or a few characters anywhere; whichever the fewest patterns ask for. There it is
    filed under the literal directory that it starts with.
    """

    def __init__(self, patterns: Sequence[PathPattern]) -> None:
        self._patterns = patterns
        self._exact: dict[str, list[int]] = {}
        self._names: dict[str, _Candidates] = {}
        self._suffixes: dict[int, dict[str, _Candidates]] = {}
        self._grams: dict[int, dict[str, _Candidates]] = {}
        self._others: _Candidates = {}
        signs = [_signs(pattern) for pattern in patterns]
        counts = Counter(sign for several in signs for sign in several)
        for i, pattern in enumerate(patterns):
            if pattern.kind == "exact":
                self._exact.setdefault(pattern.text, []).append(i)
                continue
            rarest = min(signs[i], key=counts.__getitem__, default=None)
            self._file_under(rarest).setdefault(pattern.literal_head, []).append(i)
        self.heads = frozenset(
            one.literal_head for one in patterns if one.kind != "exact" and one.literal_head
        )

    def _file_under(self, sign: _Sign | None) -> _Candidates:
        match sign:
            case None:
                return self._others
            case ("name", text):
                return self._names.setdefault(text, {})
            case ("suffix", text):
                return self._suffixes.setdefault(len(text), {}).setdefault(text, {})
            case ("gram", text):
                return self._grams.setdefault(len(text), {}).setdefault(text, {})
            case _:
                assert_never(sign)

    def matching(self, path: str, name: str, parent: _Directory) -> set[int]:
        """Indexes of all patterns that match `path`, which is called `name` in `parent`."""
        patterns = self._patterns
        found = set(self._exact.get(path, ()))
        for group in self._groups(path, name, parent):
            for head in parent.heads:
                for i in group.get(head, ()):
                    if patterns[i].matches(path):
                        found.add(i)
        return found

    def _groups(self, path: str, name: str, parent: _Directory) -> list[_Candidates]:
        groups = [*parent.groups, *self.gram_groups(path, len(name))]
        if self._others:
            groups.append(self._others)
        if name in self._names:
            groups.append(self._names[name])
        for length, by_text in self._suffixes.items():
            group = by_text.get(name[-length:])
            if group is not None:
                groups.append(group)
        return groups

    def gram_groups(self, path: str, size: int) -> Iterator[_Candidates]:
        """What is filed under characters that end in the last `size` ones of `path`."""
        for length, by_text in self._grams.items():
            start = max(0, len(path) - size - length + 1)
            grams = {path[i : i + length] for i in range(start, len(path) - length + 1)}
            for gram in grams & by_text.keys():
                yield by_text[gram]


_Sign = tuple[Literal["name", "suffix", "gram"], str]


def _signs(pattern: PathPattern) -> list[_Sign]:
    """What can be looked for in place of asking `pattern`, the cheapest to look for first."""
    if pattern.kind in {"exact", "prefix"}:
        return []  # a prefix's literal head says as much
    signs: list[_Sign] = []
    tail = pattern.literal_tail
    if tail and tail == pattern.last_component:
        signs.append(("name", tail))
    elif tail:
        signs.append(("suffix", tail))
    for run in pattern.literal_runs:
        length = min(_GRAM, len(run))
        grams = {run[i : i + length] for i in range(len(run) - length + 1)}
        signs.extend(("gram", gram) for gram in sorted(grams))
    return signs
