from __future__ import annotations

import pytest

from builder.errors import UsageError
from builder.image.model import ContainerConfig, Platform
from builder.runtime.container import Container, ContainerReport, ContainerState, HostConfig
from builder.runtime.filters import Lookups, asks_for_status, matching, parse_filter
from builder.runtime.networking import Networking
from builder.runtime.volumes import HostBind, HostMounts
from cache.digest import sha256_digest

IMAGES = {"app": sha256_digest(b"app"), "db": sha256_digest(b"db")}


def report(name: str, *, image: str = "app", status="running", code: int = 0, **options):
    ports, health = options.pop("ports", ""), options.pop("health", "")
    number = {"one": 1, "two": 2, "three": 3}[name]
    container = Container(
        container_id=f"{number}" * 64,
        name=name,
        created=float(number),
        image_id=IMAGES[image],
        image_name=image,
        platform=Platform("linux", "amd64"),
        diff_ids=(),
        config=ContainerConfig(labels=options.pop("labels", ())),
        host=HostConfig(**options),
    )
    return ContainerReport(container, ContainerState(exit_code=code), status, ports, health)


REPORTS = (
    report(
        "three",
        status="exited",
        code=3,
        labels=(("a", "1"), ("b", "2")),
        ports="0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 53/udp",
        health="unhealthy",
    ),
    report(
        "two",
        image="db",
        networking=Networking(mode="none"),
        mounts=HostMounts((HostBind("/src", "/dst"),)),
    ),
    report("one", status="created", labels=(("a", "2"),)),
)
LOOKUPS = Lookups(
    created_of=lambda text: next(r.container.created for r in REPORTS if r.container.name == text),
    image_ids_of=lambda text: frozenset({IMAGES[text]}) if text in IMAGES else frozenset(),
)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ((), ["three", "two", "one"]),
        (("name=t",), ["three", "two"]),
        (("name=^t.o$",), ["two"]),
        (("name=^/one",), ["one"]),
        (("health=unhealthy",), ["three"]),
        (("health=none", "health=healthy"), []),
        (("publish=8080",), ["three"]),
        (("publish=8000-9000/tcp",), ["three"]),
        (("publish=80",), []),
        (("expose=80",), ["three"]),
        (("expose=53/udp",), ["three"]),
        (("expose=53",), []),
        (("id=222",), ["two"]),
        (("status=exited",), ["three"]),
        (("status=exited", "status=created"), ["three", "one"]),
        (("exited=3",), ["three"]),
        (("exited=0",), []),
        (("label=a",), ["three", "one"]),
        (("label=a=1",), ["three"]),
        (("label=a", "label=b"), ["three"]),
        (("label=a", "status=created"), ["one"]),
        (("ancestor=db",), ["two"]),
        (("ancestor=unknown",), []),
        (("before=two",), ["one"]),
        (("since=two",), ["three"]),
        (("network=none",), ["two"]),
        (("network=host",), ["three", "one"]),
        (("volume=/src",), ["two"]),
        (("volume=/dst",), ["two"]),
    ],
)
def test_filters_mean_what_dockers_mean(filters: tuple[str, ...], names: list[str]):
    found = matching(REPORTS, tuple(map(parse_filter, filters)), LOOKUPS)
    assert [item.container.name for item in found] == names


@pytest.mark.parametrize("text", ["", "name", "name=", "colour=red", "status=sleeping", "exited=x"])
def test_a_filter_that_there_is_not_is_refused(text: str):
    with pytest.raises(UsageError):
        parse_filter(text)


def test_a_filter_by_status_means_containers_too_that_do_not_run():
    assert asks_for_status([parse_filter("exited=1")])
    assert not asks_for_status([parse_filter("name=x")])
