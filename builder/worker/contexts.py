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
from builder.kernel.paths import open_in_root
from builder.location import SourceFile
from builder.settings import settings_from
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
    context: str, *, file: str | None, named: Mapping[str, str], keep_git_dir: bool = False
) -> Generator[BuildContexts]:
    """Open all of them; what was unpacked or downloaded for it goes when the block ends.

    `keep_git_dir`: a Git repository that is the context comes with its .git directory.
    """
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
            root_dir = _directory_of(context, stack, keep_git_dir=keep_git_dir)
        dockerfile, ignore = _dockerfile(root_dir, file, stdin_text, own=os.path.isdir(context))
        main = SourceTree(root_dir, ignore=ignore, is_context=True, name=MAIN_CONTEXT)
        trees = {MAIN_CONTEXT: main}
        images: dict[str, str] = {}
        for name, place in named.items():
            if name == MAIN_CONTEXT:
                raise UsageError(
                    f'--build-context {name}: "{name}" is the build\'s own context',
                    hint="give it another name, and COPY --from that name",
                )
            if place.startswith(IMAGE_SCHEMES):
                images[name] = place
            else:
                named_dir = _directory_of(place, stack)
                trees[name] = SourceTree(
                    named_dir,
                    ignore=_ignore_at(named_dir, ".dockerignore", own=os.path.isdir(place)),
                    is_context=True,
                    name=name,
                )
        yield BuildContexts(dockerfile, trees, images)


def _directory_of(place: str, stack: ExitStack, *, keep_git_dir: bool = False) -> str:
    if place.startswith(REMOTE_SCHEMES):
        from builder.worker.remote_context import fetch_context

        return fetch_context(place, stack, keep_git_dir=keep_git_dir)
    if not os.path.exists(place):
        raise UsageError(
            f'the context "{place}" does not exist',
            hint="the last argument is the directory that COPY takes files from, mostly .",
        )
    if os.path.isdir(place):
        return os.path.abspath(place)
    from builder.worker.context_step import extract_context

    with open(place, "rb") as archive:
        return extract_context(archive, stack, limit_bytes=_unpack_limit())


def _from_stdin(stack: ExitStack) -> tuple[str, bytes | None]:
    """A tar archive's directory; or an empty directory and the Dockerfile's text."""
    from builder.worker.context_step import extract_context, is_archive

    stdin = io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False), ARCHIVE_START_BYTES)
    start = stdin.peek(ARCHIVE_START_BYTES)
    if not start:
        raise UsageError("stdin is empty", hint="pipe a Dockerfile or a tar archive into pybuild -")
    if is_archive(start[:ARCHIVE_START_BYTES]):
        return extract_context(stdin, stack, limit_bytes=_unpack_limit()), None
    return _temporary_dir(stack), stdin.read(MAX_DOCKERFILE_BYTES + 1)


def _unpack_limit() -> int | None:
    return settings_from(os.environ, euid=os.geteuid()).unpack_limit_bytes


def _temporary_dir(stack: ExitStack) -> str:
    import tempfile

    return stack.enter_context(tempfile.TemporaryDirectory(prefix="pybuild-context-"))


def _dockerfile(
    root_dir: str, file: str | None, stdin_text: bytes | None, *, own: bool
) -> tuple[SourceFile, IgnoreMatcher | None]:
    """The Dockerfile, and the ignore file that goes with it."""
    if stdin_text is not None and file is None:
        return _decoded("-", stdin_text), None
    if file == "-":
        text = sys.stdin.buffer.read(MAX_DOCKERFILE_BYTES + 1)
        return _decoded("-", text), _ignore_at(root_dir, ".dockerignore", own=own)
    common = _ignore_at(root_dir, ".dockerignore", own=own)
    if file is not None and own and os.path.exists(file):
        root_dir, file, own = os.path.dirname(file), os.path.basename(file), True
    path = file or _default_name(root_dir)
    source = _decoded(os.path.basename(path), _read(root_dir, path, own=own))
    ignore_path = f"{path}.dockerignore"
    if os.path.exists(os.path.join(root_dir, ignore_path)):
        return source, _ignore_at(root_dir, ignore_path, own=own)
    return source, common


def dockerfile_path(context_dir: str, file: str | None) -> tuple[str, str]:
    """Where it is, and its name for messages. `-f` counts from here, then from the context."""
    if file is not None and os.path.exists(file):
        return file, os.path.basename(file)
    name = file or _default_name(context_dir)
    return os.path.join(context_dir, name), os.path.basename(name)


def _default_name(root_dir: str) -> str:
    names = ("Dockerfile", "Containerfile", "dockerfile")
    return next((n for n in names if os.path.lexists(os.path.join(root_dir, n))), names[0])


def _open(root_dir: str, path: str, *, own: bool) -> int:
    """`own`: a directory of the user's, whose links may lead anywhere.

    In a context that came as an archive or from elsewhere they stay inside.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC
    if own:
        return os.open(os.path.join(root_dir, path), flags)
    root_fd = os.open(root_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return open_in_root(root_fd, path, flags | os.O_NONBLOCK)  # a fifo must not hold us up
    finally:
        os.close(root_fd)


def _read(root_dir: str, path: str, *, own: bool) -> bytes:
    try:
        with open(_open(root_dir, path, own=own), "rb") as file:
            return file.read(MAX_DOCKERFILE_BYTES + 1)
    except FileNotFoundError as error:
        raise UsageError(
            f"failed to read dockerfile: open {os.path.basename(path)}: no such file or directory"
            f' ("{os.path.join(root_dir, path)}")',
            hint="name it with -f FILE, or give the directory that holds it as the context",
        ) from error
    except OSError as error:
        raise UsageError(f"failed to read dockerfile: {path}: {error.strerror}") from error


def _decoded(name: str, text: bytes) -> SourceFile:
    if len(text) > MAX_DOCKERFILE_BYTES:
        raise UsageError(f"{name} is larger than {MAX_DOCKERFILE_BYTES >> 20} MiB")
    return SourceFile(name, text.decode("utf-8", errors="surrogateescape"))


def _ignore_at(root_dir: str, path: str, *, own: bool) -> IgnoreMatcher | None:
    try:
        with open(_open(root_dir, path, own=own), "rb") as file:
            text = file.read().decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
    matcher = read_ignore_file(SourceFile(os.path.basename(path), text))
    return matcher or None
