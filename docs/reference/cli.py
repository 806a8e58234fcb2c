"""Write cli.md, beside this file, from the commands themselves.

    python docs/reference/cli.py

A test compares: it fails where cli.md is not what this would write.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from builder.cli.build_docker import BuildCommand
from builder.cli.command import Command
from builder.cli.entry import group
from builder.cli.main import COMMANDS, GROUPS
from builder.cli.run_options import RunCommand

TARGET = Path(__file__).with_suffix(".md")

START = """\
# Command line

This page is written by `python docs/reference/cli.py`, from the commands themselves.

`pybuild COMMAND [OPTIONS] ...`. Where the first word is an option, or a context, the command is
`build`: `pybuild -t app .` is `pybuild build -t app .`. `pybuild help COMMAND` and `pybuild COMMAND
--help` tell the options. `pybuild --debug ...` shows the traceback of an error.

Options are written as docker takes them: `--name VALUE` or `--name=VALUE`; `-x VALUE`, `-xVALUE` or
`-x=VALUE`; letters together (`-aq`); a switch also as `--switch=true` or `--switch=false`, the last
one counting. An option that may be given several times is marked with ….

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | failed: a RUN of a build, whatever its own status; a check that found something |
| 2 | the command line makes no sense |
| 70 | a bug in pybuild; the message says where its traceback is |
| 130 | interrupted |
| `pybuild run`: n | the container's own status; 128 + n: ended by signal n |
| `pybuild run`: 125 | the container was not started |
| `pybuild run`: 126, 127 | the program can't be executed; there is no such program |

| variable | meaning |
|---|---|
| `PYBUILD_ROOT` | where the [store](store.md) is: /var/lib/pybuild unless set, for root |
| `XDG_DATA_HOME` | the store is `pybuild` below it for others: ~/.local/share unless set |
| `PYBUILD_UNPACK_LIMIT` | how far one archive may unpack: `64g`; 0 is no limit (128 GiB) |
| `PYBUILD_REGISTRIES` | the file that says what is special about registries |
| `SOURCE_DATE_EPOCH` | no time in an image is later than this many seconds since 1970 |
| `BUILDKIT_PROGRESS` | what `--progress` is where it isn't given |
| `SSH_AUTH_SOCK` | the agent that `--ssh default` forwards |
| `PYBUILD_DEBUG` | as `--debug`, where it is not empty |

A shell completes commands, options and files after

```console
$ eval "$(_PYBUILD_COMPLETE=bash_source pybuild)"       # zsh_source for zsh, fish_source for fish
```
"""


def document() -> str:
    """The whole page."""
    parts = [START, *_summary()]
    parts += [line for name in COMMANDS for line in _section(name)]
    return "\n".join(parts)


def _summary() -> Iterator[str]:
    yield "| command | what it does |\n|---|---|"
    for name, (_, text) in COMMANDS.items():
        yield f"| [{name}](#pybuild-{name.replace(' ', '-')}) | {text} |"
    yield "\nDocker's other names:\n\n| name | is |\n|---|---|"
    for name, targets in GROUPS.items():
        for alias, target in targets.items():
            if target == f"{name} {alias}":
                continue
            yield f"| `pybuild {name} {alias}` | `pybuild {target}` |"


def _section(name: str) -> Iterator[str]:
    ctx = click.Context(group, info_name="pybuild")
    command: click.Command = group
    for word in name.split():
        assert isinstance(command, click.Group)
        found = command.get_command(ctx, word)
        assert found is not None
        command = found
    assert isinstance(command, Command)
    own = click.Context(command, info_name=name, parent=ctx)
    yield f"\n## pybuild {name}\n"
    yield f"`{' '.join(['pybuild', name, *command.collect_usage_pieces(own)])}`\n"
    yield inspect.cleandoc(command.help or "")
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    if options:
        yield "\n| option | meaning |\n|---|---|"
    for option in options:
        yield f"| {_names(option)} | {_escaped(option.help or '')} |"
    yield from _refused(command)


def _names(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if option.is_flag:
        return names
    value = option.metavar or "|".join(getattr(option.type, "choices", ())) or "VALUE"
    return f"{names} `{_escaped(value.strip('|'))}`" + " …" * option.multiple


def _refused(command: Command) -> Iterator[str]:
    if not isinstance(command, BuildCommand | RunCommand):
        return
    yield "\nDocker's and podman's options that are refused by name, so that nothing is ignored:\n"
    hinted = {name: hint for name, hint in command.refused.items() if hint}
    yield ", ".join(f"`{name}`" for name in command.refused if name not in hinted) + "; and\n"
    yield "| option | instead |\n|---|---|"
    for hint in dict.fromkeys(hinted.values()):
        names = ", ".join(f"`{name}`" for name in hinted if hinted[name] == hint)
        yield f"| {names} | {_escaped(hint)} |"
    if isinstance(command, BuildCommand):
        yield "\nTurned off (`--pull=false`) they ask for nothing and are taken, as are"
        yield _harmless(command)


def _harmless(command: Command) -> str:
    hidden = [one for one in command.params if isinstance(one, click.Option) and one.hidden]
    return ", ".join(f"`{one.opts[0]}`" for one in hidden) + ", which change nothing here."


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    TARGET.write_text(document() + "\n", encoding="utf-8")
