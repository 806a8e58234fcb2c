"""What reads images, given almost valid input: the same must hold as for the fuzzers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builder.image.errors import InvalidReferenceError
from builder.image.reference import parse_reference
from fuzz.image_checks import READERS, check, check_reference
from fuzz.make_image_seeds import seeds

SEEDS = list(seeds())
edits = st.tuples(st.integers(0, 1 << 13), st.integers(0, 64), st.binary(max_size=64))


@given(st.sampled_from(SEEDS), st.lists(edits, max_size=4))
def test_a_changed_document_or_archive_is_read_or_refused(seed, changes):
    content = seed[1:]
    for position, removed, added in changes:
        at = position % (len(content) + 1)
        content = content[:at] + added + content[at + removed :]
    check(seed[:1] + content)


@given(st.integers(0, len(READERS) - 1), st.binary(max_size=2048))
def test_any_bytes_are_read_or_refused(reader, content):
    check(bytes([reader]) + content)


parts = st.sampled_from(
    ["docker.io", "library", "localhost", "a.b:5000", "[::1]:5000", "app", "A", "..", "ab" * 32]
)


@given(st.lists(parts, max_size=4), st.sampled_from(["", ":v1", ":", "@sha256:" + "0" * 64]))
def test_a_name_has_one_meaning_in_each_of_its_forms(words, suffix):
    text = "/".join(words) + suffix
    try:
        parse_reference(text)
    except InvalidReferenceError:
        return
    check_reference(text.encode())
