import socket

import pytest

from builder.cli import build_options as options
from builder.cli.build_output import output_spec
from builder.commands.build import OutputSpec
from builder.errors import UsageError


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("-", OutputSpec("tar", "-")),
        ("out", OutputSpec("local", "out")),
        ("type=oci,dest=a.tar", OutputSpec("oci", "a.tar")),
        ("type=oci,dest=d,tar=false", OutputSpec("oci-dir", "d")),
        ("type=docker", OutputSpec("image")),
        ("type=docker,dest=a,name=app:1", OutputSpec("docker", "a", ("app:1",))),
        ('type=docker,dest=a,"name=a,b"', OutputSpec("docker", "a", ("a", "b"))),
        (
            "type=oci,dest=a,compression=zstd,compression-level=9,force-compression=true",
            OutputSpec("oci", "a", (), "zstd", 9, force_compression=True),
        ),
        (
            "type=oci,dest=a,annotation.k=v",
            OutputSpec("oci", "a", annotations=(("k", "v"),)),
        ),
    ],
)
def test_an_output_is_read(text, spec):
    assert output_spec(text) == spec


@pytest.mark.parametrize(
    "text",
    [
        "type=nope,dest=a",
        "dest=a",
        "type=oci,dest=a,colour=red",
        "type=oci,dest=a,compression=lzma",
        "type=oci,dest=a,compression=zstd,compression-level=high",
        'type=oci,"dest',
    ],
)
def test_an_output_that_is_wrong_is_refused(text):
    with pytest.raises(UsageError):
        output_spec(text)


def test_pairs_take_their_values_from_the_environment_where_they_have_none():
    environment = {"A": "from outside"}
    texts = ["A", "B=b=c", "C"]
    assert options.key_values(texts, "build-arg", environment) == {"A": "from outside", "B": "b=c"}
    assert options.key_values(["A"], "label", None) == {"A": ""}
    with pytest.raises(UsageError, match="has no name"):
        options.key_values(["=x"], "build-arg", environment)


def test_a_secret_comes_from_a_file_or_a_variable(tmp_path):
    file = tmp_path / "token"
    file.write_bytes(b"\0value")
    environment = {"VAR": "v", "id": "named like the secret"}
    found = options.secrets_of(
        [f"id=a,src={file}", "id=b,env=VAR", "id=id", "id=c,src=VAR,type=env"], environment
    )
    assert found == {"a": b"\0value", "b": b"v", "id": b"named like the secret", "c": b"v"}


@pytest.mark.parametrize("text", ["src=x", "id=a,colour=red", "id=a,env=UNSET", "id=a,src=/nope"])
def test_a_secret_that_is_not_there_or_wrong_is_refused(text):
    with pytest.raises(UsageError):
        options.secrets_of([text], {})


def test_an_agent_is_named_by_its_socket_or_by_the_environment(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(path))
        found = options.ssh_of(["default", f"team={path}"], {"SSH_AUTH_SOCK": str(path)})
    assert found == {"default": str(path), "team": str(path)}


def test_a_key_is_not_taken_for_an_agent(tmp_path):
    key = tmp_path / "key"
    key.write_text("secret")
    with pytest.raises(UsageError, match="is not the socket of an agent") as raised:
        options.ssh_of([f"default={key}"], {})
    assert "ssh-add" in raised.value.hint
    with pytest.raises(UsageError, match="is not the socket of an agent"):
        options.ssh_of(["default=/nowhere"], {})
    with pytest.raises(UsageError, match="no agent to forward"):
        options.ssh_of(["default"], {})


@pytest.mark.parametrize(
    ("text", "size"), [("64m", 64 << 20), ("1g", 1 << 30), ("1024", 1024), ("1.5kb", 1536)]
)
def test_sizes_have_units(text, size):
    assert options.size_in_bytes(text, "shm-size") == size


@pytest.mark.parametrize("text", ["", "m", "1x", "one"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(UsageError):
        options.size_in_bytes(text, "shm-size")


def test_limits_have_one_or_two_numbers():
    assert options.ulimits_of(["nofile=10:20", "RLIMIT_NPROC=5", "core=-1"]) == (
        ("nofile", 10, 20),
        ("nproc", 5, 5),
        ("core", -1, -1),
    )
    for text in ("nofile", "nofile=x", "=1"):
        with pytest.raises(UsageError):
            options.ulimits_of([text])


def test_hosts_are_written_with_a_colon_or_an_equals_sign():
    assert options.hosts_of(["a:1.2.3.4", "b=[::1]"]) == (("a", "1.2.3.4"), ("b", "::1"))
    with pytest.raises(UsageError):
        options.hosts_of(["a"])


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("type=oci,dest=a,oci-mediatypes=true", OutputSpec("oci", "a")),
        (
            "type=oci,dest=a,annotation-index.k=v",
            OutputSpec("oci", "a", index_annotations=(("k", "v"),)),
        ),
        (
            "type=oci,dest=a,annotation-manifest.k=v",
            OutputSpec("oci", "a", annotations=(("k", "v"),)),
        ),
        ("type=local,dest=d,platform-split=true", OutputSpec("local", "d", platform_split=True)),
        (
            "type=image,name=r.example/a,push-by-digest=true,name-canonical=true,push=true",
            OutputSpec("registry", names=("r.example/a",), push_by_digest=True),
        ),
        ("type=oci,dest=a,rewrite-timestamp=false", OutputSpec("oci", "a")),
    ],
)
def test_buildkits_options_of_an_output_are_read(text, spec):
    assert output_spec(text) == spec


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("type=oci,dest=a,oci-mediatypes=false", "oci-mediatypes=false is not supported"),
        ("type=image,store=false", "store=false is not supported"),
        ("type=registry,name=a,registry.insecure=true", "insecure=true is not supported"),
        ("type=oci,dest=a,rewrite-timestamp=true", "needs a time"),
        ("type=tar,dest=a,oci-mediatypes=true", "has no option oci-mediatypes"),
        ("type=oci,dest=a,compression=estargz", 'compression "estargz" is not known'),
    ],
)
def test_what_buildkit_does_and_this_does_not_is_said(text, said):
    with pytest.raises(UsageError, match=said):
        output_spec(text)


def test_times_are_rewritten_where_a_time_is_given():
    assert output_spec("type=oci,dest=a,rewrite-timestamp=true", has_epoch=True).dest == "a"
