"""Build checks of what FROM lines came to."""

from __future__ import annotations

from collections.abc import Iterator

from builder.frontend.goformat import quoted
from builder.frontend.instructions import From
from builder.frontend.lint_rules import (
    FROM_PLATFORM_FLAG_CONST_DISALLOWED,
    INVALID_BASE_IMAGE_PLATFORM,
    INVALID_DEFAULT_ARG_IN_FROM,
    REDUNDANT_TARGET_PLATFORM,
    UNDEFINED_ARG_IN_FROM,
)
from builder.frontend.lintfacts import FromFacts
from builder.frontend.plan import CheckWarning
from builder.frontend.problems import nearest
from builder.image.errors import InvalidImageError, InvalidReferenceError
from builder.image.model import Platform
from builder.image.platform import parse_platform
from builder.image.reference import parse_reference


def check_from(
    base: From, facts: FromFacts, target_platform: Platform, *, is_planned: bool
) -> Iterator[CheckWarning]:
    """The findings of all rules here about one FROM line."""
    yield from _undefined_args(base, facts)
    yield from _invalid_default(base, facts)
    yield from _constant_platform(base, facts)
    if facts.platform_variables == frozenset({"TARGETPLATFORM"}) and facts.platform == str(
        target_platform
    ):
        yield REDUNDANT_TARGET_PLATFORM.finding(
            f"Setting platform to predefined {base.platform} in FROM is redundant as this is the "
            "default behavior",
            base.origin.span,
        )
    if is_planned:
        yield from _other_platform(base, facts)


def _undefined_args(base: From, facts: FromFacts) -> Iterator[CheckWarning]:
    for name in facts.undefined:
        near = nearest(name, facts.known)
        suggestion = f" (did you mean {near}?)" if near else ""
        yield UNDEFINED_ARG_IN_FROM.finding(
            f"FROM argument '{name}' is not declared{suggestion}", base.origin.span
        )


def _invalid_default(base: From, facts: FromFacts) -> Iterator[CheckWarning]:
    if "$" not in base.image or facts.image_by_default is None:
        return
    try:
        parse_reference(facts.image_by_default)
    except InvalidReferenceError:
        yield INVALID_DEFAULT_ARG_IN_FROM.finding(
            f"Default value for ARG {base.image} results in empty or invalid base image name",
            base.origin.span,
        )


def _constant_platform(base: From, facts: FromFacts) -> Iterator[CheckWarning]:
    """A stage that is named after its platform means it."""
    if not base.platform or "$" in base.platform:
        return
    try:
        platform = parse_platform(facts.platform)
    except InvalidImageError:
        return
    if base.name and (platform.os in base.name or platform.architecture in base.name):
        return
    yield FROM_PLATFORM_FLAG_CONST_DISALLOWED.finding(
        f"FROM --platform flag should not use constant value {quoted(facts.platform)}",
        base.origin.span,
    )


def _other_platform(base: From, facts: FromFacts) -> Iterator[CheckWarning]:
    wanted, actual = facts.wanted_platform, facts.base_platform
    if wanted is None or actual is None:
        return
    if (wanted.os, wanted.architecture) != (actual.os, actual.architecture):
        yield INVALID_BASE_IMAGE_PLATFORM.finding(
            f"Base image {facts.image} was pulled with platform {quoted(str(actual))}, "
            f"expected {quoted(str(wanted))} for current build",
            base.origin.span,
        )
