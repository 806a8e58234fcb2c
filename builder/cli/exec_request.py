"""From the command line of `exec`, as it was read, to what it asks for."""

from __future__ import annotations

import os

from builder.cli.run_words import Line
from builder.commands.execute import ExecRequest
from builder.errors import UsageError
from builder.runtime import detachkeys


def request_of(line: Line) -> ExecRequest:
    """What the line asks for. Errors as `builder.runtime.options` has them."""
    for name in ("user", "workdir"):
        if line.values.get(name) == "":
            raise UsageError(f"exec: --{name} is empty")
    keys = line.values.get("detach-keys", detachkeys.DEFAULT)
    return ExecRequest(
        container=line.image,
        args=line.args,
        env=env_of(line),
        user=line.values.get("user"),
        working_dir=line.values.get("workdir", ""),
        privileged="privileged" in line.switches,
        terminal="tty" in line.switches,
        stdin_open="interactive" in line.switches,
        detached="detach" in line.switches,
        detach_keys=detachkeys.parse_detach_keys(keys),
    )


def env_of(line: Line) -> tuple[tuple[str, str | None], ...]:
    """The changes of the environment, those of the files first: `-e` wins."""
    if not {"env-file", "env"} & set(line.lists):
        return ()
    from builder.runtime import options

    entries: list[options.EnvEntry] = []
    for path in line.lists.get("env-file", ()):
        with open(path, encoding="utf-8") as file:
            entries += options.parse_env_file(file.read(), os.environ)
    entries += (options.parse_env(text, os.environ) for text in line.lists.get("env", ()))
    return tuple(entries)
