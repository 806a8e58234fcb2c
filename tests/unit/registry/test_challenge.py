"""What servers ask for, as they write it."""

from __future__ import annotations

import pytest

from builder.registry.challenge import Challenge, parse_challenges
from builder.registry.hosts import is_loopback, mirrors_of, read_config, server_of


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ('Basic realm="a, b"', [Challenge("basic", (("realm", "a, b"),))]),
        (
            'Bearer realm="https://t.example/x?a=b",service="s",scope="repository:a:pull,push"',
            [
                Challenge(
                    "bearer",
                    (
                        ("realm", "https://t.example/x?a=b"),
                        ("service", "s"),
                        ("scope", "repository:a:pull,push"),
                    ),
                )
            ],
        ),
        (
            'Negotiate, BEARER Realm = "a\\"b", Basic',
            [Challenge("negotiate"), Challenge("bearer", (("realm", 'a"b'),)), Challenge("basic")],
        ),
        ("", []),
        ('="x"', []),
    ],
)
def test_a_challenge_is_read_as_it_is_written(header, challenges):
    assert list(parse_challenges([header])) == challenges


def test_a_long_header_takes_no_long_time():
    parse_challenges(["a=" + '"\\' * 100_000, "Basic " + "a=b," * 100_000])


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.8.9.1", True),
        ("[::1]:5000", True),
        ("127.0.0.1.example", False),
        ("localhost.example", False),
        ("10.0.0.1", False),
    ],
)
def test_plain_http_is_for_this_machine(host, is_local):
    assert is_loopback(host) is is_local
    schemes = ("https", "http") if is_local else ("https",)
    assert server_of(host, {}).schemes == schemes
    assert server_of(host, {}, tls_verify=True).schemes == ("https",)
    insecure = server_of(host, {}, tls_verify=False)
    assert (insecure.schemes, insecure.trust.verify) == (("https", "http"), False)


def test_a_file_tells_of_mirrors_and_insecure_hosts(tmp_path):
    config = tmp_path / "registries.toml"
    config.write_text(
        '[registry."docker.io"]\nmirrors = ["https://mirror.example/hub/"]\n'
        '[registry."old.example"]\ninsecure = true\n'
    )
    found = read_config({"PYBUILD_REGISTRIES": str(config)})
    (mirror,) = mirrors_of("docker.io", found)
    assert (mirror.host, mirror.schemes, mirror.prefix) == ("mirror.example", ("https",), "/hub")
    assert server_of("docker.io", found).host == "registry-1.docker.io"
    assert server_of("old.example", found).schemes == ("https", "http")


@pytest.mark.parametrize(
    "text",
    ["x = 1", "[registry", '[registry."a"]\nmirror = []', '[registry."a"]\nmirrors = ["a.example"]',
     '[registry."a"]\ninsecure = "yes"', 'registry = 1', '[registry]\na = 1'],
)  # fmt: skip
def test_a_wrong_setting_is_refused(tmp_path, text):
    from builder.errors import UsageError

    config = tmp_path / "registries.toml"
    config.write_text(text)
    with pytest.raises(UsageError, match=r"registries\.toml"):
        read_config({"PYBUILD_REGISTRIES": str(config)})
