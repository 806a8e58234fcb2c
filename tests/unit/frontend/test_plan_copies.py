import pytest

from builder.errors import SyntaxProblemError
from builder.graph.model import ContextOp, CopySource, GitOp, HttpOp, InlineFile
from support.dockerfiles import created_by, plan_of, target_operation

SHA256 = "sha256:" + "a" * 64


def copy_of(instruction, before="", **options):
    return target_operation(plan_of(f"FROM base\n{before}\n{instruction}\n", **options))


def inputs_of(instruction):
    planned = plan_of(f"FROM base\n{instruction}\n")
    vertex = planned.graph.vertices[planned.graph.target]
    return [planned.graph.vertices[needed].operation for needed in vertex.inputs]


def test_sources_come_from_the_build_context_by_default():
    copy = copy_of("COPY a $V /d/", before="ENV V='b c'")
    assert copy.sources == (
        CopySource(1, "a", honours_ignorefile=True),
        CopySource(1, "b c", honours_ignorefile=True),
    )
    assert inputs_of("COPY a /d")[1:] == [ContextOp("context")]


@pytest.mark.parametrize(
    ("dest", "absolute"),
    [
        (".", "/w/"),
        ("./", "/w/"),
        ("x", "/w/x"),
        ("x/", "/w/x/"),
        ("x/.", "/w/x/"),
        ("../../../up", "/up"),
        ("/", "/"),
        ("//a//b", "/a/b"),
        ("/../abs", "/abs"),
        ("$NONE", "/w/"),
    ],
)
def test_a_destination_is_absolute_and_keeps_its_slash(dest, absolute):
    assert copy_of(f"COPY a {dest}", before="WORKDIR /w").dest == absolute


def test_flags_are_expanded():
    copy = copy_of(
        "COPY --chown=$U:${G} --chmod=$M --exclude=*.$X --link --parents a /b",
        before="ENV U=app G=grp M=0640 X=txt",
    )
    assert (copy.chown, copy.chmod, copy.exclude) == ("app:grp", "0640", ("*.txt",))
    assert (copy.link, copy.parents) == (True, True)


def test_the_history_shows_owner_mode_and_operands():
    text = (
        "COPY --link --parents --from=0 --chown=1:2 --chmod=600 --exclude=x a.txt b* <<E /many/\nE"
    )
    planned = plan_of(f"FROM base\nFROM base\n{text}\n")
    assert created_by(planned) == [
        "COPY --parents --chown=1:2 --chmod=600 a.txt b* <<E /many/ # buildkit"
    ]


def test_inline_files_come_after_the_sources_and_are_expanded_unless_quoted():
    copy = copy_of("COPY <<A <<'B' c /d/\n$V '$V' \\$V\nA\n$V\nB", before="ENV V=v")
    assert [source.pattern for source in copy.sources] == ["c"]
    assert copy.inline_files == (InlineFile("A", "v 'v' $V\n"), InlineFile("B", "$V\n"))


@pytest.mark.parametrize("instruction", ["COPY <<../x /d/\n../x", "RUN <<a/b\n#!/bin/sh\na/b"])
def test_a_heredoc_that_becomes_a_file_is_no_path(instruction):
    with pytest.raises(SyntaxProblemError, match="invalid heredoc name"):
        plan_of(f"FROM base\n{instruction}\n")


@pytest.mark.parametrize(
    "mode", ["0", "0644", "7777", "u+x", "+x", "go-w,u=rwx", "a=", "u+s,g+s", "o=g", "u=rX"]
)
def test_modes_are_octal_or_symbolic(mode):
    assert copy_of(f"COPY --chmod={mode} a /b").chmod == mode


@pytest.mark.parametrize("mode", ["689", "10000", "9z9", "u+q", "u", "rwx", "-1", "0o644"])
def test_other_modes_are_refused(mode):
    with pytest.raises(SyntaxProblemError) as caught:
        copy_of(f"COPY --chmod={mode} a /b")
    assert caught.value.message.startswith(f"invalid chmod parameter: '{mode}'")
    assert caught.value.span.column == 14


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("http://x/y", "source can't be a URL for COPY"),
        ("https://x/y.git", "source can't be a git ref for COPY"),
        ("git@x:y", "source can't be a git ref for COPY"),
    ],
)
def test_copy_takes_nothing_from_elsewhere(source, message):
    with pytest.raises(SyntaxProblemError, match=message):
        copy_of(f"COPY {source} /x")


def test_add_unpacks_local_archives_unless_told_not_to():
    assert copy_of("ADD a /b").sources[0].unpack
    assert not copy_of("ADD --unpack=false a /b").sources[0].unpack
    assert not copy_of("COPY a /b").sources[0].unpack
    assert copy_of("ADD a /b").keeps_owner
    assert not copy_of("ADD --chown=1 a /b").keeps_owner


@pytest.mark.parametrize(
    ("url", "filename"),
    [
        ("http://x/a/b.tar?c=d#e", "b.tar"),
        ("https://x/dir/", "dir"),
        ("http://x/a%20b", "a b"),
        ("http://x", "__unnamed__"),
        ("http://x/", "__unnamed__"),
        ("http://x/..", "__unnamed__"),
    ],
)
def test_a_download_is_named_by_the_urls_path(url, filename):
    planned = plan_of(f"FROM base\nADD {url} /d/\n")
    source = target_operation(planned).sources[0]
    assert source == CopySource(1, filename, is_download=True)
    assert inputs_of(f"ADD {url} /d/")[1] == HttpOp(url, filename, "")


def test_a_download_is_unpacked_and_checked_on_request():
    text = f"ADD --unpack --checksum={SHA256} http://x/y /d/"
    assert copy_of(text).sources[0].unpack
    assert inputs_of(text)[1].checksum == SHA256


def test_a_repository_is_a_source_of_its_own():
    text = "ADD --keep-git-dir https://x/y.git#v1:sub /d/"
    assert inputs_of(text)[1] == GitOp("https://x/y.git", "v1", "sub", True, "")
    assert copy_of(text).sources == (CopySource(1, "/"),)


@pytest.mark.parametrize(
    ("flags", "sources", "message"),
    [
        ("--checksum=sha256:1", "http://x/a http://x/b", "can't be specified for multiple sources"),
        (f"--checksum={SHA256}", "a.txt", "checksum requires HTTP(S) or Git sources"),
        ("--checksum=abc", "http://x/a", "invalid checksum digest format"),
        ("--checksum=md5:abc", "http://x/a", "unsupported digest algorithm"),
        ("--checksum=sha256:abc", "http://x/a", "invalid checksum digest length"),
        ("--checksum=sha256:" + "Z" * 64, "http://x/a", "invalid checksum digest format"),
        ("--checksum=zzz", "https://x/a.git", 'invalid checksum "zzz" for a Git repository'),
        ("--checksum=abc1234", "https://x/a.git?commit=abc9999", "checksum mismatch"),
        ("--keep-git-dir", "https://x/a.git?keep-git-dir=0", "inconsistent keep-git-dir"),
    ],
)
def test_wrong_checks_of_remote_sources_are_refused(flags, sources, message):
    with pytest.raises(SyntaxProblemError) as caught:
        copy_of(f"ADD {flags} {sources} /d/")
    assert message in caught.value.message


def test_what_comes_from_the_context_is_kept_for_the_checks():
    facts = plan_of(
        "FROM base\nENV A=x\nCOPY $A.txt /\nADD b http://x/y /\nCOPY --from=base c /\n"
    ).facts
    assert [(one.keyword, one.sources) for one in facts.context_sources] == [
        ("COPY", ("x.txt",)),
        ("ADD", ("b",)),
    ]
