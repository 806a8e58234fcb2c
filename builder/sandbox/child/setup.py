"""A child's way from clone to execve, in the order that the kernel and safety ask for.

Before pivot_root: everything that comes from the host is taken as a descriptor (binds) or made
as a mount without a place (/proc, /sys, tmpfs). After it the host's files are gone, and whatever a
path inside the root filesystem says, it cannot name one. Order: OCI runtime-spec, config-linux.md.
"""

from __future__ import annotations

import _socket
import os
import select

from builder.kernel import mount, namespaces
from builder.kernel.process import close_on_exec_from, die_with_parent
from builder.sandbox.child import (
    binds,
    devices,
    filesystems,
    identity,
    init,
    masks,
    network,
    program,
    settings,
)
from builder.sandbox.child.request import Request
from builder.sandbox.child.targets import make_directory
from builder.sandbox.child.wire import EXIT_NOT_STARTED, Report

_NAMESPACE_FLAGS = {
    "net": namespaces.CLONE_NEWNET,
    "ipc": namespaces.CLONE_NEWIPC,
    "uts": namespaces.CLONE_NEWUTS,
    "cgroup": namespaces.CLONE_NEWCGROUP,
}


def run_child(request: Request, setup_socket: _socket.socket, server_pidfd: int) -> None:
    """Become the process that is asked for. Never returns: it reports a failure and exits."""
    report = Report(setup_socket)
    try:
        if request.waits_on_clone:
            report.wait_for_go()
        _leave_server(request, server_pidfd, report)
        _enter_root(request, report)
        if request.waits_before_execute:
            report.wait_for_go()
        identity.limit_resources(request)
        identity.enter(request, report)
        report.executing()
        close_on_exec_from(3)
        if request.init:
            init.fork_program(terminal=request.terminal)
        program.execute(request.args, request.env, report)
    except OSError as error:
        report.failed(error)
    except BaseException as error:  # noqa: BLE001 - the process ends here, whatever it was
        report.crashed(error)
    finally:
        os._exit(EXIT_NOT_STARTED)


def _leave_server(request: Request, server_pidfd: int, report: Report) -> None:
    """Stand alone: own session, own cgroup, bound to the server's life."""
    die_with_parent()
    poll = select.poll()
    poll.register(server_pidfd, select.POLLIN)
    if poll.poll(0):  # it died before the line above could help
        os._exit(EXIT_NOT_STARTED)
    os.setsid()
    report.doing("cgroup")
    for fd in request.cgroup_fds:
        os.write(fd, b"0")  # "this process"
    if request.oom_score_adj:
        _set_oom_score(request.oom_score_adj, report)
    if request.confinement.has_own(namespaces.CLONE_NEWCGROUP):
        namespaces.unshare(namespaces.CLONE_NEWCGROUP)  # the joined groups are its roots
    for kind, fd in request.joined_fds:
        report.doing("namespace", kind)
        if kind in _NAMESPACE_FLAGS:  # into that of pids it was cloned
            namespaces.setns(fd, _NAMESPACE_FLAGS[kind])
    if request.confinement.has_own(namespaces.CLONE_NEWUTS):
        report.doing("hostname", request.hostname)
        _socket.sethostname(request.hostname)


def _set_oom_score(score: int, report: Report) -> None:
    report.doing("limit", f"--oom-score-adj {score}")
    with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(b"%d" % score)


def _enter_root(request: Request, report: Report) -> None:
    """Make the root filesystem, with all that is mounted in it, this process's only one."""
    report.doing("mount", "/")
    mount.mount("none", "/", "", mount.MS_REC | mount.MS_SLAVE)
    nodes = devices.take_nodes(request, report)
    prepared = binds.prepare(request, report)
    report.doing("pivot_root", request.rootfs_dir)
    place_fd = os.open(request.rootfs_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if request.new_user:  # until here with the caller's id, who may open its own files
        identity.become_root(report)
    special = filesystems.prepare(request, report)
    report.doing("pivot_root", request.rootfs_dir)
    root_fd = _pivot(place_fd, devices_usable=request.devices_usable)
    filesystems.attach(special, root_fd, report, privileged=request.privileged)
    devices.populate(special, nodes, request, report)
    if request.terminal:
        devices.open_terminal(special, request, report)
    else:
        devices.use_stdio(request.stdio_fds)
    if request.new_network:
        network.bring_up(special, report)
    settings.write(special, request.confinement, report)
    masks.hide_system(special, request.confinement, report)
    binds.attach(prepared, root_fd, report)
    masks.hide_others(root_fd, special, request.confinement, report)
    report.doing("cwd", request.cwd)
    make_directory(root_fd, request.cwd)
    if request.readonly_rootfs:
        report.doing("mount", "/")
        mount.set_attributes(root_fd, mount.ATTR_RDONLY)
    settings.label(special.proc_fd, request.confinement, report)


def _pivot(place_fd: int, *, devices_usable: bool) -> int:
    root_fd = mount.clone_tree(place_fd)
    if not devices_usable:
        # CAP_MKNOD is among the default capabilities: a node of a disk may be made, never opened
        mount.set_attributes(root_fd, mount.ATTR_NODEV)
    mount.attach(root_fd, place_fd)
    os.fchdir(root_fd)
    namespaces.pivot_root(".", ".")  # the old root comes to lie on the new one's "/"
    mount.unmount(".", mount.MNT_DETACH)
    os.chdir("/")
    os.close(place_fd)
    return root_fd
