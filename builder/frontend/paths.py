"""Paths as instructions name them: joined to WORKDIR, cleaned, and never above the root."""

from __future__ import annotations

import posixpath


def absolute(path: str, workdir: str) -> str:
    """`path` from `workdir` on, without "." and ".." and doubled slashes."""
    joined = posixpath.normpath(posixpath.join("/", workdir, path))
    return "/" + joined.lstrip("/")  # POSIX lets two slashes at the start stand


def destination(path: str, workdir: str) -> str:
    """As `absolute`, with a slash at the end where `path` says that it is a directory."""
    is_dir = path in {"", "."} or path.endswith(("/", "/."))
    dest = absolute(path, workdir)
    return f"{dest}/" if is_dir and dest != "/" else dest
