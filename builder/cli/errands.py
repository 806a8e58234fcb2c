"""The program as a container's monitor becomes it, in the monitor's own namespaces.

Words: the store, root or rootless, the container's id, clean or restart, and the descriptors of
its lock and its socket. Nobody reads what it prints.
"""

from __future__ import annotations

import _socket
import gc
import os
import sys

from builder.settings import Settings
from builder.wiring import open_engine


def main() -> None:
    """Do the errand; the exit status tells nobody anything, the container's state does."""
    gc.disable()
    root_dir, kind, container_id, errand, lock_fd, listener_fd = sys.argv[1:]
    for fd in (int(lock_fd), int(listener_fd)):
        os.set_inheritable(fd, False)
    settings = Settings(root_dir=root_dir, rootless=kind == "rootless")
    restarts = errand == "restart"
    with open_engine(settings, mounts=False, runs=restarts) as engine:
        from builder.commands.errands import ErrandRequest, do_errand

        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, int(listener_fd))
        request = ErrandRequest(
            errand="restart" if restarts else "clean",
            container_id=container_id,
            lock_fd=int(lock_fd),
            listener=listener,
        )
        do_errand(engine, request)
    os._exit(0)
