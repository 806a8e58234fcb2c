import base64
import json

import pytest

from builder.frontend.lower import plan_dockerfile
from builder.frontend.outline import (
    outline_of,
    render_outline_json,
    render_outline_text,
    render_targets_json,
    render_targets_text,
    targets_of,
)
from builder.frontend.parse import parse
from builder.frontend.plan import FrontendOptions, ResolvedImage
from builder.image.model import ContainerConfig, ImageConfig, Platform
from builder.location import SourceFile

TEXT = """\
# version of everything
ARG version=1
# flavour what it tastes like
ARG flavour=plain
ARG unused=1
# tools has the compilers
FROM --platform=$BUILDPLATFORM base:${version} AS tools
ARG CC=gcc
RUN --mount=type=secret,id=token,required --mount=type=ssh true
FROM base AS other
ARG nobody=1
FROM base AS middle
# flags for the compiler
ARG flags
COPY --from=tools /a /b
# app is the application
FROM middle AS app
ARG flavour
ARG TARGETARCH
ARG name=$flavour-$flags
RUN --mount=type=secret,target=/run/key --mount=type=cache,target=/c true
FROM app
"""


class AnyImage:
    def resolve(self, name, platform):
        config = ImageConfig(platform or Platform("linux", "amd64"), config=ContainerConfig())
        return ResolvedImage(name, config)


def outlined(target, **build_args):
    dockerfile = parse(SourceFile("Dockerfile", TEXT))
    options = FrontendOptions(build_args=build_args, target=target)
    facts = plan_dockerfile(dockerfile, options, AnyImage()).facts
    names = [stage.base.name for stage in dockerfile.stages]
    return outline_of(dockerfile, facts, names.index(target))


def test_targets_are_the_stages_with_their_descriptions():
    text = render_targets_text(targets_of(parse(SourceFile("Dockerfile", TEXT))))
    assert (
        text
        == """\
TARGET      DESCRIPTION
tools       has the compilers
other
middle
app         is the application
(default)
"""
    )


def test_a_named_last_stage_is_marked_as_the_default():
    targets = targets_of(parse(SourceFile("Dockerfile", "FROM a\nFROM b AS Last\n")))
    assert render_targets_text(targets) == "TARGET           DESCRIPTION\n\nlast (default)\n"


def test_targets_in_json_tell_base_platform_and_place():
    source = SourceFile("Dockerfile", "FROM --platform=$BUILDPLATFORM a AS x\nFROM x\n")
    answer = json.loads(render_targets_json(targets_of(parse(source)), source))
    assert answer["targets"] == [
        {
            "name": "x",
            "base": "a",
            "platform": "$BUILDPLATFORM",
            "location": {"ranges": [{"start": {"line": 1}, "end": {"line": 1}}]},
        },
        {
            "default": True,
            "base": "x",
            "location": {"ranges": [{"start": {"line": 2}, "end": {"line": 2}}]},
        },
    ]
    assert base64.b64decode(answer["sources"][0]).decode() == source.text


def test_the_outline_has_the_args_of_all_that_the_target_needs_and_of_nothing_else():
    args = [(arg.name, arg.value, arg.description) for arg in outlined("app").args]
    assert args == [
        ("version", "1", "of everything"),
        ("flavour", "plain", "what it tastes like"),
        ("CC", "gcc", ""),
        ("flags", "", "for the compiler"),
        ("name", "plain-", ""),
    ]


def test_the_outline_shows_the_values_that_were_given():
    values = {arg.name: arg.value for arg in outlined("app", flavour="sweet", CC="cc").args}
    assert (values["flavour"], values["name"], values["CC"]) == ("sweet", "sweet-", "cc")


def test_the_outline_has_the_secrets_and_ssh_sockets():
    outline = outlined("app")
    assert [(one.name, one.is_required) for one in outline.secrets] == [
        ("token", True),
        ("key", False),
    ]
    assert [(one.name, one.is_required) for one in outline.ssh] == [("default", False)]


def test_the_text_of_an_outline_has_a_table_for_each_kind_of_parameter():
    assert (
        render_outline_text(outlined("app"))
        == """\
TARGET:      app
DESCRIPTION: is the application

BUILD ARG   VALUE    DESCRIPTION
version     1        of everything
flavour     plain    what it tastes like
CC          gcc
flags                for the compiler
name        plain-

SECRET   REQUIRED
token    true
key

SSH       REQUIRED
default
"""
    )


@pytest.mark.parametrize(("target", "expected"), [("other", "nobody"), ("tools", "CC")])
def test_the_outline_of_another_target_is_another(target, expected):
    assert expected in {arg.name for arg in outlined(target).args}
    assert ("nobody" in {arg.name for arg in outlined(target).args}) == (target == "other")


def test_an_outline_in_json_tells_names_values_and_places():
    source = SourceFile("Dockerfile", TEXT)
    answer = json.loads(render_outline_json(outlined("tools"), source))
    assert answer["name"] == "tools"
    assert answer["description"] == "has the compilers"
    assert [arg["name"] for arg in answer["args"]] == ["version", "CC"]
    assert answer["args"][1] == {
        "name": "CC",
        "value": "gcc",
        "location": {"ranges": [{"start": {"line": 8}, "end": {"line": 8}}]},
    }
    assert answer["secrets"][0]["required"] is True
    assert base64.b64decode(answer["sources"][0]).decode() == TEXT
