"""`--call` and `--check`: tell about a Dockerfile without building it."""

from __future__ import annotations

import os

import click

from builder.cli.failure import quoted_lines
from builder.commands.build import resolver_of
from builder.errors import EXIT_DONE, EXIT_FAILED, UsageError
from builder.frontend.lint_text import render_check_json, render_check_text
from builder.frontend.lower import plan
from builder.frontend.outline import (
    outline_of,
    render_outline_json,
    render_outline_text,
    render_targets_json,
    render_targets_text,
    targets_of,
)
from builder.frontend.parse import parse
from builder.frontend.plan import FrontendOptions, Plan
from builder.frontend.stages import find_target
from builder.settings import settings_from
from builder.wiring import open_engine
from builder.worker.contexts import BuildContexts

CALLS = ("check", "outline", "targets")


def call_frontend(
    call: str, output_format: str, contexts: BuildContexts, options: FrontendOptions
) -> int:
    """Print what `call` asks for on stdout; the exit status."""
    as_json = output_format == "json"
    source = contexts.dockerfile
    if call == "targets":
        targets = targets_of(parse(source))
        text = render_targets_json(targets, source) if as_json else render_targets_text(targets)
        click.echo(text, nl=False)
        return EXIT_DONE
    if call not in CALLS:
        raise UsageError(f'--call "{call}" is not known', hint=f"one of {', '.join(CALLS)}")
    planned = _planned(contexts, options)
    if call == "check":
        click.echo(
            render_check_json(planned.warnings, source)
            if as_json
            else render_check_text(planned.warnings, quoted_lines),
            nl=False,
        )
        return EXIT_FAILED if planned.warnings else EXIT_DONE
    dockerfile = parse(source)
    target = find_target(dockerfile, options.target)
    assert planned.facts is not None, "plan() tells them"
    outline = outline_of(dockerfile, planned.facts, target)
    text = render_outline_json(outline, source) if as_json else render_outline_text(outline)
    click.echo(text, nl=False)
    return EXIT_DONE


def _planned(contexts: BuildContexts, options: FrontendOptions) -> Plan:
    settings = settings_from(os.environ, euid=os.geteuid())
    with open_engine(settings) as engine, engine.leases.hold() as lease:
        return plan(contexts.dockerfile, options, resolver_of(engine, lease))
