import sys

import pytest

from builder.errors import SyntaxProblemError
from builder.frontend.rewrite import apply_changes, pin
from builder.image.model import ContainerConfig, Healthcheck

DIGEST = "sha256:" + "1" * 64


def known(name):
    return DIGEST


def pinned(text, digest_of=known):
    return pin(text, digest_of).text


BASE = ContainerConfig(
    env=(("PATH", "/bin"), ("A", "1")),
    cmd=("/bin/sh",),
    entrypoint=("/entry",),
    working_dir="/srv",
    labels=(("a", "1"),),
    exposed_ports=("80/tcp",),
    volumes=("/data",),
)


# --- commit --change -----------------------------------------------------------------------------


def test_no_change_gives_the_same_configuration():
    assert apply_changes(BASE, []) is BASE


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ('CMD ["/bin/ls", "-l"]', "cmd", ("/bin/ls", "-l")),
        ("CMD ls -l", "cmd", ("/bin/sh", "-c", "ls -l")),
        ("cmd ls", "cmd", ("/bin/sh", "-c", "ls")),
        ("CMD=/bin/bash", "cmd", ("/bin/sh", "-c", "/bin/bash")),
        ('ENTRYPOINT ["/x"]', "entrypoint", ("/x",)),
        ('ENTRYPOINT=["/x"]', "entrypoint", ("/x",)),
        ("ENV B=2 A=x", "env", (("PATH", "/bin"), ("A", "x"), ("B", "2"))),
        ("ENV B two words", "env", (("PATH", "/bin"), ("A", "1"), ("B", "two words"))),
        ("ENV PATH=/opt:$PATH", "env", (("PATH", "/opt:/bin"), ("A", "1"))),
        ("ENV=B=2", "env", (("PATH", "/bin"), ("A", "1"), ("B", "2"))),
        ("EXPOSE 443 53/udp", "exposed_ports", ("443/tcp", "53/udp", "80/tcp")),
        ("LABEL a=2 b='x y'", "labels", (("a", "2"), ("b", "x y"))),
        ("LABEL c=$A", "labels", (("a", "1"), ("c", "1"))),
        ("ONBUILD RUN make", "on_build", ("RUN make",)),
        ("USER app:app", "user", "app:app"),
        ("VOLUME /logs", "volumes", ("/data", "/logs")),
        ('VOLUME ["/a b"]', "volumes", ("/a b", "/data")),
        ("WORKDIR sub", "working_dir", "/srv/sub"),
        ("WORKDIR /abs/../x", "working_dir", "/x"),
        ("STOPSIGNAL SIGINT", "stop_signal", "SIGINT"),
        ("HEALTHCHECK NONE", "healthcheck", Healthcheck(("NONE",))),
        (
            "HEALTHCHECK --interval=5s CMD true",
            "healthcheck",
            Healthcheck(("CMD-SHELL", "true"), interval_ns=5_000_000_000),
        ),
    ],
)
def test_a_change_means_what_it_means_in_a_dockerfile(change, field, value):
    assert getattr(apply_changes(BASE, [change]), field) == value


def test_a_change_sees_the_changes_before_it():
    config = apply_changes(BASE, ["ENV B=2", "ENV C=$B$A", "WORKDIR $C", "WORKDIR x"])
    assert config.env[-2:] == (("B", "2"), ("C", "21"))
    assert config.working_dir == "/srv/21/x"


def test_a_new_entrypoint_takes_the_old_command_away_but_not_a_new_one():
    assert apply_changes(BASE, ['ENTRYPOINT ["/x"]']).cmd is None
    assert apply_changes(BASE, ['CMD ["y"]', 'ENTRYPOINT ["/x"]']).cmd == ("y",)
    assert apply_changes(BASE, ['ENTRYPOINT ["/x"]', 'CMD ["y"]']).cmd == ("y",)


def test_triggers_are_added_to_those_that_are_there():
    base = ContainerConfig(on_build=("RUN a",), env=(("PATH", "/bin"),))
    assert apply_changes(base, ["ONBUILD RUN b"]).on_build == ("RUN a", "RUN b")
    assert apply_changes(base, ["USER x"]).on_build == ("RUN a",)


def test_the_shell_form_uses_the_shell_of_the_configuration():
    base = ContainerConfig(shell=("/bin/bash", "-ec"), env=(("PATH", "/bin"),))
    assert apply_changes(base, ["CMD x"]).cmd == ("/bin/bash", "-ec", "x")


def test_one_change_may_hold_several_instructions():
    config = apply_changes(BASE, ["ENV B=2\nUSER app\n"])
    assert (config.user, config.env[-1]) == ("app", ("B", "2"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("RUN true", "RUN does not change a configuration"),
        ("COPY a b", "COPY does not change a configuration"),
        ('SHELL ["x"]', "SHELL does not change a configuration"),
        ("FROM base", "FROM does not change a configuration"),
        ("run true", "RUN does not change a configuration"),
        ("", "this is no instruction"),
        ("# comment", "this is no instruction"),
        ("NOPE x", "unknown instruction: NOPE"),
        ("ENV", "ENV requires at least one argument"),
        ("EXPOSE 70000", "invalid containerPort: 70000"),
        ("STOPSIGNAL SIGNOPE", "invalid signal: SIGNOPE"),
        ("CMD [1]", "arrays must be comprised of strings only"),
        ("ENV A=${", "syntax error: missing '}'"),
    ],
)
def test_a_change_that_is_none_is_refused_by_name(change, message):
    with pytest.raises(SyntaxProblemError) as caught:
        apply_changes(BASE, ["USER x", change])
    assert message in caught.value.message
    assert caught.value.message.startswith("--change ")


def test_the_hint_names_what_can_be_changed():
    with pytest.raises(SyntaxProblemError) as caught:
        apply_changes(BASE, ["RUN true"])
    assert caught.value.hint is not None
    assert "ENTRYPOINT" in caught.value.hint


# --- pin -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "FROM {}\n",
        "FROM {} AS base\n",
        "from {} as base\n",
        "FROM --platform=linux/alpine:1 {}\n",
        "FROM \\\n  # alpine:1\n  {} \\\n  AS alpine2\n",
        "FROM\t{}\t \r\n",
        "\ufeffFROM {}",
        "# escape=`\nFROM {}`\n AS x\n",
    ],
)
def test_a_digest_is_written_behind_the_image_of_from(line):
    for name in ("alpine:1", "alpine", "localhost:5000/a/b:x"):
        assert pinned(line.format(name)) == line.format(f"{name}@{DIGEST}")


@pytest.mark.parametrize(
    "flag",
    [
        "COPY --from={} /a /b",
        "COPY --chown=1 --from={} /a /b",
        'COPY --from="{}" /a /b',
        "COPY --link \\\n --from={} \\\n/a /b",
        "RUN --mount=from={},target=/x true",
        "RUN --mount=type=bind,target=/from=busy:1,from={} true",
        "RUN --mount=type=bind,source=/a,FROM={},target=/x --network=none true",
        'RUN --mount="type=bind,from={},target=/x" true',
        "RUN --mount=from={0},target=/x --mount=from={0},target=/y true",
    ],
)
def test_a_digest_is_written_behind_the_image_of_a_flag(flag):
    text = f"FROM scratch\n{flag}\n"
    assert pinned(text.format("busy:1")) == text.format(f"busy:1@{DIGEST}")


def test_nothing_but_names_of_images_is_touched():
    text = """\
# syntax=docker/dockerfile:1\r
# FROM alpine
FROM scratch AS alpine-base
FROM alpine-base AS two
COPY --from=0 /a /b
COPY --from=Alpine-Base /a /b
COPY --from=three /a /b
COPY --from=context /a /b
RUN --mount=from=two,target=/x cat <<EOF
FROM alpine
COPY --from=busybox /a /b
EOF
RUN echo --from=busybox --mount=from=busybox   \t
ADD alpine /x
ONBUILD COPY --from=busybox /a /b
FROM alpine@sha256:00 AS three"""
    result = pin(text, known)
    assert result.text == text
    assert result.pins == ()
    assert result.unpinned == ()


def test_a_stage_named_below_is_no_stage_for_from():
    assert pinned("FROM alpine AS a\nFROM scratch AS alpine\n").startswith(f"FROM alpine@{DIGEST}")


def test_names_that_cannot_be_pinned_are_told_with_the_reason():
    text = "ARG B=x\nFROM $B\nFROM deb\\\nian\nFROM alpine\nFROM other\n"
    result = pin(text, lambda name: DIGEST if name == "other" else None)
    assert [(one.name, one.reason, one.span.first_line) for one in result.unpinned] == [
        ("$B", "it depends on a variable", 2),
        ("debian", "its name is not written in one piece", 3),
        ("alpine", "its digest is not known", 5),
    ]
    assert [(one.name, one.digest, one.span.first_line) for one in result.pins] == [
        ("other", DIGEST, 6)
    ]
    assert result.text == text.replace("other", f"other@{DIGEST}")


def test_a_name_is_looked_up_once():
    asked = []
    pin("FROM a\nFROM a\nFROM b\nCOPY --from=a x y\n", asked.append)
    assert asked == ["a", "b"]


def test_pinning_again_changes_nothing():
    text = pinned("FROM alpine\nCOPY --from=busybox /a /b\n")
    assert pinned(text) == text


def test_text_that_is_not_utf_8_is_refused_rather_than_changed():
    text = b"FROM alpine\nRUN echo \xff\n".decode("utf-8", "surrogateescape")
    with pytest.raises(SyntaxProblemError, match="not UTF-8") as caught:
        pin(text, known)
    assert caught.value.span is not None
    assert caught.value.span.first_line == 2


def test_an_invalid_dockerfile_is_refused():
    with pytest.raises(SyntaxProblemError):
        pin("FROM\n", known)


def test_the_editing_library_is_not_loaded_where_nothing_is_edited(monkeypatch):
    monkeypatch.setitem(sys.modules, "dockerfile_parse", None)
    assert pinned("FROM scratch\n") == "FROM scratch\n"
    with pytest.raises(ImportError):
        pinned("FROM alpine\n")
