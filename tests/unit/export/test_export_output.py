from __future__ import annotations

import os

import pytest

from builder.export.output import ExportError, open_output


def test_a_file_appears_when_it_is_complete(tmp_path):
    dest = tmp_path / "image.tar"
    dest.write_bytes(b"before")
    with open_output(str(dest)) as file:
        file.write(b"after")
        file.flush()
        assert dest.read_bytes() == b"before"
    assert dest.read_bytes() == b"after"
    assert os.listdir(tmp_path) == ["image.tar"]


def test_a_failed_export_changes_nothing(tmp_path):
    dest = tmp_path / "image.tar"
    dest.write_bytes(b"before")
    with pytest.raises(TypeError), open_output(str(dest)) as file:
        file.writelines([b"half", None])
    assert dest.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["image.tar"]


def test_a_device_is_written_to_as_it_is():
    with open_output("/dev/null") as file:
        file.write(b"x")
    assert not os.path.isfile("/dev/null")


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "real.tar").write_bytes(b"before")
    (tmp_path / "link.tar").symlink_to("real.tar")
    with open_output(str(tmp_path / "link.tar")) as file:
        file.write(b"after")
    assert (tmp_path / "link.tar").is_symlink()
    assert (tmp_path / "real.tar").read_bytes() == b"after"


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(ExportError, match="is a directory"), open_output(str(tmp_path)):
        pass


def test_a_missing_directory_is_refused(tmp_path):
    dest = tmp_path / "nowhere" / "image.tar"
    with pytest.raises(ExportError, match="there is no directory"), open_output(str(dest)):
        pass
