import threading

import pytest

from builder.layer.fanout import FanOut

BLOCKS = [bytes([number]) * (1 << 20) for number in range(20)]


def sinks_alive():
    return [thread for thread in threading.enumerate() if thread.name == "layer-sink"]


def test_each_sink_gets_every_block_in_order():
    one, two = [], []
    out = FanOut([one.append, two.append])
    for block in BLOCKS:
        out.write(block)
    out.finish()
    assert one == two == BLOCKS
    assert sinks_alive() == []


def test_little_is_done_without_threads():
    seen = []
    out = FanOut([lambda _: seen.append(threading.current_thread())])
    out.write(b"little")
    out.finish()
    assert seen == [threading.main_thread()]


def test_sinks_run_at_the_same_time():
    meeting = threading.Barrier(2, timeout=10)
    met = []

    def meet(block):
        if block == b"meet":
            meeting.wait()
            met.append(1)

    out = FanOut([meet, meet])
    for block in (*BLOCKS[:3], b"meet"):
        out.write(block)
    out.finish()
    assert met == [1, 1]


def test_a_slow_sink_holds_the_writer_back():
    let_go = threading.Event()
    given = []

    def give():
        out = FanOut([lambda block: let_go.wait(10) if block == b"wait" else None])
        for block in (*BLOCKS[:3], b"wait", *BLOCKS):
            out.write(block)
            given.append(block)
        out.finish()

    writer = threading.Thread(target=give)
    writer.start()
    writer.join(0.3)
    assert writer.is_alive()
    assert len(given) < 12
    let_go.set()
    writer.join()
    assert len(given) == 24


def fail(_):
    raise OSError(28, "No space left on device")


def write_all(out):
    for block in BLOCKS:
        out.write(block)
    out.finish()


def test_what_a_sink_raises_comes_out():
    out = FanOut([lambda _: None, fail])
    with pytest.raises(OSError, match="No space"):
        write_all(out)
    out.close()
    assert sinks_alive() == []


def test_closing_drops_what_is_left():
    seen = []
    out = FanOut([seen.append])
    for block in BLOCKS[:6]:
        out.write(block)
    out.close()
    out.close()
    assert sinks_alive() == []
    assert seen == BLOCKS[: len(seen)]
