"""Run a command and append the peak memory of its Python processes together to a file.

    python peak.py FILE COMMAND [ARG...]

A line is the peak in MB. It is the sum of their proportional set sizes, so that a page which
several of them share counts once; programs that RUN steps start are not the builder's and don't
count. The command's exit status is this one's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

INTERVAL_S = 0.004


def descendants(pid: int) -> list[int]:
    found = [pid]
    for process in found:
        try:
            tasks = os.listdir(f"/proc/{process}/task")
            texts = [Path(f"/proc/{process}/task/{task}/children").read_text() for task in tasks]
        except OSError:
            continue
        found += [int(child) for text in texts for child in text.split()]
    return found


def size_kb(pid: int) -> int:
    """The proportional set size of a Python process, 0 of any other."""
    try:
        if not Path(os.readlink(f"/proc/{pid}/exe")).name.startswith("python"):
            return 0
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in rollup.splitlines() if line[:4] == "Pss:"), 0)


def main(report: str, argv: list[str]) -> int:
    process = subprocess.Popen(argv)
    ended = threading.Event()
    peak_kb = 0

    def watch() -> None:
        nonlocal peak_kb
        while not ended.wait(INTERVAL_S):
            peak_kb = max(peak_kb, sum(map(size_kb, descendants(process.pid))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    ended.set()
    watcher.join()
    with open(report, "a", encoding="ascii") as file:
        file.write(f"{peak_kb / 1024:.1f}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
