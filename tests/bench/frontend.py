"""Measure the frontend by itself: no files, no processes. CPU seconds, the best of N.

    python tests/bench/frontend.py [--n 3]

- plan: read and plan a Dockerfile of 5,000 lines and 500 stages, each on top of another one
- ignore: which of 100,000 paths a .dockerignore of 1,000 patterns leaves out, three kinds of both
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]

from builder.frontend.ignorefile import read_ignore_file  # noqa: E402 - the path is set above
from builder.location import SourceFile  # noqa: E402
from support.dockerfiles import plan_of  # noqa: E402

PLAN_LIMIT_S = 0.5
IGNORE_LIMIT_S = 3.0
STAGES = 500
PATTERNS = 1000
PATHS = 100_000
STAGE = """\
FROM {base} AS stage{number}
ARG VERSION={number}
ENV NUMBER={number} PATH=/opt/{number}/bin:$PATH
WORKDIR /srv/$NUMBER
COPY --chown=0:0 src/{number}/ lib/${{VERSION:-none}} ./
COPY --from=stage{earlier} /out /in/{earlier}
RUN --mount=type=cache,target=/cache echo "$NUMBER" && \\
    make -C /srv/$NUMBER \\
    install
CMD ["/opt/{number}/bin/run", "--flag"]
"""


@dataclass(frozen=True)
class Row:
    """One measurement."""

    what: str
    seconds: float
    limit_s: float


def dockerfile() -> str:
    """5,001 lines: a third of the stages stand on the base image, the rest on the one before."""
    stages = (
        STAGE.format(
            number=number,
            base="base" if number % 3 == 0 else f"stage{number - 1}",
            earlier=max(number - 5, -1),
        )
        for number in range(STAGES)
    )
    return "FROM base AS stage-1\n" + "".join(stages)


def paths() -> list[str]:
    """A tree as projects have them, in the order of a walk."""
    made = [
        f"{top}/part{number:03}/{below}/file{name:02}.{suffix}"
        for top in ("src", "lib", "node_modules", "docs", "tests")
        for number in range(100)
        for below in ("a", "b/c", "b/d/e", "__pycache__")
        for name in range(10)
        for suffix in ("py", "txt", "o", "md", "js")
    ]
    assert len(made) == PATHS
    return sorted(made)


def plain_patterns() -> Iterator[str]:
    """Names of directories and files, without a wildcard."""
    for number in range(PATTERNS):
        yield f"src/part{number % 100:03}/b/d/file{number // 100:02}.o"


def usual_patterns() -> Iterator[str]:
    """What people write: directories anywhere, suffixes, an exception here and there."""
    for number in range(PATTERNS // 4):
        yield f"**/__pycache__{number}"
        yield f"*.tmp{number}"
        yield f"docs/part{number % 100:03}/**/*.md"
        yield f"!docs/part{number % 100:03}/a/file{number % 10:02}.md"


def hard_patterns() -> Iterator[str]:
    """Wildcards on both sides of two letters and a digit: little to look a path up by."""
    draw = random.Random(1)
    for _ in range(PATTERNS):
        letters = "".join(draw.choices("abcdefst", k=2))
        yield f"**/*{letters}[0-9]*{draw.randrange(10)}.{draw.choice('pmo')}*"


def measure_plan() -> float:
    text = dockerfile()
    assert text.count("\n") == STAGES * 10 + 1
    start = time.process_time()
    plan_of(text, allow=frozenset())
    return time.process_time() - start


def measure_ignore(patterns: Callable[[], Iterator[str]], walked: list[str]) -> float:
    text = "\n".join(patterns())
    start = time.process_time()
    matcher = read_ignore_file(SourceFile(".dockerignore", text))
    left_out = sum(map(matcher.excludes, walked))
    seconds = time.process_time() - start
    assert left_out < PATHS
    return seconds


def rows(repetitions: int) -> Iterator[Row]:
    best = min(measure_plan() for _ in range(repetitions))
    yield Row("plan 5,000 lines, 500 stages", best, PLAN_LIMIT_S)
    walked = paths()
    kinds = {"plain": plain_patterns, "usual": usual_patterns, "hard": hard_patterns}
    for name, patterns in kinds.items():
        best = min(measure_ignore(patterns, walked) for _ in range(repetitions))
        yield Row(f"ignore 100,000 paths, 1,000 {name} patterns", best, IGNORE_LIMIT_S)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=3, help="repetitions, of which the best counts")
    measured = list(rows(parser.parse_args().n))
    print("| what | CPU seconds | limit |\n|---|---|---|")
    for row in measured:
        print(f"| {row.what} | {row.seconds:.2f} | {row.limit_s:.1f} |")
    return 0 if all(row.seconds <= row.limit_s for row in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
