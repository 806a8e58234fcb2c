import json

import pytest

from builder.graph.codec import (
    decode_operation,
    encode_operation,
    operation_to_json,
    vertex_id,
)
from builder.graph.errors import InvalidOperationError
from builder.graph.model import (
    BindMount,
    CacheMount,
    ContextOp,
    CopyOp,
    CopySource,
    ExecOp,
    GitOp,
    HttpOp,
    ImageOp,
    InlineFile,
    SecretMount,
    SshMount,
    TmpfsMount,
    VertexId,
    WorkdirOp,
)
from cache.digest import sha256_digest

EXEC = ExecOp(
    args=("a", "b c"),
    env=(("A", "1"), ("B", "é\udcff")),
    cwd="/w",
    user="app",
    mounts=(
        BindMount(1, "/", "/b", readonly=True),
        CacheMount("id", None, "/", "/c", False, "locked", 0o755, 1, 2),
        TmpfsMount("/t", 1 << 20),
        SecretMount("s", "/s", "S", True, 0o400, 0, 0),
        SshMount("default", "/a", False, 0o600, 0, 0),
    ),
    inline_files=(InlineFile("/dev/pipes/EOF", "#!x\n", 0o755),),
    network="none",
    security="insecure",
    unkeyed_env=(("HTTP_PROXY", "p"),),
    extra_hosts=(("h", "1.2.3.4"),),
    hostname="box",
    epoch=5,
)
COPY = CopyOp(
    sources=(CopySource(1, "a*", unpack=True, is_download=True, honours_ignorefile=True),),
    inline_files=(InlineFile("f", "x"),),
    dest="/d/",
    chown="a:b",
    chmod="u+x",
    link=True,
    parents=True,
    exclude=("*.x",),
    keeps_owner=True,
)
OPERATIONS = [
    ImageOp("base", (sha256_digest(b"base"),)),
    ContextOp("context"),
    HttpOp("http://x/y", "y", "sha256:abc"),
    GitOp("https://x/y.git", "v1", "sub", True, "abc1234"),
    EXEC,
    ExecOp(args=(), env=(), cwd="/", user=""),
    COPY,
    WorkdirOp("/w", "app", epoch=None),
    WorkdirOp("/w", "app", epoch=-1),
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_comes_back_from_its_text(operation):
    assert decode_operation(encode_operation(operation)) == operation


def test_each_operation_has_a_name_of_its_own():
    assert len({vertex_id(operation, ()) for operation in OPERATIONS}) == len(OPERATIONS)


def test_a_step_is_named_by_its_inputs_too():
    one, two = VertexId("1"), VertexId("2")
    names = {vertex_id(EXEC, inputs) for inputs in ((), (one,), (two,), (one, two), (two, one))}
    assert len(names) == 5


def test_what_an_image_is_called_and_proxies_do_not_name_a_step():
    digests = (sha256_digest(b"base"),)
    assert vertex_id(ImageOp("a", digests), ()) == vertex_id(ImageOp("b", digests), ())
    plain, proxied = (
        ExecOp(args=("x",), env=(), cwd="/", user="", unkeyed_env=env)
        for env in ((), (("P", "p"),))
    )
    assert vertex_id(plain, ()) == vertex_id(proxied, ())
    assert operation_to_json(plain) == operation_to_json(proxied)


def changed(**fields):
    value = json.loads(encode_operation(WorkdirOp("/w", "app")))
    return json.dumps({**value, **fields})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        changed(kind="dance"),
        changed(kind=1),
        changed(dir=1),
        changed(epoch="1"),
        changed(epoch=True),
        changed(extra=1),
        '{"kind": "workdir", "dir": "/w"}',
        '{"kind": "image", "reference": "x", "diff_ids": ["sha256:short"]}',
        encode_operation(EXEC).replace('"kind":"bind"', '"kind":"float"'),
        encode_operation(EXEC).replace('"locked"', '"loose"'),
        encode_operation(EXEC).replace('["A","1"]', '["A"]'),
    ],
)
def test_other_text_is_refused(text):
    with pytest.raises(InvalidOperationError):
        decode_operation(text)
