"""All build checks of a Dockerfile, and what becomes of their findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from builder.errors import SourceError
from builder.frontend.goformat import quoted
from builder.frontend.ignorefile import IgnoreMatcher
from builder.frontend.instructions import Dockerfile
from builder.frontend.lint_rules import (
    COPY_IGNORED_FILE,
    EXPOSE_INVALID_FORMAT,
    EXPOSE_PROTO_CASING,
    RULES,
    UNDEFINED_VAR,
)
from builder.frontend.lint_rules_form import check_form
from builder.frontend.lint_rules_from import check_from
from builder.frontend.lint_rules_stage import check_stage
from builder.frontend.lintfacts import ContextSources, ExpandedPorts, LintFacts, UndefinedVariable
from builder.frontend.lintoptions import check_options
from builder.frontend.pathpattern import clean_path
from builder.frontend.plan import CheckWarning
from builder.frontend.problems import nearest
from builder.frontend.wildcard import has_wildcards, without_escapes


class ChecksFailedError(SourceError):
    """Findings, in a build whose check directive makes them errors."""

    code: ClassVar[str] = "checks-failed"


def check_dockerfile(
    dockerfile: Dockerfile, facts: LintFacts, ignore: IgnoreMatcher | None = None
) -> tuple[CheckWarning, ...]:
    """The findings that the check options let through, by line; then in the order of the rules.

    `ignore` is the build context's .dockerignore. Stages that `facts` doesn't call planned are
    looked at as far as their text goes, and no further.
    """
    options = check_options(dockerfile, facts.check_override)
    if options.skips_all and not options.experimental:
        return ()
    found = {
        warning: None
        for warning in _findings(dockerfile, facts, ignore)
        if options.reports(RULES[warning.rule])
    }
    return tuple(sorted(found, key=lambda one: one.span.first_line if one.span else 0))


def fail_on_findings(
    dockerfile: Dockerfile, facts: LintFacts, warnings: Sequence[CheckWarning]
) -> None:
    """ChecksFailedError that names the rules, where the check options make findings errors."""
    if warnings and check_options(dockerfile, facts.check_override).fails_build:
        names = ", ".join(dict.fromkeys(warning.rule for warning in warnings))
        raise ChecksFailedError(
            f"lint violation found for rules: {names}",
            span=warnings[0].span,
            hint="error=true in the check directive, or in BUILDKIT_DOCKERFILE_CHECK, asks for it",
        )


def _findings(
    dockerfile: Dockerfile, facts: LintFacts, ignore: IgnoreMatcher | None
) -> Iterator[CheckWarning]:
    yield from check_form(dockerfile)
    workdirs = {workdir.span: workdir.path for workdir in facts.workdirs}
    for stage, stage_facts in zip(dockerfile.stages, facts.stages, strict=True):
        yield from check_from(
            stage.base,
            stage_facts.base,
            facts.target_platform,
            is_planned=stage_facts.is_planned,
        )
        if stage_facts.is_planned:
            yield from check_stage(stage, stage_facts, workdirs)
    for variable in facts.undefined:
        yield _undefined_variable(variable)
    for ports in facts.exposed:
        yield from _ports(ports)
    if ignore is not None:
        for sources in facts.context_sources:
            yield from _ignored_sources(sources, ignore)


def _undefined_variable(variable: UndefinedVariable) -> CheckWarning:
    near = nearest(variable.name, variable.known)
    suggestion = f" (did you mean ${near}?)" if near else ""
    return UNDEFINED_VAR.finding(
        f"Usage of undefined variable '${variable.name}'{suggestion}", variable.span
    )


def _ports(exposed: ExpandedPorts) -> Iterator[CheckWarning]:
    for port in exposed.ports:
        before, _, container_port = port.rpartition(":")
        protocol = container_port.partition("/")[2]
        if protocol != protocol.lower():
            yield EXPOSE_PROTO_CASING.finding(
                f"Defined protocol '{port}' in EXPOSE instruction should be lowercase",
                exposed.span,
            )
        if before:
            yield EXPOSE_INVALID_FORMAT.finding(
                "EXPOSE instruction should not define an IP address or host-port mapping, "
                f"found '{port}'",
                exposed.span,
            )


def _ignored_sources(copied: ContextSources, ignore: IgnoreMatcher) -> Iterator[CheckWarning]:
    for source in copied.sources:
        if _is_ignored(source, ignore):
            verb = copied.keyword.capitalize()
            yield COPY_IGNORED_FILE.finding(
                f"Attempting to {verb} file {quoted(source)} that is excluded by .dockerignore",
                copied.span,
            )


def _is_ignored(source: str, ignore: IgnoreMatcher) -> bool:
    """Whether nothing is left of `source`. A wildcard is asked about by its text, as moby does.

    That text is none of the names that it matches: where there are exceptions it says nothing.
    """
    path = clean_path(f"/{source}")[1:]
    if has_wildcards(path):
        return not ignore.has_exceptions and ignore.excludes(path)
    path = without_escapes(path)
    return bool(path) and ignore.excludes(path) and ignore.may_skip_directory(path)
