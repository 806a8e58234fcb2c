import pytest

from builder.frontend.heredoc import read_heredoc_word


@pytest.mark.parametrize(
    ("word", "name", "expands", "strips_tabs", "descriptor"),
    [
        ("<<EOF", "EOF", True, False, 0),
        ("<<-EOF", "EOF", True, True, 0),
        ("3<<EOF", "EOF", True, False, 3),
        ("<<'EOF'", "EOF", False, False, 0),
        ('<<E"O"F', "EOF", False, False, 0),
        ("<<eo\\'f", "eo'f", True, False, 0),
        ("<<'e'o\\'f", "eo'f", False, False, 0),
        ("<<'one two'", "one two", False, False, 0),
        ("<<$EOF", "$EOF", True, False, 0),
        ("<< -EOF", "-EOF", True, False, 0),
    ],
)
def test_a_word_announces_a_heredoc(word, name, expands, strips_tabs, descriptor):
    heredoc = read_heredoc_word(word)
    assert heredoc is not None
    assert (heredoc.name, heredoc.expands) == (name, expands)
    assert (heredoc.strips_tabs, heredoc.descriptor) == (strips_tabs, descriptor)


@pytest.mark.parametrize("word", ["", "EOF", "<<", "<<-", "<EOF", "<<<EOF", "<<EOF sh", "<<'EOF"])
def test_any_other_word_announces_none(word):
    assert read_heredoc_word(word) is None
