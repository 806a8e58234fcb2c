import pytest

from builder.frontend.mounts import mount_source, read_mount, split_csv
from builder.frontend.problems import WordProblemError


def read(value):
    return read_mount(value, lambda word: word.replace("$V", "v"))


def test_a_mount_binds_unless_it_says_otherwise():
    mount = read("source=a,target=/b")
    assert (mount.type, mount.source, mount.target, mount.readonly) == ("bind", "a", "/b", None)


def test_keys_have_synonyms_and_any_case():
    mount = read("SRC=a,dst=/b,rw")
    assert (mount.source, mount.target, mount.readonly) == ("a", "/b", False)
    assert read("destination=/c,ro=false").readonly is False
    assert read("target=/c,readwrite=false").readonly is True


def test_values_are_expanded():
    assert read("target=/$V,source=$V").target == "/v"


def test_quoted_fields_may_hold_commas():
    assert split_csv('a,"b,""c""",d') == ["a", 'b,"c"', "d"]
    assert split_csv('"a"') == ["a"]
    assert split_csv('a,"b",') == ["a", "b", ""]


@pytest.mark.parametrize("text", ['a"b', '"a', '"a"b'])
def test_stray_quotes_are_refused(text):
    with pytest.raises(WordProblemError, match="failed to parse csv mounts"):
        split_csv(text)


def test_cache_options_are_read():
    mount = read("type=cache,id=x,target=/c,sharing=LOCKED,mode=0751,uid=1,gid=2")
    assert (mount.mount_id, mount.sharing, mount.mode, mount.uid, mount.gid) == (
        "x",
        "locked",
        0o751,
        1,
        2,
    )


def test_a_tmpfs_has_a_size():
    assert read("type=tmpfs,target=/t,size=1m").size_bytes == 1 << 20


def test_a_secret_may_be_required_and_a_variable():
    mount = read("type=secret,id=tok,required,env=TOK")
    assert (mount.required, mount.env_name) == (True, "TOK")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("type=floppy,target=/x", 'unsupported mount type "floppy"'),
        ("target=/x,flavour=y", "unexpected key 'flavour' in 'flavour=y'"),
        ("target=/x,mode", "invalid field 'mode' must be a key=value pair"),
        ("target=/x,uid=5", 'uid not allowed for "bind" type mounts'),
        ("type=cache,target=/x,uid=-5", "invalid value -5 for uid"),
        ("type=cache,target=/x,mode=8", "invalid value 8 for mode"),
        ("type=cache,target=/x,sharing=sometimes", 'unsupported sharing value "sometimes"'),
        ("type=tmpfs,target=/x,sharing=shared", "invalid cache sharing set for tmpfs mount"),
        ("target=/x,size=1m", "unexpected key 'size' for mount type 'bind'"),
        ("type=tmpfs,target=/x,size=big", "invalid value for size: big"),
        ("target=/x,required", "unexpected key 'required' for mount type 'bind'"),
        ("target=/x,ro=maybe", "invalid value for readonly: maybe"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,src=b", "both source and id can't be set"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("type=cache,target=/x,env=A", "unexpected key 'env' for mount type 'cache'"),
    ],
)
def test_wrong_options_are_refused(value, message):
    with pytest.raises(WordProblemError) as caught:
        read(value)
    assert caught.value.message == message


def test_the_nearest_name_is_suggested():
    with pytest.raises(WordProblemError) as caught:
        read("type=cahe,target=/x")
    assert caught.value.hint == "did you mean cache?"


def test_a_source_is_named_without_variables():
    assert mount_source("type=bind,from=tools,target=/t") == "tools"
    assert mount_source("target=/t") == ""
    with pytest.raises(WordProblemError, match="'from' doesn't support variable expansion"):
        mount_source("from=$WHICH,target=/t")
