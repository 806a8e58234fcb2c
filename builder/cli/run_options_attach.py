"""The options of `run` and its like that tie a container to the caller, or don't."""

from __future__ import annotations

from builder.cli.run_words import Line, repeated, single, switch, switched_on
from builder.errors import UsageError
from builder.runtime import detachkeys

STREAMS = ("stdin", "stdout", "stderr")

OPTIONS = (
    switch("-d", "--detach", text="Print the container's id and leave it to run by itself."),
    repeated("-a", "--attach", metavar="STREAM", text="Only stdin, stdout or stderr."),
    switched_on("--sig-proxy", text="Pass signals on to the process."),
    single(
        "--detach-keys",
        metavar="KEYS",
        text=f"Keys that leave a terminal ({detachkeys.DEFAULT}).",
    ),
)


def attached_of(line: Line) -> frozenset[str]:
    """The streams that are named; none where the option is not there."""
    names = line.lists.get("attach", ())
    for name in names:
        if name.lower() not in STREAMS:
            raise UsageError(
                f'--attach "{name[:40]}": there is no such stream', hint=", ".join(STREAMS)
            )
    if names and "detach" in line.switches:
        raise UsageError("--attach and --detach contradict each other")
    return frozenset(name.lower() for name in names)


def detach_keys_of(line: Line) -> bytes:
    """The bytes of the keys."""
    return detachkeys.parse_detach_keys(line.values.get("detach-keys", detachkeys.DEFAULT))
