import pytest

from builder.errors import SyntaxProblemError
from builder.frontend.scan import scan
from builder.location import SourceFile


def scanned(text):
    return scan(SourceFile("Dockerfile", text))


def texts(text):
    return [line.text for line in scanned(text).lines]


def test_continued_lines_join_without_their_ends_and_comments_between_vanish():
    assert texts("RUN a \\\n# no\n  b\\ \t\n c\n") == ["RUN a   b c"]


def test_a_line_knows_its_numbers_with_comments_and_bodies_counted():
    lines = scanned("# c\n\nRUN a \\\n # x\n b\nCOPY <<E /x\n1\n2\nE\nLABEL a=b").lines
    assert [(line.first_line, line.last_line) for line in lines] == [(3, 5), (6, 9), (10, 10)]


def test_empty_lines_within_an_instruction_are_noted():
    (line,) = scanned("RUN a \\\n\n \t\n b\n").lines
    assert line.text == "RUN a  b"
    assert line.empty_lines == (2, 3)


def test_an_escaped_escape_character_continues_nothing():
    assert texts("LABEL a=x\\\\\nLABEL b=y\n") == ["LABEL a=x\\\\", "LABEL b=y"]


def test_a_continuation_at_the_end_of_the_file_is_dropped():
    assert texts("LABEL a=1 \\") == ["LABEL a=1 "]


def test_a_lone_continuation_character_makes_no_instruction():
    assert texts("FROM x\n\\\n") == ["FROM x"]


def test_carriage_returns_belong_to_line_ends():
    assert texts("RUN a \\\r\n# c\r\n b\r\n\r\nLABEL x=y\r\n") == ["RUN a  b", "LABEL x=y"]


def test_only_newlines_end_lines():
    (line,) = scanned("LABEL a=b\x0b\x0c\x1c\u2028c\n").lines
    assert line.text == "LABEL a=b\x0b\x0c\x1c\u2028c"


def test_the_byte_order_mark_is_no_part_of_the_first_line():
    assert texts("\ufeffFROM x") == ["FROM x"]


def test_directives_are_read_in_any_order_and_case():
    found = scanned("#Check = skip=all \n# syntax=docker/dockerfile:1\n# ESCAPE=`\nRUN a `\n b\n")
    assert [(one.name, one.value) for one in found.directives] == [
        ("check", "skip=all"),
        ("syntax", "docker/dockerfile:1"),
        ("escape", "`"),
    ]
    assert found.lines[0].text == "RUN a  b"


@pytest.mark.parametrize("before", ["# words\n", "\n", "FROM x\n", "# flavour=sweet\n", "#=\n"])
def test_a_directive_below_anything_else_is_a_comment(before):
    assert scanned(f"{before}# escape=`\nRUN a\n").escape == "\\"


def test_a_directive_given_twice_is_refused_where_it_is_repeated():
    with pytest.raises(SyntaxProblemError, match="only one escape parser directive") as caught:
        scanned("# escape=`\n# escape=`\n")
    assert caught.value.span.first_line == 2


def test_another_escape_character_is_refused():
    with pytest.raises(
        SyntaxProblemError, match=r"invalid escape token 'x' does not match ` or \\"
    ):
        scanned("# escape=x\n")


def test_comments_right_above_an_instruction_are_kept_with_it():
    lines = scanned("# far\n\n# one\n#  two \nARG A\nARG B\n").lines
    assert [line.comments for line in lines] == [("one", "two"), ()]


def test_a_heredoc_takes_the_lines_up_to_its_word():
    (line,) = scanned("RUN <<EOF\n# text\nFROM x \\\r\n EOF\nEOF\n").lines
    (heredoc,) = line.heredocs
    assert heredoc.body == "# text\nFROM x \\\r\n EOF\n"


def test_heredocs_follow_each_other_after_the_whole_instruction():
    (line,) = scanned("COPY <<A \\\n  <<-'B' /d/\na\nA\n\tb\n\tB\n").lines
    assert [(one.name, one.content, one.expands) for one in line.heredocs] == [
        ("A", "a\n", True),
        ("B", "b\n", False),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "RUN '<<EOF'",
        'RUN ["<<EOF"]',
        "ENV A=<<EOF",
        "CMD cat <<EOF",
        "RUN cat <<<EOF",
        "RUN it's <<EOF",
        "RUN $((1<<2))",
    ],
)
def test_what_only_looks_like_a_heredoc_is_none(line):
    assert scanned(f"{line}\nFROM x\n").lines[0].heredocs == ()


def test_an_onbuild_instruction_may_have_heredocs():
    (line,) = scanned("ONBUILD COPY <<A /x\na\nA\n").lines
    assert line.heredocs[0].body == "a\n"


def test_an_unterminated_heredoc_is_refused_at_its_instruction():
    with pytest.raises(SyntaxProblemError, match="unterminated heredoc") as caught:
        scanned("FROM x\nRUN <<EOF\na\n")
    assert caught.value.span.first_line == 2
    assert '"EOF"' in caught.value.hint
