import json
from pathlib import Path

import pytest

from builder.frontend.expand import (
    VariableUse,
    expand_document,
    expand_word,
    expand_words,
    shell_words,
    shown_text,
)
from builder.frontend.problems import WordProblemError

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = [
    folder
    for folder in (ROOT / "fixtures/parser-data", ROOT.parent / "shared/conformance/parser-data")
    if folder.is_dir()
]


def entries(name):
    return [
        pytest.param(entry, id=f"{folder.parent.name}-{number}")
        for folder in FOLDERS
        for number, entry in enumerate(json.loads((folder / name).read_text()))
    ]


def outcome_of(expand, entry):
    try:
        return expand(entry["input"], entry["env"], entry["escape"])
    except WordProblemError as error:
        return error


@pytest.mark.parametrize("entry", entries("expand.json"))
def test_a_word_expands_as_buildkit_expands_it(entry):
    outcome = outcome_of(expand_word, entry)
    if "error" not in entry:
        assert outcome == entry["expect"]
        return
    assert isinstance(outcome, WordProblemError)
    if entry["error"] is not True:
        assert entry["error"] in outcome.message


@pytest.mark.parametrize("entry", entries("words.json"))
def test_a_word_falls_into_the_words_that_buildkit_finds(entry):
    outcome = outcome_of(expand_words, entry)
    if "error" in entry:
        assert isinstance(outcome, WordProblemError)
    else:
        assert outcome == entry["expect"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("${A", "failed to process \"${A\": syntax error: missing '}'"),
        ("${A:", "failed to process \"${A:\": syntax error: missing '}'"),
        ("${A-b", "failed to process \"${A-b\": syntax error: missing '}'"),
        ("${A/b}", "failed to process \"${A/b}\": syntax error: missing '/' in ${}"),
        ("${}", 'failed to process "${}": syntax error: bad substitution'),
        ("${A:=b}", 'failed to process "${A:=b}": unsupported modifier (:=) in substitution'),
        ("${A^^}", 'failed to process "${A^^}": unsupported modifier (^) in substitution'),
        ("${A:?}", 'failed to process "${A:?}": A: is not allowed to be unset'),
        ("${E:?}", 'failed to process "${E:?}": E: is not allowed to be empty'),
        ("${A:?no $E!}", 'failed to process "${A:?no $E!}": A: no !'),
        (
            "'a",
            'failed to process "\'a": '
            "unexpected end of statement while looking for matching single-quote",
        ),
        (
            '"a',
            'failed to process "\\"a": '
            "unexpected end of statement while looking for matching double-quote",
        ),
        (
            "${E#\\x}",
            'failed to process "${E#\\\\x}": '
            "invalid pattern (\\x) in substitution: invalid escape '\\x'",
        ),
    ],
)
def test_an_error_names_the_word_and_what_is_wrong_with_it(word, message):
    with pytest.raises(WordProblemError) as caught:
        expand_word(word, {"E": ""})
    assert caught.value.message == message
    assert caught.value.word == word


def test_the_backtick_escapes_where_the_directive_says_so():
    assert expand_word("a`$b \\x", {"b": "B"}, "`") == "a$b \\x"


@pytest.mark.parametrize(
    ("word", "expanded"),
    [
        ("${V#*.}", "b.c"),
        ("${V##*.}", "c"),
        ("${V%.*}", "a.b"),
        ("${V%%.*}", "a"),
        ("${V/./-}", "a-b.c"),
        ("${V//./-}", "a-b-c"),
        ("${V/?/$1}", ".b.c"),
        ("${V//[.]/x}", "a.b.c"),
        ("${N#x}", ""),
        ("${N/x/y}", ""),
    ],
)
def test_patterns_trim_and_replace(word, expanded):
    assert expand_word(word, {"V": "a.b.c"}) == expanded


def test_a_replacement_is_text_and_no_template():
    assert expand_word("${V//a/\\1}", {"V": "aa"}) == "\\1\\1"


def test_what_was_looked_at_is_told_and_a_default_excuses_a_missing_variable():
    use = VariableUse()
    expand_word("$A ${B:-x} ${C+y} $D ${E?}", {"A": "", "E": "e"}, use=use)
    assert use.used == {"A", "E"}
    assert use.undefined == {"D"}


def test_quotes_are_text_in_a_document_and_a_backslash_escapes():
    assert expand_document("\"$A\" '$A' \\$A\n", {"A": "x"}) == "\"x\" 'x' $A\n"


def test_text_for_people_keeps_unknown_variables_quotes_and_escapes():
    assert shown_text("a $A \"${B:-x}\" 'c\\d' $Z", {"A": "1"}) == "a 1 \"${B:-x}\" 'c\\d' $Z"


def test_text_for_people_that_does_not_parse_stays_as_it_is():
    assert shown_text("echo $A 'it", {"A": "1"}) == "echo $A 'it"


def test_shell_words_keep_quotes_and_the_blanks_of_a_heredoc():
    assert shell_words("RUN x <<  EOF 'a b' ${V:?no}") == [
        "RUN",
        "x",
        "<<  EOF",
        "'a b'",
        "${V:?no}",
    ]
    assert shell_words("RUN it's") == []
