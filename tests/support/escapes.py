"""Ways out of the sandbox, each with the protection that stops it.

An escape is tried twice: against the code as it is, where it must fail, and against a copy of the
code with its protection taken out, where it must work. So a protection that no longer does
anything, or a try that never could work, shows. Some protections are second lines of defence, that
only count when something else has gone wrong: `weakness` puts that wrong into both copies.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support.sandbox import Sandbox

Change = tuple[str, str, str]
"""(path of a module, text that stands there once, text in its place)."""

CHILD = "builder/sandbox/child"
ESCAPED_DIR = "/tmp/pybuild-escaped"
LEAK = (
    f"{CHILD}/setup.py",
    "    report = Report(setup_socket)\n    try:\n",
    "    report = Report(setup_socket)\n"
    "    os.dup2(os.open('/', os.O_PATH | os.O_DIRECTORY), 99)\n    try:\n",
)
"""The host's root directory left open in the child, and not to be closed by execve."""

_SEES_HOST = (
    "[ -e {place}/usr/bin/setpriv ] && echo escaped"  # on the root file system, and in no image
)


@dataclass(frozen=True)
class Escape:
    """One try. `attempt` says whether it got out."""

    name: str
    protection: tuple[Change, ...]
    attempt: Callable[[Sandbox], bool]
    lesson: str = ""
    weakness: tuple[Change, ...] = ()
    image: Callable[[Path], None] = field(default=lambda rootfs: None)
    around: Sequence[str] = ()
    keys: Sequence[str] = ()
    only_root: bool = False


def shell_says(script: str, expected: str = "escaped", **spec) -> Callable[[Sandbox], bool]:
    """Whether a line that a shell in the sandbox prints is `expected`."""

    def attempt(sandbox: Sandbox) -> bool:
        text = script.replace("{directory}", str(sandbox.directory))
        return expected in sandbox.shell(text, **spec).lines

    return attempt


def runs(**spec) -> Callable[[Sandbox], bool]:
    """Whether a process can be started at all."""
    return lambda sandbox: sandbox.run("true", **spec).error == ""


def status_shows(pattern: str, **spec) -> Callable[[Sandbox], bool]:
    """Whether /proc/self/status of a process in the sandbox matches."""

    def attempt(sandbox: Sandbox) -> bool:
        output = sandbox.shell("cat /proc/self/status", **spec).output
        assert "Seccomp" in output
        return re.search(pattern, output, re.MULTILINE) is not None

    return attempt


def makes_host_directory(**spec) -> Callable[[Sandbox], bool]:
    """Whether a directory appears on the host."""

    def attempt(sandbox: Sandbox) -> bool:
        try:
            sandbox.run("true", **spec)
            return any(Path(ESCAPED_DIR).iterdir())
        finally:
            subprocess.run(["rm", "-rf", *Path(ESCAPED_DIR).iterdir()], check=True)

    return attempt


def _link(name: str, target: str) -> Callable[[Path], None]:
    def image(rootfs: Path) -> None:
        path = rootfs / name
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return image


def _file(name: str, content: str) -> Callable[[Path], None]:
    def image(rootfs: Path) -> None:
        (rootfs / name).write_text(content)

    return image


def _change_servers_program(sandbox: Sandbox) -> bool:
    children = f"/proc/{sandbox.driver.pid}/task/{sandbox.driver.pid}/children"
    server = Path(children).read_text().split()[0]
    mode = f"{os.stat(f'/proc/{server}/exe').st_mode & 0o7777:o}"
    script = f"chmod {mode} /proc/{server}/exe && echo escaped"
    ran = sandbox.shell(script, privileged=True, confinement={"of_host": ["pid"]})
    return "escaped" in ran.lines


_IN_ROOT = ("builder/kernel/paths.py", "flags, mode, _IN_ROOT | _NO_MAGICLINKS)", "flags, mode, 0)")
_ANY_CWD = (f"{CHILD}/setup.py", "    make_directory(root_fd, request.cwd)\n", "")
_NO_SWITCH = "    own = 0 if request.uid else allowed\n"

ESCAPES = (
    Escape(
        "a working directory that is a leaked descriptor of the host's",
        weakness=(LEAK, _ANY_CWD),
        protection=((f"{CHILD}/identity.py", "    _check_cwd(request.cwd, report)\n", ""),),
        attempt=shell_says(_SEES_HOST.replace("{place}", "."), cwd="/proc/self/fd/99"),
        lesson="CVE-2024-21626",
    ),
    Escape(
        "a descriptor that was left open",
        weakness=(LEAK,),
        protection=((f"{CHILD}/setup.py", "        close_on_exec_from(3)\n", ""),),
        attempt=shell_says(_SEES_HOST.replace("{place}", "/proc/self/fd/99")),
        lesson="CVE-2024-21626",
    ),
    Escape(
        "writing to the program that the sandbox itself is",
        protection=(
            (
                "builder/sandbox/server_process.py",
                "            mount.set_attributes(tree_fd, mount.ATTR_RDONLY)\n",
                "",
            ),
        ),
        attempt=_change_servers_program,
        lesson="CVE-2019-5736",
        only_root=True,
    ),
    *(
        Escape(
            f"a link in place of /{name}",
            protection=(
                (
                    f"{CHILD}/targets.py",
                    "flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW",
                    "flags = os.O_PATH | os.O_DIRECTORY",
                ),
            ),
            image=_link(name, "/tmp"),
            attempt=runs(),
            lesson="CVE-2023-27561, CVE-2026-47766",
        )
        for name in ("proc", "sys", "dev")
    ),
    Escape(
        "a mount target that a link leads out of the image",
        weakness=(LEAK,),
        protection=(_IN_ROOT,),
        image=_link("out", f"/proc/self/fd/99{ESCAPED_DIR}"),
        attempt=makes_host_directory(mounts=[["tmpfs", {"target": "/out/made"}]]),
        lesson="CVE-2021-30465",
    ),
    Escape(
        "a working directory that is made where a link leads",
        weakness=(LEAK,),
        protection=(_IN_ROOT,),
        image=_link("out", f"/proc/self/fd/99{ESCAPED_DIR}"),
        attempt=makes_host_directory(cwd="/out/made"),
        lesson="CVE-2026-55686",
    ),
    Escape(
        "a null device that is none, in front of what is to be hidden",
        protection=(
            (
                f"{CHILD}/devices.py",
                "    if number is not None and info.st_rdev != os.makedev(*number):\n"
                "        return False\n",
                "",
            ),
            (
                f"{CHILD}/devices.py",
                "    return stat.S_ISCHR(info.st_mode) or (number is None "
                "and stat.S_ISBLK(info.st_mode))",
                "    return True",
            ),
        ),
        around=("unshare", "-m", "sh", "-ec", 'mount --bind /etc/hosts /dev/null; exec "$@"', "sh"),
        attempt=runs(),
        lesson="CVE-2025-31133",
        only_root=True,
    ),
    Escape(
        "a file that passes for one of procfs, written to with privileges",
        weakness=(
            (
                f"{CHILD}/settings.py",
                "    fd = open_beneath(proc_fd, path, flags, links=False)\n",
                "    fake_fd = os.open('/tmp', os.O_PATH)\n"
                "    os.close(os.open('/tmp/fake', os.O_CREAT | os.O_WRONLY))\n"
                "    fd = open_beneath(fake_fd, 'fake', flags, links=False)\n",
            ),
        ),
        protection=(
            (f"{CHILD}/settings.py", "if file_system_of(fd) != _PROC_SUPER_MAGIC:", "if False:"),
        ),
        attempt=runs(confinement={"sysctls": [["kernel.msgmax", "4321"]]}),
        lesson="CVE-2025-52881",
    ),
    Escape(
        "a number too large for an id, that the image's passwd has as a name",
        protection=(
            (
                "builder/sandbox/accounts.py",
                '    if number is None:\n        raise AccountError(f"{what} id {text}',
                '    if False:\n        raise AccountError(f"{what} id {text}',
            ),
        ),
        image=_file("etc/passwd", "4294967296:x:0:0::/:/bin/sh\n"),
        attempt=lambda sandbox: sandbox.call("uid_of", "4294967296") == 0,
        lesson="CVE-2024-40635",
    ),
    Escape(
        "a passwd that fills the memory",
        protection=(
            (
                "builder/sandbox/accounts.py",
                "_MAX_FILE_BYTES = 1 << 20",
                "_MAX_FILE_BYTES = 1 << 30",
            ),
        ),
        image=_file("etc/passwd", "root:x:0:0::/root:/bin/sh\n" + "#" * (3 << 20)),
        attempt=lambda sandbox: sandbox.call("uid_of", "root") == 0,
        lesson="CVE-2024-9676",
    ),
    Escape(
        "a device node that a container makes",
        protection=(
            (f"{CHILD}/setup.py", "mount.set_attributes(root_fd, mount.ATTR_NODEV)", "pass"),
        ),
        attempt=shell_says("mknod /zero c 1 5 && dd if=/zero bs=1 count=1 2>&- | wc -c", "1"),
        only_root=True,
    ),
    Escape(
        "a control group of its own, whose release agent the host would run",
        protection=(
            (
                f"{CHILD}/filesystems.py",
                "    cgroups = _new_cgroups(readonly)\n",
                "    cgroups = _new_cgroups(0)\n",
            ),
        ),
        attempt=shell_says(
            "for d in /sys/fs/cgroup/ /sys/fs/cgroup/*/; do mkdir $d/pybuild-escape 2>&- "
            "&& rmdir $d/pybuild-escape && echo escaped; done"
        ),
        lesson="CVE-2022-0492",
        only_root=True,
    ),
    Escape(
        "the program that the kernel runs for a core dump",
        protection=(
            ("builder/sandbox/confinement.py", '"/proc/irq", "/proc/sys",', '"/proc/irq",'),
        ),
        attempt=shell_says(
            "cd /proc/sys/kernel; v=$(cat core_pattern); "
            'echo "$v" 2>&- > core_pattern && echo escaped'
        ),
        only_root=True,
    ),
    Escape(
        "the settings of the kernel in /sys",
        protection=(
            (
                f"{CHILD}/filesystems.py",
                '    sys_fd = _new_or_host("sysfs", "/sys", readonly, report)\n',
                '    sys_fd = _new_or_host("sysfs", "/sys", 0, report)\n',
            ),
        ),
        attempt=shell_says(
            "mount | grep -q '^sysfs on /sys type sysfs (rw' && echo escaped", network="none"
        ),
    ),
    Escape(
        "keys of whoever runs the container",
        protection=((f"{CHILD}/identity.py", "    keyring.join_new_session()", "    keyring"),),
        keys=("pybuild-secret",),
        attempt=shell_says(
            "while read line; do case $line in *pybuild-secret*) echo escaped;; esac; "
            "done < /proc/keys",
            credentials=[100, 101, []],
            confinement={"masked": []},
        ),
        only_root=True,
    ),
    Escape(
        "what /proc hides of the machine",
        protection=(
            (
                f"{CHILD}/setup.py",
                "    masks.hide_system(special, request.confinement, report)\n",
                "",
            ),
        ),
        attempt=shell_says("grep -q CPU /proc/interrupts && echo escaped"),
    ),
    Escape(
        "abstract sockets of the host",
        protection=(
            (
                f"{CHILD}/server.py",
                "(namespaces.CLONE_NEWNET if request.new_network else 0)",
                "0",
            ),
            (f"{CHILD}/setup.py", "        network.bring_up(special, report)\n", "        pass\n"),
        ),
        attempt=shell_says(
            "while read line; do case $line in *@pybuild-abstract) echo escaped;; esac; "
            "done < /proc/net/unix",
            network="none",
        ),
        lesson="CVE-2020-15257",
    ),
    Escape(
        "capabilities to inherit",
        weakness=((f"{CHILD}/identity.py", _NO_SWITCH, _NO_SWITCH + "    inherited = allowed\n"),),
        protection=(
            (
                f"{CHILD}/identity.py",
                "    _load_filter(request.seccomp_fd, report)\n"
                "    capabilities.set_sets(effective=own, permitted=own)",
                "    _load_filter(request.seccomp_fd, report)\n"
                "    capabilities.set_sets(effective=own, permitted=own, inheritable=inherited)",
            ),
        ),
        attempt=status_shows(r"^CapInh:\s0*[1-9a-f]"),
        lesson="CVE-2022-24769",
    ),
    Escape(
        "capabilities beyond those that were asked for",
        protection=(
            (f"{CHILD}/identity.py", "    capabilities.limit_bounding(request.capabilities)\n", ""),
        ),
        attempt=status_shows(r"^CapBnd:\s0*1ffffffffff$|^CapBnd:\s0*1fffeffffff$"),
    ),
    Escape(
        "the caller's supplementary groups",
        protection=(
            (f"{CHILD}/identity.py", "        os.setgroups(request.groups)\n", "        pass\n"),
        ),
        around=("setpriv", "--groups", "0,4,27"),
        attempt=status_shows(r"^Groups:\s.*\b27\b"),
        lesson="CVE-2022-36109",
        only_root=True,
    ),
    Escape(
        "system calls that the filter forbids",
        protection=(
            (f"{CHILD}/identity.py", "    _load_filter(request.seccomp_fd, report)\n", ""),
        ),
        attempt=shell_says("unshare -U true 2>&- && echo escaped"),
    ),
    Escape(
        "the host's processes",
        protection=(
            (
                f"{CHILD}/server.py",
                "flags | request.confinement.namespaces & ~namespaces.CLONE_NEWCGROUP",
                "flags | request.confinement.namespaces "
                "& ~namespaces.CLONE_NEWCGROUP & ~namespaces.CLONE_NEWPID",
            ),
        ),
        attempt=shell_says("[ -d /proc/2/fd -o $$ -gt 9 ] && echo escaped"),
    ),
    Escape(
        "the host's name",
        protection=(
            (
                f"{CHILD}/server.py",
                "flags | request.confinement.namespaces & ~namespaces.CLONE_NEWCGROUP",
                "flags | request.confinement.namespaces "
                "& ~namespaces.CLONE_NEWCGROUP & ~namespaces.CLONE_NEWUTS",
            ),
            (
                f"{CHILD}/setup.py",
                "        _socket.sethostname(request.hostname)\n",
                "        pass\n",
            ),
        ),
        attempt=shell_says(f"[ $(hostname) = {os.uname().nodename} ] && echo escaped"),
    ),
)
