"""Which stages a target needs and what each stands on, before any of its steps is planned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from builder.errors import SourceError, SyntaxProblemError, UnknownStageError
from builder.frontend.catalog import (
    SCRATCH,
    Catalog,
    ContextSource,
    ImageSource,
    OutsideSource,
    Source,
    StageSource,
    check_reference,
)
from builder.frontend.expand import VariableUse, expand_word
from builder.frontend.instructions import Copy, Dockerfile, From, Instruction, Onbuild, Run, Stage
from builder.frontend.mounts import mount_source
from builder.frontend.parse import parse_trigger
from builder.frontend.problems import did_you_mean, nearest, place
from builder.image.errors import InvalidImageError
from builder.image.model import Platform
from builder.image.platform import parse_platform
from builder.location import Span
from cache.record import record


@record
class Base:
    """What a FROM line came to."""

    image: str  # expanded
    platform: Platform | None  # of --platform
    platform_text: str
    stage: int | None  # where the image is an earlier stage
    replacement: OutsideSource | None  # a named context that takes the whole stage's place
    image_use: VariableUse
    platform_use: VariableUse


@record
class NeededStage:
    """A stage with all that will be planned for it."""

    stage: Stage
    base: Base
    source: Source  # what it stands on; of a replaced stage, what it is
    triggers: tuple[Instruction, ...]  # of ONBUILD below, to be done first
    body: tuple[Instruction, ...]  # empty for a replaced stage
    sources: Mapping[str, Source]  # what --from and from= name in it, by the name as written


@record
class LateReference:
    """`--from` of a later stage, in a stage that nothing needs: no error, yet wrong."""

    name: str
    span: Span


def resolve_bases(
    dockerfile: Dockerfile, global_values: Mapping[str, str], catalog: Catalog
) -> tuple[Base, ...]:
    """What each stage's FROM line came to."""
    bases: list[Base] = []
    by_name: dict[str, int] = {}
    for stage in dockerfile.stages:
        span = stage.base.origin.span
        try:
            bases.append(_base(stage.base, global_values, dockerfile.escape, by_name, catalog))
        except SourceError as error:
            place(error, span)
            raise
        if stage.base.name:
            by_name[stage.base.name] = stage.index
    return tuple(bases)


def _base(
    line: From,
    values: Mapping[str, str],
    escape: str,
    by_name: Mapping[str, int],
    catalog: Catalog,
) -> Base:
    span = line.origin.span
    image_use, platform_use = VariableUse(), VariableUse()
    image = expand_word(line.image, values, escape, image_use)
    if not image:
        raise SyntaxProblemError(
            f"base name ({line.image}) should not be blank",
            hint=_undefined_hint(image_use, values) or "give its variable a default with ARG",
        )
    platform_text = expand_word(line.platform, values, escape, platform_use)
    platform = _platform(line.platform, platform_text, platform_use, values)
    replacement = catalog.context(line.name, platform, span) if line.name else None
    stage = by_name.get(image.lower())
    if stage is None and replacement is None and image != SCRATCH:
        check_reference(image, span)
    return Base(image, platform, platform_text, stage, replacement, image_use, platform_use)


def _platform(
    written: str, text: str, use: VariableUse, values: Mapping[str, str]
) -> Platform | None:
    if not written:
        return None
    if not text:
        raise SyntaxProblemError(
            f"empty platform value from expression {written}", hint=_undefined_hint(use, values)
        )
    try:
        return parse_platform(text)
    except InvalidImageError as error:
        raise SyntaxProblemError(
            f"failed to parse platform {written}: {error.message}",
            hint=_undefined_hint(use, values) or error.hint,
        ) from error


def _undefined_hint(use: VariableUse, values: Mapping[str, str]) -> str | None:
    for name in sorted(use.undefined):
        if near := nearest(name, values):
            return f"${name} is not declared: did you mean ${near}?"
    return None


def find_target(dockerfile: Dockerfile, target: str) -> int:
    """The index of the stage that `--target` names; of the last one for ""."""
    if not target:
        return len(dockerfile.stages) - 1
    for stage in reversed(dockerfile.stages):
        if stage.base.name == target.lower():
            return stage.index
    if target.isascii() and target.isdecimal() and int(target) < len(dockerfile.stages):
        return int(target)
    names = [stage.base.name for stage in dockerfile.stages if stage.base.name]
    raise UnknownStageError(
        f'target stage "{target}" could not be found', hint=did_you_mean(target, names)
    )


class StageFinder:
    """Finds what stages need, stage by stage."""

    def __init__(self, dockerfile: Dockerfile, bases: tuple[Base, ...], catalog: Catalog) -> None:
        self._stages = dockerfile.stages
        self._bases = bases
        self._catalog = catalog
        self._by_name: dict[str, list[int]] = {}
        for stage in self._stages:
            if stage.base.name:
                self._by_name.setdefault(stage.base.name, []).append(stage.index)

    def needed(self, targets: list[int]) -> dict[int, NeededStage]:
        """The stages that `targets` need, themselves among them, in the order of the file."""
        found: dict[int, NeededStage] = {}
        waiting = list(targets)
        while waiting:
            index = waiting.pop()
            if index in found:
                continue
            found[index] = stage = self._needed_stage(index)
            used = [stage.source, *stage.sources.values()]
            waiting += [source.index for source in used if isinstance(source, StageSource)]
        return dict(sorted(found.items()))

    def late_references(self, planned: Mapping[int, object]) -> Iterator[LateReference]:
        """References that would be errors if their stage was needed."""
        for stage in self._stages:
            if stage.index in planned:
                continue
            for instruction in stage.body:
                for name in _named_sources(instruction):
                    named = self._stage_named(name, stage.index)
                    if named is not None and named >= stage.index:
                        yield LateReference(name, instruction.origin.span)

    def _needed_stage(self, index: int) -> NeededStage:
        stage, base = self._stages[index], self._bases[index]
        span = stage.base.origin.span
        source: Source
        if base.replacement is not None:
            return NeededStage(stage, base, base.replacement, (), (), {})
        if base.stage is not None:
            source = StageSource(base.stage)
        else:
            source = self._catalog.outside(base.image, base.platform, span)
        triggers = tuple(parse_trigger(text, span) for text in self._triggers(source))
        sources = self._sources(index, (*triggers, *stage.body))
        return NeededStage(stage, base, source, triggers, stage.body, sources)

    def _triggers(self, source: Source) -> tuple[str, ...]:
        """The ONBUILD triggers that standing on `source` fires."""
        match source:
            case StageSource(index):
                if (replacement := self._bases[index].replacement) is not None:
                    return self._triggers(replacement)
                body = self._stages[index].body
                return tuple(item.trigger for item in body if isinstance(item, Onbuild))
            case ImageSource(image):
                return image.config.config.on_build if image else ()
            case ContextSource():
                return ()

    def _sources(self, index: int, instructions: tuple[Instruction, ...]) -> dict[str, Source]:
        sources: dict[str, Source] = {}
        for instruction in instructions:
            for name in _named_sources(instruction):
                if name not in sources:
                    try:
                        sources[name] = self._source(name, index, instruction)
                    except SourceError as error:
                        place(error, instruction.origin.span)
                        raise
        return sources

    def _source(self, name: str, index: int, instruction: Instruction) -> Source:
        """What `name` means in stage `index`."""
        stage = self._stage_named(name, index)
        if stage is None and isinstance(instruction, Copy) and _is_number(name):
            stage = int(name)
            if not 0 <= stage < len(self._stages):
                raise UnknownStageError(
                    f"invalid stage index {name}",
                    hint=f"stages are numbered from 0 to {len(self._stages) - 1}",
                )
        if stage is None:
            return self._catalog.outside(name, None, instruction.origin.span)
        if stage >= index:
            raise self._late_error(name, stage, index, instruction)
        return StageSource(stage)

    def _stage_named(self, name: str, index: int) -> int | None:
        """The last stage of that name before `index`, else the first one after it."""
        indices = self._by_name.get(name.lower(), [])
        earlier = [candidate for candidate in indices if candidate < index]
        return earlier[-1] if earlier else next(iter(indices), None)

    def _late_error(
        self, name: str, stage: int, index: int, instruction: Instruction
    ) -> UnknownStageError:
        current = stage_label(self._stages[index])
        if stage == index:
            return UnknownStageError(f"circular dependency detected on stage: {current}")
        verb = "copy" if isinstance(instruction, Copy) else "mount"
        return UnknownStageError(
            f'cannot {verb} from stage "{name}", '
            f'it needs to be defined before current stage "{current}"',
            hint="move its FROM and what follows it up",
        )


def stage_label(stage: Stage) -> str:
    """A stage's name, or stage-N for an unnamed one."""
    return stage.base.name or f"stage-{stage.index}"


def _is_number(name: str) -> bool:
    return name.removeprefix("-").removeprefix("+").isdecimal()


def _named_sources(instruction: Instruction) -> Iterator[str]:
    if isinstance(instruction, Copy) and instruction.from_name:
        yield instruction.from_name
    elif isinstance(instruction, Run):
        yield from filter(None, map(mount_source, instruction.mounts))
