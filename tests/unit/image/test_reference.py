from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.image.errors import InvalidReferenceError
from builder.image.reference import familiar_name, parse_reference

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "normal", "familiar"),
    [
        ("app", "docker.io/library/app:latest", "app:latest"),
        ("app:1.2", "docker.io/library/app:1.2", "app:1.2"),
        ("team/app", "docker.io/team/app:latest", "team/app:latest"),
        ("docker.io/app", "docker.io/library/app:latest", "app:latest"),
        ("index.docker.io/app", "docker.io/library/app:latest", "app:latest"),
        ("library/app", "docker.io/library/app:latest", "app:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"),
        ("reg.example/a/b/c:v", "reg.example/a/b/c:v", "reg.example/a/b/c:v"),
        ("HOST/app", "HOST/app:latest", "HOST/app:latest"),
        ("[::1]:5000/app:v", "[::1]:5000/app:v", "[::1]:5000/app:v"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}", f"app@{DIGEST}"),
        (f"app:v@{DIGEST}", f"docker.io/library/app:v@{DIGEST}", f"app:v@{DIGEST}"),
        ("a__b/c-d/e---f", "docker.io/a__b/c-d/e---f:latest", "a__b/c-d/e---f:latest"),
        ("sha256:abc", "docker.io/library/sha256:abc", "sha256:abc"),
        ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
    ],
)
def test_a_name_has_one_normal_form_and_one_familiar_one(text, normal, familiar):
    reference = parse_reference(text)
    assert (reference.normal, reference.familiar) == (normal, familiar)
    assert parse_reference(familiar) == parse_reference(normal) == reference


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the name is empty"),
        (":tag", "the name is empty"),
        ("reg.example/", "the name is empty"),
        ("App", 'the part "App" is wrong'),
        ("a//b", 'the part "" is wrong'),
        ("a..b", r'the part "a\.\.b" is wrong'),
        ("-a", 'the part "-a" is wrong'),
        ("a/../b", r'the part "\.\." is wrong'),
        ("app:", 'the tag "" is wrong'),
        ("app:-x", 'the tag "-x" is wrong'),
        ("app:" + "x" * 129, "the tag"),
        ("app:a\n", "the tag"),
        ("app@sha256:12", "the digest"),
        ("app@md5:" + "0" * 64, "the digest"),
        ("re_g.example/app", 'the registry "re_g.example" is wrong'),
        ("reg.example:port/app", 'the registry "reg.example:port" is wrong'),
        ("0" * 64, "64 hex digits are an image id"),
        ("a/" * 130 + "a", "longer than 255"),
    ],
)
def test_an_error_says_which_part_is_wrong(text, words):
    with pytest.raises(InvalidReferenceError, match=words):
        parse_reference(text)


def test_the_hint_for_upper_case_is_the_name_in_lower_case():
    with pytest.raises(InvalidReferenceError) as caught:
        parse_reference("team/App")
    assert caught.value.hint == 'names are in lower case: "app"'


@given(st.text(alphabet="ab/:.@-_A0[]", max_size=20) | st.text(max_size=20))
def test_any_text_is_a_name_with_a_stable_normal_form_or_refused(text):
    try:
        reference = parse_reference(text)
    except InvalidReferenceError:
        return
    assert parse_reference(reference.normal) == reference
    assert familiar_name(reference.normal) == reference.familiar


@pytest.mark.parametrize(
    "name",
    [
        "docker.io/example.com/app",
        "docker.io/localhost/app",
        "docker.io/docker.io/app",
        f"docker.io/library/{'ab' * 32}",
    ],
)
def test_a_familiar_name_that_would_mean_something_else_keeps_its_registry(name):
    assert parse_reference(name).familiar == f"{name}:latest"
