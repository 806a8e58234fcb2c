"""A program that runs processes in the sandbox for a test, as whoever the test acts as.

It enters namespaces of its own, mounts a root filesystem and then takes one request a line on
stdin, a JSON object, and answers with one. `support.sandbox` is the other end.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import struct
import sys
import termios
import threading
from contextlib import ExitStack

from builder.errors import IsolationError
from builder.kernel.keyring import join_new_session
from builder.kernel.libc import SystemCall, check
from builder.sandbox import cgroup
from builder.sandbox.accounts import lookup_user
from builder.sandbox.api import (
    BindEntry,
    Credentials,
    Hooks,
    JoinedNamespace,
    OverlayEntry,
    ProcessSpec,
    Stdio,
    TmpfsEntry,
)
from builder.sandbox.confinement import Confinement
from builder.sandbox.executor import NamespaceExecutor
from builder.sandbox.idmap import enter_private_namespaces
from builder.sandbox.mountpoints import BASE_POINTS, MountPoint, mounted_with_points
from cache.errors import PybuildError
from cache.snapshot.api import Mount
from cache.statedir import StateDir

ENTRIES = {"bind": BindEntry, "tmpfs": TmpfsEntry, "overlay": OverlayEntry}
ENV = ("PATH=/bin",)


def spec_of(rootfs_dir, request):
    fields = dict(request)
    fields["args"] = tuple(fields["args"])
    fields["env"] = tuple(fields.get("env", ENV))
    if "credentials" in fields:
        uid, gid, groups = fields["credentials"]
        fields["credentials"] = Credentials(uid, gid, tuple(groups))
    fields["mounts"] = tuple(ENTRIES[kind](**entry) for kind, entry in fields.get("mounts", ()))
    for name in ("capabilities", "rlimits", "cgroup_files"):
        if name in fields:
            fields[name] = tuple(tuple(x) if isinstance(x, list) else x for x in fields[name])
    if "confinement" in fields:
        limits = fields["confinement"]
        sysctls = tuple(map(tuple, limits.get("sysctls", ())))
        of_host = frozenset(limits.get("of_host", ()))
        masked = tuple(limits["masked"]) if "masked" in limits else None
        fields["confinement"] = Confinement(masked=masked, sysctls=sysctls, of_host=of_host)
    if "joined" in fields:
        fields["joined"] = tuple(JoinedNamespace(*each) for each in fields["joined"])
    return ProcessSpec(rootfs_dir=rootfs_dir, **fields)


def hooks_of(request, rootfs_dir):
    """Each hook that `request` has "hooks" for: fails, or writes /NAME of the root filesystem."""

    def hook(name, doing):
        if doing == "fail":
            raise IsolationError(f"{name} fails")
        with open(f"{rootfs_dir}/{name}", "w") as file:
            file.write(doing)

    asked = request.pop("hooks", {})
    return Hooks(**{name: lambda _, n=name, d=doing: hook(n, d) for name, doing in asked.items()})


def read_all(fd):
    output = b""
    while True:
        try:
            part = os.read(fd, 65536)
        except OSError:  # EIO: nobody has the terminal any more
            return output
        if not part:
            return output
        output += part


class Driver:
    def __init__(self, setup, mapping, stack):
        self.state = StateDir(setup["store"])
        stack.callback(self.state.close)
        self.executor = NamespaceExecutor(self.state, rootless=mapping.rootless)
        stack.callback(self.executor.close)
        for name in setup["keys"]:
            self.hold_key(name)
        self.executor.prepare()
        self.held = {}
        points = [MountPoint(path, is_directory=is_dir) for path, is_dir in setup["points"]]
        mount = Mount(
            tuple(setup["lowerdirs"]),
            setup["upperdir"],
            setup["workdir"],
            userxattr=mapping.rootless,
        )
        self.rootfs_dir = stack.enter_context(
            mounted_with_points(
                mount,
                self.state.scratch("rootfs"),
                (*BASE_POINTS, *points),
                stub_dir=self.state.scratch("stubs"),
                volatile=True,
            )
        )

    def run(self, request, stdin=None):
        """Start, read all output, wait."""
        read_fd, write_fd = os.pipe()
        hooks = hooks_of(request, self.rootfs_dir)
        spec = spec_of(self.rootfs_dir, request)
        try:
            process = self.executor.start(spec, Stdio(stdout=write_fd, stderr=write_fd), hooks)
        except PybuildError as error:
            os.close(read_fd)
            return {"error": error.code, "message": error.message, "status": error.exit_status}
        finally:
            os.close(write_fd)
        if process.terminal_fd is None:
            output = read_all(read_fd)
        else:
            output = self.talk(process.terminal_fd)
        os.close(read_fd)
        status = process.wait()
        return {"code": status.code, "signal": status.signal, "output": output.decode("latin-1")}

    def talk(self, master_fd):
        fcntl.ioctl(master_fd, termios.TIOCSWINSZ, struct.pack("4H", 33, 77, 0, 0))
        os.write(master_fd, b"go\n")
        output = read_all(master_fd)
        os.close(master_fd)
        return output

    def run_many(self, requests):
        answers = [None] * len(requests)

        def one(place):
            answers[place] = self.run(requests[place])

        threads = [threading.Thread(target=one, args=(place,)) for place in range(len(requests))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def start(self, request):
        process = self.executor.start(spec_of(self.rootfs_dir, request), Stdio())
        self.held[process.pid] = process
        return process.pid

    def run_with_fd(self, request, source, target):
        """With a bind of what a descriptor of this process names."""
        fd = os.open(source, os.O_PATH)
        entry = ["bind", {"source": f"/proc/self/fd/{fd}", "target": target, "readonly": True}]
        try:
            return self.run({**request, "mounts": [entry]})
        finally:
            os.close(fd)

    def hold_key(self, name):
        """Have a key in the session keyring, from before the server's start."""
        join_new_session()
        add_key = SystemCall(248, *[ctypes.c_char_p] * 3, ctypes.c_size_t, ctypes.c_int)
        check(add_key(b"user", name.encode(), b"secret", 6, -3))

    def uid_of(self, user):
        """Who a user of the image is; the error's code where there is none such."""
        root_fd = os.open(self.rootfs_dir, os.O_PATH | os.O_DIRECTORY)
        try:
            return lookup_user(root_fd, user).credentials.uid
        except PybuildError as error:
            return error.code
        finally:
            os.close(root_fd)

    def signal(self, pid, number):
        self.held[pid].signal(number)

    def wait(self, pid, timeout_s):
        status = self.held[pid].wait(timeout_s)
        return status and {"code": status.code, "signal": status.signal}

    def make_group(self, name):
        """The files to join it by; none where this user may make none."""
        self.group = cgroup.make(cgroup.plan(name, ()), ())
        return self.group.join_files

    def freeze(self):
        self.group.freeze()

    def thaw(self):
        self.group.thaw()

    def remove_group(self):
        self.group.remove()

    def facts(self):
        """What is true of the driver itself."""
        return {
            "pid": os.getpid(),
            "warnings": self.executor.warnings,
            "fds": len(os.listdir("/proc/self/fd")),
            "mounts": len(open("/proc/self/mountinfo").readlines()),
        }


def main():
    setup = json.loads(sys.stdin.readline())
    mapping = enter_private_namespaces()
    with ExitStack() as stack:
        driver = Driver(setup, mapping, stack)
        print(json.dumps({"warnings": mapping.warnings, "one_id": mapping.one_id}), flush=True)
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            print(json.dumps(getattr(driver, name)(*arguments)), flush=True)


main()
