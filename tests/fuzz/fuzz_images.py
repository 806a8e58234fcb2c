"""Fuzz what reads images: manifests, configs, indexes, names, archives, compressed data.

As fuzz_scanner.py, which says how to install Atheris:

    fuzz/bin/python tests/fuzz/make_image_seeds.py seeds
    mkdir -p found && fuzz/bin/python tests/fuzz/fuzz_images.py found seeds -max_total_time=1200

What it finds becomes a case in fixtures/fuzz-images, which the tests run through the same checks.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["builder"]):
    from image_checks import check

CORPUS = Path(__file__).resolve().parents[2] / "fixtures" / "fuzz-images"


def main():
    atheris.Setup([*sys.argv, str(CORPUS), "-max_len=8192", "-timeout=10"], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
