"""COPY and ADD: from words to sources, each with the input that it is taken from."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from builder.frontend.expand import VariableUse, expand_document
from builder.frontend.gitref import GitRef, is_http_url, read_git_ref
from builder.frontend.goformat import quoted
from builder.frontend.heredoc import Heredoc
from builder.frontend.inputs import source_vertex
from builder.frontend.instructions import Add, Copy
from builder.frontend.lintfacts import ContextSources
from builder.frontend.paths import destination
from builder.frontend.problems import WordProblemError
from builder.frontend.stagestate import StageState
from builder.graph.model import (
    CopyOp,
    CopySource,
    GitOp,
    HttpOp,
    InlineFile,
    Operation,
    VertexId,
)
from builder.location import Span
from cache.record import record

_SYMBOLIC_CLAUSE = r"[ugoa]*(?:[-+=](?:[ugo]|[rwxXst]*))+"
_SYMBOLIC_MODE = rf"{_SYMBOLIC_CLAUSE}(?:,{_SYMBOLIC_CLAUSE})*\Z"
_DIGEST_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_COMMIT = r"[0-9a-f]{7,64}\Z"


class CopyInputs:
    """The sources of one instruction; adding them collects the inputs after the root."""

    def __init__(self, state: StageState, span: Span) -> None:
        self.vertices: list[VertexId] = []
        self.sources: list[CopySource] = []
        self._state = state
        self._span = span

    def index(self, vertex: VertexId) -> int:
        if vertex not in self.vertices:
            self.vertices.append(vertex)
        return self.vertices.index(vertex) + 1

    def fetched(self, operation: Operation, name: str) -> int:
        """The index of an input that has to be fetched."""
        graph = self._state.planning.graph
        return self.index(graph.add(operation, name=name, span=self._span))


@record
class _Flags:
    """Flags of COPY and ADD after expansion."""

    chown: str
    chmod: str
    exclude: tuple[str, ...]


def plan_copy(state: StageState, copy: Copy) -> None:
    """COPY: one step, one layer."""
    paths = state.expand_all(copy.sources, copy.origin)
    inputs = CopyInputs(state, copy.origin.span)
    for path in paths:
        if read_git_ref(path):
            raise WordProblemError("source can't be a git ref for COPY", word=path, hint="use ADD")
        if is_http_url(path):
            raise WordProblemError("source can't be a URL for COPY", word=path, hint="use ADD")
        _add_path(inputs, state, path, copy.from_name, unpack=False)
    if not copy.from_name:
        _note_context_sources(state, copy, paths)
    _finish(state, copy, paths, inputs, parents=copy.parents)


def plan_add(state: StageState, add: Add) -> None:
    """ADD: as COPY, with URLs, Git repositories and archives."""
    paths = state.expand_all(add.sources, add.origin)
    checksum = state.expand(add.checksum, add.origin)
    if checksum:
        _check_checksum_sources(paths, add)
    inputs = CopyInputs(state, add.origin.span)
    local: list[str] = []
    for path in paths:
        git_ref = read_git_ref(path)
        if git_ref:
            _add_repository(inputs, add, git_ref, checksum, shown=path)
        elif is_http_url(path):
            _add_download(inputs, add, path, checksum)
        else:
            local.append(path)
            _add_path(inputs, state, path, "", unpack=add.unpack is not False)
    if local:
        _note_context_sources(state, add, local)
    _finish(state, add, paths, inputs, parents=False)


def _add_path(
    inputs: CopyInputs, state: StageState, path: str, from_name: str, *, unpack: bool
) -> None:
    vertex, is_context = source_vertex(state, from_name)
    inputs.sources.append(
        CopySource(
            input_index=inputs.index(vertex),
            pattern=path or "/",  # as an empty word names its directory
            unpack=unpack,
            honours_ignorefile=is_context,
        )
    )


def _add_download(inputs: CopyInputs, add: Add, url: str, checksum: str) -> None:
    if checksum:
        _check_digest(checksum)
    filename = _url_filename(url)
    index = inputs.fetched(HttpOp(url, filename, checksum), name=url)
    inputs.sources.append(CopySource(index, filename, unpack=add.unpack is True, is_download=True))


def _url_filename(url: str) -> str:
    """The last part of the URL's path, percent signs decoded."""
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415 - few Dockerfiles have a URL

    try:
        path = unquote(urlsplit(url).path, errors="surrogateescape")
    except ValueError:
        path = ""
    name = posixpath.basename(path.rstrip("/"))
    return name if name not in {"", ".", ".."} and "\0" not in name else "__unnamed__"


def _add_repository(
    inputs: CopyInputs, add: Add, git_ref: GitRef, checksum: str, *, shown: str
) -> None:
    keep_git_dir = add.keep_git_dir if git_ref.keep_git_dir is None else git_ref.keep_git_dir
    if add.keep_git_dir not in {None, keep_git_dir}:
        raise WordProblemError("inconsistent keep-git-dir configuration", word="--keep-git-dir")
    if checksum and git_ref.checksum not in {"", checksum}:
        raise WordProblemError(
            f"checksum mismatch {quoted(checksum)} != {quoted(git_ref.checksum)}", word=checksum
        )
    commit = git_ref.checksum or checksum
    if commit and not re.match(_COMMIT, commit):
        raise WordProblemError(
            f"invalid checksum {quoted(commit)} for a Git repository",
            word=commit,
            hint="it is the commit's hash in hex digits",
        )
    operation = GitOp(
        url=git_ref.url,
        ref=git_ref.ref,
        subdir=git_ref.subdir,
        keep_git_dir=bool(keep_git_dir),
        checksum=commit,
    )
    inputs.sources.append(CopySource(inputs.fetched(operation, name=shown), "/"))


def _check_checksum_sources(paths: Sequence[str], add: Add) -> None:
    if len(paths) + len(add.heredocs) != 1:
        raise WordProblemError(
            "checksum can't be specified for multiple sources", word="--checksum"
        )
    if not paths or not (is_http_url(paths[0]) or read_git_ref(paths[0])):
        raise WordProblemError("checksum requires HTTP(S) or Git sources", word="--checksum")


def _check_digest(checksum: str) -> None:
    algorithm, colon, digits = checksum.partition(":")
    if not colon or not algorithm:
        raise WordProblemError(
            "invalid checksum digest format", word=checksum, hint="write it as sha256:DIGITS"
        )
    if algorithm not in _DIGEST_LENGTHS:
        raise WordProblemError(
            "unsupported digest algorithm",
            word=checksum,
            hint=f"it is one of {', '.join(_DIGEST_LENGTHS)}",
        )
    if len(digits) != _DIGEST_LENGTHS[algorithm]:
        raise WordProblemError("invalid checksum digest length", word=checksum)
    if digits.strip("0123456789abcdef"):
        raise WordProblemError("invalid checksum digest format", word=checksum)


def _finish(
    state: StageState,
    instruction: Copy | Add,
    paths: Sequence[str],
    inputs: CopyInputs,
    *,
    parents: bool,
) -> None:
    origin = instruction.origin
    flags = _Flags(
        chown=state.expand(instruction.chown, origin),
        chmod=_checked_mode(state.expand(instruction.chmod, origin)),
        exclude=state.expand_all(instruction.exclude, origin),
    )
    dest = state.expand(instruction.dest, origin)
    operation = CopyOp(
        sources=tuple(inputs.sources),
        inline_files=tuple(_inline_file(state, instruction, doc) for doc in instruction.heredocs),
        dest=destination(dest, state.workdir),
        chown=flags.chown,
        chmod=flags.chmod,
        link=instruction.link,
        parents=parents,
        exclude=flags.exclude,
        keeps_owner=isinstance(instruction, Add) and not flags.chown,
        epoch=state.planning.settings.epoch,
    )
    state.root = state.planning.graph.add(
        operation,
        (state.root, *inputs.vertices),
        name=state.step_name(instruction),
        span=origin.span,
        no_cache=state.no_cache,
    )
    shown = [
        "ADD" if isinstance(instruction, Add) else "COPY",
        *(["--parents"] if parents else []),
        *([f"--chown={flags.chown}"] if flags.chown else []),
        *([f"--chmod={flags.chmod}"] if flags.chmod else []),
        *paths,
        *(f"<<{heredoc.name}" for heredoc in instruction.heredocs),
        dest,
    ]
    state.record(f"{' '.join(shown)} # buildkit", has_layer=True)


def _inline_file(state: StageState, instruction: Copy | Add, heredoc: Heredoc) -> InlineFile:
    content = heredoc.content
    if heredoc.expands:
        use = VariableUse()
        content = expand_document(content, state.values, use)
        state.note_undefined(use, instruction.origin)
    return InlineFile(heredoc.file_name, content)


def _checked_mode(text: str) -> str:
    """--chmod: octal up to 07777, or symbolic."""
    if not text or re.match(_SYMBOLIC_MODE, text):
        return text
    if not text.strip("01234567") and int(text, 8) <= 0o7777:
        return text
    raise WordProblemError(
        f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777",
        word=text,
        hint="or symbolic, as chmod(1) has it: u+x,go-w",
    )


def _note_context_sources(state: StageState, instruction: Copy | Add, paths: Sequence[str]) -> None:
    keyword = "ADD" if isinstance(instruction, Add) else "COPY"
    state.planning.findings.context_sources.append(
        ContextSources(keyword, tuple(paths), instruction.origin.span)
    )
