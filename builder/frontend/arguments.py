"""Build arguments: what was given, what global ARGs come to, what nothing took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from builder.errors import SourceError
from builder.frontend.expand import expand_word
from builder.frontend.instructions import Arg, Dockerfile, Instruction
from builder.frontend.plan import FrontendOptions
from builder.frontend.predefined import EPOCH, is_predefined, platform_args
from builder.frontend.problems import place


def given_args(options: FrontendOptions) -> Mapping[str, str]:
    """The build arguments; SOURCE_DATE_EPOCH of the environment is one, too."""
    if options.epoch is None or EPOCH in options.build_args:
        return options.build_args
    return {**options.build_args, EPOCH: str(options.epoch)}


def global_values(
    dockerfile: Dockerfile, options: FrontendOptions, build_args: Mapping[str, str]
) -> dict[str, str]:
    """What FROM lines can see: the predefined arguments and the ARGs above the first FROM.

    Each default sees the values before it; a given value wins.
    """
    values = platform_args(
        options.build_platform,
        options.platform or options.build_platform,
        options.target or dockerfile.stages[-1].base.name,
        build_args,
    )
    if EPOCH in build_args:
        values[EPOCH] = build_args[EPOCH]
    for arg in dockerfile.global_args:
        try:
            for name, default in arg.declarations:
                if name in build_args:
                    values[name] = build_args[name]
                elif default is not None:
                    values[name] = expand_word(default, values, dockerfile.escape)
        except SourceError as error:
            place(error, arg.origin.span)
            raise
    return values


def unused_args(
    instructions: Iterable[Instruction], build_args: Mapping[str, str]
) -> tuple[str, ...]:
    """Given ones that mean nothing by themselves and that no ARG declares."""
    unused = {name for name in build_args if not is_predefined(name)}
    if unused:
        for instruction in instructions:
            if isinstance(instruction, Arg):
                unused.difference_update(name for name, _ in instruction.declarations)
    return tuple(sorted(unused))
