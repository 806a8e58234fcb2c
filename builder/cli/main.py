"""The entry point: finds the command, runs it, turns errors into text and an exit status.

`build` is the default: `pybuild -t app .` is `pybuild build -t app .`. A command's module is
imported only when it is called, so that short commands stay short.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from builder.version import VERSION

if TYPE_CHECKING:  # `--version` imports nothing that it doesn't need
    from typing import NoReturn

COMMANDS: dict[str, tuple[str, str]] = {
    "build": ("builder.cli.build", "Build an image from a Dockerfile (the default command)"),
    "run": ("builder.cli.run", "Run a command in a new container"),
    "exec": ("builder.cli.exec", "Run a command in a container that runs"),
    "attach": ("builder.cli.attach", "Tie the terminal to a container that runs"),
    "commit": ("builder.cli.commit", "Make an image from a container's changes"),
    "create": ("builder.cli.create", "Make a container without starting it"),
    "start": ("builder.cli.start", "Start containers"),
    "stop": ("builder.cli.stop", "End containers in good order"),
    "restart": ("builder.cli.restart", "Stop containers and start them again"),
    "kill": ("builder.cli.kill", "Send containers a signal"),
    "pause": ("builder.cli.pause", "Hold containers still"),
    "unpause": ("builder.cli.unpause", "Let containers go on"),
    "wait": ("builder.cli.wait", "Wait for the end of containers"),
    "logs": ("builder.cli.logs", "Show what a container has written"),
    "rename": ("builder.cli.rename", "Give a container another name"),
    "update": ("builder.cli.update", "Change limits and restart policies of containers"),
    "ps": ("builder.cli.ps", "List containers"),
    "rm": ("builder.cli.rm", "Remove containers"),
    "cp": ("builder.cli.cp", "Copy files between a container and this machine"),
    "export": ("builder.cli.export", "Write a container's files to an archive"),
    "diff": ("builder.cli.diff", "Show what a container changed in its file system"),
    "images": ("builder.cli.images", "List images"),
    "inspect": ("builder.cli.inspect", "Show all about an image or a container as JSON"),
    "history": ("builder.cli.history", "Show the steps that made an image"),
    "tag": ("builder.cli.tag", "Give an image another name"),
    "rmi": ("builder.cli.rmi", "Remove images"),
    "pull": ("builder.cli.pull", "Get an image from a registry"),
    "push": ("builder.cli.push", "Send an image to a registry"),
    "manifest inspect": ("builder.cli.manifest_inspect", "Show what a registry has under a name"),
    "login": ("builder.cli.login", "Keep credentials for a registry"),
    "logout": ("builder.cli.logout", "Forget the credentials for a registry"),
    "save": ("builder.cli.save", "Write images to an archive"),
    "load": ("builder.cli.load", "Take images from an archive"),
    "import": ("builder.cli.import_", "Make an image from a root file system's tar"),
    "bundle": ("builder.cli.bundle", "Write an image as a bundle for an OCI runtime"),
    "bootstrap": ("builder.cli.bootstrap", "Make a base image from this machine's own programs"),
    "pin": ("builder.cli.pin", "Write digests behind the images that a Dockerfile names"),
    "events": ("builder.cli.events", "Show what happens to containers, images, volumes"),
    "stats": ("builder.cli.stats", "Show what containers use of the machine"),
    "top": ("builder.cli.top", "Show the processes of a container"),
    "network connect": ("builder.cli.network_connect", "Put a container on a network"),
    "network create": ("builder.cli.network_create", "Make a network"),
    "network disconnect": ("builder.cli.network_disconnect", "Take a container off a network"),
    "network inspect": ("builder.cli.network_inspect", "Show all about networks as JSON"),
    "network ls": ("builder.cli.network_ls", "List networks"),
    "network prune": ("builder.cli.network_prune", "Remove the networks that no container uses"),
    "network rm": ("builder.cli.network_rm", "Remove networks"),
    "port": ("builder.cli.port", "Show where a container's ports can be reached"),
    "info": ("builder.cli.info", "Show what there is: the store, the kernel's features, tools"),
    "version": ("builder.cli.version", "Show the version of pybuild and of what it runs on"),
    "volume create": ("builder.cli.volume_create", "Make a volume"),
    "volume inspect": ("builder.cli.volume_inspect", "Show all about volumes as JSON"),
    "volume ls": ("builder.cli.volume_ls", "List volumes"),
    "volume prune": ("builder.cli.volume_prune", "Remove the volumes that no container uses"),
    "volume rm": ("builder.cli.volume_rm", "Remove volumes"),
    "container prune": ("builder.cli.container_prune", "Remove all containers that don't run"),
    "image prune": ("builder.cli.image_prune", "Remove the images that nothing names or needs"),
    "builder prune": ("builder.cli.builder_prune", "Remove the build cache"),
    "system df": ("builder.cli.system_df", "Show what the store's room is used for"),
    "system fsck": ("builder.cli.system_fsck", "Check all that the store holds"),
    "system prune": ("builder.cli.system_prune", "Remove all that nobody needs"),
}
"""Command → its module and its line in the help; the module has a click command `command`.

One of two words is a command of a group's own, which GROUPS has too.
"""

GROUPS: dict[str, dict[str, str]] = {
    "image": {
        "build": "build",
        "history": "history",
        "import": "import",
        "inspect": "inspect --type=image",
        "list": "images",
        "load": "load",
        "ls": "images",
        "prune": "image prune",
        "pull": "pull",
        "push": "push",
        "rm": "rmi",
        "save": "save",
        "tag": "tag",
    },
    "container": {
        "attach": "attach",
        "commit": "commit",
        "cp": "cp",
        "export": "export",
        "diff": "diff",
        "exec": "exec",
        "inspect": "inspect --type=container",
        "list": "ps",
        "ls": "ps",
        "port": "port",
        "prune": "container prune",
        "stats": "stats",
        "top": "top",
        "ps": "ps",
        "rm": "rm",
        "run": "run",
        "create": "create",
        "kill": "kill",
        "logs": "logs",
        "pause": "pause",
        "rename": "rename",
        "restart": "restart",
        "start": "start",
        "stop": "stop",
        "unpause": "unpause",
        "update": "update",
        "wait": "wait",
    },
    "builder": {"build": "build", "prune": "builder prune"},
    "buildx": {"build": "build", "prune": "builder prune"},
    "manifest": {"inspect": "manifest inspect"},
    "network": {
        "connect": "network connect",
        "create": "network create",
        "disconnect": "network disconnect",
        "inspect": "network inspect",
        "list": "network ls",
        "ls": "network ls",
        "prune": "network prune",
        "remove": "network rm",
        "rm": "network rm",
    },
    "system": {
        "df": "system df",
        "events": "events",
        "fsck": "system fsck",
        "info": "info",
        "prune": "system prune",
    },
    "volume": {
        "create": "volume create",
        "inspect": "volume inspect",
        "list": "volume ls",
        "ls": "volume ls",
        "prune": "volume prune",
        "remove": "volume rm",
        "rm": "volume rm",
    },
}
"""Docker's other names of the commands: `image ls` → `images`."""


def main() -> None:
    """The console script."""
    _open_standard_streams()
    # A command makes few cycles and is over soon; the collector's passes over what is imported
    # and never freed cost 14 ms of the 150 that a cached build takes.
    gc.set_threshold(100_000, 20, 20)
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-v"]):  # before any import: scripts ask for it often
        sys.stdout.write(f"pybuild {VERSION}\n")
        return
    if arguments[:1] in (["run"], ["exec"]):
        _run_quickly(arguments[0], arguments[1:])
    from builder.cli.entry import run

    _end(run(arguments))


def _open_standard_streams() -> None:
    """Open what the caller has closed, or a file of the store would be 1, and output go into it."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
            mode = "w" if fd else "r"
            setattr(sys, name, open(fd, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for good


def _end(status: int) -> NoReturn:
    """Without the interpreter's orderly end, which frees for 10 ms what the kernel frees at once.

    Every `with` block has ended by now; only the streams are still to be flushed.
    """
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        status = status or 1  # EXIT_FAILED, whose module is not imported for this
    os._exit(status)


def _run_quickly(command: str, words: list[str]) -> None:
    """Without click, garbage collection and an orderly end: each takes as long as a container.

    Returns where the words are not plain, right or wrong: then click reads them.
    """
    gc.disable()
    if command == "run":
        from builder.cli.run_line import quick
    else:
        from builder.cli.exec_line import quick

    status = quick(words)
    if status is not None:
        _end(status)


if __name__ == "__main__":
    main()
