"""What a Dockerfile can be asked for: its targets, and the parameters of one of them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from builder.frontend.instructions import Arg, Dockerfile, Run, Stage
from builder.frontend.lintfacts import LintFacts
from builder.frontend.mounts import read_mount
from builder.frontend.predefined import is_predefined
from builder.frontend.sourcejson import (
    JsonObject,
    json_text,
    location_object,
    source_data,
    without_empty,
)
from builder.location import SourceFile, Span
from cache.record import record


@record
class Target:
    """One stage."""

    name: str  # "" for one without
    description: str  # of the comment above it: `# NAME DESCRIPTION`
    is_default: bool
    base: str  # as written
    platform: str
    span: Span


@record
class OutlineArg:
    """A build arg that makes a difference to the target."""

    name: str
    value: str
    description: str
    span: Span


@record
class OutlineMount:
    """A secret or an ssh socket that a RUN of the target takes."""

    name: str
    is_required: bool
    span: Span


@record
class Outline:
    """The parameters of one target: its own, and those of all stages that it needs."""

    name: str
    description: str
    args: tuple[OutlineArg, ...]
    secrets: tuple[OutlineMount, ...]
    ssh: tuple[OutlineMount, ...]


def targets_of(dockerfile: Dockerfile) -> tuple[Target, ...]:
    """All stages, in order; the last is the default."""
    last = len(dockerfile.stages) - 1
    return tuple(
        Target(
            name=stage.base.name,
            description=_description(stage.base.origin.comments, stage.base.name),
            is_default=stage.index == last,
            base=stage.base.image,
            platform=stage.base.platform,
            span=stage.base.origin.span,
        )
        for stage in dockerfile.stages
    )


def outline_of(dockerfile: Dockerfile, facts: LintFacts, target: int) -> Outline:
    """The parameters of stage number `target`, by the lines where they stand."""
    base = dockerfile.stages[target].base
    needed = [dockerfile.stages[index] for index in _needed(facts, target)]
    args: dict[str, OutlineArg] = {}
    mounts: dict[tuple[str, str], OutlineMount] = {}
    for stage in needed:
        for arg in _args(dockerfile, facts, stage):
            args.setdefault(arg.name, arg)
        for kind, mount in _mounts(stage):
            mounts.setdefault((kind, mount.name), mount)
    return Outline(
        name=base.name,
        description=_description(base.origin.comments, base.name),
        args=tuple(sorted(args.values(), key=lambda arg: arg.span.first_line)),
        secrets=_of_kind(mounts, "secret"),
        ssh=_of_kind(mounts, "ssh"),
    )


def _description(comments: Sequence[str], name: str) -> str:
    """What the first comment line that begins with `name` says of it."""
    start = f"{name} "
    found = (line for line in comments if name and line.startswith(start))
    return next(found, "").removeprefix(start)


def _needed(facts: LintFacts, target: int) -> list[int]:
    """`target`, then the stages that it builds on or takes from, nearest first."""
    needed: list[int] = []
    waiting = [target]
    while waiting:
        index = waiting.pop(0)
        if index in needed:
            continue
        needed.append(index)
        stage = facts.stages[index]
        if stage.base.base_stage is not None:
            waiting.append(stage.base.base_stage)
        waiting += sorted(stage.needs)
    return needed


def _args(dockerfile: Dockerfile, facts: LintFacts, stage: Stage) -> Iterator[OutlineArg]:
    """Those of its body that say something new, and the global ones that it takes."""
    stage_facts = facts.stages[stage.index]
    values = dict(stage_facts.arg_values)
    taken = set(stage_facts.used_args)
    global_names = {name for arg in dockerfile.global_args for name, _ in arg.declarations}
    for arg in stage.body:
        if not isinstance(arg, Arg):
            continue
        for name, default in arg.declarations:
            if default is None and name in global_names:
                taken.add(name)
            elif default is not None or not is_predefined(name):
                yield _arg(arg, name, values)
    for arg in dockerfile.global_args:
        for name, _ in arg.declarations:
            if name in taken:
                yield _arg(arg, name, values)


def _arg(arg: Arg, name: str, values: dict[str, str]) -> OutlineArg:
    return OutlineArg(
        name=name,
        value=values.get(name, ""),
        description=_description(arg.origin.comments, name),
        span=arg.origin.span,
    )


def _mounts(stage: Stage) -> Iterator[tuple[str, OutlineMount]]:
    """(type, mount) of each secret and ssh socket."""
    for run in stage.body:
        if not isinstance(run, Run):
            continue
        for value in run.mounts:
            mount = read_mount(value, lambda text: text)
            if mount.type == "secret":
                name = mount.source or mount.mount_id or posixpath.basename(mount.target)
            elif mount.type == "ssh":
                name = mount.mount_id or "default"
            else:
                continue
            yield mount.type, OutlineMount(name, mount.required, run.origin.span)


def _of_kind(mounts: dict[tuple[str, str], OutlineMount], wanted: str) -> tuple[OutlineMount, ...]:
    found = [mount for (kind, _), mount in mounts.items() if kind == wanted]
    return tuple(sorted(found, key=lambda mount: mount.span.first_line))


def render_targets_text(targets: Sequence[Target]) -> str:
    """What `--call=targets` prints."""
    rows = [("TARGET", "DESCRIPTION")]
    for target in targets:
        name = f"{target.name} (default)" if target.is_default else target.name
        rows.append((name.strip(), target.description))
    return _columns(rows, gap=3)


def render_targets_json(targets: Sequence[Target], source: SourceFile) -> str:
    """What `--call=targets,format=json` prints."""
    objects = [
        without_empty(
            {
                "name": target.name,
                "default": target.is_default,
                "description": target.description,
                "base": target.base,
                "platform": target.platform,
                "location": location_object(target.span),
            }
        )
        for target in targets
    ]
    return json_text({"targets": objects, "sources": [source_data(source)]})


def render_outline_text(outline: Outline) -> str:
    """What `--call=outline` prints: a table for each kind of parameter that there is."""
    title = [("TARGET:", outline.name or "(default)")] if outline.name else []
    if outline.description:
        title.append(("DESCRIPTION:", outline.description))
    args = [(arg.name, arg.value, arg.description) for arg in outline.args]
    tables = [_columns(title, gap=1)] if title else []
    if args:
        tables.append(_columns([("BUILD ARG", "VALUE", "DESCRIPTION"), *args], gap=3))
    for kind, mounts in (("SECRET", outline.secrets), ("SSH", outline.ssh)):
        if mounts:
            rows = [(one.name, "true" if one.is_required else "") for one in mounts]
            tables.append(_columns([(kind, "REQUIRED"), *rows], gap=3))
    return "\n".join(tables)


def render_outline_json(outline: Outline, source: SourceFile) -> str:
    """What `--call=outline,format=json` prints."""
    args = [
        without_empty(
            {
                "name": arg.name,
                "description": arg.description,
                "value": arg.value,
                "location": location_object(arg.span),
            }
        )
        for arg in outline.args
    ]
    return json_text(
        without_empty(
            {
                "name": outline.name,
                "description": outline.description,
                "args": args,
                "secrets": [_mount_object(mount) for mount in outline.secrets],
                "ssh": [_mount_object(mount) for mount in outline.ssh],
                "sources": [source_data(source)],
            }
        )
    )


def _mount_object(mount: OutlineMount) -> JsonObject:
    return without_empty(
        {
            "name": mount.name,
            "required": mount.is_required,
            "location": location_object(mount.span),
        }
    )


def _columns(rows: Sequence[Sequence[str]], *, gap: int) -> str:
    """A table whose columns are as wide as their widest cell, with `gap` blanks in between."""
    widths = [max(map(len, column)) + gap for column in zip(*rows, strict=True)]
    lines = (
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)
