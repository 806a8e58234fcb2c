"""What planning finds out about a Dockerfile and the build checks need: text alone can't say it."""

from __future__ import annotations

from builder.image.model import Platform
from builder.location import Span
from cache.record import record


@record
class UndefinedVariable:
    """A variable that an expansion met and nothing had defined, nor `${v:-default}` guarded."""

    name: str
    span: Span  # of the instruction
    known: tuple[str, ...]  # what was defined there, for suggestions


@record
class FromFacts:
    """What a FROM line came to."""

    image: str  # expanded
    image_by_default: str | None  # expanded as without build args; None where that is an error
    platform: str  # of --platform, expanded; "" without one
    platform_variables: frozenset[str]  # looked up for it, defined or not
    undefined: tuple[str, ...]  # variables that no global ARG declares
    known: tuple[str, ...]  # global ARGs, the predefined ones with them
    base_stage: int | None  # where the image is an earlier stage
    is_context: bool  # it is a --build-context, or one takes the stage's place
    wanted_platform: Platform | None = None  # with `base_platform`: of an image that was looked at
    base_platform: Platform | None = None


@record
class StageFacts:
    """What one stage came to. A stage that nothing needs is only looked at in `--check`."""

    index: int
    name: str  # in lower case; "" without one
    base: FromFacts
    is_planned: bool
    base_has_shell: bool  # the base's configuration has a Shell: SHELL was used on purpose
    base_has_workdir: bool  # a WORKDIR of this file stands in a stage below
    used_args: frozenset[str]  # global ARGs that its FROM line uses
    arg_values: tuple[tuple[str, str], ...] = ()  # of its own ARGs and its FROM line's, in order
    needs: frozenset[int] = frozenset()  # other stages that its COPY, ADD and RUN --mount name


@record
class ExpandedPorts:
    """EXPOSE's words after expansion."""

    ports: tuple[str, ...]
    span: Span


@record
class ExpandedWorkdir:
    """WORKDIR's path after expansion."""

    path: str
    span: Span


@record
class ContextSources:
    """Sources that a COPY or ADD takes from the build context, after expansion."""

    keyword: str  # "COPY" or "ADD"
    sources: tuple[str, ...]
    span: Span


@record
class LintFacts:
    """All of it; instructions that ONBUILD triggers brought in stand at the FROM line."""

    stages: tuple[StageFacts, ...]
    undefined: tuple[UndefinedVariable, ...]
    exposed: tuple[ExpandedPorts, ...]
    context_sources: tuple[ContextSources, ...]
    target_platform: Platform
    check_override: str | None = None  # --build-arg BUILDKIT_DOCKERFILE_CHECK
    workdirs: tuple[ExpandedWorkdir, ...] = ()
