"""The command line of `run` as Docker reads it: what click doesn't do by itself.

Options end at the image. A switch takes `=true` and `=false`. An option of Docker's that isn't
there is refused by its name. Whatever is wrong before a container runs ends with status 125.
"""

from __future__ import annotations

import click

from builder.cli import failure
from builder.errors import EXIT_BUG, EXIT_RUN_ENGINE, UnsupportedError
from builder.sandbox.errors import ProgramNotExecutableError, ProgramNotFoundError
from cache.errors import PybuildError

_REFUSED_LONG = (
    "annotation attach blkio-weight blkio-weight-device cgroup-parent cgroupns cpu-count "
    "cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus "
    "cpuset-mems detach detach-keys device device-cgroup-rule device-read-bps device-read-iops "
    "device-write-bps device-write-iops disable-content-trust dns dns-opt dns-option dns-search "
    "domainname env-host expose gpus group-add health-cmd health-interval health-retries "
    "health-start-interval health-start-period health-timeout init io-maxbandwidth io-maxiops "
    "ip ip6 ipc isolation kernel-memory label-file link link-local-ip log-driver log-opt "
    "mac-address memory memory-reservation memory-swap memory-swappiness mount network-alias "
    "no-healthcheck oom-kill-disable oom-score-adj pid pids-limit platform publish publish-all "
    "pull quiet replace restart rmi rootfs runtime secret sig-proxy stop-signal stop-timeout "
    "storage-opt sysctl systemd timeout tmpfs tz umask unsetenv use-api-socket userns uts "
    "volume-driver volumes-from"
)
_REFUSED_SHORT = {
    "a": "attach",
    "c": "cpu-shares",
    "d": "detach",
    "m": "memory",
    "p": "publish",
    "P": "publish-all",
    "q": "quiet",
}
_PORTS_HINT = "with --network host the container's ports are this machine's"
_HINTS = {
    "detach": "containers run in the foreground; the shell's & puts one into the background",
    "mount": "-v SOURCE:TARGET[:ro] mounts a directory or file of this machine",
    "publish": _PORTS_HINT,
    "publish-all": _PORTS_HINT,
}
_TRUE = frozenset({"true", "1", "t", "T", "TRUE", "True"})
_FALSE = frozenset({"false", "0", "f", "F", "FALSE", "False"})


class RunCommand(click.Command):
    """A command whose options end at its first argument, and whose failures have status 125."""

    allow_interspersed_args = False

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, self._plain(ctx, args))
        except click.UsageError as error:
            error.show()
        except PybuildError as error:
            failure.report(error)
        raise click.exceptions.Exit(EXIT_RUN_ENGINE)

    def invoke(self, ctx: click.Context) -> int:
        try:
            status: int = super().invoke(ctx)
        except (ProgramNotFoundError, ProgramNotExecutableError) as error:
            return failure.report(error)
        except Exception as error:  # noqa: BLE001 - failure.report tells bugs from the rest
            return EXIT_BUG if failure.report(error) == EXIT_BUG else EXIT_RUN_ENGINE
        return status

    def _plain(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`args` with no `=true` and `=false`; UnsupportedError for an option that is refused."""
        takes_value = {
            name: isinstance(option, click.Option) and not option.is_flag
            for option in self.get_params(ctx)
            for name in option.opts
        }
        plain: list[str] = []
        rest = list(args)
        while rest and rest[0].startswith("-") and rest[0] not in {"-", "--"}:
            word = rest.pop(0)
            value_follows = False
            if word.startswith("--"):
                name, separator, value = word.partition("=")
                _refuse(name.removeprefix("--"))
                value_follows = takes_value.get(name, False) and not separator
                if separator and takes_value.get(name) is False:
                    word = _switch(name, value)
            else:
                value_follows = _short_value_follows(word, takes_value)
            plain += [word] * bool(word)
            if value_follows and rest:
                plain.append(rest.pop(0))
        return plain + rest


def _switch(name: str, value: str) -> str:
    """The option `name` where `value` is true, nothing where it is false."""
    if value in _TRUE:
        return name
    if value in _FALSE:
        return ""
    raise click.BadParameter(f'"{value}" is neither true nor false', param_hint=name)


def _short_value_follows(word: str, takes_value: dict[str, bool]) -> bool:
    """Whether the value of `-abc`'s last letter is the next word."""
    for position, letter in enumerate(word[1:], start=1):
        _refuse(_REFUSED_SHORT.get(letter, ""), letter)
        if takes_value.get(f"-{letter}", False):
            return position == len(word) - 1
    return False


def _refuse(name: str, letter: str = "") -> None:
    if name and name in _REFUSED_LONG.split():
        shown = f"-{letter} (--{name})" if letter else f"--{name}"
        raise UnsupportedError(f"run: {shown} is not supported", hint=_HINTS.get(name))
