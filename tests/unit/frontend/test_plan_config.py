import pytest

from builder.errors import SyntaxProblemError
from builder.frontend.plan import PlannedHistory
from builder.image.model import Healthcheck
from support.dockerfiles import PATH, created_by, last_run, plan_of, with_config

ALL = """
FROM base
ENV A=1 B="x y"
LABEL l=1
EXPOSE 80 53/UDP 8000-8001
CMD ["a", "b \\"c\\""]
ENTRYPOINT run me
USER app:grp
STOPSIGNAL sigint
VOLUME /v 'w'
ARG X=1 Y
MAINTAINER A. Nyone
SHELL ["/bin/sh", "-ec"]
HEALTHCHECK --interval=5s --retries=3 CMD true
ONBUILD RUN true
"""


def test_the_history_has_buildkits_words():
    planned = plan_of(ALL)
    assert created_by(planned) == [
        "ENV A=1 B=x y",
        "LABEL l=1",
        "EXPOSE [53/udp 80/tcp 8000/tcp 8001/tcp]",
        'CMD ["a" "b \\"c\\""]',
        'ENTRYPOINT ["/bin/sh" "-c" "run me"]',
        "USER app:grp",
        "STOPSIGNAL sigint",
        "VOLUME [/v w]",
        "ARG X=1 Y",
        "MAINTAINER A. Nyone",
        "SHELL [/bin/sh -ec]",
        'HEALTHCHECK &{["CMD-SHELL" "true"] "5s" "0s" "0s" "0s" \'\\x03\'}',
    ]
    assert planned.history[0] == PlannedHistory("ENV A=1 B=x y", empty_layer=True)
    assert all(entry.empty_layer for entry in planned.history)


def test_the_configuration_is_what_the_instructions_say():
    planned = plan_of(ALL)
    config = planned.config
    assert config.env == (("PATH", PATH), ("A", "1"), ("B", "x y"))
    assert config.labels == (("l", "1"),)
    assert config.exposed_ports == ("53/udp", "80/tcp", "8000/tcp", "8001/tcp")
    assert config.cmd == ("a", 'b "c"')
    assert config.entrypoint == ("/bin/sh", "-c", "run me")
    assert (config.user, config.stop_signal) == ("app:grp", "sigint")
    assert config.volumes == ("/v", "w")
    assert config.shell == ("/bin/sh", "-ec")
    assert config.healthcheck == Healthcheck(
        ("CMD-SHELL", "true"), interval_ns=5_000_000_000, retries=3
    )
    assert config.on_build == ("RUN true",)
    assert planned.author == "A. Nyone"


def test_a_workdir_is_a_layer_except_for_the_root():
    planned = plan_of("FROM base\nWORKDIR /a/./b/\nWORKDIR ../c\nWORKDIR /\nWORKDIR d\n")
    assert [(entry.created_by, entry.empty_layer) for entry in planned.history] == [
        ("WORKDIR /a/b", False),
        ("WORKDIR /a/c", False),
        ("WORKDIR /", True),
        ("WORKDIR /d", False),
    ]
    assert planned.config.working_dir == "/d"


def test_an_entrypoint_drops_the_cmd_from_below_and_keeps_its_own():
    assert plan_of('FROM base\nENTRYPOINT ["e"]\n').config.cmd is None
    assert plan_of('FROM base\nCMD ["c"]\nENTRYPOINT ["e"]\n').config.cmd == ("c",)


def test_empty_arrays_clear():
    images = {"p": with_config(entrypoint=("e",), cmd=("c",))}
    config = plan_of("FROM p\nENTRYPOINT []\nCMD []\n", images).config
    assert (config.entrypoint, config.cmd) == ((), ())


def test_a_value_set_again_keeps_its_place():
    env = plan_of("FROM base\nENV A=1 B=2\nENV A=3 C=4\n").config.env
    assert env[1:] == (("A", "3"), ("B", "2"), ("C", "4"))


def test_values_see_the_variables_before_their_instruction():
    planned = plan_of("FROM base\nENV a=1\nENV a=2 b=$a\nENV c=$a\n")
    assert planned.config.env[1:] == (("a", "2"), ("b", "1"), ("c", "2"))


def test_names_are_expanded_too():
    assert plan_of('FROM base\nENV K=k\nLABEL "$K.x"=1\n').config.labels == (("k.x", "1"),)


def test_labels_of_the_command_line_win():
    planned = plan_of("FROM base\nLABEL a=1 b=2\n", labels={"b": "x", "c": "y"})
    assert dict(planned.config.labels) == {"a": "1", "b": "x", "c": "y"}


def test_an_image_without_a_path_gets_the_default():
    planned = plan_of("FROM p\nRUN x\n", {"p": with_config(env=(("A", "1"),))})
    assert planned.config.env == (("A", "1"), ("PATH", PATH))
    assert plan_of("FROM scratch\n").config.env == (("PATH", PATH),)


def test_a_variable_may_hold_several_ports():
    planned = plan_of('FROM base\nENV P="80 443/tcp"\nEXPOSE $P\n')
    assert planned.config.exposed_ports == ("443/tcp", "80/tcp")


def test_host_parts_of_a_port_mean_nothing():
    planned = plan_of("FROM base\nEXPOSE 127.0.0.1:8080:80 [::1]:90:91 5000:5001\n")
    assert planned.config.exposed_ports == ("5001/tcp", "80/tcp", "91/tcp")


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        ("EXPOSE 70000", "invalid containerPort: 70000"),
        ("EXPOSE 90-80", "invalid containerPort: 90-80"),
        ("EXPOSE x", "invalid containerPort: x"),
        ("EXPOSE 80/smoke", "invalid proto: smoke"),
        ("EXPOSE /tcp", "no port specified: /tcp<empty>"),
        ("EXPOSE nowhere:80:80", "invalid IP address: nowhere"),
        ("EXPOSE 1-3:4-5", "invalid ranges specified for container and host Ports: 1-3:4-5"),
        ("STOPSIGNAL SIGNOTHING", "invalid signal: SIGNOTHING"),
        ("STOPSIGNAL 0", "invalid signal: 0"),
        ("VOLUME $NONE", "VOLUME specified can not be an empty string"),
        ("LABEL a=${NONE:?gone}", 'failed to process "${NONE:?gone}": NONE: gone'),
        ('WORKDIR "/open', "unexpected end of statement"),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(instruction, message):
    with pytest.raises(SyntaxProblemError) as caught:
        plan_of(f"FROM base\n{instruction}\n")
    assert message in caught.value.message
    assert caught.value.span.first_line == 2
    assert caught.value.span.column > 1


@pytest.mark.parametrize("signal", ["9", "SIGTERM", "term", "RTMIN+3", "sigrtmax-1"])
def test_signals_have_names_and_numbers(signal):
    assert plan_of(f"FROM base\nSTOPSIGNAL {signal}\n").config.stop_signal == signal


def test_a_near_signal_is_suggested():
    with pytest.raises(SyntaxProblemError) as caught:
        plan_of("FROM base\nSTOPSIGNAL SIGTREM\n")
    assert caught.value.hint == "did you mean SIGTERM?"


def test_the_shell_form_goes_to_the_shell_in_force():
    run = last_run(plan_of('FROM base\nSHELL ["/bin/ash", "-lc"]\nRUN a  b\n'))
    assert run.args == ("/bin/ash", "-lc", "a  b")
