import pytest

from builder.cli.entry import UnknownCommandError, run, with_default_command
from builder.cli.main import COMMANDS, GROUPS


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["-t", "app", "."], ["build", "-t", "app", "."]),
        (["."], ["build", "."]),
        (["-"], ["build", "-"]),
        (["../elsewhere"], ["build", "../elsewhere"]),
        (["https://example.org/app.tar"], ["build", "https://example.org/app.tar"]),
        (["git@example.org:app.git"], ["build", "git@example.org:app.git"]),
        (["run", "app"], ["run", "app"]),
        (["image", "ls"], ["image", "ls"]),
        (["--debug", "."], ["--debug", "build", "."]),
        (["--debug", "ps"], ["--debug", "ps"]),
        (["--version"], ["--version"]),
        (["-v"], ["-v"]),
        (["help"], ["--help"]),
        (["help", "run"], ["run", "--help"]),
        (["help", "image", "ls"], ["image", "ls", "--help"]),
        ([], ["--help"]),
        (["--debug"], ["--debug", "--help"]),
    ],
)
def test_build_is_the_command_where_none_is_named(typed, meant):
    assert with_default_command(typed) == meant


def test_a_file_or_directory_of_that_name_is_built(empty_folder):
    (empty_folder / "app").mkdir()
    (empty_folder / "app.tar").touch()
    assert with_default_command(["app"]) == ["build", "app"]
    assert with_default_command(["app.tar"]) == ["build", "app.tar"]


@pytest.mark.parametrize("typed", [["biuld", "."], ["help", "biuld"]])
def test_a_command_that_is_typed_wrong_is_told_the_nearest_one(typed):
    with pytest.raises(UnknownCommandError) as raised:
        with_default_command(typed)
    assert '"biuld"' in raised.value.message
    assert raised.value.hint == 'did you mean "build"?'


def test_a_word_that_is_near_to_no_command_is_told_where_they_are_listed(capsys):
    assert run(["frobnicate"]) == 2
    shown = capsys.readouterr().err
    assert '"frobnicate" is neither a command nor a file or directory to build' in shown
    assert "pybuild --help" in shown


def test_help_names_every_command_and_every_group(capsys):
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    words = shown.split()
    assert {name for name in COMMANDS if " " not in name} <= set(words)
    assert set(GROUPS) <= set(words)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_by_either_way_to_ask(name, capsys):
    assert run([*name.split(), "--help"]) == 0
    by_option = capsys.readouterr().out
    assert run(["help", *name.split()]) == 0
    assert capsys.readouterr().out == by_option
    assert f"Usage: pybuild {name} " in by_option


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group, names in GROUPS.items() for name in names]
)
def test_each_of_dockers_names_is_a_command(group, name, capsys):
    target = GROUPS[group][name]
    assert target.split()[0] in COMMANDS or target in COMMANDS
    assert run([group, name, "--help"]) == 0
    assert f"Usage: pybuild {group} {name} " in capsys.readouterr().out


def test_a_group_by_itself_lists_what_is_in_it(capsys):
    assert run(["image", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "pybuild rmi" in shown
    assert "pybuild inspect --type=image" in shown


def test_a_name_that_a_group_lacks_is_refused(capsys):
    assert run(["image", "frobnicate"]) == 2
    assert "'frobnicate'" in capsys.readouterr().err


def test_build_without_a_context_says_what_is_missing(capsys):
    assert run(["build"]) == 2
    assert run(["-t", "app"]) == 2
    shown = capsys.readouterr().err
    assert shown.count("build needs a context") == 2
    assert "pybuild build ." in shown


def test_the_version_is_told_by_option_and_by_command(capsys):
    assert run(["--version"]) == 0
    version = capsys.readouterr().out.split()[1]
    assert run(["version"]) == 0
    assert version in capsys.readouterr().out
    assert run(["version", "--format", "{{.Client.Version}} {{.Server.Version}}"]) == 0
    assert capsys.readouterr().out == f"{version} {version}\n"


def completions(words, monkeypatch, capsys):
    monkeypatch.setenv("_PYBUILD_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    assert run([]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["pybuild", "im"], ["plain,images", "plain,import", "plain,image"]),
        (["pybuild", "image", "l"], ["plain,list", "plain,load", "plain,ls"]),
        (["pybuild", "build", "--no-cache-"], ["plain,--no-cache-filter"]),
        (["pybuild", "-t", "app", "--targ"], ["plain,--target"]),
        (["pybuild", "build", "-f", "Dock"], ["file,Dock"]),
        (["pybuild", "build", "fol"], ["file,fol"]),
        (["pybuild", "ps", "--no-t"], ["plain,--no-trunc"]),
    ],
)
def test_a_shell_completes_commands_options_and_files(words, offered, monkeypatch, capsys):
    assert completions(words, monkeypatch, capsys) == offered


def test_each_command_of_two_words_is_in_its_group():
    for name in COMMANDS:
        if " " in name:
            group, word = name.split()
            assert GROUPS[group][word] == name
