"""What a container is told to do when it ends, ails, speaks or is asked to stop. Pure.

The record goes into the container's config.json; the health check stands in the container's config,
where an image has it too, and `health_check` says what of it runs when.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from builder.errors import UnsupportedError
from builder.image.jsonobject import JsonObject
from builder.image.model import ContainerConfig, Healthcheck
from builder.runtime.errors import InvalidOptionError
from cache.record import field, record

RestartName = Literal["no", "on-failure", "always", "unless-stopped"]
LogDriver = Literal["json-file", "none"]

DEFAULT_STOP_TIMEOUT_S = 10

_SECOND_NS = 1_000_000_000
_LEAST_NS = 1_000_000  # Docker's: what is shorter was meant to be something else

_LOG_OPTIONS = ("max-size", "max-file", "labels", "env", "mode")
_SIZE_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}


@record
class RestartPolicy:
    """When a container that has ended is started again."""

    name: RestartName = "no"
    max_retries: int = 0  # of on-failure; 0: no limit

    def restarts(self, exit_code: int, *, restart_count: int) -> bool:
        """Whether a container that ended by itself is started again.

        `restart_count`: how often that was done since it was started by hand.
        """
        match self.name:
            case "no":
                return False
            case "on-failure":
                is_left = self.max_retries == 0 or restart_count < self.max_retries
                return exit_code != 0 and is_left
            case "always" | "unless-stopped":
                return True

    def __str__(self) -> str:
        return f"{self.name}:{self.max_retries}" if self.max_retries else self.name


@record
class LogConfig:
    """Where the output goes."""

    driver: LogDriver = "json-file"
    max_size_bytes: int = 0  # of a file; 0: no limit
    max_files: int = 1  # with the one that is written
    labels: tuple[str, ...] = ()  # names of labels that each line carries
    env: tuple[str, ...] = ()  # and of variables

    def attributes(self, config: ContainerConfig) -> tuple[tuple[str, str], ...]:
        """What each line carries beside its text: what `logs --details` shows."""
        sources = ((self.labels, dict(config.labels)), (self.env, dict(config.env)))
        return tuple(
            (name, values[name]) for names, values in sources for name in names if name in values
        )


@record
class Policies:
    """What of this is a container's own, and no image's."""

    restart: RestartPolicy = field(default_factory=RestartPolicy)
    log: LogConfig = field(default_factory=LogConfig)
    stop_timeout_s: int | None = None  # None: Docker's ten seconds; -1: for ever
    init: bool = False  # a first process that reaps what others leave


@record
class HealthCheck:
    """A health check as it runs."""

    args: tuple[str, ...]
    interval_s: float = 30.0
    timeout_s: float = 30.0
    start_period_s: float = 0.0  # failures in it don't count
    start_interval_s: float = 5.0  # between the checks in it
    retries: int = 3  # failures in a row that make a container unhealthy


@record
class HealthOptions:
    """What the command line says of the health check; what it doesn't, the image's says."""

    disabled: bool = False
    check: Healthcheck | None = None  # without a test: the image's with other times


def parse_restart_policy(text: str) -> RestartPolicy:
    """`no`, `always`, `unless-stopped`, `on-failure[:N]`."""
    name, separator, count = text.partition(":")
    match name:
        case "" | "no":
            policy = RestartPolicy()
        case "on-failure" | "always" | "unless-stopped":
            policy = RestartPolicy(name)
        case _:
            raise InvalidOptionError(
                f'--restart "{text[:100]}" is not a restart policy',
                hint="there are no, on-failure[:N], always and unless-stopped",
            )
    if not separator:
        return policy
    if policy.name != "on-failure":
        raise InvalidOptionError(
            f'--restart "{text[:100]}": only on-failure takes a number of times'
        )
    if not (count.isascii() and count.isdecimal()):
        raise InvalidOptionError(f'--restart "{text[:100]}": "{count[:50]}" is not a number')
    return RestartPolicy("on-failure", int(count))


def parse_log_config(driver: str, options: Iterable[str]) -> LogConfig:
    """`--log-driver` and the `--log-opt`s; "" is the default driver."""
    pairs: dict[str, str] = {}
    for text in options:
        name, separator, value = text.partition("=")
        if not separator:
            raise InvalidOptionError(f'--log-opt "{text[:100]}" is not NAME=VALUE')
        if name not in _LOG_OPTIONS or (name == "mode" and value != "blocking"):
            raise UnsupportedError(
                f"--log-opt {text[:100]} is not supported",
                hint="max-size, max-file, labels and env are",
            )
        pairs[name] = value
    match driver:
        case "" | "json-file":
            return _json_file(pairs)
        case "none":
            if pairs:
                raise InvalidOptionError(f"--log-opt {next(iter(pairs))}: no log is written")
            return LogConfig("none")
        case _:
            raise UnsupportedError(
                f"--log-driver {driver[:100]} is not supported", hint="json-file and none are"
            )


def _json_file(pairs: dict[str, str]) -> LogConfig:
    size = pairs.get("max-size", "-1")
    files = pairs.get("max-file", "1")
    if not (files.isascii() and files.isdecimal()) or int(files) < 1:
        raise InvalidOptionError(f'--log-opt max-file: "{files[:50]}" is not a number of files')
    max_size_bytes = 0 if size == "-1" else _size_bytes(size)
    if int(files) > 1 and not max_size_bytes:
        raise InvalidOptionError(
            "--log-opt max-file says nothing without max-size", hint="for example max-size=10m"
        )
    return LogConfig(
        max_size_bytes=max_size_bytes,
        max_files=int(files),
        labels=_names(pairs.get("labels", "")),
        env=_names(pairs.get("env", "")),
    )


def _size_bytes(text: str) -> int:
    """Decimal units, as Docker reads this one size."""
    number = text.lower().removesuffix("b")
    unit = number[-1:] if number[-1:].isalpha() else ""
    try:
        size_bytes = int(float(number.removesuffix(unit)) * _SIZE_UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        size_bytes = 0
    if size_bytes <= 0:
        raise InvalidOptionError(
            f'--log-opt max-size: "{text[:50]}" is not a size', hint="for example 10m"
        )
    return size_bytes


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in text.split(",")) if name)


def parse_stop_timeout(text: str, *, option: str) -> int:
    """Whole seconds; -1 is for ever."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or int(text) < -1:
        raise InvalidOptionError(
            f'{option} "{text[:50]}" is not a number of seconds', hint="-1 waits for ever"
        )
    return int(text)


def parse_health_duration(text: str, *, option: str) -> int:
    """Go's `1m30s` in nanoseconds; 0 leaves it to the image, or to the default."""
    from builder.frontend.goformat import duration_ns  # noqa: PLC0415 - few containers have one

    try:
        duration = duration_ns(text)
    except ValueError as error:
        raise InvalidOptionError(
            f'{option} "{text[:50]}" is not a duration', hint="for example 30s or 1m30s"
        ) from error
    if duration < 0:
        raise InvalidOptionError(f"{option} cannot be negative")
    if 0 < duration < _LEAST_NS:
        raise InvalidOptionError(f"{option} cannot be less than 1ms")
    return duration


def parse_health_retries(text: str) -> int:
    """How many failures; 0 leaves it to the image, or to the default."""
    if not (text.isascii() and text.isdecimal()):
        raise InvalidOptionError(f'--health-retries "{text[:50]}" is not a number')
    return int(text)


def healthcheck(image: Healthcheck | None, options: HealthOptions) -> Healthcheck | None:
    """The container's: the command line's, and where it says nothing the image's."""
    if options.disabled:
        return Healthcheck(("NONE",))
    asked = options.check
    if asked is None or image is None:
        return asked or image
    return Healthcheck(
        test=asked.test or image.test,
        interval_ns=asked.interval_ns or image.interval_ns,
        timeout_ns=asked.timeout_ns or image.timeout_ns,
        start_period_ns=asked.start_period_ns or image.start_period_ns,
        start_interval_ns=asked.start_interval_ns or image.start_interval_ns,
        retries=asked.retries or image.retries,
    )


def health_check(config: ContainerConfig) -> HealthCheck | None:
    """What to run to see whether the container is well; None where nothing says so."""
    check = config.healthcheck
    if check is None:
        return None
    match check.test:
        case ("CMD", *args) if args:
            words = tuple(args)
        case ("CMD-SHELL", text) if text:
            words = (*(config.shell or ("/bin/sh", "-c")), text)
        case _:  # NONE, or none at all
            return None
    default = HealthCheck(words)
    return HealthCheck(
        words,
        interval_s=_seconds(check.interval_ns) or default.interval_s,
        timeout_s=_seconds(check.timeout_ns) or default.timeout_s,
        start_period_s=_seconds(check.start_period_ns),
        start_interval_s=_seconds(check.start_interval_ns) or default.start_interval_s,
        retries=check.retries if check.retries > 0 else default.retries,
    )


def _seconds(duration_ns: int) -> float:
    """An image may say anything: what makes no sense counts as not said."""
    return duration_ns / _SECOND_NS if duration_ns >= _LEAST_NS else 0.0


def policies_dict(policies: Policies) -> dict[str, object]:
    """For config.json."""
    log = policies.log
    return {
        "restart": policies.restart.name,
        "max_retries": policies.restart.max_retries,
        "log_driver": log.driver,
        "log_max_size_bytes": log.max_size_bytes,
        "log_max_files": log.max_files,
        "log_labels": list(log.labels),
        "log_env": list(log.env),
        "stop_timeout_s": policies.stop_timeout_s,
        "init": policies.init,
    }


def policies_of(document: JsonObject | None) -> Policies:
    """From config.json; the defaults where an older one says nothing."""
    if document is None:
        return Policies()
    has_timeout = document.has("stop_timeout_s")
    return Policies(
        restart=RestartPolicy(_restart_name(document), document.integer("max_retries")),
        log=LogConfig(
            driver=_log_driver(document),
            max_size_bytes=document.integer("log_max_size_bytes"),
            max_files=document.integer("log_max_files", required=True),
            labels=document.texts("log_labels") or (),
            env=document.texts("log_env") or (),
        ),
        stop_timeout_s=document.integer("stop_timeout_s") if has_timeout else None,
        init=document.boolean("init"),
    )


def _restart_name(document: JsonObject) -> RestartName:
    match document.text("restart"):
        case "no" | "on-failure" | "always" | "unless-stopped" as name:
            return name
        case _:
            raise document.error("restart", "is unknown")


def _log_driver(document: JsonObject) -> LogDriver:
    match document.text("log_driver"):
        case "json-file" | "none" as driver:
            return driver
        case _:
            raise document.error("log_driver", "is unknown")
