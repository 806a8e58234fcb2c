"""`pybuild commit`: a container's changes as an image, as root and rootless."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator

import pytest

from conftest import person_of
from support.boxes import box_of, is_alive, running, wait_until
from support.oci import read_image
from support.pybuild import Pybuild
from support.trees import WHITEOUT

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]

CHANGES = """
echo new > /new
rm /etc/gone
rm -rf /tree; mkdir /tree; echo other > /tree/other
echo more >> /data/file
ln /new /second-name
ln -s new /link
mkfifo /pipe
chmod 4755 /plain.txt
chown 1:1000 /etc/keep
touch -d '2001-02-03 04:05:06' /new
"""


@pytest.fixture(scope="module")
def box(kind: str) -> Iterator[Pybuild]:
    with box_of(person_of(kind)) as pybuild:
        yield pybuild


@pytest.fixture
def changed(box: Pybuild) -> Iterator[str]:
    """A container that has ended and changed a few files."""
    box("run", "--name", "changed", "-e", "SET=1", "box", "sh", "-c", CHANGES).ok()
    yield "changed"
    box("rm", "changed").ok()


def output(box: Pybuild, *args: str) -> str:
    return box("run", "--rm", *args).ok().stdout


def test_a_commit_prints_the_id_of_an_image_with_one_layer_more(box: Pybuild, changed: str):
    done = box("commit", "-m", "what", "-a", "who", changed, "result:1").ok()
    image = box.inspect("result:1")
    assert done.stdout == f"{image['Id']}\n"
    assert image["RootFS"]["Layers"][:-1] == box.inspect("box")["RootFS"]["Layers"]
    history = box("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "result:1")
    assert history.ok().stdout.replace("\n", " ").startswith("sh -c  echo new > /new")
    assert "|what" in history.stdout
    assert image["Author"] == "who"


def test_the_new_image_holds_the_changes_and_the_deletions(box: Pybuild, changed: str):
    box("commit", changed, "result").ok()
    assert output(box, "result", "sh", "-c", "cat /new /second-name /link /data/file") == (
        "new\nnew\nnew\nfrom the image\nmore\n"
    )
    assert output(box, "result", "sh", "-c", "ls /tree; ls /etc/gone 2>&1 || true") == (
        "other\nls: /etc/gone: No such file or directory\n"
    )
    script = (
        "stat -c '%a %u:%g %h' /plain.txt /etc/keep /new; stat -c %y /new; test -p /pipe && echo p"
    )
    assert output(box, "result", "sh", "-c", script) == (
        "4755 0:0 1\n644 1:1000 1\n644 0:0 2\n2001-02-03 04:05:06.000000000 +0000\np\n"
    )


def test_the_container_is_as_it_was(box: Pybuild, changed: str):
    before = box("diff", changed).ok().stdout
    box("commit", changed, "result").ok()
    assert box("diff", changed).ok().stdout == before


def test_the_same_container_gives_the_same_layer_again(box: Pybuild, changed: str):
    layers = []
    for name in ("once", "twice"):
        box("commit", changed, name).ok()
        layers.append(box.inspect(name)["RootFS"]["Layers"])
    assert layers[0] == layers[1]


def test_the_images_layer_holds_the_changes_alone(box: Pybuild, changed: str, tmp_path):
    box("commit", changed, "result").ok()
    box("save", "-o", box.folder / "result.tar", "result").ok()
    image = read_image(box.folder / "result.tar")
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(image.layers[-1])) as layer:
        names = set(layer.getnames())
    assert {"new", "second-name", "link", "pipe", "plain.txt", "data/file"} <= names
    assert f"etc/{WHITEOUT}gone" in names
    assert not {"bin", "etc/hosts", "etc/hostname", "etc/resolv.conf", "proc", "dev"} & names


def test_the_new_image_runs_as_the_container_did_and_as_the_changes_say(box: Pybuild, changed: str):
    box(
        *("commit", "-c", 'CMD ["cat", "/new"]', "-c", "ENV ADDED=2", "-c", "USER app"),
        *("-c", "LABEL a=b", "-c", "WORKDIR /tmp", changed, "result"),
    ).ok()
    assert output(box, "result") == "new\n"
    assert output(box, "result", "sh", "-c", "echo $SET $ADDED $FROM_IMAGE; id -u; pwd") == (
        "1 2 yes\n1000\n/tmp\n"
    )
    assert box.inspect("result")["Config"]["Labels"] == {"a": "b"}


@pytest.mark.parametrize("change", ["RUN true", "NONSENSE x", "FROM box", "ENV"])
def test_a_change_that_makes_no_sense_is_refused_and_leaves_nothing(
    box: Pybuild, changed: str, change: str
):
    before = box("images", "-q").ok().stdout
    done = box("commit", "-c", change, changed)
    assert done.status == 1
    assert "Traceback" not in done.stderr
    assert box("images", "-q").ok().stdout == before


def test_a_container_that_changed_nothing_gives_an_image_without_a_new_layer(box: Pybuild):
    box("run", "--name", "idle", "box", "true").ok()
    box("commit", "idle", "same-files").ok()
    assert box.inspect("same-files")["RootFS"] == box.inspect("box")["RootFS"]
    assert box.image_id("same-files") != box.image_id("box")
    box("rm", "idle").ok()


def test_a_commit_can_be_committed_over_again(box: Pybuild):
    source = "box"
    for number in range(3):
        box("run", "--name", "step", source, "sh", "-c", f"echo {number} >> /log").ok()
        box("commit", "step", f"stack:{number}").ok()
        box("rm", "step").ok()
        source = f"stack:{number}"
    assert output(box, source, "cat", "/log") == "0\n1\n2\n"
    assert len(box.inspect(source)["RootFS"]["Layers"]) == 4


def test_what_a_volume_holds_is_not_committed(box: Pybuild):
    box("run", "--name", "vol", "volumes", "sh", "-c", "touch /data/in-volume /outside").ok()
    box("commit", "vol", "result").ok()
    box("rm", "-v", "vol").ok()
    assert output(box, "-v", "/data", "result", "ls", "/outside", "/data") == (
        "/outside\n\n/data:\nfile\nsub\n"
    )


RACE = """
trap 'exit 0' TERM
mkdir /c
i=0
while :; do
  for k in $(seq 400); do echo $i > /c/$k; done
  test $i = 0 && echo ready
  i=$((i+1))
done
"""


def test_a_running_container_is_paused_while_it_is_copied_and_goes_on(box: Pybuild):
    with running(box, "--name", "busy", "-u", "0", "box", "sh", "-c", RACE) as process:
        for attempt in range(3):
            box("commit", "busy", f"moment:{attempt}").ok()
            rounds = output(box, f"moment:{attempt}", "sh", "-c", "cat /c/*").split()
            assert len(rounds) >= 399  # one may have been emptied, and not written yet
            assert int(max(rounds, key=int)) - int(min(rounds, key=int)) <= 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    box("rm", "busy").ok()


def test_later_writes_of_the_container_do_not_reach_the_image(box: Pybuild):
    script = "echo first > /f; echo ready; read x; echo second > /f; echo done; read x"
    with running(box, "--name", "writer", "-i", "box", "sh", "-c", script, stdin=-1) as process:
        box("commit", "writer", "early").ok()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"done\n"
        assert output(box, "early", "cat", "/f") == "first\n"
        box("commit", "writer", "late").ok()
        assert output(box, "late", "cat", "/f") == "second\n"
        box("rm", "-f", "writer").ok()


def test_a_killed_commit_leaves_no_image_and_no_stopped_container(box: Pybuild):
    script = "seq 1 400000 > /big; cp -r /bin /copy; echo ready; while :; do sleep 0.05; done"
    with running(box, "--name", "victim", "box", "sh", "-c", script):
        images = box("images", "-aq").ok().stdout
        pid = int(box("inspect", "-f", "{{.State.Pid}}", "victim").ok().stdout)
        for delay_s in (0.1, 0.2, 0.3, 0.4, 0.6):
            commit = box.start("commit", "victim")
            time.sleep(delay_s)
            commit.kill()
            commit.communicate()
            if box("images", "-aq").ok().stdout != images:
                break
            wait_until(lambda: runs(pid), "the container stays stopped")
        assert is_alive(pid)
        box("ps").ok()
        box("rm", "-f", "victim").ok()
    snapshots = {path.name for path in (box.root / "snapshots").iterdir()}
    box("run", "--rm", "box", "true").ok()
    assert {path.name for path in (box.root / "snapshots").iterdir()} == snapshots


def runs(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        state = file.read().rpartition(")")[2].split()[0]
    with open(f"/proc/{pid}/cgroup") as file:
        groups = [line.strip().split(":", 2) for line in file]
    frozen = any(frozen_group(path) for _, controllers, path in groups if controllers == "")
    return state in "SRD" and not frozen


def frozen_group(path: str) -> bool:
    try:
        with open(f"/sys/fs/cgroup/unified{path}/cgroup.freeze") as file:
            return file.read().strip() == "1"
    except OSError:
        return False


def test_an_unknown_container_and_a_bad_name_are_refused(box: Pybuild, changed: str):
    assert box("commit", "no-such-container").status == 1
    assert box("commit", changed, "Not/A/Name").status == 1


def test_inspect_of_an_image_of_a_commit_has_no_trace_of_the_host(box: Pybuild, changed: str):
    box("commit", changed, "result").ok()
    assert "/store" not in json.dumps(box.inspect("result")["Config"])
