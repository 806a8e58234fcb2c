import io
import threading

import pytest

from builder.layer.readahead import ReadAhead

CONTENT = bytes(range(256)) * 40_000


class Counting:
    """A source that knows how much was taken from it."""

    def __init__(self, content):
        self._file = io.BytesIO(content)
        self.taken = 0

    def read(self, size=-1, /):
        data = self._file.read(size)
        self.taken += len(data)
        return data


@pytest.mark.parametrize("size", [1000, 1 << 20, 5 << 20])
def test_what_comes_out_is_what_the_source_has(size):
    pieces = []
    with ReadAhead(io.BytesIO(CONTENT)) as reader:
        while piece := reader.read(size):
            assert len(piece) <= size
            pieces.append(piece)
        assert reader.read(1) == b""
    assert b"".join(pieces) == CONTENT


def test_all_of_it_can_be_asked_for():
    with ReadAhead(io.BytesIO(CONTENT)) as reader:
        assert reader.read(10) == CONTENT[:10]
        assert reader.read() == CONTENT[10:]


def test_only_a_little_is_read_ahead():
    source = Counting(bytes(64 << 20))
    with ReadAhead(source) as reader:
        reader.read(1)
        for thread in threading.enumerate():
            thread.join(0.2) if thread.name == "read-ahead" else None
        assert source.taken <= 8 << 20


def test_what_the_source_raises_comes_out_behind_what_it_gave():
    class Broken(Counting):
        def read(self, size=-1, /):
            data = super().read(size)
            if not data:
                raise ConnectionError("gone")
            return data

    with ReadAhead(Broken(b"some")) as reader:
        assert reader.read(100) == b"some"
        with pytest.raises(ConnectionError):
            reader.read(100)


@pytest.mark.parametrize("taken", [0, 1])
def test_the_thread_ends_with_the_block(taken):
    with ReadAhead(io.BytesIO(bytes(64 << 20))) as reader:
        reader.read(taken)
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]
