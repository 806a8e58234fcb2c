"""Git repositories as sources: URLs with a ref, a subdirectory and options in them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from builder.errors import UnsupportedError
from builder.frontend.goformat import quoted, truth
from builder.frontend.problems import WordProblemError
from cache.record import record, replace

_SCP = r"[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:."
_GIT_SCHEMES = ("git://", "ssh://", "git+ssh://")
_HTTP_SCHEMES = ("http://", "https://")


@record
class GitRef:
    """What a Git URL names."""

    url: str  # for the git program: no fragment, no query
    ref: str = ""  # branch, tag or commit
    subdir: str = ""
    checksum: str = ""  # the commit that it must be
    keep_git_dir: bool | None = None


def is_http_url(source: str) -> bool:
    """An http or https URL of a file; one that ends in .git is a repository."""
    return source.startswith(_HTTP_SCHEMES) and not _is_git_url(source)


def read_git_ref(source: str) -> GitRef | None:
    """What `source` names if it is a Git URL; WordProblemError where its options are wrong.

    Git URLs are git://, ssh://, user@host:path, and http(s):// with a path that ends in .git.
    """
    if not _is_git_url(source):
        return None
    url, _, fragment = source.partition("#")
    url, _, query = url.partition("?")
    ref, _, subdir = fragment.partition(":")
    git_ref = GitRef(url, ref=ref, subdir=subdir)
    return _with_query(git_ref, query) if query else git_ref


def _is_git_url(source: str) -> bool:
    if source.startswith(_HTTP_SCHEMES):
        path = source.partition("#")[0].partition("?")[0]
        return path.endswith(".git")
    return source.startswith(_GIT_SCHEMES) or re.match(_SCP, source) is not None


def _with_query(git_ref: GitRef, query: str) -> GitRef:
    from urllib.parse import parse_qsl  # noqa: PLC0415 - hardly any Dockerfile has one

    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in options:
            raise WordProblemError(f"query {quoted(name)} has multiple values", word=name)
        if not value and name not in {"submodules", "keep-git-dir"}:
            raise WordProblemError(f"query {quoted(name)} has no value", word=name)
        options[name] = value
    for name, value in options.items():
        git_ref = _with_option(git_ref, name, value)
    return replace(git_ref, ref=_full_ref(git_ref.ref, options))


def _with_option(git_ref: GitRef, name: str, value: str) -> GitRef:
    match name:
        case "ref" | "tag" | "branch":
            return git_ref
        case "subdir":
            _check_same(name, git_ref.subdir, value)
            return replace(git_ref, subdir=value)
        case "checksum" | "commit":
            return replace(git_ref, checksum=value)
        case "keep-git-dir":
            return replace(git_ref, keep_git_dir=_truth(name, value))
        case "submodules":
            if not _truth(name, value):
                raise UnsupportedError("a repository without its submodules is not supported")
            return git_ref
        case _:
            raise WordProblemError(f"unexpected query {quoted(name)}", word=name)


def _full_ref(ref: str, options: dict[str, str]) -> str:
    if "tag" in options and "branch" in options:
        raise WordProblemError("branch conflicts with tag", word="branch")
    for candidate in _candidates(options):
        _check_same("ref", ref, candidate)
        ref = candidate
    return ref


def _candidates(options: dict[str, str]) -> Iterable[str]:
    if "ref" in options:
        yield options["ref"]
    for name, prefix in (("tag", "refs/tags/"), ("branch", "refs/heads/")):
        if name in options:
            yield prefix + options[name].removeprefix(prefix)


def _check_same(name: str, first: str, second: str) -> None:
    if first and first != second:
        raise WordProblemError(
            f"{name} conflicts: {quoted(first)} vs {quoted(second)}", word=second
        )


def _truth(name: str, value: str) -> bool:
    if not value:
        return True
    try:
        return truth(value)
    except ValueError as error:
        raise WordProblemError(f"invalid {name} value: {quoted(value)}", word=value) from error
