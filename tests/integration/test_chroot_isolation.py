"""Builds by root of a container that may neither mount nor make namespaces."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

import pytest

from support.leaks import leaks_since, traces
from support.pybuild import pybuild_of
from support.users import Person, current_person

pytestmark = [pytest.mark.privileged, pytest.mark.needs("root", "busybox")]

DOCKERS = (
    "chown dac_override fsetid fowner mknod net_raw setgid setuid setfcap setpcap "
    "net_bind_service sys_chroot kill audit_write"
)
CHROOT = {"PYBUILD_ISOLATION": "chroot"}
RICH = """FROM base AS one
RUN mkdir -p /d/e && echo f > /d/e/f && chown 5:6 /d/e/f && chmod 4755 /d/e/f && ln /d/e/f /d/link
RUN rm -r /d/e && mkdir /d/n && echo g > /d/n/g && ln -s g /d/n/s
WORKDIR /w
COPY a b/
RUN echo more >> /w/b/a && rm /bin/true
FROM base
COPY --from=one /d /w /copied/
RUN --mount=type=bind,from=one,target=/from test -f /from/d/link
RUN touch /etc/hosts.own; cat /etc/resolv.conf > /resolv; rm /resolv
"""


@dataclass(frozen=True)
class ContainersRoot(Person):
    """Root with the capabilities that Docker gives: CAP_SYS_ADMIN is not among them."""

    def prefix(self) -> list[str]:
        kept = "".join(f",+{name}" for name in DOCKERS.split())
        return ["setpriv", f"--bounding-set=-all{kept}", "--inh-caps=-all", "env"]


@pytest.fixture
def ci():
    """`pybuild` as that root."""
    root = current_person()
    before = traces()
    with pybuild_of(ContainersRoot(root.name, root.uid, root.gid, root.home)) as pybuild:
        yield pybuild
        assert [*leaks_since(before), *pybuild.leftovers()] == []


@pytest.fixture
def whole():
    """`pybuild` as root without restrictions."""
    with pybuild_of(current_person()) as pybuild:
        yield pybuild


def test_the_image_is_the_same_as_with_namespaces(ci, whole):
    digests = []
    for pybuild, isolation in ((ci, "chroot"), (whole, "namespaces"), (whole, "chroot")):
        context = pybuild.context({"Dockerfile": RICH, "a": "a\n"})
        for path in (context, *context.iterdir()):
            os.utime(path, (1, 1))
        pybuild.build(
            context, "-t", "x", "--no-cache", "--isolation", isolation,
            env={"SOURCE_DATE_EPOCH": "1700000000"},
        )  # fmt: skip
        digests.append(pybuild.image_id("x"))
    assert digests[0] == digests[1] == digests[2]


def test_what_is_lost_is_said_once(ci):
    context = ci.context({"Dockerfile": "FROM base\nRUN true\nRUN true\n"})
    said = ci.build(context, env=CHROOT).stderr
    assert said.count("keeps files apart and nothing else") == 1


def test_caches_are_kept_and_secrets_are_not(ci):
    text = (
        "FROM base\n"
        "RUN --mount=type=cache,target=/c --mount=type=secret,id=s --mount=type=tmpfs,target=/t "
        "cat /run/secrets/s > /dev/null && echo one >> /c/f && touch /t/x && test ! -e /again\n"
        "RUN --mount=type=cache,target=/c cat /c/f > /seen\n"
        "RUN test ! -e /run/secrets/s && test ! -e /t/x && grep -qx one /seen\n"
    )
    context = ci.context({"Dockerfile": text, "secret": "token"})
    ci.build(context, "--secret", f"id=s,src={context}/secret", "-t", "x", env=CHROOT)
    layers = ci.folder / "x.tar"
    ci.build(context, "--output", f"type=oci,dest={layers},compression=uncompressed", env=CHROOT)
    assert b"token" not in layers.read_bytes()


def test_a_program_that_is_left_running_ends_with_its_step(ci):
    text = "FROM base\nRUN (trap '' HUP TERM; sleep 71717) & (sleep 71717 &) ; true\n"
    ci.build(ci.context({"Dockerfile": text}), env=CHROOT)
    assert not running("sleep\x0071717")


def test_nothing_runs_on_when_pybuild_is_killed(ci):
    text = "FROM base\nRUN (sleep 71718 &) ; sleep 71718\n"
    base = f"base=oci-layout://{ci.busybox()}:latest"
    build = ci.start("--build-context", base, ci.context({"Dockerfile": text}), env=CHROOT)
    wait_for(lambda: len(running("sleep\x0071718")) == 2)
    build.send_signal(signal.SIGKILL)
    build.communicate()
    wait_for(lambda: not running("sleep\x0071718"))
    ci.build(ci.context({"Dockerfile": "FROM base\nRUN true\n"}), env=CHROOT)  # sweeps


def test_a_failing_steps_status_and_signal_are_seen(ci):
    base = f"base=oci-layout://{ci.busybox()}:latest"
    for command, said in (("exit 7", "exit code: 7"), ("kill -9 $$", "killed by signal 9")):
        context = ci.context({"Dockerfile": f"FROM base\nRUN {command}\n"})
        failed = ci("build", "--build-context", base, context, env=CHROOT)
        assert failed.status == 1
        assert said in failed.stderr


def test_what_chroot_cannot_do_is_refused(ci):
    base = f"base=oci-layout://{ci.busybox()}:latest"
    context = ci.context({"Dockerfile": "FROM base\nRUN --network=none true\n"})
    assert "no networks" in ci("build", "--build-context", base, context, env=CHROOT).stderr
    ci.build(ci.context({"Dockerfile": "FROM base\n"}), "-t", "x", env=CHROOT)
    refused = ci("run", "--rm", "x", "true", env=CHROOT)
    assert refused.status == 125
    assert "containers need namespaces" in refused.stderr
    assert ci("build", "--isolation", "none", context).status == 2


def test_links_that_a_step_puts_on_the_way_to_a_mount_lead_nowhere(ci):
    victim = ci.folder / "victim"
    victim.mkdir()
    (victim / "hosts").write_text("kept")
    (victim / "f").write_text("kept")
    text = (
        "FROM base\n"
        f"RUN --mount=type=cache,target=/c rm -rf /etc && ln -s {victim} /etc && "
        f"mv /c /c2 && ln -s {victim} /c\n"
        "RUN --mount=type=cache,target=/c test ! -e /c/f && echo written > /c/f\n"
    )
    ci.build(ci.context({"Dockerfile": text}), env=CHROOT)
    assert sorted(os.listdir(victim)) == ["f", "hosts"]
    assert (victim / "f").read_text() == (victim / "hosts").read_text() == "kept"


def running(command: str) -> list[str]:
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/cmdline", encoding="utf-8", errors="replace") as file:
                if command in file.read():
                    found.append(name)
        except OSError:
            continue
    return found


def wait_for(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
