"""The fast matcher against a slow one that follows the rules one by one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from builder.frontend.ignorefile import IgnoreMatcher

names = st.text(alphabet="ab.", min_size=1, max_size=3).filter(lambda name: set(name) != {"."})
paths = st.lists(names, min_size=1, max_size=5).map("/".join)
pieces = st.sampled_from(["a", "b", ".", "*", "**", "?", "[ab]", "[^a]", "/", "/**/", "*.a", "\\."])
texts = st.lists(pieces, min_size=1, max_size=6).map("".join)
patterns = st.lists(
    st.one_of(
        st.builds("{}{}".format, st.sampled_from(["", "!"]), texts),
        st.builds("{}{}".format, st.sampled_from(["", "!"]), paths),
    ),
    max_size=6,
)


def clean(text):
    exception = text.startswith("!")
    parts = []
    for part in text.removeprefix("!").split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    joined = "/".join(parts)
    if text.removeprefix("!").startswith("/"):
        joined = "/" + joined
    return exception, joined


def usable(text):
    _, cleaned = clean(text)
    # The plain matcher knows neither anchors nor a pattern that names nothing.
    return cleaned not in {"", "/"} and not text.startswith(("!/", "!.", "//"))


def match_here(pattern, path):
    """Whether all of `path` matches all of `pattern`, by trying every way."""
    if not pattern:
        return not path
    if pattern.startswith("**"):
        rest = pattern[3:] if pattern.startswith("**/") else pattern[2:]
        ends = [0, *(i + 1 for i, character in enumerate(path) if character == "/")]
        return not rest or any(match_here(rest, path[end:]) for end in ends)
    if pattern[0] == "*":
        reach = path.partition("/")[0]
        return any(match_here(pattern[1:], path[end:]) for end in range(len(reach) + 1))
    length = pattern.index("]") + 1 if pattern[0] == "[" else 2 if pattern[0] == "\\" else 1
    return (
        bool(path)
        and one_matches(pattern[:length], path[0])
        and (match_here(pattern[length:], path[1:]))
    )


def one_matches(piece, character):
    if piece == "?":
        return character != "/"
    if piece.startswith("["):
        return (character in piece[1:-1].removeprefix("^")) != piece.startswith("[^")
    return character == piece[-1]


def matches(pattern, path):
    rest = pattern[2:]
    if pattern.startswith("**") and not set(rest) & set("*?[\\"):
        return path.endswith(rest) or (rest.startswith("/") and path == rest[1:])
    return match_here(pattern, path)


def plain_excludes(texts, path):
    rules = [clean(text) for text in texts]
    components = path.split("/")
    parent = [False] * len(rules)
    excluded = False
    for length in range(1, len(components) + 1):
        here = "/".join(components[:length])
        excluded = False
        results = []
        for (exception, pattern), inherited in zip(rules, parent, strict=True):
            if inherited:
                held = True
            elif exception != excluded:
                held = False
            else:
                held = matches(pattern, here)
            results.append(held)
            if held:
                excluded = not exception
        parent = results
    return excluded


@settings(max_examples=400, deadline=None)
@given(patterns.map(lambda texts: [text for text in texts if usable(text)]), st.lists(paths))
def test_the_matcher_agrees_with_the_rules_followed_one_by_one(texts, candidates):
    matcher = IgnoreMatcher.of(texts)
    for path in candidates:
        assert matcher.excludes(path) == plain_excludes(texts, path)


@settings(max_examples=200, deadline=None)
@given(patterns.map(lambda texts: [text for text in texts if usable(text)]), st.lists(paths))
def test_nothing_below_a_directory_that_may_be_skipped_is_kept(texts, candidates):
    matcher = IgnoreMatcher.of(texts)
    for path in candidates:
        components = path.split("/")
        for length in range(1, len(components)):
            if matcher.may_skip_directory("/".join(components[:length])):
                assert matcher.excludes(path)
