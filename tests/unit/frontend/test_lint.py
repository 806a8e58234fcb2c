import json

import pytest

from builder.errors import SyntaxProblemError
from builder.frontend.expand import VariableUse, expand_word
from builder.frontend.ignorefile import IgnoreMatcher
from builder.frontend.instructions import Add, Copy, Expose, Workdir
from builder.frontend.lint import ChecksFailedError, check_dockerfile, fail_on_findings
from builder.frontend.lint_rules import RULES
from builder.frontend.lint_text import render_check_json, render_check_text
from builder.frontend.lintfacts import (
    ContextSources,
    ExpandedPorts,
    ExpandedWorkdir,
    FromFacts,
    LintFacts,
    StageFacts,
    UndefinedVariable,
)
from builder.frontend.parse import parse
from builder.frontend.plan import CheckWarning
from builder.image.model import Platform
from builder.location import SourceFile, Span

AMD64 = Platform("linux", "amd64")
PLATFORM_VALUES = {"TARGETPLATFORM": "linux/amd64", "BUILDPLATFORM": "linux/amd64"}


def facts_of(dockerfile, *, build_args=(), planned=None, override=None, base_has_shell=False):
    """What planning would say of a Dockerfile whose instructions hold variables only in FROM."""
    defaults = {
        name: value or "" for arg in dockerfile.global_args for name, value in arg.declarations
    }
    values = PLATFORM_VALUES | defaults | dict(build_args)
    stages, exposed, sources, workdirs = [], [], [], []
    absolute = set()
    for stage in dockerfile.stages:
        image_use, platform_use = VariableUse(), VariableUse()
        name = expand_word(stage.base.image, values, use=image_use)
        platform = expand_word(stage.base.platform, values, use=platform_use)
        base = FromFacts(
            image=name,
            image_by_default=expand_word(stage.base.image, PLATFORM_VALUES | defaults),
            platform=platform,
            platform_variables=frozenset(platform_use.used | platform_use.undefined),
            undefined=tuple(sorted(image_use.undefined | platform_use.undefined)),
            known=tuple(values),
            base_stage=None,
            is_context=False,
        )
        stages.append(
            StageFacts(
                index=stage.index,
                name=stage.base.name,
                base=base,
                is_planned=planned is None or stage.index in planned,
                base_has_shell=base_has_shell,
                base_has_workdir=name in absolute,
                used_args=frozenset(),
            )
        )
        if any(isinstance(one, Workdir) for one in stage.body):
            absolute.add(stage.base.name)
        for one in stage.body:
            match one:
                case Expose(ports=ports):
                    exposed.append(ExpandedPorts(ports, one.origin.span))
                case Copy(sources=paths, from_name="") | Add(sources=paths):
                    keyword = "COPY" if isinstance(one, Copy) else "ADD"
                    sources.append(ContextSources(keyword, paths, one.origin.span))
                case Workdir(dir=path):
                    workdirs.append(ExpandedWorkdir(path.replace("$ROOT", "/r"), one.origin.span))
                case _:
                    pass
    return LintFacts(
        stages=tuple(stages),
        undefined=(),
        exposed=tuple(exposed),
        context_sources=tuple(sources),
        target_platform=AMD64,
        check_override=override,
        workdirs=tuple(workdirs),
    )


def findings(text, *, ignore=None, **facts):
    dockerfile = parse(SourceFile("Dockerfile", text))
    found = check_dockerfile(dockerfile, facts_of(dockerfile, **facts), ignore)
    return [(one.rule, one.span.first_line, one.message) for one in found]


def test_a_clean_dockerfile_has_no_findings():
    text = """\
ARG VERSION=1
FROM --platform=$BUILDPLATFORM base AS build
WORKDIR /src
COPY a.txt .
FROM base
ENV A=1 \\
    # a comment counts as no empty line
    B=2
EXPOSE 80 53/udp 8000-8001/tcp
WORKDIR /app
WORKDIR sub
HEALTHCHECK CMD ["true"]
ENTRYPOINT ["/e"]
CMD ["c"]
"""
    assert findings(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "FROM base AS fine\nFROM base AS BadName\n",
            [("StageNameCasing", 2, "Stage name 'BadName' should be lowercase")],
        ),
        (
            "FROM base as one\nFROM one AS two\n",
            [("FromAsCasing", 1, "'as' and 'FROM' keywords' casing do not match")],
        ),
        (
            "from base AS one\n",
            [("FromAsCasing", 1, "'AS' and 'from' keywords' casing do not match")],
        ),
        (
            "From base as one\nRUN x\n",
            [
                (
                    "ConsistentInstructionCasing",
                    1,
                    "Command 'From' should match the case of the command majority (uppercase)",
                )
            ],
        ),
        (
            "from base\nrun x\nENV a=b\n",
            [
                (
                    "ConsistentInstructionCasing",
                    3,
                    "Command 'ENV' should match the case of the command majority (lowercase)",
                )
            ],
        ),
        (
            "FROM base\nenv a=b\n",
            [
                (
                    "ConsistentInstructionCasing",
                    2,
                    "Command 'env' should match the case of the command majority (uppercase)",
                )
            ],
        ),
        ("arg X=1\nFROM base\n", []),
        (
            "FROM base\nRUN a \\\n\n\n  b \\\n\n  c\nRUN d \\\n\n  e\n",
            [
                ("NoEmptyContinuation", 3, "Empty continuation line"),
                ("NoEmptyContinuation", 9, "Empty continuation line"),
            ],
        ),
        (
            "FROM base AS twin\nFROM base AS Twin\n",
            [
                ("StageNameCasing", 2, "Stage name 'Twin' should be lowercase"),
                (
                    "DuplicateStageName",
                    2,
                    'Duplicate stage name "twin", stage names should be unique',
                ),
            ],
        ),
        (
            "FROM scratch AS context\nFROM scratch\n",
            [
                (
                    "ReservedStageName",
                    1,
                    'Stage name should not use the same name as reserved stage "context"',
                )
            ],
        ),
        (
            "FROM base\nMAINTAINER me\n",
            [
                (
                    "MaintainerDeprecated",
                    2,
                    "Maintainer instruction is deprecated in favor of using label",
                )
            ],
        ),
        (
            "FROM base\nENV A value here\nLABEL b value\n",
            [
                (
                    "LegacyKeyValueFormat",
                    2,
                    '"ENV key=value" should be used instead of legacy "ENV key value" format',
                ),
                (
                    "LegacyKeyValueFormat",
                    3,
                    '"LABEL key=value" should be used instead of legacy "LABEL key value" format',
                ),
            ],
        ),
    ],
)
def test_the_form_of_a_dockerfile_is_checked(text, expected):
    assert findings(text) == expected


def json_args(keyword, line):
    message = (
        f"JSON arguments recommended for {keyword} to prevent unintended behavior related to OS "
        "signals"
    )
    return ("JSONArgsRecommended", line, message)


def test_the_shell_form_of_cmd_and_entrypoint_is_reported():
    text = 'FROM base\nCMD run me\nENTRYPOINT run me\nRUN x\nHEALTHCHECK CMD exit 0\nCMD ["x"]\n'
    found = [one for one in findings(text) if one[0] == "JSONArgsRecommended"]
    assert found == [json_args("CMD", 2), json_args("ENTRYPOINT", 3)]


def test_the_shell_form_is_fine_where_a_shell_was_chosen():
    text = 'FROM base\nCMD before\nSHELL ["/bin/sh", "-c"]\nENTRYPOINT after\n'
    assert findings(text) == [json_args("CMD", 2)]
    assert findings("FROM parent\nCMD run me\n", base_has_shell=True) == []


def multiple(keyword, line):
    message = (
        f"Multiple {keyword} instructions should not be used in the same stage because only the "
        "last one will be used"
    )
    return ("MultipleInstructionsDisallowed", line, message)


def test_an_instruction_that_a_later_one_undoes_is_reported_where_it_stands():
    text = """\
FROM base
CMD ["one"]
ENTRYPOINT ["a"]
HEALTHCHECK CMD ["x"]
ENTRYPOINT ["b"]
CMD ["two"]
HEALTHCHECK CMD ["y"]
CMD ["three"]
"""
    assert findings(text) == [
        multiple("CMD", 2),
        multiple("ENTRYPOINT", 3),
        multiple("HEALTHCHECK", 4),
        multiple("CMD", 6),
    ]


def test_the_same_instruction_in_two_stages_is_fine():
    assert findings('FROM a AS one\nCMD ["x"]\nFROM one\nCMD ["y"]\nHEALTHCHECK CMD ["x"]\n') == []


def relative(path, line):
    message = f'Relative workdir "{path}" can have unexpected results if the base image changes'
    return ("WorkdirRelativePath", line, message)


def test_only_the_first_workdir_of_a_line_of_stages_must_be_absolute():
    assert findings("FROM base\nWORKDIR app/\nWORKDIR sub\n") == [relative("app/", 2)]
    assert findings("FROM base AS p\nWORKDIR /abs\nFROM p\nWORKDIR rel\n") == []
    assert findings("FROM base\nWORKDIR $ROOT/x\n") == []


def undeclared(name, suggestion, line):
    return ("UndefinedArgInFrom", line, f"FROM argument '{name}' is not declared{suggestion}")


def test_a_variable_of_from_that_no_arg_declares_is_reported_with_a_suggestion():
    assert undeclared("FLAVUOR", " (did you mean FLAVOUR?)", 2) in findings(
        "ARG FLAVOUR=\nFROM base${FLAVUOR}\n"
    )
    assert undeclared("version", "", 2) in findings("ARG tag=x\nFROM b:${tag}${version} AS b\n")
    assert undeclared("BULIDPLATFORM", " (did you mean BUILDPLATFORM?)", 1) in findings(
        "FROM --platform=$BULIDPLATFORM scratch\n"
    )


def test_an_image_name_that_is_invalid_without_the_build_arg_is_reported():
    message = "Default value for ARG $WHICH results in empty or invalid base image name"
    assert findings("ARG WHICH\nFROM $WHICH\n", build_args={"WHICH": "base"}) == [
        ("InvalidDefaultArgInFrom", 2, message)
    ]
    text = "ARG WHICH=base\nARG SUFFIX\nFROM $WHICH AS one\nFROM base${SUFFIX}\n"
    assert findings(text, build_args={"WHICH": "other"}) == []


def test_the_platform_of_a_stage_is_neither_constant_nor_the_default():
    assert findings("FROM --platform=linux/amd64 base\n") == [
        (
            "FromPlatformFlagConstDisallowed",
            1,
            'FROM --platform flag should not use constant value "linux/amd64"',
        )
    ]
    assert findings("FROM --platform=${TARGETPLATFORM} base\n") == [
        (
            "RedundantTargetPlatform",
            1,
            "Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this is the "
            "default behavior",
        )
    ]
    assert findings("FROM --platform=linux/amd64 base AS tools-amd64\n") == []
    assert findings("FROM --platform=linux/amd64 base AS linux\n") == []


def secret(keyword, name, line):
    message = f'Do not use ARG or ENV instructions for sensitive data ({keyword} "{name}")'
    return ("SecretsUsedInArgOrEnv", line, message)


def test_names_that_sound_like_secrets_are_reported():
    text = (
        "FROM base\nARG GITHUB_TOKEN\nENV DB_PASSWORD=x AWS_SECRET_KEY=y A=b\nARG apikey=x auth\n"
    )
    assert findings(text) == [
        secret("ARG", "GITHUB_TOKEN", 2),
        secret("ENV", "DB_PASSWORD", 3),
        secret("ENV", "AWS_SECRET_KEY", 3),
        secret("ARG", "apikey", 4),
        secret("ARG", "auth", 4),
    ]


def test_public_things_files_and_longer_words_are_no_secrets():
    text = "FROM base\nARG PUBLIC_KEY AUTHOR=me\nENV PASSWORD_FILE=/x KEYBOARD=us TOKENIZER=bpe\n"
    assert findings(text) == []


def test_ports_are_checked_for_protocols_in_capitals_and_for_hosts():
    found = findings(
        "FROM base\nEXPOSE 80/TCP 53/udp\nEXPOSE 127.0.0.1:80:80 5000:5001 [::1]:1:2\n"
    )
    host = "EXPOSE instruction should not define an IP address or host-port mapping, found "
    assert found[0] == (
        "ExposeProtoCasing",
        2,
        "Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
    )
    assert sorted(found[1:]) == [
        ("ExposeInvalidFormat", 3, f"{host}'127.0.0.1:80:80'"),
        ("ExposeInvalidFormat", 3, f"{host}'5000:5001'"),
        ("ExposeInvalidFormat", 3, f"{host}'[::1]:1:2'"),
    ]


def ignored(verb, name, line):
    message = f'Attempting to {verb} file "{name}" that is excluded by .dockerignore'
    return ("CopyIgnoredFile", line, message)


def test_a_source_that_dockerignore_leaves_out_is_reported():
    text = (
        "FROM base\nCOPY a.txt ./b.log /d/\nADD b.log /e\nCOPY *.log /w/\nCOPY --from=s b.log /x\n"
    )
    ignore = IgnoreMatcher.of(["*.log"])
    assert findings(text, ignore=ignore) == [
        ignored("Copy", "./b.log", 2),
        ignored("Add", "b.log", 3),
        ignored("Copy", "*.log", 4),
    ]
    assert findings(text) == []


def test_what_an_exception_brings_back_is_no_ignored_file():
    text = (
        "FROM base\nCOPY keep.log /d/\nCOPY . /all/\nCOPY dir /x\nCOPY *.log /w/\nCOPY b.log /y\n"
    )
    ignore = IgnoreMatcher.of(["*.log", "!keep.log", "dir", "!dir/x"])
    assert findings(text, ignore=ignore) == [ignored("Copy", "b.log", 6)]


def test_a_variable_that_nothing_defines_is_reported_with_a_suggestion():
    dockerfile = parse(SourceFile("Dockerfile", "FROM base\nENV PATH=$PAHT:/tmp\n"))
    span = dockerfile.stages[0].body[0].origin.span
    plain = facts_of(dockerfile)
    facts = LintFacts(
        stages=plain.stages,
        undefined=(UndefinedVariable("PAHT", span, ("PATH",)), UndefinedVariable("zz", span, ())),
        exposed=(),
        context_sources=(),
        target_platform=AMD64,
    )
    assert [(one.rule, one.message) for one in check_dockerfile(dockerfile, facts)] == [
        ("UndefinedVar", "Usage of undefined variable '$PAHT' (did you mean $PATH?)"),
        ("UndefinedVar", "Usage of undefined variable '$zz'"),
    ]


def test_an_image_of_another_platform_is_reported():
    dockerfile = parse(SourceFile("Dockerfile", "FROM base\n"))
    plain = facts_of(dockerfile)
    base = FromFacts(
        image="base",
        image_by_default="base",
        platform="",
        platform_variables=frozenset(),
        undefined=(),
        known=(),
        base_stage=None,
        is_context=False,
        wanted_platform=Platform("linux", "arm64"),
        base_platform=AMD64,
    )
    stage = StageFacts(
        index=0,
        name="",
        base=base,
        is_planned=True,
        base_has_shell=False,
        base_has_workdir=False,
        used_args=frozenset(),
    )
    facts = LintFacts((stage,), plain.undefined, plain.exposed, plain.context_sources, AMD64)
    assert [(one.rule, one.message) for one in check_dockerfile(dockerfile, facts)] == [
        (
            "InvalidBaseImagePlatform",
            'Base image base was pulled with platform "linux/amd64", expected "linux/arm64" for '
            "current build",
        )
    ]


def test_what_planning_found_is_only_reported_for_stages_that_were_planned():
    text = "FROM base AS unused\nMAINTAINER me\nENV A value\nFROM base\n"
    assert [rule for rule, _, _ in findings(text, planned={1})] == ["MaintainerDeprecated"]
    assert [rule for rule, _, _ in findings(text)] == [
        "MaintainerDeprecated",
        "LegacyKeyValueFormat",
    ]


def description(keyword, example, line):
    message = f"Comment for {keyword} should follow the format: `# {example} <description>`"
    return ("InvalidDefinitionDescription", line, message)


def test_the_experimental_rule_checks_comments_above_args_and_stages():
    text = """\
# check=experimental=InvalidDefinitionDescription
# something that is no description
ARG VERSION=1
# app is the application
FROM base AS app
# free text
ARG a=1 b=2
# b is described
ARG a=1 b=2
# nothing is described by what stands here
#
ARG c=1
# BasE this is the base
FROM base AS base2
# above an unnamed stage
FROM base
"""
    assert findings(text) == [
        description("ARG", "VERSION", 3),
        description("ARG", "<arg_key>", 7),
        description("FROM", "base2", 14),
    ]
    assert findings(text.partition("\n")[2]) == []


FAULTY = "FROM base AS Upper\nMAINTAINER me\nCMD x\n"


@pytest.mark.parametrize(
    ("directive", "override", "rules"),
    [
        ("skip=StageNameCasing,JSONArgsRecommended", None, ["MaintainerDeprecated"]),
        (
            "skip=StageNameCasing , MaintainerDeprecated; error=true",
            None,
            ["JSONArgsRecommended"],
        ),
        ("skip=all", None, []),
        ("skip=all", "skip=JSONArgsRecommended", ["StageNameCasing", "MaintainerDeprecated"]),
        ("error=true", "skip=all", []),
        ("skip=all", "", []),
    ],
)
def test_the_directive_and_the_build_arg_choose_the_rules(directive, override, rules):
    text = f"# check={directive}\n{FAULTY}"
    assert [rule for rule, _, _ in findings(text, override=override)] == rules


def test_skip_all_leaves_the_experimental_rules_that_are_asked_for():
    text = "# check=skip=all;experimental=all\n# x\nFROM base AS Upper\n"
    assert [rule for rule, _, _ in findings(text)] == ["InvalidDefinitionDescription"]


def failing(text, override=None):
    dockerfile = parse(SourceFile("Dockerfile", text))
    facts = facts_of(dockerfile, override=override)
    fail_on_findings(dockerfile, facts, check_dockerfile(dockerfile, facts))


def test_error_true_makes_findings_an_error_that_names_the_rules():
    with pytest.raises(ChecksFailedError) as caught:
        failing(f"# check=error=true;skip=JSONArgsRecommended\n{FAULTY}MAINTAINER you\n")
    assert caught.value.message == (
        "lint violation found for rules: StageNameCasing, MaintainerDeprecated"
    )
    assert caught.value.span is not None
    assert caught.value.span.first_line == 2


def test_error_true_lets_a_dockerfile_without_findings_pass():
    failing(f"# check=skip=all;error=true\n{FAULTY}")
    failing("# check=error=true\nFROM base\n")
    failing(FAULTY)
    failing(f"# check=error=true\n{FAULTY}", override="error=false")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("skipp=all", 'invalid check option "skipp"'),
        ("all", 'invalid check option "all"'),
        ("error=maybe", "failed to parse check option"),
        ("skip=all;;", 'invalid check option ""'),
    ],
)
def test_an_option_that_means_nothing_is_refused(text, message):
    with pytest.raises(SyntaxProblemError, match=message) as caught:
        findings(f"# check={text}\nFROM base\n")
    assert caught.value.span is not None


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("JSONArgsRecommended", "json-args-recommended"),
        ("FromAsCasing", "from-as-casing"),
        ("SecretsUsedInArgOrEnv", "secrets-used-in-arg-or-env"),
        ("UndefinedArgInFrom", "undefined-arg-in-from"),
    ],
)
def test_a_rule_links_to_its_documentation(name, address):
    assert RULES[name].url == f"https://docs.docker.com/go/dockerfile/rule/{address}/"


def checked(text):
    dockerfile = parse(SourceFile("Dockerfile", text))
    return check_dockerfile(dockerfile, facts_of(dockerfile))


def test_the_text_of_a_check_tells_each_finding_with_its_lines():
    text = render_check_text(
        checked("FROM base AS Upper\nMAINTAINER me\n"),
        lambda span: [f"<{span.source.name}:{span.first_line}>"],
    )
    assert (
        text
        == """\
Check complete, 2 warnings have been found!

WARNING: StageNameCasing - https://docs.docker.com/go/dockerfile/rule/stage-name-casing/
Stage name 'Upper' should be lowercase
<Dockerfile:1>

WARNING: MaintainerDeprecated - https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/
Maintainer instruction is deprecated in favor of using label
<Dockerfile:2>
"""
    )


def test_the_text_of_a_check_counts_none_and_one():
    assert render_check_text((), lambda _: []) == "Check complete, no warnings found.\n"
    one = render_check_text(checked("FROM base AS Upper\n"), lambda _: [])
    assert one.startswith("Check complete, 1 warning has been found!\n\n")


def test_the_json_of_a_check_has_the_shape_of_buildkits():
    source = SourceFile("Dockerfile", "FROM base AS Upper\n")
    answer = json.loads(render_check_json(checked(source.text), source))
    assert answer == {
        "warnings": [
            {
                "ruleName": "StageNameCasing",
                "description": "Stage names should be lowercase",
                "url": "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/",
                "detail": "Stage name 'Upper' should be lowercase",
                "location": {"ranges": [{"start": {"line": 1}, "end": {"line": 1}}]},
            }
        ],
        "sources": [
            {
                "filename": "Dockerfile",
                "language": "Dockerfile",
                "data": "RlJPTSBiYXNlIEFTIFVwcGVyCg==",
            }
        ],
    }


def test_a_warning_without_a_rule_is_told_as_well():
    span = Span(SourceFile("Dockerfile", "FROM a\n"), 1, 1)
    warning = CheckWarning("", "--from=x names a later stage", "", span)
    text = render_check_text([warning], lambda span: [f"line {span.first_line}"])
    assert text.endswith("\n\nWARNING\n--from=x names a later stage\nline 1\n")
    answer = json.loads(render_check_json([warning], span.source))
    assert answer["warnings"][0]["detail"] == "--from=x names a later stage"
