from pathlib import Path

import pytest
from dockerfile_checks import check

CORPUS = Path(__file__).resolve().parents[2] / "fixtures" / "fuzz" / "dockerfile"


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_what_must_hold_of_any_text_holds_of_the_corpus(path):
    check(path.read_bytes())
