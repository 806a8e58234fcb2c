import click
import pytest

from builder.cli.build_docker import REFUSED, BuildCommand, with_harmless_options
from builder.cli.command import Command
from builder.cli.run_options import RunCommand
from builder.errors import UnsupportedError


@click.command(cls=Command)
@click.argument("words", nargs=-1)
@click.option("-q", "--quiet", is_flag=True)
@click.option("-a", "--all", "every", is_flag=True)
@click.option("-H", "--human/--no-human", default=True)
@click.option("-f", "--file", multiple=True)
def example(**values):
    return values


class Rest(Command):
    allow_interspersed_args = False


@click.command(cls=Rest)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.option("--rm", is_flag=True)
def first(**values):
    return values


def given(*words, command=example):
    return command.main(list(words), standalone_mode=False)


@pytest.mark.parametrize("text", ["true", "1", "t", "T", "TRUE", "True"])
def test_a_switch_takes_true(text):
    assert given(f"--quiet={text}")["quiet"]


@pytest.mark.parametrize("text", ["false", "0", "f", "F", "FALSE", "False"])
def test_a_switch_takes_false(text):
    assert not given(f"--quiet={text}")["quiet"]
    assert not given(f"--human={text}")["human"]


@pytest.mark.parametrize(
    ("words", "quiet"),
    [
        (["-q"], True),
        (["-q=true"], True),
        (["-q=false"], False),
        (["--quiet", "--quiet=false"], False),
        (["-q", "--quiet=false"], False),
        (["--quiet=false", "--quiet"], True),
        (["--all=false", "--quiet"], True),
        (["-aq"], True),
    ],
)
def test_the_last_word_about_a_switch_counts(words, quiet):
    assert given(*words)["quiet"] is quiet


def test_a_switch_with_an_opposite_is_turned_by_either():
    assert not given("--no-human")["human"]
    assert not given("--no-human=true")["human"]
    assert given("--no-human=false")["human"]
    assert given("--human=true")["human"]


@pytest.mark.parametrize("word", ["--quiet=maybe", "--quiet=", "-q=x"])
def test_a_switch_takes_nothing_else(word):
    with pytest.raises(click.BadParameter, match="is neither true nor false"):
        given(word)


@pytest.mark.parametrize("words", [["-f", "a"], ["-fa"], ["-f=a"], ["--file=a"], ["--file", "a"]])
def test_a_value_is_taken_in_all_of_dockers_forms(words):
    assert given(*words)["file"] == ("a",)
    assert given("-q", *words, "x")["words"] == ("x",)


def test_a_value_that_looks_like_a_switch_stays_a_value():
    assert given("-f", "--quiet=false", "--file", "-q")["file"] == ("--quiet=false", "-q")
    assert given("-qf", "--all=false")["file"] == ("--all=false",)
    assert given("--file=a=b")["file"] == ("a=b",)


def test_words_after_two_dashes_are_not_touched():
    assert given("-q", "--", "--quiet=false")["words"] == ("--quiet=false",)


def test_where_options_end_at_the_first_argument_the_rest_is_not_touched():
    values = given("--rm=false", "image", "--rm=false", "-x", command=first)
    assert values == {"rm": False, "words": ("image", "--rm=false", "-x")}


def test_an_unknown_option_is_clicks_to_explain():
    with pytest.raises(click.NoSuchOption):
        given("--quite")
    with pytest.raises(click.NoSuchOption):
        given("--quite=true")


@click.command("build", cls=BuildCommand)
@click.argument("context", required=False)
@click.option("-t", "--tag", multiple=True)
@click.option("-q", "--quiet", is_flag=True)
@with_harmless_options
def build(**values):
    return values


@pytest.mark.parametrize("name", REFUSED)
def test_what_docker_build_has_and_this_lacks_is_refused_by_name(name):
    with pytest.raises(UnsupportedError, match=f"build: {name} is not supported"):
        given(name, "x", ".", command=build)
    if name.startswith("--"):
        with pytest.raises(UnsupportedError, match=f"build: {name} is not supported"):
            given(f"{name}=x", command=build)


def test_a_refused_letter_is_seen_among_others():
    with pytest.raises(UnsupportedError, match="-v"):
        given("-qv", "/a:/b", command=build)
    assert given("-tv", command=build)["tag"] == ("v",)


@pytest.mark.parametrize("name", ["--stream", "--provenance", "--sbom", "--squash"])
def test_what_is_turned_off_is_not_asked_for(name):
    assert given(f"{name}=false", ".", command=build)["context"] == "."


@pytest.mark.parametrize(
    "words",
    [
        ["--rm"],
        ["--rm=false"],
        ["--force-rm"],
        ["--load"],
        ["--compress"],
        ["--builder", "default"],
        ["--builder=default"],
        ["--disable-content-trust=true"],
    ],
)
def test_options_that_change_nothing_here_are_taken(words):
    assert given(*words, ".", command=build) == {"context": ".", "tag": (), "quiet": False}


@click.command("run", cls=RunCommand)
@click.argument("image")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("-i", "--interactive", is_flag=True)
def run(**values):
    return values


def test_run_refuses_with_the_status_of_a_container_that_was_not_started(capsys):
    for words in (["-z", "app"], ["--gpus", "app"], ["-iz", "app"], ["--nope", "app"], []):
        assert given(*words, command=run) == 125
    assert "run: --gpus is not supported" in capsys.readouterr().err
    assert given("-i", "app", "-d", command=run)["args"] == ("-d",)
