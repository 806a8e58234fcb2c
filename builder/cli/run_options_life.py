"""Options of `run` and `create` about a container's life: its end, its health, its output."""

from __future__ import annotations

from builder.cli.run_words import Line, Option, repeated, single, switch
from builder.commands.run_image import ImageChoice
from builder.errors import UsageError
from builder.image.model import Healthcheck
from builder.image.platform import parse_platform
from builder.runtime import policies
from builder.runtime.options import parse_pairs
from builder.runtime.policies import HealthOptions, LogConfig, Policies, RestartPolicy
from builder.runtime.signalnames import signal_number

OPTIONS: tuple[Option, ...] = (
    single("--restart", metavar="POLICY", text="no, on-failure[:N], always or unless-stopped."),
    switch("--init", text="A first process that passes signals on and reaps processes."),
    single("--stop-signal", metavar="SIGNAL", text="What asks it to stop (the image's, or TERM)."),
    single("--stop-timeout", metavar="SECONDS", text="How long it may take to stop (10)."),
    single(
        "--health-cmd", metavar="COMMAND", text="A shell command that tells whether it is well."
    ),
    single("--health-interval", metavar="TIME", text="Between two checks (30s)."),
    single("--health-timeout", metavar="TIME", text="A check that takes longer fails (30s)."),
    single("--health-retries", metavar="N", text="Failures in a row that make it unhealthy (3)."),
    single("--health-start-period", metavar="TIME", text="In which failures don't count (0s)."),
    single("--health-start-interval", metavar="TIME", text="Between checks in that time (5s)."),
    switch("--no-healthcheck", text="None, though the image has one."),
    single("--log-driver", metavar="DRIVER", text="json-file (the default) or none."),
    repeated("--label-file", metavar="FILE", text="A file of labels, K=V a line."),
    single("--pull", metavar="WHEN", text="missing (the default), always, newer or never."),
    single("--platform", metavar="OS/ARCH", text="Of an image for several platforms this one."),
    switch("-q", "--quiet", text="Say nothing of an image that is fetched."),
    repeated("--log-opt", metavar="NAME=VALUE", text="max-size, max-file, labels, env."),
)

_HEALTH = (
    *("health-cmd", "health-interval", "health-timeout", "health-retries"),
    *("health-start-period", "health-start-interval"),
)


def policies_of(line: Line) -> Policies:
    """What the line says of restarts, logs and stopping."""
    restart = policies.parse_restart_policy(line.values.get("restart", ""))
    if restart.name != "no" and "rm" in line.switches:
        raise UsageError("--restart and --rm contradict each other")
    timeout = line.values.get("stop-timeout")
    return Policies(
        restart=restart if restart.name != "no" else RestartPolicy(),
        log=_log_config(line),
        stop_timeout_s=(
            None
            if timeout is None
            else policies.parse_stop_timeout(timeout, option="--stop-timeout")
        ),
        init="init" in line.switches,
    )


def stop_signal_of(line: Line) -> str:
    """The name as it was written, "" for the image's."""
    text = line.values.get("stop-signal", "")
    if text:
        signal_number(text, option="--stop-signal")
    return text


def health_of(line: Line) -> HealthOptions:
    """What the line says of the health check."""
    asked = [name for name in _HEALTH if name in line.values]
    if "no-healthcheck" in line.switches:
        if asked:
            raise UsageError(f"--no-healthcheck and --{asked[0]} contradict each other")
        return HealthOptions(disabled=True)
    command = line.values.get("health-cmd", "")
    if command == "none":  # podman's word for it
        return HealthOptions(disabled=True)
    if not asked:
        return HealthOptions()
    return HealthOptions(
        check=Healthcheck(
            test=("CMD-SHELL", command) if command else (),
            interval_ns=_duration(line, "health-interval"),
            timeout_ns=_duration(line, "health-timeout"),
            start_period_ns=_duration(line, "health-start-period"),
            start_interval_ns=_duration(line, "health-start-interval"),
            retries=policies.parse_health_retries(line.values.get("health-retries", "0")),
        )
    )


def image_choice_of(line: Line) -> ImageChoice:
    """Which image is meant, and who is asked for it."""
    platform = line.values.get("platform", "")
    match line.values.get("pull", "missing"):
        case "missing" | "always" | "newer" | "never" as pull:
            pass
        case "true" | "":
            pull = "always"
        case "false":
            pull = "missing"
        case text:
            raise UsageError(
                f'--pull "{text[:50]}" is not known', hint="missing, always, newer or never"
            )
    return ImageChoice(
        pull, parse_platform(platform) if platform else None, "quiet" in line.switches
    )


def labels_of(line: Line) -> tuple[tuple[str, str], ...]:
    """Those of the files first: `--label` wins."""
    entries: list[str] = []
    for path in line.lists.get("label-file", ()):
        with open(path, encoding="utf-8") as file:
            lines = (text.strip() for text in file)
            entries += [text for text in lines if text and not text.startswith("#")]
    entries += line.lists.get("label", ())
    return parse_pairs(entries, option="--label")


def _duration(line: Line, name: str) -> int:
    text = line.values.get(name)
    return 0 if text is None else policies.parse_health_duration(text, option=f"--{name}")


def _log_config(line: Line) -> LogConfig:
    return policies.parse_log_config(
        line.values.get("log-driver", ""), line.lists.get("log-opt", ())
    )
