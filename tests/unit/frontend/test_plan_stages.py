import pytest

from builder.errors import SourceError, SyntaxProblemError, UnknownImageError, UnknownStageError
from builder.frontend.lower import plan
from builder.frontend.plan import FrontendOptions
from builder.graph.model import ContextOp, CopyOp, ExecOp, ImageOp
from builder.image.model import Platform
from builder.location import SourceFile
from support.dockerfiles import (
    BASE,
    PATH,
    FakeImages,
    created_by,
    image_config,
    plan_of,
    step_names,
    steps,
    target_operation,
    with_config,
)

ARM64 = Platform("linux", "arm64")


def operations(planned, kind):
    return [vertex.operation for vertex in steps(planned) if isinstance(vertex.operation, kind)]


def test_only_stages_that_the_target_needs_are_planned():
    planned = plan_of(
        "FROM base AS a\nRUN a\nFROM base AS b\nRUN b\nFROM base\nCOPY --from=b /x /y\n"
    )
    assert [operation.args[-1] for operation in operations(planned, ExecOp)] == ["b"]


def test_images_of_unneeded_stages_are_not_looked_up():
    images = FakeImages()
    source = SourceFile("Dockerfile", "FROM missing AS a\nFROM base\n")
    plan(source, FrontendOptions(), images)
    assert images.asked == [("base", None)]


def test_a_base_is_looked_up_once():
    images = FakeImages()
    source = SourceFile(
        "Dockerfile", "FROM base AS a\nFROM base\nCOPY --from=a / /\nCOPY --from=base / /\n"
    )
    plan(source, FrontendOptions(), images)
    assert images.asked == [("base", None)]


def test_equal_steps_of_two_stages_are_one():
    planned = plan_of("FROM base AS a\nRUN x\nFROM base\nRUN x\nCOPY --from=a /f /f\n")
    assert len(operations(planned, ExecOp)) == 1


def test_steps_are_named_by_stage_and_number():
    planned = plan_of(
        "FROM base AS a\nRUN x\nFROM base\nENV A=1\nCOPY --from=a f /$A\nworkdir /w\n"
    )
    assert step_names(planned) == [
        "[a 1/2] FROM docker.io/library/base:latest",
        "[a 2/2] RUN x",
        "[stage-1 2/3] COPY --from=a f /1",
        "[stage-1 3/3] WORKDIR /w",
    ]


def test_steps_of_a_lone_stage_have_numbers_alone_and_line_up():
    text = "FROM base AS only\n" + "".join(f"RUN {number}\n" for number in range(9))
    names = step_names(plan_of(text))
    assert names[0] == "[ 1/10] FROM docker.io/library/base:latest"
    assert names[9] == "[10/10] RUN 8"


def test_scratch_and_stages_are_no_numbered_steps():
    planned = plan_of("FROM scratch AS a\nCOPY f /\nFROM a\nCOPY g /\n")
    assert step_names(planned)[2:] == ["[a 1/1] COPY f /", "[stage-1 1/1] COPY g /"]


def test_the_target_is_found_by_name_in_any_case_and_by_number():
    text = "FROM base AS One\nENV S=1\nFROM base\nENV S=2\nFROM base\nENV S=3\n"
    for target, value in (("oNE", "1"), ("1", "2"), ("", "3")):
        assert ("S", value) in plan_of(text, target=target).config.env


def test_an_unknown_target_is_refused_with_the_nearest_name():
    with pytest.raises(
        UnknownStageError, match='target stage "biuld" could not be found'
    ) as caught:
        plan_of("FROM base AS build\n", target="biuld")
    assert caught.value.hint == "did you mean build?"


def test_a_stage_goes_on_with_its_bases_configuration_history_and_args():
    planned = plan_of("FROM base AS p\nENV A=1\nARG B=2\nUSER app\nWORKDIR /w\nFROM p\nRUN echo\n")
    run = target_operation(planned)
    assert (run.user, run.cwd) == ("app", "/w")
    assert dict(run.env) == {"PATH": PATH, "A": "1", "B": "2"}
    assert created_by(planned) == [
        "ENV A=1",
        "ARG B=2",
        "USER app",
        "WORKDIR /w",
        "RUN |1 B=2 /bin/sh -c echo # buildkit",
    ]
    assert planned.base_history == BASE.history


def test_an_env_of_the_base_wins_again_in_the_stage_above_an_arg():
    planned = plan_of("FROM base AS p\nENV A=env\nARG A=arg\nFROM p\nRUN x\n")
    assert dict(target_operation(planned).env)["A"] == "env"


def test_the_last_earlier_stage_of_a_name_is_meant():
    planned = plan_of(
        "FROM base AS s\nRUN 1\nFROM base AS s\nRUN 2\n"
        "FROM scratch\nCOPY --from=s /f /\nFROM s AS s\n",
        target="2",
    )
    assert [operation.args[-1] for operation in operations(planned, ExecOp)] == ["2"]


def test_stages_are_found_by_number():
    planned = plan_of("FROM base\nRUN 0\nFROM base\nRUN 1\nFROM base\nCOPY --from=0 a /\n")
    assert [operation.args[-1] for operation in operations(planned, ExecOp)] == ["0"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM base\nCOPY --from=3 a b\n", "invalid stage index 3"),
        (
            "FROM base AS a\nCOPY --from=b x y\nFROM base AS b\nFROM a\n",
            'cannot copy from stage "b", it needs to be defined before current stage "a"',
        ),
        (
            "FROM base\nRUN --mount=from=b,target=/x y\nFROM base AS b\nFROM scratch\n"
            "COPY --from=0 a b\n",
            'cannot mount from stage "b", it needs to be defined before current stage "stage-0"',
        ),
        (
            "FROM base AS a\nCOPY --from=a x y\n",
            "circular dependency detected on stage: a",
        ),
    ],
)
def test_a_stage_that_is_not_there_yet_is_refused_at_the_instruction(text, message):
    with pytest.raises(UnknownStageError) as caught:
        plan_of(text)
    assert caught.value.message == message
    assert caught.value.span.first_line == 2


def test_a_later_stage_in_an_unneeded_one_is_a_warning():
    planned = plan_of("FROM base AS a\nCOPY --from=b x y\nFROM base AS b\n")
    (warning,) = [one for one in planned.warnings if not one.rule]
    assert warning.message == "--from=b names a later stage"
    assert warning.span.first_line == 2


def test_an_unknown_image_is_placed_and_a_near_stage_named():
    with pytest.raises(UnknownImageError) as caught:
        plan_of("FROM base AS builder\nFROM base\nCOPY --from=buidler a b\n")
    assert caught.value.span.first_line == 3
    assert caught.value.hint == 'did you mean the stage "builder"?'


def test_a_name_that_no_image_can_have_is_refused_in_unneeded_stages_too():
    with pytest.raises(UnknownImageError, match="Bad__Name!!") as caught:
        plan_of("FROM Bad__Name!!:a:b AS x\nFROM base\n")
    assert caught.value.span.first_line == 1


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("ARG IMAGE\nFROM $IMAGE\n", "base name ($IMAGE) should not be blank", None),
        (
            "ARG IMAGE=x\nFROM $IMGAE\n",
            "base name ($IMGAE) should not be blank",
            "$IMGAE is not declared: did you mean $IMAGE?",
        ),
        (
            "FROM --platform=$TARGETPLATFROM base\n",
            "empty platform value from expression $TARGETPLATFROM",
            "$TARGETPLATFROM is not declared: did you mean $TARGETPLATFORM?",
        ),
        ("FROM --platform=a/b/c/d base\n", "failed to parse platform a/b/c/d", None),
    ],
)
def test_a_from_line_that_comes_to_nothing_is_refused(text, message, hint):
    with pytest.raises(SyntaxProblemError) as caught:
        plan_of(text)
    assert message in caught.value.message
    assert hint in {None, caught.value.hint}


def test_a_platform_is_passed_on_where_one_was_asked_for():
    images = FakeImages()
    text = "FROM --platform=$BUILDPLATFORM base AS b\nFROM base\nCOPY --from=b / /\n"
    options = FrontendOptions(platform=ARM64)
    plan(SourceFile("Dockerfile", text), options, images)
    assert sorted(str(platform) for _, platform in images.asked) == ["linux/amd64", "linux/arm64"]


def test_the_image_is_for_the_platform_asked_for_else_for_its_bases():
    images = {"arm": image_config(platform=ARM64)}
    assert plan_of("FROM arm\n", images).platform == ARM64
    assert plan_of("FROM scratch\n", platform=ARM64).platform == ARM64
    assert plan_of("FROM scratch\n").platform == Platform("linux", "amd64")


def test_a_directory_context_takes_the_place_of_an_image():
    planned = plan_of("FROM base\nCOPY --from=other a /\n", directory_contexts=frozenset({"other"}))
    assert [operation.name for operation in operations(planned, ContextOp)] == ["other"]
    assert target_operation(planned).sources[0].honours_ignorefile


def test_a_context_is_meant_by_each_spelling_of_an_images_name():
    contexts = {"docker.io/library/tool:latest": "base"}
    planned = plan_of("FROM tool\n", image_contexts=contexts)
    assert planned.base_history == BASE.history


def test_a_context_takes_the_place_of_a_whole_stage():
    text = "FROM missing AS dep\nRUN x\nFROM base\nCOPY --from=dep a /\n"
    planned = plan_of(text, directory_contexts=frozenset({"dep"}))
    assert operations(planned, ExecOp) == []
    assert [operation.name for operation in operations(planned, ContextOp)] == ["dep"]


def test_a_stage_may_stand_on_a_directory_whose_files_are_its_first_layer():
    planned = plan_of("FROM rootfs\nRUN x\n", directory_contexts=frozenset({"rootfs"}))
    (copy,) = operations(planned, CopyOp)
    assert (copy.dest, copy.sources[0].pattern) == ("/", "/")
    assert [entry.empty_layer for entry in planned.history] == [False, False]


def test_the_build_context_and_scratch_cannot_be_replaced():
    names = frozenset({"context", "scratch"})
    planned = plan_of("FROM scratch\nCOPY a /\n", directory_contexts=names)
    assert [operation.name for operation in operations(planned, ContextOp)] == ["context"]
    assert operations(planned, ImageOp)[0].diff_ids == ()


def test_triggers_of_an_image_run_first_and_are_not_passed_on():
    images = {"p": with_config(on_build=("RUN one", "ENV A=$B"))}
    planned = plan_of("FROM p\nENV B=2\nRUN two\nONBUILD RUN three\n", images)
    assert created_by(planned) == [
        "RUN /bin/sh -c one # buildkit",
        "ENV A=",
        "ENV B=2",
        "RUN /bin/sh -c two # buildkit",
    ]
    assert planned.config.on_build == ("RUN three",)
    assert step_names(planned)[1] == "[2/3] ONBUILD RUN one"


def test_triggers_of_a_stage_fire_in_the_one_on_it_and_no_further():
    text = "FROM base AS a\nONBUILD RUN x\nFROM a AS b\nFROM b\nRUN y\n"
    assert created_by(plan_of(text)) == [
        "RUN /bin/sh -c x # buildkit",
        "RUN /bin/sh -c y # buildkit",
    ]


def test_a_trigger_may_need_a_stage():
    text = "FROM base AS s\nRUN s\nFROM base AS p\nONBUILD COPY --from=s /s /\nFROM p\n"
    assert [op.args[-1] for op in operations(plan_of(text), ExecOp)] == ["s"]


def test_a_trigger_that_cannot_be_is_refused_at_the_from_line():
    images = {"p": with_config(on_build=("COPY a",))}
    with pytest.raises(SourceError, match="in the trigger ONBUILD COPY a") as caught:
        plan_of("FROM base\nFROM p\n", images)
    assert caught.value.span.first_line == 2


def test_no_cache_holds_for_all_stages_or_for_those_named():
    text = "FROM base AS a\nRUN x\nFROM base AS b\nRUN y\nCOPY --from=a f /\n"
    flags = {
        vertex.name[-5:]: vertex.no_cache
        for vertex in steps(plan_of(text, no_cache_filter=frozenset({"A"})))
        if isinstance(vertex.operation, ExecOp)
    }
    assert flags == {"RUN x": True, "RUN y": False}
    planned = plan_of(text, no_cache=True)
    assert all(v.no_cache for v in steps(planned) if isinstance(v.operation, ExecOp | CopyOp))


def test_all_stages_are_looked_at_for_the_checks_alone():
    text = "FROM base AS a\nRUN $X\nLABEL a=$X\nFROM base\n"
    planned = plan_of(text, all_stages=True)
    assert operations(planned, ExecOp) == []
    assert [one.name for one in planned.facts.undefined] == ["X"]
    assert plan_of(text).facts.undefined == ()


def test_chains_of_stages_may_be_long():
    text = "FROM base AS s0\n" + "".join(f"FROM s{n} AS s{n + 1}\nRUN {n}\n" for n in range(1500))
    assert len(steps(plan_of(text))) == 1501
