"""ADD of a Git repository: a directory of it at a commit, through the git program.

Only the commit's own files are fetched (depth 1) where the server allows it. Neither the user's nor
the machine's git configuration has a say, nothing is asked for, and only remote transports are
used. Files get the commit's time, so that the same commit gives the same layer.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from typing import ClassVar

from builder.errors import StepFailedError
from builder.graph.model import GitOp
from builder.location import Span
from builder.worker.source_tree import SourceTree, shown_url
from cache.digest import Digest, sha256_digest
from cache.statedir import StateDir, remove_tree

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_ABBREVIATED = re.compile(r"[0-9a-f]{7,64}\Z")
_PASSED_ON = (
    *("PATH", "HOME", "SSH_AUTH_SOCK"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"),
)
_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
    "GIT_ALLOW_PROTOCOL": "http:https:ssh:git",  # not file:, and not ext:, which runs programs
}
_OPTIONS = (
    *("-c", "core.logAllRefUpdates=false"),
    *("-c", "advice.detachedHead=false"),
    *("-c", "gc.auto=0"),
    *("-c", "http.lowSpeedLimit=1"),  # bytes a second, for so many seconds: it hangs
    *("-c", "http.lowSpeedTime=60"),
)
_PER_PROCESS = ("FETCH_HEAD", "ORIG_HEAD", "description", "index", "logs", "hooks", "branches")


class GitError(StepFailedError):
    """A repository, ref or directory that can't be had."""

    code: ClassVar[str] = "git"


def check_out(op: GitOp, state: StateDir, span: Span | None) -> tuple[Digest, SourceTree]:
    """The directory, in a place of this process's, and what names it with its content."""
    work_dir = state.scratch("git")
    repository = _Repository(op, work_dir, span)
    try:
        commit = repository.fetch()
        repository.check(commit)
        repository.check_out(commit)
        root_dir = repository.directory()
    except BaseException:
        remove_tree(work_dir)
        raise
    tree = SourceTree(root_dir, is_context=True, name=f"the repository {shown_url(op.url)}")
    content = f"git\0{op.url}\0{commit}\0{op.subdir}\0{op.keep_git_dir}"
    return sha256_digest(content.encode("utf-8", "surrogateescape")), tree


class _Repository:
    """A fresh clone of one commit."""

    def __init__(self, op: GitOp, work_dir: str, span: Span | None) -> None:
        self._op = op
        self._work_dir = work_dir
        self._span = span

    def fetch(self) -> str:
        """The commit that the ref means, with its files."""
        op = self._op
        if op.ref.startswith("-") or op.url.startswith("-"):
            raise self._failure(f'"{op.ref or op.url}" is no name that git takes')
        self._git("init", "-q", "--template=", "-b", "main")
        self._git("remote", "add", "--", "origin", op.url)
        try:
            self._git("fetch", "-q", "--depth=1", "--no-tags", "origin", "--", op.ref or "HEAD")
            return self._git("rev-parse", "FETCH_HEAD^{commit}").strip()
        except GitError:
            if not _ABBREVIATED.match(op.ref):
                raise
        # a commit that the server doesn't give by its id, or not by a part of it
        self._git("fetch", "-q", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
        return self._git("rev-parse", "--verify", "-q", f"{op.ref}^{{commit}}").strip()

    def check(self, commit: str) -> None:
        """Whether it is the commit of --checksum."""
        expected = self._op.checksum
        if expected and not commit.startswith(expected.lower()):
            raise GitError(
                f"checksum mismatch for {shown_url(self._op.url)}:"
                f" {self._op.ref or 'HEAD'} is {commit}, --checksum says {expected}",
                span=self._span,
                hint="the branch or tag has moved, or is not the one that was meant",
            )

    def check_out(self, commit: str) -> None:
        """The commit's files, those of its submodules with them."""
        self._git("checkout", "-q", "--force", commit)
        if os.path.lexists(os.path.join(self._work_dir, ".gitmodules")):
            self._git("submodule", "update", "-q", "--init", "--recursive", "--depth=1")
        time_s = int(self._git("show", "-s", "--format=%ct", commit))
        git_dir = os.path.join(self._work_dir, ".git")
        if self._op.keep_git_dir and not self._op.subdir:
            for name in _PER_PROCESS:
                path = os.path.join(git_dir, name)
                remove_tree(path) if os.path.isdir(path) else _unlink(path)
            self._git("read-tree", "HEAD")  # an index that says nothing of this machine's inodes
        else:
            remove_tree(git_dir)
        os.chmod(self._work_dir, 0o755)  # noqa: S103 what is checked out is for everyone
        for path in (*_all_below(self._work_dir), self._work_dir):
            os.utime(path, (time_s, time_s), follow_symlinks=False)

    def directory(self) -> str:
        """Where the wanted directory is. A link on the way to it is no way."""
        subdir = self._op.subdir.strip("/")
        if not subdir:
            return self._work_dir
        tree = SourceTree(self._work_dir)
        try:
            os.close(tree.open(subdir, os.O_PATH | os.O_DIRECTORY))
        except OSError as error:
            raise self._failure(f'it has no directory "{subdir}": {error.strerror}') from error
        return os.path.join(self._work_dir, subdir)

    def _git(self, *arguments: str) -> str:
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        try:
            done = subprocess.run(
                ["git", *_OPTIONS, *arguments],
                cwd=self._work_dir,
                env=passed_on | _ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                umask=0o022,
                encoding="utf-8",
                errors="replace",
            )
        except FileNotFoundError as error:
            raise GitError(
                "the git program is missing", span=self._span, hint="install git"
            ) from error
        if done.returncode:
            why = done.stderr.strip().splitlines() or [f"git ended with {done.returncode}"]
            raise self._failure(why[-1].removeprefix("fatal: "))
        return done.stdout

    def _failure(self, why: str) -> GitError:
        ref = f"#{self._op.ref}" if self._op.ref else ""
        url = shown_url(self._op.url)
        return GitError(f"failed to fetch {url}{ref}: {why}", span=self._span)


def _unlink(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)


def _all_below(directory: str) -> Iterator[str]:
    for parent, directories, files in os.walk(directory):
        for name in (*files, *directories):
            yield os.path.join(parent, name)
