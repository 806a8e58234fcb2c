"""Console blocks of documents, to be run and compared.

A block that is called console holds commands, each after `$ ` and continued after `> `, and below
a command what it prints, standard error too. `…` there stands for anything in a line, and alone
for any lines. What prints nothing in the document may print anything, and must succeed. A block
after a comment `<!-- file NAME -->` is a file that is there from then on. Other blocks are not run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"(?:<!-- file (\S+) -->\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class WrittenFile:
    """A file that the document shows."""

    name: str
    content: str


@dataclass(frozen=True)
class Command:
    """A shell command and the lines shown below it."""

    text: str
    shown: tuple[str, ...]


def steps_in(path: Path) -> list[WrittenFile | Command]:
    """What the document does, in order."""
    steps: list[WrittenFile | Command] = []
    for block in _BLOCK.finditer(path.read_text()):
        name, language, content = block.groups()
        if name:
            steps.append(WrittenFile(name, content))
        elif language == "console":
            steps += _commands(content)
    return steps


def _commands(block: str) -> list[Command]:
    commands: list[tuple[list[str], list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            commands.append(([line[2:]], []))
        elif line.startswith("> ") and not commands[-1][1]:
            commands[-1][0].append(line[2:])
        else:
            commands[-1][1].append(line)
    return [Command("\n".join(text), tuple(shown)) for text, shown in commands]


def script_of(commands: list[Command]) -> str:
    """A script for bash that prints a line with NUL and the status after each command."""
    return "exec 2>&1\n" + "".join(f"{one.text}\nprintf '\\0%d\\n' $?\n" for one in commands)


def outcomes_of(output: str) -> list[tuple[str, int]]:
    """What each command of such a script printed, and its status."""
    found: list[tuple[str, int]] = []
    rest = output
    while "\0" in rest:
        printed, _, rest = rest.partition("\0")
        status, _, rest = rest.partition("\n")
        found.append((printed, int(status)))
    return found


def agrees(shown: tuple[str, ...], printed: str) -> bool:
    """Whether `printed` is what the document shows."""
    parts = (
        r"(?:[^\n]*\n)*?" if line == "…" else re.escape(line).replace("…", r"[^\n]*") + r" *\n"
        for line in shown
    )
    return re.fullmatch("".join(parts), printed.rstrip("\n") + "\n") is not None
