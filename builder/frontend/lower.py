"""From text to the build graph: the frontend's one way in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from builder.frontend.arguments import given_args, global_values, unused_args
from builder.frontend.catalog import Catalog, ContextSource, ImageSource, StageSource
from builder.frontend.dispatch import plan_instruction
from builder.frontend.facts import lint_facts
from builder.frontend.inputs import context_vertex, image_vertex, scratch_vertex, shown_reference
from builder.frontend.instructions import Add, Copy, Dockerfile, Run, Workdir
from builder.frontend.lint import check_dockerfile, fail_on_findings
from builder.frontend.lintfacts import LintFacts
from builder.frontend.parse import parse
from builder.frontend.plan import (
    CheckWarning,
    FrontendOptions,
    ImageResolver,
    Plan,
    PlannedHistory,
    ResolvedImage,
)
from builder.frontend.predefined import EPOCH, build_settings
from builder.frontend.stages import (
    NeededStage,
    StageFinder,
    find_target,
    resolve_bases,
    stage_label,
)
from builder.frontend.stagestate import Findings, Planning, StageResult, StageState
from builder.frontend.steps import GraphBuilder, StepNames
from builder.graph.model import CopyOp, CopySource
from builder.graph.order import pruned
from builder.image.model import ContainerConfig, Platform
from builder.location import SourceFile
from cache.record import replace

_NUMBERED = (Run, Copy, Add, Workdir)


def plan(source: SourceFile, options: FrontendOptions, resolver: ImageResolver) -> Plan:
    """What building `source` means. Reads nothing but what it is given and asks `resolver` for.

    SourceError with the place for all that is wrong with the Dockerfile.
    """
    return plan_dockerfile(parse(source), options, resolver)


def plan_dockerfile(
    dockerfile: Dockerfile, options: FrontendOptions, resolver: ImageResolver
) -> Plan:
    """As `plan`, of a Dockerfile that was read already."""
    build_args = given_args(options)
    values = global_values(dockerfile, options, build_args)
    catalog = Catalog(options, resolver, (stage.base.name for stage in dockerfile.stages))
    bases = resolve_bases(dockerfile, values, catalog)
    target = find_target(dockerfile, options.target)
    finder = StageFinder(dockerfile, bases, catalog)
    needed = finder.needed([target, *(range(len(bases)) if options.all_stages else ())])
    planning = Planning(
        options=options,
        settings=build_settings(build_args, values.get(EPOCH, "")),
        escape=dockerfile.escape,
        global_values=values,
        build_args=build_args,
        graph=GraphBuilder(),
        findings=Findings(),
        results={},
        replacements={
            index: base.replacement for index, base in enumerate(bases) if base.replacement
        },
    )
    for stage in needed.values():
        _plan_stage(planning, stage, is_only=len(bases) == 1)
    late = tuple(
        CheckWarning("", f"--from={reference.name} names a later stage", "", reference.span)
        for reference in finder.late_references(needed)
    )
    triggers = (item for stage in needed.values() for item in stage.triggers)
    facts = lint_facts(dockerfile, planning, bases, needed)
    result = planning.results[target]
    return Plan(
        graph=pruned(planning.graph.vertices, result.root),
        platform=options.platform or result.platform,
        config=_with_labels(result.config, options.labels),
        base_history=result.base_history,
        history=result.history,
        author=result.author,
        warnings=(*_checked(dockerfile, facts, options), *late),
        epoch=planning.settings.epoch,
        unused_build_args=unused_args((*dockerfile.instructions, *triggers), options.build_args),
        facts=facts,
    )


def _checked(
    dockerfile: Dockerfile, facts: LintFacts, options: FrontendOptions
) -> tuple[CheckWarning, ...]:
    """What the build checks find. They end a build where they are told to; `--check` only tells."""
    warnings = check_dockerfile(dockerfile, facts, options.ignore)
    if not options.all_stages:
        fail_on_findings(dockerfile, facts, warnings)
    return warnings


def _plan_stage(planning: Planning, needed: NeededStage, *, is_only: bool) -> None:
    """Plan all instructions of a stage whose base and sources are planned."""
    stage, options = needed.stage, planning.options
    numbered = sum(isinstance(item, _NUMBERED) for item in (*needed.triggers, *needed.body))
    label = "" if is_only else stage_label(stage)
    names = StepNames(label, numbered + _is_numbered(needed), _shown_platform(needed, options))
    base = _base_result(planning, needed, names)
    if needed.base.replacement is not None:
        planning.results[stage.index] = base
        return
    filtered = {name.lower() for name in options.no_cache_filter}
    no_cache = options.no_cache or stage.base.name in filtered
    state = StageState(planning, base, names, needed.sources, no_cache=no_cache)
    for trigger in needed.triggers:
        state.is_in_trigger = True
        plan_instruction(state, trigger)
    state.is_in_trigger = False
    for instruction in needed.body:
        plan_instruction(state, instruction)
    planning.results[stage.index] = state.result()


def _shown_platform(needed: NeededStage, options: FrontendOptions) -> str:
    """What tells equal steps for different platforms apart."""
    if not options.names_platform:
        return ""
    return str(needed.base.platform or options.platform or options.build_platform)


def _is_numbered(needed: NeededStage) -> bool:
    """Whether the FROM line is a step that people see: what is there already isn't."""
    match needed.source:
        case StageSource():
            return False
        case ImageSource(image):
            return image is not None
        case ContextSource():
            return True
        case _:
            assert_never(needed.source)


def _base_result(planning: Planning, needed: NeededStage, names: StepNames) -> StageResult:
    """What the stage stands on, as if it was a stage itself."""
    target_platform = planning.options.platform or planning.options.build_platform
    match needed.source:
        case StageSource(index):
            return planning.results[index]
        case ImageSource(image):
            return _image_result(planning, image, names, target_platform)
        case ContextSource(name):
            return _context_result(planning, name, names, needed.base.platform or target_platform)
        case _:
            assert_never(needed.source)


def _image_result(
    planning: Planning, image: ResolvedImage | None, names: StepNames, target_platform: Platform
) -> StageResult:
    """An image, or scratch."""
    if image is None:
        return StageResult(
            root=scratch_vertex(planning.graph),
            config=ContainerConfig(working_dir="/"),
            platform=target_platform,
        )
    name = names.next(f"FROM {shown_reference(image)}")
    return StageResult(
        root=image_vertex(planning.graph, image, name=name),
        config=image.config.config,
        platform=image.config.platform,
        base_history=image.config.history,
        author=image.config.author,
    )


def _context_result(
    planning: Planning, name: str, names: StepNames, platform: Platform
) -> StageResult:
    """A directory as a root filesystem: its files are the one layer of an image."""
    graph = planning.graph
    operation = CopyOp(
        sources=(CopySource(1, "/", honours_ignorefile=True),),
        inline_files=(),
        dest="/",
        epoch=planning.settings.epoch,
    )
    inputs = (scratch_vertex(graph), context_vertex(graph, name))
    return StageResult(
        root=graph.add(operation, inputs, name=names.next(f"FROM {name}")),
        config=ContainerConfig(working_dir="/"),
        platform=platform,
        history=(PlannedHistory(f"FROM {name} # buildkit", empty_layer=False),),
    )


def _with_labels(config: ContainerConfig, labels: Mapping[str, str]) -> ContainerConfig:
    """Labels of the command line win."""
    merged = {**dict(config.labels), **labels}
    return replace(config, labels=tuple(merged.items())) if labels else config
