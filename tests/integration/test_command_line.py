"""The command line as scripts for docker use it."""

import pytest

pytestmark = pytest.mark.privileged


@pytest.fixture
def app(pybuild):
    context = pybuild.context({"Dockerfile": "FROM base\nRUN echo made > /made\n"})
    pybuild.build(context, "-t", "app")
    return "app"


def test_dockers_other_names_do_the_same(pybuild, app):
    # without CREATED, which says how many seconds ago
    shown = "--format={{.Repository}} {{.Tag}} {{.ID}} {{.Size}}"
    assert pybuild("image", "ls", shown).ok().stdout == pybuild("images", shown).ok().stdout
    assert pybuild("container", "run", "--name", "c", app, "cat", "/made").ok().stdout == "made\n"
    assert pybuild("container", "ls", "-a").ok().stdout.startswith("CONTAINER ID")
    assert pybuild("container", "inspect", "c").ok().stdout == pybuild("inspect", "c").ok().stdout
    assert pybuild("image", "inspect", "c").status == 1
    assert pybuild("container", "rm", "c").ok().stdout == "c\n"
    assert "Deleted: " in pybuild("image", "rm", app).ok().stdout


def test_switches_are_turned_on_and_off_by_value(pybuild, app):
    assert len(pybuild("images", "-q", "--no-trunc=true", app).ok().stdout) == 72
    assert len(pybuild("images", "-q", "--no-trunc=false", app).ok().stdout) == 13
    pybuild("run", "--rm=false", "--name=c", app, "true").ok()
    assert pybuild("ps", "--all=true", "--format={{.Names}}").ok().stdout == "c\n"
    pybuild("run", "--rm=true", "--name=d", app, "true").ok()
    assert pybuild("ps", "-a", "--format={{.Names}}").ok().stdout == "c\n"


def test_build_takes_what_changes_nothing_and_refuses_what_it_lacks(pybuild):
    context = pybuild.context({"Dockerfile": "FROM base\n"})
    pybuild.build(context, "--rm", "--force-rm=true", "--load", "--provenance=false")
    for words in (["--squash"], ["-v", "/a:/b"], ["--cache-from=x"], ["--sbom"]):
        refused = pybuild("build", *words, context)
        assert refused.status == 1
        assert words[0].partition("=")[0] in refused.stderr
        assert "hint: " in refused.stderr


def test_a_failing_step_ends_the_build_with_status_1(pybuild):
    context = pybuild.context({"Dockerfile": "FROM base\nRUN exit 9\n"})
    base = f"base=oci-layout://{pybuild.busybox()}:latest"
    failed = pybuild("--build-context", base, context)
    assert failed.status == 1
    assert "exit code: 9" in failed.stderr


def test_a_container_ends_with_its_own_status(pybuild, app):
    for command in (["run"], ["container", "run"]):
        assert pybuild(*command, "--rm", app, "sh", "-c", "exit 9").status == 9
        assert pybuild(*command, "--rm", app, "nothing-there").status == 127
        assert pybuild(*command, "--rm", app, "/etc/passwd").status == 126
        assert pybuild(*command, "--frobnicate", app).status == 125
        assert pybuild(*command, "--link", "x", app).status == 125


def test_a_command_that_is_typed_wrong_builds_nothing(pybuild):
    wrong = pybuild("biuld", ".")
    assert wrong.status == 2
    assert 'did you mean "build"?' in wrong.stderr


def test_an_output_into_the_store_gives_names(pybuild):
    context = pybuild.context({"Dockerfile": "FROM base\n"})
    outputs = ["-o", "type=image,name=one", "-o", "type=docker,name=two:2"]
    pybuild.build(context, "-t", "three", *outputs)
    assert pybuild.image_id("one") == pybuild.image_id("two:2") == pybuild.image_id("three")


def test_an_image_is_given_no_digest(pybuild):
    context = pybuild.context({"Dockerfile": "FROM scratch\nCOPY . /\n"})
    refused = pybuild("-t", f"app@sha256:{'0' * 64}", context)
    assert refused.status == 1
    assert "has a digest" in refused.stderr
