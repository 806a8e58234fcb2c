"""The instructions of a Dockerfile as frozen data, as written: nothing is expanded yet.

Two instructions are equal when they say the same, wherever they stand and however the lines that
say it were broken.
"""

from __future__ import annotations

from collections.abc import Iterator

from builder.frontend.heredoc import Heredoc
from builder.frontend.scan import Directive
from builder.image.model import Healthcheck as HealthcheckConfig
from builder.location import SourceFile, Span
from cache.record import field, record

Pairs = tuple[tuple[str, str], ...]


@record
class Origin:
    """Where an instruction stands and how it was written."""

    span: Span  # bodies of its heredocs included
    keyword: str  # as written: "FROM" or "from"
    text: str  # the whole instruction, continued lines joined, without bodies of heredocs
    comments: tuple[str, ...] = ()  # the comment lines right above, without their "#"


@record
class From:
    """FROM [--platform=P] IMAGE [AS NAME]: begins a stage."""

    origin: Origin = field(compare=False)
    image: str
    name: str = ""  # in lower case; "" for an unnamed stage
    name_as_written: str = field(default="", compare=False)
    as_keyword: str = field(default="", compare=False)  # "AS" or "as"
    platform: str = ""


@record
class Run:
    """RUN in either form. The shell form's text is its one argument."""

    origin: Origin = field(compare=False)
    args: tuple[str, ...]
    is_exec_form: bool
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[str, ...] = ()  # values of --mount; see mounts.read_mount
    network: str = ""
    security: str = ""
    devices: tuple[str, ...] = ()


@record
class Copy:
    """COPY. The heredocs are copied after the sources, whatever the order they were written in."""

    origin: Origin = field(compare=False)
    sources: tuple[str, ...]
    heredocs: tuple[Heredoc, ...]
    dest: str
    from_name: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()


@record
class Add:
    """ADD: as COPY, with URLs, Git repositories and archives."""

    origin: Origin = field(compare=False)
    sources: tuple[str, ...]
    heredocs: tuple[Heredoc, ...]
    dest: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None


@record
class Env:
    """ENV. `is_legacy`: the form `ENV name value` without an equals sign."""

    origin: Origin = field(compare=False)
    pairs: Pairs
    is_legacy: bool = False


@record
class Label:
    """LABEL, in the forms of ENV."""

    origin: Origin = field(compare=False)
    pairs: Pairs
    is_legacy: bool = False


@record
class Arg:
    """ARG: names, each with its default or None."""

    origin: Origin = field(compare=False)
    declarations: tuple[tuple[str, str | None], ...]


@record
class Workdir:
    """WORKDIR."""

    origin: Origin = field(compare=False)
    dir: str


@record
class User:
    """USER: user[:group]."""

    origin: Origin = field(compare=False)
    user: str


@record
class Cmd:
    """CMD, with its arguments as RUN has them."""

    origin: Origin = field(compare=False)
    args: tuple[str, ...]
    is_exec_form: bool


@record
class Entrypoint:
    """ENTRYPOINT, with its arguments as RUN has them."""

    origin: Origin = field(compare=False)
    args: tuple[str, ...]
    is_exec_form: bool


@record
class Expose:
    """EXPOSE."""

    origin: Origin = field(compare=False)
    ports: tuple[str, ...]


@record
class Volume:
    """VOLUME."""

    origin: Origin = field(compare=False)
    paths: tuple[str, ...]


@record
class Shell:
    """SHELL."""

    origin: Origin = field(compare=False)
    args: tuple[str, ...]


@record
class Stopsignal:
    """STOPSIGNAL."""

    origin: Origin = field(compare=False)
    signal: str


@record
class Healthcheck:
    """HEALTHCHECK; NONE has the test ("NONE",)."""

    origin: Origin = field(compare=False)
    check: HealthcheckConfig


@record
class Onbuild:
    """ONBUILD: an instruction as text, with the bodies of its heredocs."""

    origin: Origin = field(compare=False)
    trigger: str


@record
class Maintainer:
    """MAINTAINER."""

    origin: Origin = field(compare=False)
    author: str


Instruction = (
    From
    | Run
    | Copy
    | Add
    | Env
    | Label
    | Arg
    | Workdir
    | User
    | Cmd
    | Entrypoint
    | Expose
    | Volume
    | Shell
    | Stopsignal
    | Healthcheck
    | Onbuild
    | Maintainer
)


@record
class Stage:
    """A FROM and what follows it."""

    index: int
    base: From
    body: tuple[Instruction, ...]  # without any From


@record
class Dockerfile:
    """A whole Dockerfile, read."""

    source: SourceFile
    escape: str
    directives: tuple[Directive, ...]
    global_args: tuple[Arg, ...]  # before the first FROM
    stages: tuple[Stage, ...]  # at least one
    empty_continuations: tuple[Span, ...] = ()  # empty lines within a continued instruction

    @property
    def instructions(self) -> Iterator[Instruction]:
        """All of them, in order."""
        yield from self.global_args
        for stage in self.stages:
            yield stage.base
            yield from stage.body

    def directive(self, name: str) -> str:
        """The value of a parser directive, "" where it isn't given."""
        return next((found.value for found in self.directives if found.name == name), "")
