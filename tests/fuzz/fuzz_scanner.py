"""Fuzz the scanner, the parser and what stands on them, guided by coverage.

Atheris is no dependency of the project. It wants an interpreter that it has wheels for:

    python3.11 -m venv fuzz && fuzz/bin/pip install atheris -e .
    mkdir -p found && fuzz/bin/python tests/fuzz/fuzz_scanner.py found -max_total_time=1200

What it finds lies in crash-* files in the current directory; each becomes a case in
fixtures/fuzz/dockerfile, which the tests run through the same checks, and a test of the module
that was wrong. The seeds are that folder's files; `found` takes what adds coverage.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["builder"]):
    from dockerfile_checks import check

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "fuzz"


def main():
    arguments = [
        *sys.argv,
        str(FIXTURES / "dockerfile"),
        f"-dict={FIXTURES / 'dockerfile.dict'}",
        "-max_len=600",
        "-timeout=10",
    ]
    atheris.Setup(arguments, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
