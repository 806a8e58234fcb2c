"""The option of `run` and `create` about the program that a container runs through."""

from __future__ import annotations

from builder.cli.run_words import Line, Option, single
from builder.errors import UnsupportedError

OPTIONS: tuple[Option, ...] = (
    single(
        "--runtime",
        metavar="RUNTIME",
        text="Run it through runc, crun, runsc or the program at a PATH (pybuild itself).",
    ),
)


def runtime_of(line: Line) -> str:
    """The runtime, which is there; "" for pybuild itself."""
    text = line.values.get("runtime")
    if text is None:
        return ""
    import os

    from builder.runtime.ociruntime.programs import checked_runtime, program_path

    runtime = checked_runtime(text)
    if runtime:
        _refuse_what_is_built_in(line, text)
        program_path(runtime, os.environ)  # before anything is made
    return runtime


def _refuse_what_is_built_in(line: Line, runtime: str) -> None:
    if "init" in line.switches:
        raise UnsupportedError(
            f"--init with --runtime {runtime} is not supported",
            hint="the first process is then the image's: put an init program into it",
        )
    if line.values.get("userns", "host") != "host":
        raise UnsupportedError(
            f"--userns {line.values['userns']} with --runtime {runtime} is not supported",
            hint="pybuild itself can run it, without --runtime",
        )
