import pytest

from builder.errors import SyntaxProblemError
from builder.frontend.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Onbuild,
    Run,
    Shell,
    Volume,
    Workdir,
)
from builder.frontend.parse import parse, parse_trigger
from builder.image.model import Healthcheck as HealthcheckConfig
from builder.location import SourceFile, Span


def read(text):
    return parse(SourceFile("Dockerfile", text))


def one(text, kind):
    """The instruction after FROM."""
    (instruction,) = read(f"FROM x\n{text}\n").stages[0].body
    assert isinstance(instruction, kind)
    return instruction


def refusal(text):
    with pytest.raises(SyntaxProblemError) as caught:
        read(text)
    return caught.value


def test_instructions_are_grouped_by_the_from_above_them():
    dockerfile = read("ARG A=1\nFROM x AS One\nRUN a\nFROM one\nfrom y as two\nrun b\n")
    assert dockerfile.global_args[0].declarations == (("A", "1"),)
    assert [stage.base.name for stage in dockerfile.stages] == ["one", "", "two"]
    assert [len(stage.body) for stage in dockerfile.stages] == [1, 0, 1]
    assert dockerfile.stages[0].base.name_as_written == "One"
    assert dockerfile.stages[2].base.as_keyword == "as"


def test_an_origin_tells_place_keyword_and_text():
    origin = read("FROM x\n# why\nrun a \\\n  b\n").stages[0].body[0].origin
    assert (origin.span.first_line, origin.span.last_line) == (3, 4)
    assert (origin.keyword, origin.text, origin.comments) == ("run", "run a   b", ("why",))


def test_commands_have_two_forms():
    assert one('CMD ["a", "b c"]', Cmd).args == ("a", "b c")
    assert one("ENTRYPOINT exec  a", Entrypoint).args == ("exec  a",)
    run = one('RUN ["a", "\\u00e9"] ', Run)
    assert (run.args, run.is_exec_form) == (("a", "é"), True)


@pytest.mark.parametrize("args", ["['a']", '["a"', '["a",]', '["a"] b', "[NaN]", '{"a": 1}'])
def test_what_is_no_json_array_is_shell_text(args):
    cmd = one(f"CMD {args}", Cmd)
    assert (cmd.args, cmd.is_exec_form) == ((args,), False)


@pytest.mark.parametrize("args", ['["a", 1]', '[["a"]]', "[null]", "[{}]"])
def test_an_array_of_something_else_than_strings_is_refused(args):
    assert "arrays must be comprised of strings only" in refusal(f"FROM x\nCMD {args}\n").message


def test_flags_stand_before_the_other_words_and_lose_quotes_and_escapes():
    run = one("RUN --mount=type=bind,source='a b' --network=none\tls --x", Run)
    assert run.mounts == ("type=bind,source=a b",)
    assert (run.network, run.args) == ("none", ("ls --x",))


def test_two_dashes_end_the_flags():
    assert one("RUN --network=none -- --x", Run).args == ("--x",)


def test_copy_takes_words_json_and_heredocs():
    copy = one("COPY --from=a --chown=1:2 --link --exclude=x --exclude=y b c /d", Copy)
    assert (copy.sources, copy.dest, copy.from_name) == (("b", "c"), "/d", "a")
    assert (copy.link, copy.exclude) == (True, ("x", "y"))
    assert one('COPY ["a b", "/c d"]', Copy).sources == ("a b",)
    inline = one("COPY <<one a <<two /d/\n1\none\n2\ntwo", Copy)
    assert inline.sources == ("a",)
    assert [doc.content for doc in inline.heredocs] == ["1\n", "2\n"]


def test_heredocs_of_one_name_keep_their_order():
    copy = one("COPY <<E <<E /d/\n1\nE\n2\nE", Copy)
    assert [doc.content for doc in copy.heredocs] == ["1\n", "2\n"]


def test_add_knows_what_it_was_not_told():
    add = one("ADD --unpack=false --keep-git-dir --checksum=sha256:1 a /b", Add)
    assert (add.unpack, add.keep_git_dir, add.checksum) == (False, True, "sha256:1")
    plain = one("ADD a /b", Add)
    assert (plain.unpack, plain.keep_git_dir) == (None, None)


def test_pairs_have_a_new_and_an_old_form():
    env = one("ENV A=1 \"B C\"='d e' F=g\\ h", Env)
    assert (env.pairs, env.is_legacy) == (
        (("A", "1"), ('"B C"', "'d e'"), ("F", "g\\ h")),
        False,
    )
    label = one("LABEL a  b=c  d", Label)
    assert (label.pairs, label.is_legacy) == ((("a", "b=c  d"),), True)


def test_arg_declares_with_and_without_default():
    assert one('ARG A B=1 C="x y" D=', Arg).declarations == (
        ("A", None),
        ("B", "1"),
        ("C", '"x y"'),
        ("D", ""),
    )


def test_health_checks_are_read_whole():
    text = (
        "HEALTHCHECK --interval=5s --timeout=1m --start-period=1ms --start-interval=2s --retries=3"
    )
    assert one(f"{text} CMD curl  x", Healthcheck).check == HealthcheckConfig(
        ("CMD-SHELL", "curl  x"),
        interval_ns=5_000_000_000,
        timeout_ns=60_000_000_000,
        start_period_ns=1_000_000,
        start_interval_ns=2_000_000_000,
        retries=3,
    )
    assert one('healthcheck cmd ["a"]', Healthcheck).check.test == ("CMD", "a")
    assert one("HEALTHCHECK none", Healthcheck).check.test == ("NONE",)


def test_the_other_lists_are_read():
    assert one("EXPOSE 80 443/tcp", Expose).ports == ("443/tcp", "80")
    assert one('VOLUME ["/a b", "/c"]', Volume).paths == ("/a b", "/c")
    assert one('SHELL ["/bin/sh", "-c"]', Shell).args == ("/bin/sh", "-c")
    assert one("WORKDIR /a b", Workdir).dir == "/a b"


def test_a_trigger_is_kept_with_its_bodies():
    onbuild = one("onbuild  copy <<-A <<B /d/\n\ta\n\tA\nb\nB", Onbuild)
    assert onbuild.trigger == "copy <<-A <<B /d/\n\ta\nA\nb\nB"


def test_a_trigger_is_read_where_it_fires():
    span = Span(SourceFile("Dockerfile", "FROM p"), 1, 1)
    run = parse_trigger("RUN a \\\n b", span)
    assert isinstance(run, Run)
    assert (run.args, run.origin.span) == (("a  b",), span)


@pytest.mark.parametrize("trigger", ["RUN a\nRUN b", "BOGUS", "COPY a", "RUN <<E"])
def test_a_wrong_trigger_is_refused_where_it_fires(trigger):
    span = Span(SourceFile("Dockerfile", "FROM p"), 1, 1)
    with pytest.raises(SyntaxProblemError, match="in the trigger ONBUILD") as caught:
        parse_trigger(trigger, span)
    assert caught.value.span == span


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM", "FROM requires either one or three arguments"),
        ("FROM a b", "FROM requires either one or three arguments"),
        ("FROM a AS 1b", 'invalid name for build stage: "1b"'),
        ("FROM x\nCOPY a", "COPY requires at least two arguments, but only one was provided"),
        ("FROM x\nADD a", "ADD requires at least two arguments"),
        ("FROM x\nCOPY --chmmod=1 a b", "unknown flag: --chmmod"),
        ("FROM x\nCOPY --chmod=1 --chmod=2 a b", "duplicate flag specified: --chmod"),
        ("FROM x\nCOPY --from a b", "missing a value on flag: --from"),
        ("FROM x\nCOPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe"),
        ("FROM x\nCOPY --from=$S a b", "'--from' doesn't support variable expansion"),
        ("FROM x\nCOPY a <<E\nE", "COPY cannot accept a heredoc as a destination"),
        ("FROM x\nRUN []", "RUN requires a command"),
        ("FROM x\nWORKDIR --mode=755 /x", "unknown flag: --mode"),
        ("FROM x\nWORKDIR", "WORKDIR requires exactly one argument"),
        ("FROM x\nUSER", "USER requires exactly one argument"),
        ("FROM x\nEXPOSE", "EXPOSE requires at least one argument"),
        ("FROM x\nARG", "ARG requires at least one argument"),
        ("FROM x\nARG =x", "ARG names can not be blank"),
        ("FROM x\nENV A", "ENV must have two arguments"),
        ("FROM x\nENV =1", "ENV names can not be blank"),
        ("FROM x\nENV A=1 B", 'can\'t find = in "B". Must be of the form: name=value'),
        ("FROM x\nLABEL", "LABEL requires at least one argument"),
        ('FROM x\nVOLUME [""]', "VOLUME specified can not be an empty string"),
        ("FROM x\nSHELL sh -c", "SHELL requires the arguments to be in JSON form"),
        ("FROM x\nSHELL []", "SHELL requires at least one argument"),
        ("FROM x\nHEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("FROM x\nHEALTHCHECK PROBE", 'Unknown type "PROBE" in HEALTHCHECK (try CMD)'),
        ("FROM x\nHEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("FROM x\nHEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("FROM x\nHEALTHCHECK --interval=1us CMD a", 'Interval "interval" cannot be less than 1ms'),
        ("FROM x\nHEALTHCHECK --interval=x CMD a", 'time: invalid duration "x"'),
        ("FROM x\nHEALTHCHECK --retries=-1 CMD a", "--retries cannot be negative (-1)"),
        ("FROM x\nONBUILD", "ONBUILD requires at least one argument"),
        ("FROM x\nONBUILD ONBUILD RUN a", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("FROM x\nONBUILD from y", "FROM isn't allowed as an ONBUILD trigger"),
        ("FROM x\nONBUILD ENV A", "ENV must have two arguments"),
        ("FROM x\nBOGUS y", "dockerfile parse error on line 2: unknown instruction: BOGUS"),
        ("RUN a", "no build stage in current context"),
        ("ARG A", "dockerfile contains no stages to build"),
        ("# c\n\n", "file with no instructions"),
        ("", "the Dockerfile cannot be empty"),
    ],
)
def test_mistakes_are_refused_in_buildkits_words(text, message):
    assert message in refusal(text).message


def test_an_error_points_at_the_word():
    error = refusal("FROM x\nCOPY \\\n  --chmmod=1 a b\n")
    assert (error.span.first_line, error.span.column, error.span.width) == (3, 3, 8)
    assert error.hint == "did you mean --chmod?"


def test_an_unknown_instruction_is_met_with_the_nearest():
    error = refusal("FROM x\n  RUNN y\n")
    assert error.hint == "did you mean RUN?"
    assert (error.span.first_line, error.span.column) == (2, 3)
