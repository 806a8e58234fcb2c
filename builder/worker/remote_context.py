"""A build context behind a URL: a Git repository, a tar archive, or a Dockerfile alone."""

from __future__ import annotations

import os
from contextlib import ExitStack

from builder.errors import UsageError
from builder.frontend.gitref import is_http_url, read_git_ref
from builder.frontend.problems import WordProblemError
from builder.graph.model import GitOp, HttpOp
from builder.settings import settings_from
from builder.worker.context_step import extract_context, is_archive
from builder.worker.git_step import check_out
from builder.worker.http_step import fetch_file
from cache.statedir import StateDir

_FILENAME = "Dockerfile"
"""What a file that is no archive is taken for."""


def fetch_context(place: str, stack: ExitStack, *, keep_git_dir: bool) -> str:
    """The directory that `place` comes to; gone when `stack` ends.

    `keep_git_dir`: of a repository, where the URL doesn't say it itself.
    """
    if place.startswith("github.com/"):
        place = f"https://{place}"
        repository, hash_sign, rest = place.partition("#")
        if not repository.endswith(".git"):
            place = f"{repository}.git{hash_sign}{rest}"
    settings = settings_from(os.environ, euid=os.geteuid())
    state = StateDir(settings.root_dir)
    stack.callback(state.close)
    if is_http_url(place):
        return _downloaded(place, state, stack, limit_bytes=settings.unpack_limit_bytes)
    return _checked_out(place, state, keep_git_dir=keep_git_dir)


def _checked_out(place: str, state: StateDir, *, keep_git_dir: bool) -> str:
    try:
        ref = read_git_ref(place)
    except WordProblemError as error:
        raise UsageError(f'the context "{place}": {error.message}', hint=error.hint) from error
    if ref is None:
        raise UsageError(
            f'the context "{place}" is no URL that is known',
            hint="http(s)://... of an archive or a Dockerfile, or a Git URL that ends in .git",
        )
    operation = GitOp(
        url=ref.url,
        ref=ref.ref,
        subdir=ref.subdir,
        keep_git_dir=keep_git_dir if ref.keep_git_dir is None else ref.keep_git_dir,
        checksum=ref.checksum,
    )
    _, tree = check_out(operation, state, None)
    return tree.root_dir


def _downloaded(url: str, state: StateDir, stack: ExitStack, *, limit_bytes: int | None) -> str:
    operation = HttpOp(url=url, filename=_FILENAME, checksum="")
    _, tree = fetch_file(operation, state, _tell_nobody, None)
    path = os.path.join(tree.root_dir, _FILENAME)
    with open(path, "rb") as file:
        if not is_archive(file.read(512)):
            return tree.root_dir
        file.seek(0)
        return extract_context(file, stack, limit_bytes=limit_bytes)


def _tell_nobody(done_bytes: int, total_bytes: int) -> None:
    """Before a build has begun, there is no step to tell the progress of."""
    del done_bytes, total_bytes
