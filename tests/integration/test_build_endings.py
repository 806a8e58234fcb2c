"""Builds on a terminal, interrupted builds, and builds that wait for each other."""

import os
import select
import signal
import subprocess
import time

import pytest

pytestmark = pytest.mark.privileged

WAIT_S = 30


def on_terminal(pybuild, *args):
    """Run `pybuild ARGS` with a terminal as stderr; its exit status and what that showed."""
    master, slave = os.openpty()
    process = pybuild.start(*args, stdout=slave, stderr=slave, env={"TERM": "xterm"})
    os.close(slave)
    shown = b""
    try:
        while chunk := os.read(master, 65536):
            shown += chunk
    except OSError:  # EIO: the other end is closed
        pass
    os.close(master)
    return process.wait(timeout=WAIT_S), shown.decode(errors="replace")


def base_of(pybuild):
    return f"base=oci-layout://{pybuild.busybox()}:latest"


def test_a_build_on_a_terminal_shows_its_steps(pybuild):
    context = pybuild.context({"Dockerfile": "FROM base\nRUN echo made > /f\n"})
    status, shown = on_terminal(
        pybuild, "build", "-t", "x", "--build-context", base_of(pybuild), context
    )
    assert status == 0, shown
    assert "RUN echo made > /f" in shown
    assert "tagged x" in shown


def started_and_running(pybuild, context, *args):
    """A build of `context` whose RUN has said "runs"."""
    build = pybuild.start("build", "--build-context", base_of(pybuild), *args, context)
    deadline, shown = time.monotonic() + WAIT_S, b""
    while b" runs" not in shown:
        ready, _, _ = select.select([build.stderr], [], [], deadline - time.monotonic())
        assert ready, shown
        shown += os.read(build.stderr.fileno(), 65536)
    return build


def test_a_build_that_waits_for_another_ones_step_ends_when_it_is_interrupted(pybuild):
    context = pybuild.context({"Dockerfile": 'FROM base\nRUN echo " runs" && sleep 60\n'})
    first = started_and_running(pybuild, context)
    second = pybuild.start("build", "--build-context", base_of(pybuild), context)
    time.sleep(1.5)  # by now it waits
    assert second.poll() is None
    second.send_signal(signal.SIGINT)
    began = time.monotonic()
    second.communicate(timeout=WAIT_S)
    assert second.returncode == 130
    assert time.monotonic() - began < 5
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=WAIT_S)
    assert first.returncode == 130


CACHES = "RUN --mount=type=cache,id={0},target=/a,sharing=locked \\\n"
CACHES += "  --mount=type=cache,id={1},target=/b,sharing=locked echo {0}{1} >> /a/x && sleep 0.3\n"


def test_steps_that_lock_the_same_caches_in_another_order_do_not_wait_for_ever(pybuild):
    text = "FROM base AS left\n" + CACHES.format("one", "two")
    text += "FROM base AS right\n" + CACHES.format("two", "one")
    text += "FROM base\nCOPY --from=left / /left\nCOPY --from=right / /right\n"
    assert pybuild.build(pybuild.context({"Dockerfile": text}), timeout_s=WAIT_S).status == 0


def test_a_step_may_mount_one_locked_cache_twice(pybuild):
    text = "FROM base\n" + CACHES.format("one", "one")
    text += "RUN --mount=type=cache,id=one,target=/c grep -q oneone /c/x\n"
    assert pybuild.build(pybuild.context({"Dockerfile": text}), timeout_s=WAIT_S).status == 0


def test_a_cache_begins_with_its_source_owners_and_all(pybuild):
    text = (
        "FROM base AS source\nRUN mkdir -p /s/d && echo f > /s/d/f && chown 7:8 /s/d/f\n"
        "FROM base\n"
        "RUN --mount=type=cache,target=/c,from=source,source=/s stat -c %u:%g /c/d/f > /owner\n"
        "RUN grep -qx 7:8 /owner || { cat /owner; exit 1; }\n"
    )
    assert pybuild.build(pybuild.context({"Dockerfile": text})).status == 0


def test_whoever_stops_reading_the_progress_does_not_stop_the_command_from_ending(pybuild):
    context = pybuild.context({"Dockerfile": "FROM base\nRUN sleep 0.5; exit 3\n"})
    read_fd, write_fd = os.pipe()
    build = pybuild.start("build", "--build-context", base_of(pybuild), context, stderr=write_fd)
    os.close(write_fd)
    os.close(read_fd)
    build.stdout.close()
    try:
        assert build.wait(timeout=WAIT_S) != 0
    except subprocess.TimeoutExpired:
        build.kill()
        raise


def test_a_failed_build_leaves_no_id_of_an_earlier_one(pybuild):
    context = pybuild.context({"Dockerfile": "FROM base\nRUN false\n"})
    iidfile = pybuild.give(context / "Dockerfile").parent / "iid"
    iidfile.write_text("sha256:old")
    pybuild.give(iidfile)
    failed = pybuild("build", "--build-context", base_of(pybuild), "--iidfile", iidfile, context)
    assert failed.status == 1
    assert not iidfile.exists()


@pytest.mark.parametrize(
    "outputs",
    [("type=oci",), ("type=oci,dest=-", "type=tar,dest=-"), ("type=oci,dest=o,name=BAD//NAME",)],
)
def test_wrong_outputs_are_told_before_anything_runs(pybuild, outputs):
    context = pybuild.context({"Dockerfile": "FROM base\nRUN echo it ran\n"})
    words = [word for output in outputs for word in ("--output", output)]
    failed = pybuild("build", "--build-context", base_of(pybuild), *words, context)
    assert failed.status != 0
    assert "it ran" not in failed.stderr


def test_the_contexts_own_name_cannot_be_given_to_another(pybuild):
    context = pybuild.context({"Dockerfile": "FROM scratch\n"})
    failed = pybuild("build", "--build-context", f"context={context}", context)
    assert "own context" in failed.stderr
