from pathlib import Path

import image_checks
import make_image_seeds
import pytest

CORPUS = Path(__file__).resolve().parents[2] / "fixtures" / "fuzz-images"


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_what_must_hold_of_any_image_holds_of_the_corpus(path):
    image_checks.check(path.read_bytes())


def test_the_seeds_are_read_without_an_error(tmp_path):
    make_image_seeds.main(tmp_path)
    for path in tmp_path.iterdir():
        blob = path.read_bytes()
        image_checks.READERS[blob[0]](blob[1:])
