"""Gathers what planning found out, for the build checks."""

from __future__ import annotations

from collections.abc import Mapping

from builder.errors import SourceError
from builder.frontend.arguments import global_values
from builder.frontend.catalog import ContextSource, ImageSource, Source, StageSource
from builder.frontend.expand import expand_word
from builder.frontend.instructions import Arg, Dockerfile, Instruction, Shell, Stage, Workdir
from builder.frontend.lintfacts import FromFacts, LintFacts, StageFacts
from builder.frontend.plan import FrontendOptions
from builder.frontend.predefined import CHECK
from builder.frontend.stages import Base, NeededStage
from builder.frontend.stagestate import Planning
from builder.image.model import Platform
from cache.record import replace


def lint_facts(
    dockerfile: Dockerfile,
    planning: Planning,
    bases: tuple[Base, ...],
    needed: Mapping[int, NeededStage],
) -> LintFacts:
    """All of it."""
    options, findings = planning.options, planning.findings
    target_platform = options.platform or options.build_platform
    defaults = _default_values(dockerfile, options)
    stages: list[StageFacts] = []
    for stage, base in zip(dockerfile.stages, bases, strict=True):
        planned = needed.get(stage.index)
        source = planned.source if planned else _known_source(base)
        triggers = planned.triggers if planned else ()
        stages.append(
            StageFacts(
                index=stage.index,
                name=stage.base.name,
                base=replace(
                    _from_facts(dockerfile, stage, base, planning.global_values, defaults),
                    wanted_platform=base.platform or target_platform,
                    base_platform=_image_platform(source),
                ),
                is_planned=planned is not None,
                base_has_shell=_base_has(source, dockerfile, stages, Shell, triggers),
                base_has_workdir=_base_has(source, dockerfile, stages, Workdir, ()),
                used_args=frozenset(base.image_use.used | base.platform_use.used),
                arg_values=_arg_values(stage, base, planning),
                needs=_needs(planned),
            )
        )
    return LintFacts(
        stages=tuple(stages),
        undefined=tuple(findings.undefined),
        exposed=tuple(findings.exposed),
        context_sources=tuple(findings.context_sources),
        workdirs=tuple(findings.workdirs),
        target_platform=target_platform,
        check_override=options.build_args.get(CHECK),
    )


def _arg_values(stage: Stage, base: Base, planning: Planning) -> tuple[tuple[str, str], ...]:
    """What the ARGs of the FROM line and of the stage came to, where they have a value."""
    used = sorted(base.image_use.used | base.platform_use.used)
    values = {name: planning.global_values.get(name) for name in used}
    result = planning.results.get(stage.index)
    for arg in stage.body:
        if isinstance(arg, Arg) and result is not None:
            values |= {name: result.args.get(name) for name, _ in arg.declarations}
    return tuple((name, value) for name, value in values.items() if value is not None)


def _needs(planned: NeededStage | None) -> frozenset[int]:
    """Stages that the stage's instructions name."""
    sources = planned.sources.values() if planned else ()
    return frozenset(source.index for source in sources if isinstance(source, StageSource))


def _default_values(dockerfile: Dockerfile, options: FrontendOptions) -> dict[str, str] | None:
    """Global values as if no build argument was given; None where that is an error."""
    try:
        return global_values(dockerfile, options, {})
    except SourceError:
        return None


def _from_facts(
    dockerfile: Dockerfile,
    stage: Stage,
    base: Base,
    values: Mapping[str, str],
    defaults: Mapping[str, str] | None,
) -> FromFacts:
    declared = {name for arg in dockerfile.global_args for name, _ in arg.declarations}
    undefined = (base.image_use.undefined | base.platform_use.undefined) - declared
    return FromFacts(
        image=base.image,
        image_by_default=_by_default(stage.base.image, defaults, dockerfile.escape),
        platform=base.platform_text,
        platform_variables=frozenset(base.platform_use.used | base.platform_use.undefined),
        undefined=tuple(sorted(undefined)),
        known=tuple(dict.fromkeys((*values, *declared))),
        base_stage=None if base.replacement else base.stage,
        is_context=isinstance(base.replacement, ContextSource),
    )


def _by_default(image: str, defaults: Mapping[str, str] | None, escape: str) -> str | None:
    if defaults is None:
        return None
    try:
        return expand_word(image, defaults, escape)
    except SourceError:
        return None


def _known_source(base: Base) -> Source | None:
    """What a stage that isn't planned stands on, as far as that is known."""
    if base.replacement is not None:
        return base.replacement
    return None if base.stage is None else StageSource(base.stage)


def _image_platform(source: Source | None) -> Platform | None:
    match source:
        case ImageSource(image) if image is not None:
            return image.config.platform
        case _:
            return None


def _base_has(
    source: Source | None,
    dockerfile: Dockerfile,
    stages: list[StageFacts],
    kind: type[Shell | Workdir],
    triggers: tuple[Instruction, ...],
) -> bool:
    """Whether an instruction of that kind, or an image, already said it below a stage."""
    if any(isinstance(item, kind) for item in triggers):
        return True
    match source:
        case StageSource(index):
            body = dockerfile.stages[index].body
            below = stages[index]
            inherited = below.base_has_shell if kind is Shell else below.base_has_workdir
            return inherited or any(isinstance(item, kind) for item in body)
        case ImageSource(image) if image is not None and kind is Shell:
            return bool(image.config.config.shell)
        case _:
            return False
