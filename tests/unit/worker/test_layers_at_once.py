"""Layers of one image unpacked at the same time."""

from __future__ import annotations

import gzip
import hashlib
import os
import signal
import tarfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.events import Warned
from builder.worker.image_layers import keep_layers
from builder.worker.image_layout import SourceLayer
from builder.worker.image_source import DirectorySource, blob_name
from cache.descriptor import Descriptor, chain_ids
from cache.errors import CorruptContentError
from support.images import Entry, directory, layer_tar, write_layout
from support.stores import open_store
from support.trees import tree_of_directory

SOON_S = 10
OWNER = {"uid": os.getuid(), "gid": os.getgid()}


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store") as opened:
        yield opened
    assert not [thread for thread in threading.enumerate() if thread.name == "unpack"]


class Source(DirectorySource):
    """A layout that says what was opened, and stops where it is told to."""

    def __init__(self, folder, tars):
        super().__init__(str(write_layout(folder, list(tars))))
        self.opened = []
        self.read_up = {name_of(tar): threading.Event() for tar in tars}
        self.gates = {}
        self.is_cancelled = threading.Event()

    def open(self, name):
        self.opened.append(name)
        return Gated(self, name, super().open(name))

    def cancel(self):
        self.is_cancelled.set()
        for gate in self.gates.values():
            gate.set()


class Gated:
    def __init__(self, source, name, file):
        self.source, self.name, self.file = source, name, file
        self.size_bytes = file.size_bytes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def read(self, size=-1):
        if self.name in self.source.gates:
            assert self.source.gates[self.name].wait(SOON_S)
            if self.source.is_cancelled.is_set():
                raise OSError("nobody wants it")
        data = self.file.read(size)
        if not data:
            self.source.read_up[self.name].set()
        return data


def zipped(tar):
    return gzip.compress(tar, 1, mtime=0)


def digest_of(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def name_of(tar):
    return blob_name(digest_of(zipped(tar)))


def source_layer(tar):
    blob = Descriptor("", digest_of(zipped(tar)), len(zipped(tar)))
    return SourceLayer(digest_of(tar), name_of(tar), blob)


def keep(store, source, tars):
    with source, store.leases.hold() as lease:
        lease.add("chain", *chain_ids([digest_of(tar) for tar in tars]))
        return keep_layers(store, source, [source_layer(tar) for tar in tars])


def infos(store, tars):
    return [store.snapshots.info(each) for each in chain_ids([digest_of(tar) for tar in tars])]


def assert_nothing_is_left(store):
    assert os.listdir(os.path.join(store.state.root_dir, "tmp", store.state.owner)) == ["lock"]
    assert os.listdir(os.path.join(store.state.root_dir, "locks")) == []


def tar_of(number, *, size=2000):
    return layer_tar({f"file{number}": Entry(bytes([number]) * size, **OWNER)})


@contextmanager
def opened_in(gate, *events):
    """Open the gate as soon as all of the events have happened, in a thread."""

    def wait():
        if all(event.wait(SOON_S) for event in events):
            gate.set()

    thread = threading.Thread(target=wait)
    thread.start()
    yield
    thread.join()


def test_a_slow_lowest_layer_does_not_keep_the_next_one_from_being_unpacked(store, tmp_path):
    tars = [tar_of(0), tar_of(1)]
    source = Source(tmp_path / "layout", tars)
    gate = source.gates[name_of(tars[0])] = threading.Event()
    with opened_in(gate, source.read_up[name_of(tars[1])]):
        assert keep(store, source, tars) == tuple(map(len, tars))
    assert [os.listdir(info.diff_dir) for info in infos(store, tars)] == [["file0"], ["file1"]]
    assert_nothing_is_left(store)


def test_what_only_the_layer_below_says_is_waited_for(store, tmp_path):
    base = {"dir": Entry(mode=0o710, mtime=1_000_000, kind=tarfile.DIRTYPE, **OWNER)}
    base |= {"dir/target": Entry(b"below", mode=0o640, mtime=2_000_000, **OWNER)}
    top = {"dir/new": Entry(b"n", **OWNER)}
    top |= {"dir/link": Entry(kind=tarfile.LNKTYPE, target="dir/target")}
    tars = [layer_tar(base), layer_tar(top)]
    source = Source(tmp_path / "layout", tars)
    gate = source.gates[name_of(tars[0])] = threading.Event()
    with opened_in(gate, source.read_up[name_of(tars[1])]):
        keep(store, source, tars)
    found = tree_of_directory(Path(infos(store, tars)[1].diff_dir))
    assert (found["dir"].mode, found["dir"].mtime) == (0o710, 1_000_000)
    assert found["dir/link"].sha256 == hashlib.sha256(b"below").hexdigest()
    assert found["dir/link"].mode == 0o640


def test_a_root_directory_that_a_layer_does_not_mention_is_as_it_is_below(store, tmp_path):
    root = Entry(mode=0o751, mtime=1_000_000, kind=tarfile.DIRTYPE, **OWNER)
    own = Entry(mode=0o700, mtime=3_000_000, kind=tarfile.DIRTYPE, **OWNER)
    tars = [layer_tar({"./": root}), tar_of(1), layer_tar({"./": own})]
    keep(store, Source(tmp_path / "layout", tars), tars)
    stats = [os.stat(info.diff_dir) for info in infos(store, tars)]
    assert [each.st_mode & 0o7777 for each in stats] == [0o751, 0o751, 0o700]
    assert [int(each.st_mtime) for each in stats] == [1_000_000, 1_000_000, 3_000_000]


def test_an_opaque_root_hides_what_is_below_it(store, tmp_path):
    tars = [tar_of(0), layer_tar({".wh..wh..opq": Entry(), "new": Entry(**OWNER)})]
    keep(store, Source(tmp_path / "layout", tars), tars)
    assert sorted(os.listdir(infos(store, tars)[1].diff_dir)) == ["file0", "new"]


def test_equal_layers_are_read_once(store, tmp_path):
    tars = [tar_of(0), tar_of(1), tar_of(0)]
    source = Source(tmp_path / "layout", tars)
    keep(store, source, tars)
    assert source.opened.count(name_of(tars[0])) == 2  # its first bytes alone, then all
    assert infos(store, tars)[0].diff_dir == infos(store, tars)[2].diff_dir


def test_layers_that_the_store_knows_are_not_read(store, tmp_path):
    tars = [tar_of(number) for number in range(4)]
    keep(store, Source(tmp_path / "first", [tars[2]]), [tars[2]])
    source = Source(tmp_path / "layout", tars)
    keep(store, source, tars)
    assert name_of(tars[2]) not in source.opened
    assert all(infos(store, tars))


@pytest.mark.parametrize("broken", range(6))
def test_the_error_of_the_lowest_broken_layer_is_the_one_that_is_raised(store, tmp_path, broken):
    tars = [tar_of(number) for number in range(6)]
    source = Source(tmp_path / "layout", tars)
    for tar in tars[broken:]:
        path = tmp_path / "layout" / name_of(tar)
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    if broken < 5:  # the one above it fails first
        gate = source.gates[name_of(tars[broken])] = threading.Event()
        threading.Timer(0.05, gate.set).start()
    with pytest.raises(CorruptContentError, match=digest_of(zipped(tars[broken]))):
        keep(store, source, tars)
    assert [info is not None for info in infos(store, tars)] == [
        number < broken for number in range(6)
    ]
    assert_nothing_is_left(store)


def test_an_interrupt_ends_the_threads_and_leaves_nothing(store, tmp_path):
    tars = [tar_of(number) for number in range(5)]
    source = Source(tmp_path / "layout", tars)
    source.gates[name_of(tars[0])] = threading.Event()
    main = threading.main_thread().ident
    reached = source.read_up[name_of(tars[4])]  # two below it are unpacked by then

    def interrupt():
        if reached.wait(SOON_S):
            signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        keep(store, source, tars)
    thread.join()
    assert source.is_cancelled.is_set()
    assert infos(store, tars) == [None] * 5
    assert_nothing_is_left(store)


def test_layers_that_wait_for_those_below_end_when_one_of_them_fails(store, tmp_path):
    tars = [tar_of(0), *(layer_tar({f"dir/{n}": Entry(**OWNER)}) for n in range(4))]
    source = Source(tmp_path / "layout", tars)
    path = tmp_path / "layout" / name_of(tars[0])
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    gate = source.gates[name_of(tars[0])] = threading.Event()
    waiting = source.read_up[name_of(tars[1])]
    with opened_in(gate, waiting), pytest.raises(CorruptContentError):
        keep(store, source, tars)
    assert_nothing_is_left(store)


def test_two_images_of_the_same_layers_in_another_order_do_not_wait_for_each_other(store, tmp_path):
    tars = [tar_of(number, size=200_000) for number in range(4)]
    errors = []

    def load(name, order):
        try:
            keep(store, Source(tmp_path / name, order), order)
        except BaseException as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    threads = [
        threading.Thread(target=load, args=("up", tars), daemon=True),
        threading.Thread(target=load, args=("down", tars[::-1]), daemon=True),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
        assert not thread.is_alive()
    assert not errors
    assert all(infos(store, tars))
    assert all(infos(store, tars[::-1]))
    assert_nothing_is_left(store)


def test_what_is_lost_is_said_in_the_order_of_the_layers(store, tmp_path):
    device = Entry(kind=tarfile.CHRTYPE)
    tars = [layer_tar({f"null{n}": device, "dir": directory()}) for n in range(4)]
    source = Source(tmp_path / "layout", tars)
    gate = source.gates[name_of(tars[0])] = threading.Event()
    with opened_in(gate, source.read_up[name_of(tars[1])]):
        keep(store, source, tars)
    said = [event.message for event in store.events if isinstance(event, Warned)]
    devices = [message for message in said if "devices" in message]
    made = not devices  # by root
    assert made or [message.split("(")[1][:5] for message in devices] == [
        f"null{n}" for n in range(4)
    ]


def test_a_layer_that_goes_after_it_was_looked_for_is_unpacked_after_all(
    store, tmp_path, monkeypatch
):
    tars = [tar_of(0), tar_of(1)]
    monkeypatch.setattr(store.snapshots, "has_layer", lambda diff_id: diff_id == digest_of(tars[1]))
    keep(store, Source(tmp_path / "layout", tars), tars)
    assert os.listdir(infos(store, tars)[1].diff_dir) == ["file1"]
    assert_nothing_is_left(store)
