"""Becoming the whole program, for what a monitor is too small for."""

from __future__ import annotations

import os

from builder.kernel.process import close_except, reset_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, NoReturn

    from builder.sandbox.monitor.charge import Charge

    Errand = Literal["clean", "restart"]


def become_program(charge: Charge, errand: Errand) -> NoReturn:
    """Go on as the program with what the container's lock and socket need to stay open.

    The container stays held meanwhile, and a client that connects waits for the next monitor.
    """
    kept = {charge.lock_fd, charge.listener_fd}
    for fd in kept:
        os.set_inheritable(fd, True)  # noqa: FBT003 - its only form
    close_except(kept)
    reset_signals()
    args = (*charge.ended_args, errand, str(charge.lock_fd), str(charge.listener_fd))
    environment = dict(entry.split("=", 1) for entry in charge.ended_env)
    try:
        os.execve(args[0], args, environment)  # noqa: S606 - what this function is for
    finally:
        os._exit(1)  # the next command that looks finds the container ended, and cleans up
