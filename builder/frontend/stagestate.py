"""What a stage has come to, instruction by instruction."""

from __future__ import annotations

from collections.abc import Mapping

from builder.frontend.catalog import OutsideSource, Source
from builder.frontend.expand import VariableUse, expand_word, expand_words, shown_text
from builder.frontend.instructions import Instruction, Origin
from builder.frontend.lintfacts import (
    ContextSources,
    ExpandedPorts,
    ExpandedWorkdir,
    UndefinedVariable,
)
from builder.frontend.plan import FrontendOptions, PlannedHistory
from builder.frontend.predefined import NOT_IN_ENVIRONMENT, BuildSettings
from builder.frontend.steps import GraphBuilder, StepNames
from builder.graph.model import VertexId
from builder.image.model import ContainerConfig, HistoryEntry, Platform
from cache.record import field, record, replace

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DEFAULT_SHELL = ("/bin/sh", "-c")


@record
class StageResult:
    """A stage whose instructions are all planned; others build and copy from it."""

    root: VertexId
    config: ContainerConfig
    platform: Platform
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    args: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    history: tuple[PlannedHistory, ...] = ()
    base_history: tuple[HistoryEntry, ...] = ()
    author: str = ""


class Findings:
    """What the checks want to know; each stage adds to it."""

    def __init__(self) -> None:
        self.undefined: list[UndefinedVariable] = []
        self.exposed: list[ExpandedPorts] = []
        self.workdirs: list[ExpandedWorkdir] = []
        self.context_sources: list[ContextSources] = []


@record
class Planning:
    """What planning any stage needs to know."""

    options: FrontendOptions
    settings: BuildSettings
    escape: str
    global_values: Mapping[str, str]
    build_args: Mapping[str, str]
    graph: GraphBuilder
    findings: Findings
    results: dict[int, StageResult]  # of the stages done so far
    replacements: Mapping[int, OutsideSource]  # named contexts that take a stage's place


class StageState:
    """One stage while its instructions are being planned; they change it, in order."""

    def __init__(
        self,
        planning: Planning,
        base: StageResult,
        names: StepNames,
        sources: Mapping[str, Source],
        *,
        no_cache: bool,
    ) -> None:
        self.planning = planning
        self.names = names
        self.sources = sources
        self.no_cache = no_cache
        self.root = base.root
        self.config = replace(_with_path(base.config), on_build=())
        self.args = dict(base.args)
        self.history = list(base.history)
        self.author = base.author
        self.cmd_is_set = False  # by this stage
        self.is_in_trigger = False  # the instruction comes from ONBUILD
        self._base = base
        self._values = dict(base.values)
        for name, value in self.config.env:
            self.set_value(name, value)

    @property
    def values(self) -> Mapping[str, str]:
        """Variables for expansion and for RUN: ENV and ARG, the one set last being the last."""
        return self._values

    @property
    def workdir(self) -> str:
        return self.config.working_dir or "/"

    def set_value(self, name: str, value: str) -> None:
        self._values.pop(name, None)  # so that it becomes the last
        self._values[name] = value

    def record(self, created_by: str, *, has_layer: bool = False) -> None:
        """Add an entry to the history."""
        self.history.append(PlannedHistory(created_by, empty_layer=not has_layer))

    def expand(self, word: str, origin: Origin) -> str:
        """`word` after expansion."""
        use = VariableUse()
        expanded = expand_word(word, self._values, self.planning.escape, use)
        if use.undefined:
            self.note_undefined(use, origin)
        return expanded

    def expand_all(self, words: tuple[str, ...], origin: Origin) -> tuple[str, ...]:
        return tuple(self.expand(word, origin) for word in words)

    def expand_words(self, word: str, origin: Origin) -> list[str]:
        """`word` after expansion, divided at blanks."""
        use = VariableUse()
        words = expand_words(word, self._values, self.planning.escape, use)
        self.note_undefined(use, origin)
        return words

    def note_undefined(self, use: VariableUse, origin: Origin) -> None:
        """Keep for the checks what `use` missed; an ARG without a value was declared at least."""
        for name in sorted(use.undefined - self.args.keys() - NOT_IN_ENVIRONMENT):
            self.planning.findings.undefined.append(
                UndefinedVariable(name, origin.span, tuple(self._values))
            )

    def with_shell(self, text: str) -> tuple[str, ...]:
        """The shell form's command line."""
        return (*(self.config.shell or _DEFAULT_SHELL), text)

    def step_name(self, instruction: Instruction, summary: str = "") -> str:
        """The next step's name: the instruction as written, with its variables replaced."""
        origin = instruction.origin
        text = shown_text(origin.text.strip(), self._values, self.planning.escape)
        keyword, rest = text[: len(origin.keyword)].upper(), text[len(origin.keyword) :]
        summary = f" ({summary})" if summary else ""
        return self.names.next(f"{keyword}{rest}{summary}", is_trigger=self.is_in_trigger)

    def result(self) -> StageResult:
        """The stage as it is now."""
        return StageResult(
            root=self.root,
            config=self.config,
            platform=self._base.platform,
            values=self._values,
            args=self.args,
            history=tuple(self.history),
            base_history=self._base.base_history,
            author=self.author,
        )


def _with_path(config: ContainerConfig) -> ContainerConfig:
    """Every stage has a PATH."""
    if any(name == "PATH" for name, _ in config.env):
        return config
    return replace(config, env=(*config.env, ("PATH", DEFAULT_PATH)))
