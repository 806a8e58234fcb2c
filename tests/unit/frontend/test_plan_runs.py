import pytest

from builder.errors import SyntaxProblemError, UnsupportedError
from builder.graph.model import (
    BindMount,
    CacheMount,
    ContextOp,
    ImageOp,
    InlineFile,
    SecretMount,
    SshMount,
    TmpfsMount,
)
from support.dockerfiles import created_by, last_run, plan_of, step_names


def run_of(instruction, before="", **options):
    return last_run(plan_of(f"FROM base\n{before}\n{instruction}\n", **options))


def inputs_of(planned):
    vertex = planned.graph.vertices[planned.graph.target]
    return [planned.graph.vertices[needed].operation for needed in vertex.inputs]


def test_the_exec_form_runs_without_a_shell():
    planned = plan_of('FROM base\nENV V=1\nRUN ["a", "b $V"]\n')
    assert last_run(planned).args == ("a", "b $V")
    assert created_by(planned)[-1] == "RUN a b $V # buildkit"


def test_a_script_is_the_shells_text():
    planned = plan_of("FROM base\nRUN <<-EOF\n\techo 1\n\t  echo $2\n\tEOF\n")
    assert last_run(planned).args == ("/bin/sh", "-c", "echo 1\n  echo $2\n")
    assert created_by(planned) == ["RUN /bin/sh -c echo 1\n  echo $2\n # buildkit"]
    assert step_names(planned)[-1] == "[2/2] RUN <<-EOF (echo 1...)"


def test_a_script_with_an_interpreter_is_a_file():
    run = run_of("RUN <<EOF\n#!/usr/bin/env python3\nprint(1)\nEOF")
    script = InlineFile("/dev/pipes/EOF", "#!/usr/bin/env python3\nprint(1)\n", mode=0o755)
    assert run.inline_files == (script,)
    assert run.args == ("/bin/sh", "-c", "/dev/pipes/EOF")


def test_heredocs_among_other_words_are_left_to_the_shell():
    run = run_of("RUN cat <<A 3<<-'B' | x\na\nA\n\tb\n\tB")
    assert run.args[2] == "cat <<A 3<<-'B' | x\na\nA\n\tb\nB"


@pytest.mark.parametrize(
    ("flag", "options", "mode"),
    [
        ("", {}, "default"),
        ("--network=none", {}, "none"),
        ("", {"network": "none"}, "none"),
        ("--network=default", {"network": "none"}, "none"),
        ("--network=host", {"network": "host"}, "host"),
        ("--network=host", {"allow": frozenset({"network.host"})}, "host"),
    ],
)
def test_the_network_is_the_instructions_else_the_builds(flag, options, mode):
    assert run_of(f"RUN {flag} x", **options).network == mode


def test_insecure_needs_to_be_allowed():
    allow = frozenset({"security.insecure"})
    assert run_of("RUN --security=insecure x", allow=allow).security == "insecure"
    assert run_of("RUN --security=sandbox x").security == "sandbox"


@pytest.mark.parametrize(
    ("flag", "column"),
    [("--network=host", 5), ("--security=insecure", 5), ("--device=vendor/x", 5)],
)
def test_what_is_not_allowed_is_refused_by_name(flag, column):
    with pytest.raises(UnsupportedError, match=flag) as caught:
        run_of(f"RUN {flag} x")
    assert (caught.value.span.first_line, caught.value.span.column) == (3, column)


@pytest.mark.parametrize("flag", ["--network=carrier-pigeon", "--security=lax"])
def test_an_unknown_mode_is_refused(flag):
    with pytest.raises(SyntaxProblemError, match=r"invalid (network|security) mode"):
        run_of(f"RUN {flag} x")


def test_settings_of_the_command_line_reach_the_step():
    run = run_of(
        "RUN x",
        extra_hosts=(("h", "1.2.3.4"),),
        build_args={"BUILDKIT_SANDBOX_HOSTNAME": "box"},
    )
    assert (run.extra_hosts, run.hostname) == ((("h", "1.2.3.4"),), "box")


def test_binds_take_from_the_context_a_stage_an_image_each_once():
    planned = plan_of(
        "FROM base AS s\nRUN s\nFROM base\nWORKDIR /w\nENV T=t\n"
        "RUN --mount=target=/ctx --mount=from=s,src=a/../b,dst=$T,rw "
        "--mount=from=S,target=/u --mount=from=other,target=/o x\n",
        {"other": plan_image()},
    )
    run = last_run(planned)
    assert run.mounts == (
        BindMount(1, "/", "/ctx", readonly=True),
        BindMount(2, "/b", "/w/t", readonly=False),
        BindMount(2, "/", "/u", readonly=True),
        BindMount(3, "/", "/o", readonly=True),
    )
    kinds = inputs_of(planned)
    assert isinstance(kinds[1], ContextOp)
    assert isinstance(kinds[3], ImageOp)


def plan_image():
    from support.dockerfiles import image_config

    return image_config(layer="other")


def test_a_cache_has_defaults():
    mount = run_of("RUN --mount=type=cache,target=/c/ x").mounts[0]
    assert mount == CacheMount("/c", None, "/", "/c", False, "shared", 0o755, 0, 0)


def test_caches_of_a_namespace_are_its_own():
    run = run_of(
        "RUN --mount=type=cache,id=i,target=/c,uid=1,gid=2,mode=0700,sharing=private,ro x",
        build_args={"BUILDKIT_CACHE_MOUNT_NS": "ns"},
    )
    assert run.mounts == (CacheMount("ns/i", None, "/", "/c", True, "private", 0o700, 1, 2),)


def test_a_cache_may_begin_with_a_stages_files():
    planned = plan_of(
        "FROM base AS s\nRUN s\nFROM base\nRUN --mount=type=cache,from=s,source=/a,target=/c x\n"
    )
    mount = last_run(planned).mounts[0]
    assert (mount.input_index, mount.source) == (1, "/a")


@pytest.mark.parametrize(
    ("options", "mount"),
    [
        ("id=tok", SecretMount("tok", "/run/secrets/tok", "", False, 0o400, 0, 0)),
        ("id=a/tok,required", SecretMount("a/tok", "/run/secrets/tok", "", True, 0o400, 0, 0)),
        ("target=/x/other", SecretMount("other", "/x/other", "", False, 0o400, 0, 0)),
        ("id=tok,env=TOK", SecretMount("tok", "", "TOK", False, 0o400, 0, 0)),
        ("id=tok,env=", SecretMount("tok", "", "tok", False, 0o400, 0, 0)),
        ("src=tok,env=T,target=f", SecretMount("tok", "/f", "T", False, 0o400, 0, 0)),
        ("id=t,mode=0741,uid=1,gid=2", SecretMount("t", "/run/secrets/t", "", False, 0o741, 1, 2)),
    ],
)
def test_a_secret_is_a_file_a_variable_or_both(options, mount):
    assert run_of(f"RUN --mount=type=secret,{options} x").mounts == (mount,)


def test_agents_have_sockets_of_their_own():
    run = run_of("RUN --mount=type=ssh --mount=type=ssh,id=k,required --mount=type=ssh,target=/s x")
    assert run.mounts == (
        SshMount("default", "/run/buildkit/ssh_agent.0", False, 0o600, 0, 0),
        SshMount("k", "/run/buildkit/ssh_agent.1", True, 0o600, 0, 0),
        SshMount("default", "/s", False, 0o600, 0, 0),
    )


def test_a_tmpfs_may_be_bounded():
    run = run_of("RUN --mount=type=tmpfs,target=t,size=1m x", before="WORKDIR /w")
    assert run.mounts == (TmpfsMount("/w/t", 1 << 20),)


def test_nothing_is_mounted_over_the_root():
    with pytest.raises(SyntaxProblemError, match='invalid mount target "/"') as caught:
        run_of("RUN --mount=type=bind,source=. x")
    assert caught.value.span.column == 5


def test_mounts_are_not_in_the_history():
    planned = plan_of("FROM base\nRUN --mount=type=cache,target=/c echo hi\n")
    assert created_by(planned) == ["RUN /bin/sh -c echo hi # buildkit"]


def test_a_run_without_words_is_an_empty_script():
    assert run_of("RUN").args == ("/bin/sh", "-c", "")
