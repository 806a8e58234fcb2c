"""The processes of a container, as this machine's `ps` shows them."""

from __future__ import annotations

import os
import pwd
import subprocess
import time

from builder.engine import Engine
from builder.errors import UnsupportedError, UsageError
from builder.runtime.containers import Containers
from builder.runtime.errors import ContainerNotRunningError
from builder.runtime.usage import container_processes
from cache.record import record

_TICKS = os.sysconf("SC_CLK_TCK")


@record
class ProcessTable:
    """Titles, and a row for each process."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def top(engine: Engine, text: str, options: tuple[str, ...]) -> ProcessTable:
    """The processes of the container that `text` names; `options` are those of ps(1).

    ContainerNotRunningError; UsageError where ps does not take the options.
    """
    containers = Containers(engine.state, engine.database, engine.now)
    report = containers.report(containers.load(containers.find(text)))
    if not report.is_running:
        raise ContainerNotRunningError(
            f"container {text} is not running", hint=f"pybuild start {text} starts it"
        )
    pids = container_processes(report.state)
    return _by_ps(options, pids) if options else _full_format(pids)


def _by_ps(options: tuple[str, ...], pids: tuple[int, ...]) -> ProcessTable:
    try:
        done = subprocess.run(
            ["ps", *options], capture_output=True, check=False, text=True, errors="replace"
        )
    except FileNotFoundError as error:
        raise UnsupportedError(
            "top takes options where there is the program ps, and this machine has none",
            hint="install it (Debian: package procps), or leave the options out",
        ) from error
    if done.returncode:
        raise UsageError(f"ps {' '.join(options)}: {done.stderr.strip() or 'no process'}")
    return parse_ps(done.stdout, pids)


def parse_ps(output: str, pids: tuple[int, ...]) -> ProcessTable:
    """What ps has printed of these processes. UsageError where it has no column PID."""
    header, *lines = output.splitlines() or [""]
    titles = tuple(header.split())
    if "PID" not in titles:
        raise UsageError(
            "ps shows no column PID with these options", hint="for example -o pid,user,args"
        )
    place = titles.index("PID")
    wanted = set(map(str, pids))
    rows = (tuple(line.split(maxsplit=len(titles) - 1)) for line in lines)
    return ProcessTable(
        titles, tuple(row for row in rows if len(row) > place and row[place] in wanted)
    )


def _full_format(pids: tuple[int, ...]) -> ProcessTable:
    """As `ps -ef`, which is what docker takes, without ps."""
    titles = ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")
    rows = (_row(pid) for pid in pids)
    return ProcessTable(titles, tuple(row for row in rows if row is not None))


def _row(pid: int) -> tuple[str, ...] | None:
    try:
        uid = os.stat(f"/proc/{pid}").st_uid
        stat = _read(f"/proc/{pid}/stat")
        words = _read(f"/proc/{pid}/cmdline").rstrip("\0").replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return None
    name = stat[stat.index("(") + 1 : stat.rindex(")")]
    fields = stat.rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    age_s = max(time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / _TICKS, 1)
    return (
        _user_name(uid),
        str(pid),
        fields[1],
        str(min(int(100 * ticks / _TICKS / age_s), 99)),
        _start_time(time.time() - age_s),
        _terminal(int(fields[4])),
        _clock(ticks // _TICKS),
        words.replace("\n", " ") or f"[{name}]",
    )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _start_time(moment: float) -> str:
    today = time.time() - moment < 86_400
    return time.strftime("%H:%M" if today else "%b%d", time.localtime(moment))


def _terminal(number: int) -> str:
    major, minor = os.major(number), os.minor(number)
    if 136 <= major <= 143:
        return f"pts/{minor + 256 * (major - 136)}"
    return f"tty{minor}" if major == 4 else "?"


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
