import pytest

from builder.errors import SyntaxProblemError
from builder.frontend.plan import FrontendOptions
from builder.image.model import Platform
from support.dockerfiles import created_by, last_run, plan_of, steps


def env_of(text, **options):
    """What RUN sees besides PATH."""
    env = dict(last_run(plan_of(text, **options)).env)
    del env["PATH"]
    return env


@pytest.mark.parametrize(
    ("args", "given", "seen"),
    [
        ("ARG A=1", {}, {"A": "1"}),
        ("ARG A=1", {"A": "2"}, {"A": "2"}),
        ("ARG A=1", {"A": ""}, {"A": ""}),
        ("ARG A", {}, {}),
        ("ARG A", {"A": "2"}, {"A": "2"}),
        ("ARG A=1\nARG A", {}, {"A": "1"}),
        ("ARG A=1 B=$A-x", {"A": "2"}, {"A": "2", "B": "2-x"}),
        ("ARG A=a\nENV A=e", {"A": "g"}, {"A": "e"}),
        ("ENV A=e\nARG A=a", {}, {"A": "a"}),
        ("", {"A": "2"}, {}),
        ("ARG BUILDKIT_SBOM_SCAN_STAGE=true", {}, {}),
    ],
)
def test_an_arg_is_seen_from_its_line_on(args, given, seen):
    assert env_of(f"FROM base\n{args}\nRUN x\n", build_args=given) == seen


@pytest.mark.parametrize(
    ("declaration", "given", "seen"),
    [
        ("", {}, {}),
        ("ARG A", {}, {"A": "global"}),
        ("ARG A=local", {}, {"A": "local"}),
        ("ARG A=local", {"A": "given"}, {"A": "given"}),
        ("ARG A", {"A": "given"}, {"A": "given"}),
    ],
)
def test_a_global_arg_is_seen_where_a_stage_declares_it(declaration, given, seen):
    text = f"ARG A=global\nFROM base\n{declaration}\nRUN x\n"
    assert env_of(text, build_args=given) == seen


def test_from_lines_see_global_args_each_default_the_ones_before():
    planned = plan_of("ARG A=ba\nARG B=${A}se\nFROM $B\n")
    assert steps(planned)[0].name.endswith("base:latest")


def test_an_error_in_a_global_default_is_placed():
    with pytest.raises(SyntaxProblemError) as caught:
        plan_of("ARG A=1\nARG B=${A\nFROM base\n")
    assert caught.value.span.first_line == 2


def test_the_history_lists_the_args_in_force():
    text = "FROM base\nARG B\nARG A=1\nENV A=2\nARG C\nRUN true\n"
    planned = plan_of(text, build_args={"B": "b", "Z": "z"})
    assert created_by(planned) == [
        "ARG B=b",
        "ARG A=1",
        "ENV A=2",
        "ARG C",
        "RUN |3 B=b A=2 C= /bin/sh -c true # buildkit",
    ]


def test_proxies_reach_run_in_both_cases_and_nothing_else():
    text = "FROM base\nRUN x\n"
    plain, proxied = plan_of(text), plan_of(text, build_args={"Http_Proxy": "p", "no_proxy": ""})
    run = last_run(proxied)
    assert run.unkeyed_env == (("HTTP_PROXY", "p"), ("http_proxy", "p"))
    assert run.env == last_run(plain).env
    assert created_by(proxied) == created_by(plain)
    assert proxied.graph.target == plain.graph.target


def test_a_proxy_that_the_dockerfile_sets_is_the_dockerfiles():
    run = last_run(
        plan_of("FROM base\nENV HTTP_PROXY=own\nRUN x\n", build_args={"HTTP_PROXY": "p"})
    )
    assert run.unkeyed_env == (("http_proxy", "p"),)


def test_platform_args_follow_the_target():
    text = "FROM base\nARG TARGETOS TARGETARCH TARGETVARIANT TARGETPLATFORM BUILDPLATFORM\nRUN x\n"
    assert env_of(text, platform=Platform("linux", "arm", "v7")) == {
        "TARGETOS": "linux",
        "TARGETARCH": "arm",
        "TARGETVARIANT": "v7",
        "TARGETPLATFORM": "linux/arm/v7",
        "BUILDPLATFORM": "linux/amd64",
    }


@pytest.mark.parametrize(("target", "name"), [("", "last"), ("first", "first")])
def test_the_target_stage_has_its_name_in_an_argument(target, name):
    text = "FROM base AS first\nARG TARGETSTAGE\nRUN x\nFROM first AS last\nRUN y\n"
    assert env_of(text, target=target) == {"TARGETSTAGE": name}


def test_a_last_stage_without_a_name_is_the_default_one():
    assert env_of("FROM base\nARG TARGETSTAGE\nRUN x\n") == {"TARGETSTAGE": "default"}


def test_given_args_that_nothing_declares_are_told():
    text = "ARG G\nFROM base AS unused\nARG S\nFROM base\n"
    given = {"G": "", "S": "", "TYPO": "", "HTTP_PROXY": "", "TARGETOS": "x", "BUILDKIT_X": ""}
    assert plan_of(text, build_args=given).unused_build_args == ("TYPO",)


def test_the_epoch_comes_from_the_build_arg_before_the_environment():
    text = "FROM base\nWORKDIR /w\nCOPY a /\nRUN x\n"
    planned = plan_of(text, epoch=5, build_args={"SOURCE_DATE_EPOCH": "7"})
    assert planned.epoch == 7
    assert [vertex.operation.epoch for vertex in steps(planned)[1:] if vertex.inputs] == [7, 7, 7]
    assert plan_of(text, epoch=5).epoch == 5
    assert plan_of(f"ARG SOURCE_DATE_EPOCH=3\n{text}").epoch == 3
    assert plan_of(text).epoch is None


def test_the_epoch_is_an_arg_for_those_who_declare_it():
    text = "FROM base\nARG SOURCE_DATE_EPOCH\nRUN x\n"
    assert env_of(text, epoch=5) == {"SOURCE_DATE_EPOCH": "5"}


def test_an_epoch_that_is_no_number_is_refused():
    with pytest.raises(SyntaxProblemError, match="invalid SOURCE_DATE_EPOCH: yesterday"):
        plan_of("FROM base\n", build_args={"SOURCE_DATE_EPOCH": "yesterday"})


def test_undefined_variables_are_kept_for_the_checks():
    text = "FROM base\nARG A\nLABEL a=$A b=$B c=${C:-1} d=$PATH\nCOPY <<E /x\n$D\nE\n"
    facts = plan_of(text).facts
    assert [(one.name, one.span.first_line) for one in facts.undefined] == [("B", 3), ("D", 4)]
    assert "PATH" in facts.undefined[0].known


def test_plans_are_made_for_linux_on_amd64_by_default():
    assert FrontendOptions().build_platform == Platform("linux", "amd64")
