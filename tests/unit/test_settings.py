from __future__ import annotations

import pytest

from builder.errors import UsageError
from builder.settings import DEFAULT_UNPACK_LIMIT_BYTES, settings_from


@pytest.mark.parametrize(
    ("text", "limit_bytes"),
    [
        ("", DEFAULT_UNPACK_LIMIT_BYTES),
        ("0", None),
        ("4096", 4096),
        ("2k", 2048),
        ("3M", 3 << 20),
        ("64GB", 64 << 30),
        ("1t", 1 << 40),
    ],
)
def test_the_limit_of_what_an_archive_unpacks_to_can_be_set(text, limit_bytes):
    settings = settings_from({"PYBUILD_UNPACK_LIMIT": text}, euid=0)
    assert settings.unpack_limit_bytes == limit_bytes


@pytest.mark.parametrize("text", ["g", "-1", "1.5g", "1x", "1kk", "\N{SUPERSCRIPT TWO}"])
def test_a_limit_that_is_no_size_is_refused(text):
    with pytest.raises(UsageError, match="is not a size"):
        settings_from({"PYBUILD_UNPACK_LIMIT": text}, euid=0)
