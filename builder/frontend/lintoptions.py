"""Which build checks are on: the check directive, or the build argument that overrides it."""

from __future__ import annotations

from builder.errors import SyntaxProblemError
from builder.frontend.goformat import quoted, truth
from builder.frontend.instructions import Dockerfile
from builder.frontend.lint_rules import Rule
from builder.frontend.problems import did_you_mean
from cache.record import record

_ALL = frozenset({"all"})
_KEYS = ("skip", "error", "experimental")


@record
class CheckOptions:
    """`skip=A,B;error=true;experimental=all`, read."""

    skipped: frozenset[str] = frozenset()
    skips_all: bool = False
    experimental: frozenset[str] = frozenset()
    experimental_all: bool = False
    fails_build: bool = False

    def reports(self, rule: Rule) -> bool:
        """Whether findings of `rule` are wanted. skip says nothing about experimental rules."""
        if rule.is_experimental:
            return self.experimental_all or rule.name in self.experimental
        return not self.skips_all and rule.name not in self.skipped


def check_options(dockerfile: Dockerfile, override: str | None) -> CheckOptions:
    """The options of a build; SyntaxProblemError for text that isn't any.

    `override` is the value of the build argument BUILDKIT_DOCKERFILE_CHECK, which wins.
    """
    if override and override.strip():
        return parse_check_options(override)
    directive = next((one for one in dockerfile.directives if one.name == "check"), None)
    if directive is None:
        return CheckOptions()
    try:
        return parse_check_options(directive.value)
    except SyntaxProblemError as error:
        error.span = directive.span
        raise


def parse_check_options(text: str) -> CheckOptions:
    """Read `KEY=VALUE;KEY=VALUE`; a key that comes again replaces what was said before."""
    values: dict[str, str] = {}
    for part in text.strip().split(";") if text.strip() else ():
        key, equals, value = part.partition("=")
        key = key.strip()
        if not equals or key not in _KEYS:
            raise SyntaxProblemError(
                f"invalid check option {quoted(part if not equals else key)}",
                hint=did_you_mean(key, _KEYS) or "the options are skip, error and experimental",
            )
        values[key] = value.strip()
    skipped = _names(values.get("skip", ""))
    experimental = _names(values.get("experimental", ""))
    return CheckOptions(
        skipped=skipped,
        skips_all=skipped == _ALL,
        experimental=experimental,
        experimental_all=experimental == _ALL,
        fails_build=_truth(values.get("error", "false")),
    )


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",")) - {""}


def _truth(text: str) -> bool:
    try:
        return truth(text)
    except ValueError as error:
        raise SyntaxProblemError(
            f'failed to parse check option "error={text}": {error}', hint="write error=true"
        ) from error
