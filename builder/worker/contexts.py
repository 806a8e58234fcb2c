"""What the command line names as contexts, opened: directories to copy from, and the Dockerfile.

CONTEXT   a directory | a tar archive | - (a tar archive or a Dockerfile on stdin) | a URL
-f FILE   a path | - (stdin); default: CONTEXT/Dockerfile
--build-context NAME=   a directory | oci-layout://DIR[:TAG] | docker-image://IMAGE | a URL
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager

from builder.errors import UsageError
from builder.frontend.ignorefile import IgnoreMatcher, read_ignore_file
from builder.location import SourceFile
from builder.worker.source_tree import SourceTree
from cache.record import record

MAIN_CONTEXT = "context"
IMAGE_SCHEMES = ("oci-layout://", "docker-image://")
REMOTE_SCHEMES = ("http://", "https://", "git://", "ssh://", "git@", "github.com/")
MAX_DOCKERFILE_BYTES = 16 << 20
ARCHIVE_START_BYTES = 65536
"""What of stdin is looked at to tell an archive from a Dockerfile: what a pipe holds."""


@record
class BuildContexts:
    """The contexts of one build; valid inside the `with` block of `open_contexts`."""

    dockerfile: SourceFile
    trees: Mapping[str, SourceTree]  # by name; the build context is "context"
    images: Mapping[str, str]  # by name: oci-layout://..., docker-image://...

    @property
    def directory_names(self) -> frozenset[str]:
        """The names of `--build-context` that are directories."""
        return frozenset(self.trees) - {MAIN_CONTEXT}

    def tree(self, name: str) -> SourceTree:
        """KeyError where there is none; the frontend has checked the name."""
        return self.trees[name]


@contextmanager
def open_contexts(
    context: str, *, file: str | None, named: Mapping[str, str]
) -> Generator[BuildContexts]:
    """Open all of them; what was unpacked or downloaded for it goes when the block ends."""
    with ExitStack() as stack:
        if context == "-" and file == "-":
            raise UsageError(
                "the context and the Dockerfile can't both come from stdin",
                hint="give one of them as a path",
            )
        stdin_text: bytes | None = None
        if context == "-":
            root_dir, stdin_text = _from_stdin(stack)
        else:
            root_dir = _directory_of(context, stack)
        dockerfile, ignore = _dockerfile(root_dir, file, stdin_text)
        main = SourceTree(root_dir, ignore=ignore, is_context=True, name=MAIN_CONTEXT)
        trees = {MAIN_CONTEXT: main}
        images: dict[str, str] = {}
        for name, place in named.items():
            if place.startswith(IMAGE_SCHEMES):
                images[name] = place
            else:
                named_dir = _directory_of(place, stack)
                trees[name] = SourceTree(
                    named_dir,
                    ignore=_ignore_at(os.path.join(named_dir, ".dockerignore")),
                    is_context=True,
                    name=name,
                )
        yield BuildContexts(dockerfile, trees, images)


def _directory_of(place: str, stack: ExitStack) -> str:
    if place.startswith(REMOTE_SCHEMES):
        from builder.worker.remote_context import fetch_context

        return fetch_context(place, stack)
    if not os.path.exists(place):
        raise UsageError(
            f'the context "{place}" does not exist',
            hint="the last argument is the directory that COPY takes files from, mostly .",
        )
    if os.path.isdir(place):
        return os.path.abspath(place)
    from builder.worker.context_step import extract_context

    with open(place, "rb") as archive:
        return extract_context(archive, stack)


def _from_stdin(stack: ExitStack) -> tuple[str, bytes | None]:
    """A tar archive's directory; or an empty directory and the Dockerfile's text."""
    from builder.worker.context_step import extract_context, is_archive

    stdin = io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False), ARCHIVE_START_BYTES)
    start = stdin.peek(ARCHIVE_START_BYTES)
    if not start:
        raise UsageError("stdin is empty", hint="pipe a Dockerfile or a tar archive into pybuild -")
    if is_archive(start[:ARCHIVE_START_BYTES]):
        return extract_context(stdin, stack), None
    return _temporary_dir(stack), stdin.read(MAX_DOCKERFILE_BYTES + 1)


def _temporary_dir(stack: ExitStack) -> str:
    import tempfile

    return stack.enter_context(tempfile.TemporaryDirectory(prefix="pybuild-context-"))


def _dockerfile(
    root_dir: str, file: str | None, stdin_text: bytes | None
) -> tuple[SourceFile, IgnoreMatcher | None]:
    """The Dockerfile, and the ignore file that goes with it."""
    common = os.path.join(root_dir, ".dockerignore")
    if stdin_text is not None and file is None:
        return _decoded("-", stdin_text), None
    if file == "-":
        text = sys.stdin.buffer.read(MAX_DOCKERFILE_BYTES + 1)
        return _decoded("-", text), _ignore_at(common)
    path, name = dockerfile_path(root_dir, file)
    own = f"{path}.dockerignore"
    return _decoded(name, _read(path, name)), _ignore_at(own if os.path.exists(own) else common)


def dockerfile_path(root_dir: str, file: str | None) -> tuple[str, str]:
    """Where it is, and its name for messages. `-f` counts from here, then from the context."""
    if file is not None:
        inside = os.path.join(root_dir, file)
        path = inside if not os.path.exists(file) and os.path.exists(inside) else file
        return path, os.path.basename(file)
    for name in ("Dockerfile", "Containerfile", "dockerfile"):
        path = os.path.join(root_dir, name)
        if os.path.exists(path):
            return path, name
    return os.path.join(root_dir, "Dockerfile"), "Dockerfile"


def _read(path: str, name: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_DOCKERFILE_BYTES + 1)
    except FileNotFoundError as error:
        raise UsageError(
            f'failed to read dockerfile: open {name}: no such file or directory ("{path}")',
            hint="name it with -f FILE, or give the directory that holds it as the context",
        ) from error
    except OSError as error:
        raise UsageError(f"failed to read dockerfile: {path}: {error.strerror}") from error


def _decoded(name: str, text: bytes) -> SourceFile:
    if len(text) > MAX_DOCKERFILE_BYTES:
        raise UsageError(f"{name} is larger than {MAX_DOCKERFILE_BYTES >> 20} MiB")
    return SourceFile(name, text.decode("utf-8", errors="surrogateescape"))


def _ignore_at(path: str) -> IgnoreMatcher | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    matcher = read_ignore_file(SourceFile(os.path.basename(path), text))
    return matcher or None
