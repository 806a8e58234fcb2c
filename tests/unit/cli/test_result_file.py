import os
import threading

from builder.cli.result_file import forget, write_result


def test_a_result_replaces_an_earlier_one(tmp_path):
    path = tmp_path / "iid"
    path.write_text("old and longer")
    write_result(str(path), b"new")
    assert path.read_text() == "new"


def test_others_may_read_a_result_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        write_result(str(tmp_path / "iid"), b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "iid").stat().st_mode & 0o777 == 0o640


def test_a_pipe_stays_one(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    heard = []
    reader = threading.Thread(target=lambda: heard.append(path.read_bytes()))
    reader.start()
    write_result(str(path), b"id")
    reader.join(timeout=10)
    assert heard == [b"id"]
    assert path.is_fifo()


def test_what_is_forgotten_is_gone_and_a_device_stays(tmp_path):
    path = tmp_path / "iid"
    path.write_text("old")
    forget(str(path))
    forget(str(path))
    forget(os.devnull)
    assert not path.exists()
    assert os.path.exists(os.devnull)
