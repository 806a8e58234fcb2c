"""What a monitor writes: the log, the state."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.runtime.codec import decode_state, state_document
from builder.runtime.container import ContainerState
from builder.sandbox.monitor.log import JsonFileLog
from builder.sandbox.monitor.statefile import StateFile, json_text


@pytest.fixture
def dir_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def log_of(dir_fd: int, **options) -> JsonFileLog:
    return JsonFileLog(
        dir_fd, **({"max_size_bytes": 0, "max_files": 1, "attributes": ""} | options)
    )


def entries(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def texts(path: Path) -> list[str]:
    return [entry["log"] for entry in entries(path)]


def test_a_line_is_an_entry_however_it_came(dir_fd: int, tmp_path: Path):
    log = log_of(dir_fd)
    for chunk in (b"one\ntw", b"o", b"\n\nthree"):
        log.write("stdout", chunk)
    log.write("stderr", b"other\n")
    assert texts(tmp_path / "container.log") == ["one\n", "two\n", "\n", "other\n"]
    log.close()
    found = entries(tmp_path / "container.log")
    assert found[-1]["log"] == "three"
    assert [entry["stream"] for entry in found[-2:]] == ["stderr", "stdout"]
    assert found[0]["time"].endswith("Z")
    assert len(found[0]["time"]) == len("2026-01-02T03:04:05.000000000Z")


def test_what_is_no_utf8_is_replaced_and_control_characters_are_escaped(
    dir_fd: int, tmp_path: Path
):
    log = log_of(dir_fd)
    log.write("stdout", b'\xff"\\\x00\x1b\xc3\xa9\n')
    log.close()
    assert texts(tmp_path / "container.log") == ['\N{REPLACEMENT CHARACTER}"\\\0\x1bé\n']


def test_a_long_line_is_split_at_16_kib(dir_fd: int, tmp_path: Path):
    log = log_of(dir_fd)
    log.write("stdout", b"x" * 40_000)
    assert list(map(len, texts(tmp_path / "container.log"))) == [16384, 16384]
    log.write("stdout", b"y\n")
    log.close()
    found = texts(tmp_path / "container.log")
    assert list(map(len, found)) == [16384, 16384, 40_000 - 2 * 16384 + 2]
    assert "".join(found) == "x" * 40_000 + "y\n"


def test_files_are_rotated_and_no_more_than_asked_for_are_kept(dir_fd: int, tmp_path: Path):
    log = log_of(dir_fd, max_size_bytes=200, max_files=3)
    for number in range(20):
        log.write("stdout", f"line {number}\n".encode())
    log.close()
    assert sorted(os.listdir(tmp_path)) == ["container.log", "container.log.1", "container.log.2"]
    kept = [
        text
        for name in ("container.log.2", "container.log.1", "container.log")
        for text in texts(tmp_path / name)
    ]
    assert kept == [f"line {number}\n" for number in range(20 - len(kept), 20)]
    assert all(path.stat().st_size < 400 for path in tmp_path.iterdir())


def test_one_file_alone_begins_anew(dir_fd: int, tmp_path: Path):
    log = log_of(dir_fd, max_size_bytes=200)
    for number in range(20):
        log.write("stdout", f"line {number}\n".encode())
    log.close()
    assert os.listdir(tmp_path) == ["container.log"]
    assert texts(tmp_path / "container.log")[-1] == "line 19\n"
    assert (tmp_path / "container.log").stat().st_size < 400


def test_entries_carry_the_attributes(dir_fd: int, tmp_path: Path):
    log = log_of(dir_fd, attributes='{"app":"x"}')
    log.write("stdout", b"a\n")
    log.close()
    assert entries(tmp_path / "container.log")[0]["attrs"] == {"app": "x"}


def test_a_later_log_goes_on_where_the_one_before_ended(dir_fd: int, tmp_path: Path):
    for text in (b"first\n", b"second\n"):
        log = log_of(dir_fd)
        log.write("stdout", text)
        log.close()
    assert texts(tmp_path / "container.log") == ["first\n", "second\n"]


def test_a_state_that_the_monitor_writes_is_read_as_the_commands_own(dir_fd: int, tmp_path: Path):
    state = ContainerState(pid=5, boot_id="b", cgroup=(":/x",), started_at=1.5, error='"é\n')
    file = StateFile(dir_fd, state_document(state))
    file.update(finished_us=2_500_000, exit_code=3, restarting=True)
    found = decode_state((tmp_path / "state.json").read_bytes())
    assert (found.pid, found.cgroup, found.error) == (5, (":/x",), '"é\n')
    assert (found.finished_at, found.exit_code, found.restarting) == (2.5, 3, True)
    assert os.listdir(tmp_path) == ["state.json"]


@pytest.mark.parametrize(
    "value", [True, False, 0, -5, 'a"\\\u2028\n', [], [1, "x", [True]], {"a": {"b": [1]}}]
)
def test_json_is_json(value: object):
    assert json.loads(json_text(value)) == value
