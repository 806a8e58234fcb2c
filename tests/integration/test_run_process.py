"""`pybuild run`: what the process gets, and what its end gives, as root and rootless."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import person_of
from support.boxes import box_of
from support.commands import pybuild_argv, pybuild_environment, run
from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]


@pytest.fixture(scope="module")
def box(kind: str) -> Iterator[Pybuild]:
    with box_of(person_of(kind)) as pybuild:
        yield pybuild


def output(box: Pybuild, *args: str, **options) -> str:
    return box("run", "--rm", *args, **options).ok().stdout


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_exit_status_is_the_processs_own(box: Pybuild, code: int):
    assert box("run", "--rm", "box", "sh", "-c", f"exit {code}").status == code


def test_a_process_that_a_signal_ended_gives_128_and_its_number(box: Pybuild):
    done = box("run", "--rm", "box", "sh", "-c", "ulimit -t 1; while :; do :; done")
    assert done.status in {128 + 9, 128 + 24}


def test_without_a_command_the_images_own_runs(box: Pybuild):
    assert output(box, "box") == "the default\n"


def test_an_unknown_image_is_status_125_and_says_so(box: Pybuild):
    done = box("run", "nothing-like-it", "true")
    assert done.status == 125
    assert "nothing-like-it" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_that_is_not_there_is_status_127(box: Pybuild):
    for program in ("no-such-program", "/no/such/program"):
        done = box("run", "--rm", "box", program)
        assert done.status == 127
        assert program in done.stderr


@pytest.mark.parametrize("program", ["/plain.txt", "/etc", "/broken"])
def test_what_cannot_be_executed_is_status_126(box: Pybuild, program: str):
    assert box("run", "--rm", "box", program).status == 126


@pytest.mark.parametrize(
    "args",
    [
        ("--no-such-option", "box", "true"),
        ("-v", "relative:also", "box", "true"),
        ("-u", "nobody-knows", "box", "true"),
        ("-w", "relative", "box", "true"),
        ("--cap-add", "FLY", "box", "true"),
        ("--name", "a/b", "box", "true"),
        ("--ulimit", "nofile=x", "box", "true"),
        ("--rm=perhaps", "box", "true"),
        ("-e",),
        (),
    ],
)
def test_what_is_wrong_before_the_start_is_status_125(box: Pybuild, args: tuple[str, ...]):
    done = box("run", *args)
    assert done.status == 125
    assert done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (("--kernel-memory=1g",), "--kernel-memory"),
        (("--storage-opt", "size=1g"), "--storage-opt"),
        (("--link", "db"), "--link"),
        (("--gpus", "all"), "--gpus"),
    ],
)
def test_an_option_of_dockers_that_is_not_there_is_refused_by_its_name(
    box: Pybuild, args: tuple[str, ...], name: str
):
    done = box("run", *args, "box", "echo", "ran")
    assert done.status == 125
    assert name in done.stderr
    assert done.stdout == ""


def test_options_after_the_image_belong_to_the_command(box: Pybuild):
    assert output(box, "box", "echo", "-d", "--rm", "--", "-x") == "-d --rm -- -x\n"


def test_switches_take_a_value_and_short_options_stand_together(box: Pybuild):
    script = "cat; env"
    with_value = output(
        box, "--rm=true", "-ieA=1", "--privileged=false", "box", "sh", "-c", script, stdin="in\n"
    )
    assert with_value.startswith("in\n")
    assert "A=1\n" in with_value


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_output_that_the_caller_has_closed_goes_into_no_file_of_the_store(
    box: Pybuild, closed: str
):
    argv = pybuild_argv(["run", "--rm", "-i", "box", "seq", "1000"], user=box.user)
    environment = pybuild_environment(user=box.user, root=box.root, tmp=box.tmp)
    words = ["sh", "-c", f'exec "$@" {closed}', "sh", *argv]
    done = run(words, env=environment, cwd=box.folder)
    assert done.status == 0
    if ">&-" not in closed.replace("2>&-", ""):
        assert done.stdout.splitlines()[-1] == "1000"
    assert output(box, "box", "echo", "fine") == "fine\n"


def test_stdout_and_stderr_are_kept_apart(box: Pybuild):
    done = box("run", "--rm", "box", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_much_output_arrives_whole(box: Pybuild):
    text = output(box, "box", "sh", "-c", "seq 1 200000")
    assert text == "".join(f"{number}\n" for number in range(1, 200001))


def test_stdin_is_passed_on_with_i_and_empty_without(box: Pybuild):
    assert output(box, "-i", "box", "cat", stdin="text\n" * 20000) == "text\n" * 20000
    assert output(box, "box", "cat", stdin="text\n") == ""


def test_a_process_that_does_not_read_its_stdin_ends_nevertheless(box: Pybuild):
    assert box("run", "--rm", "-i", "box", "true", stdin="x" * (1 << 20)).status == 0


def test_stdio_can_be_opened_again_by_an_ordinary_user(box: Pybuild):
    script = "echo again > /dev/stdout; echo error > /dev/stderr"
    done = box("run", "--rm", "-u", "app", "box", "sh", "-c", script).ok()
    assert (done.stdout, done.stderr) == ("again\n", "error\n")


def test_the_environment_is_the_images_with_the_options_put_in(box: Pybuild):
    env_file = box.folder / "env"
    env_file.write_text("# comment\nFILE=f\nBOTH=file\nCALLER\n")
    env_file.chmod(0o644)
    text = output(
        box,
        *("--env-file", str(env_file), "-e", "BOTH=option", "-e", "GIVEN", "-e", "MISSING"),
        *("-e", "EMPTY=", "--network", "none", "box", "env"),
        env={"GIVEN": "g", "CALLER": "c", "SECRET": "s"},
    )
    found = dict(line.split("=", 1) for line in text.splitlines())
    found.pop("SHLVL", None)
    hostname = found.pop("HOSTNAME")
    assert len(hostname) == 12
    assert found == {
        "PATH": "/bin",
        "FROM_IMAGE": "yes",
        "FILE": "f",
        "BOTH": "option",
        "CALLER": "c",
        "GIVEN": "g",
        "EMPTY": "",
        "HOME": "/root",
    }


def test_a_variable_that_the_caller_has_not_is_taken_from_the_image(box: Pybuild):
    assert "FROM_IMAGE" not in output(box, "-e", "FROM_IMAGE", "box", "env")


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("app", "uid=1000(app) gid=1000(app)"),
        ("1000", "uid=1000(app) gid=1000(app)"),
        ("1000:1", "uid=1000(app) gid=1(daemon)"),
        ("77:daemon", "uid=77 gid=1(daemon)"),
        ("77", "uid=77 gid=0(root)"),
    ],
)
def test_the_process_runs_as_the_user_asked_for(box: Pybuild, user: str, expected: str):
    assert output(box, "-u", user, "box", "id").strip().startswith(expected)


def test_home_is_the_users_own(box: Pybuild):
    assert output(box, "-u", "app", "box", "sh", "-c", "echo $HOME") == "/tmp\n"
    assert output(box, "-u", "app", "-e", "HOME=/x", "box", "sh", "-c", "echo $HOME") == "/x\n"


def test_the_working_directory_is_made_where_it_is_missing(box: Pybuild):
    assert output(box, "-w", "/made/here", "box", "sh", "-c", "pwd; stat -c %u:%g:%a .") == (
        "/made/here\n0:0:755\n"
    )


def test_an_entrypoint_takes_the_place_of_the_images(box: Pybuild):
    assert output(box, "--entrypoint", "echo", "box", "a", "b") == "a b\n"
    assert box("run", "--rm", "--entrypoint", "", "box").status == 125


def test_the_host_name_is_the_short_id_unless_one_is_given(box: Pybuild):
    cidfile = box.folder / "cid"
    script = ("sh", "-c", "hostname; cat /etc/hostname")
    text = output(box, "--cidfile", str(cidfile), "--network", "none", "box", *script)
    short_id = cidfile.read_text()[:12]
    cidfile.unlink()
    assert text == f"{short_id}\n" * 2
    assert output(box, "-h", "mine", "box", "hostname") == "mine\n"


def test_a_cidfile_that_is_there_is_left_alone(box: Pybuild):
    cidfile = box.folder / "theirs"
    cidfile.write_text("theirs")
    assert box("run", "--rm", "--cidfile", str(cidfile), "box", "true").status == 125
    assert cidfile.read_text() == "theirs"
    cidfile.unlink()


def test_without_a_network_there_is_loopback_alone(box: Pybuild):
    text = output(box, "--network", "none", "box", "sh", "-c", "ls /sys/class/net; ip addr show lo")
    assert text.startswith("lo\n")
    assert "127.0.0.1" in text


def test_extra_hosts_stand_in_etc_hosts(box: Pybuild):
    text = output(box, "--add-host", "db:10.1.2.3", "box", "cat", "/etc/hosts")
    assert "10.1.2.3\tdb\n" in text
    assert "localhost" in text


def test_capabilities_are_added_and_dropped(box: Pybuild):
    def bounding(*args: str) -> int:
        return int(output(box, *args, "box", "grep", "CapBnd", "/proc/self/status").split()[1], 16)

    chown, sys_admin, sys_time = 1 << 0, 1 << 21, 1 << 25
    assert bounding() & chown
    assert not bounding() & sys_time
    assert not bounding("--cap-drop", "chown") & chown
    assert bounding("--cap-add", "SYS_TIME") & sys_time
    assert bounding("--cap-drop", "ALL") == 0
    assert bounding("--privileged") & sys_admin


def test_security_options_and_limits_reach_the_process(box: Pybuild):
    status = output(
        box,
        *("--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined"),
        *("--ulimit", "nofile=100:200", "--shm-size", "1m", "box", "sh", "-c"),
        "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status; ulimit -Sn; ulimit -Hn; df -k /dev/shm",
    )
    assert status.startswith("NoNewPrivs:\t1\nSeccomp:\t0\n100\n200\n")
    assert " 1024 " in status


def test_a_root_filesystem_may_be_read_only(box: Pybuild):
    done = box("run", "--rm", "--read-only", "box", "sh", "-c", "touch /x || echo refused")
    assert done.stdout == "refused\n"


def test_two_containers_of_one_name_are_refused(box: Pybuild):
    box("run", "--name", "unique", "box", "true").ok()
    again = box("run", "--name", "unique", "box", "true")
    assert again.status == 125
    assert "unique" in again.stderr
    box("rm", "unique").ok()


def test_a_container_with_rm_leaves_nothing_in_the_store(box: Pybuild):
    before = sorted(path.name for path in (box.root / "containers").iterdir())
    box("run", "--rm", "volumes", "touch", "/data/x").ok()
    box("run", "--rm", "box", "no-such-program")
    box("run", "--rm", "-u", "nobody-knows", "box", "true")
    assert sorted(path.name for path in (box.root / "containers").iterdir()) == before
    assert list((box.root / "volumes").iterdir()) == []


def test_an_image_of_a_container_is_not_changed_by_it(box: Pybuild):
    box("run", "--rm", "box", "sh", "-c", "rm -rf /etc/keep /tree; echo x > /data/file").ok()
    assert output(box, "box", "cat", "/etc/keep", "/tree/leaf", "/data/file") == (
        "kept\nleaf\nfrom the image\n"
    )
