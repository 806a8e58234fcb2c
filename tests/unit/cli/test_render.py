import io
import json
import os
import re
import threading
from contextlib import suppress

from builder.cli.render.choose import renderer_for
from builder.cli.render.jsonl import JsonLinesRenderer
from builder.cli.render.plain import PlainRenderer
from builder.cli.render.tty import TtyRenderer
from builder.events import (
    StepCached,
    StepFailed,
    StepFinished,
    StepOutput,
    StepProgress,
    StepStarted,
    Warned,
)
from builder.location import SourceFile, Span

BUILD = (
    StepCached("v1", "[1/3] FROM base"),
    StepStarted("v2", "[2/3] RUN make"),
    StepOutput("v2", b"cc -c ma"),
    StepOutput("v2", b"in.c\nlinking"),
    StepFinished("v2", 1.25),
    StepStarted("v3", "[3/3] RUN false"),
    StepFailed("v3", 0.1, "exit code: 1"),
)


def shown(renderer_class, *events):
    stream = io.StringIO()
    renderer = renderer_class(stream)
    for event in events:
        renderer(event)
    renderer.close()
    return stream.getvalue()


def test_plain_lines_number_the_steps_and_keep_lines_of_output_whole():
    lines = [line for line in shown(PlainRenderer, *BUILD).splitlines() if line]
    assert [re.sub(r"\d\.\d{3}", "T", line) for line in lines] == [
        "#1 [1/3] FROM base",
        "#1 CACHED",
        "#2 [2/3] RUN make",
        "#2 T cc -c main.c",
        "#2 T linking",
        "#2 DONE 1.2s",
        "#3 [3/3] RUN false",
        "#3 ERROR: exit code: 1",
    ]


def test_a_warning_names_its_rule_and_shows_its_line():
    span = Span(SourceFile("Dockerfile", "FROM a as b\n"), 1, 1)
    text = shown(PlainRenderer, Warned("casing", rule="FromAsCasing", span=span))
    assert text.startswith("WARNING: FromAsCasing: casing (line 1)\n")
    assert "   1 | >>> FROM a as b" in text


def test_progress_of_a_step_is_shown_at_most_once_a_second():
    events = [StepProgress("v", "downloading", done, 100) for done in range(100)]
    assert shown(PlainRenderer, StepStarted("v", "ADD x"), *events).count("downloading") == 0


def test_json_lines_hold_every_event():
    objects = [json.loads(line) for line in shown(JsonLinesRenderer, *BUILD).splitlines()]
    assert [one["event"] for one in objects] == [type(event).__name__ for event in BUILD]
    assert objects[2]["output"] == "cc -c ma"


def read_to_its_end(master):
    """What a terminal got: it comes in pieces, and ends with an error when nobody has it open."""
    got = b""
    with suppress(OSError):
        while piece := os.read(master, 65536):
            got += piece
    return got


def test_a_terminal_shows_each_ended_step_once_and_no_running_one_at_the_end():
    master, slave = os.openpty()
    with open(slave, "w", encoding="utf-8") as stream:
        renderer = TtyRenderer(stream)
        for event in BUILD:
            renderer(event)
        renderer.close()
    text = read_to_its_end(master).decode()
    os.close(master)
    lines = [
        re.sub(r"\x1b\[\w", "", line.rstrip("\r")).split("\r")[-1] for line in text.split("\n")
    ]
    ended = [line.strip() for line in lines if line.lstrip().startswith("=>")]
    assert ended == [
        "=> CACHED [1/3] FROM base",
        "=> [2/3] RUN make     1.2s",
        "=> [3/3] RUN false     0.1s  FAILED",
    ]


def test_auto_takes_plain_lines_where_the_stream_is_no_terminal():
    assert isinstance(renderer_for("auto", io.StringIO()), PlainRenderer)


def test_a_line_without_an_end_is_shown_in_pieces():
    many = [StepOutput("v", b"x" * 40_000)] * 10
    text = shown(PlainRenderer, StepStarted("v", "RUN yes"), *many, StepFinished("v", 1))
    lines = [line for line in text.splitlines() if line.endswith("x")]
    assert sum(line.count("x") for line in lines) == 400_000
    assert len(lines) >= 5


def test_a_character_that_arrives_in_two_pieces_is_one_in_json():
    start, end = "ä".encode()[:1], "ä".encode()[1:]
    text = shown(JsonLinesRenderer, StepOutput("v", start), StepOutput("v", end))
    assert "".join(json.loads(line)["output"] for line in text.splitlines()) == "ä"


def test_a_renderer_for_terminals_starts_no_thread_before_a_step_starts():
    before = threading.active_count()
    renderer = TtyRenderer(io.StringIO())
    renderer(Warned("one id only"))
    assert threading.active_count() == before
    renderer.close()


def test_terminal_progress_can_be_asked_for_where_there_is_no_terminal(tmp_path):
    with open(tmp_path / "log", "w+", encoding="utf-8") as stream:
        renderer = TtyRenderer(stream)
        for event in BUILD:
            renderer(event)
        renderer.close()
        stream.seek(0)
        assert "FAILED" in stream.read()
