"""Files appear complete or not at all."""

from __future__ import annotations

import errno

import pytest

from mlopsproject.core.errors import UserError
from mlopsproject.core.files import atomic_file, copy_folder, move_folder, sha256_file, staging_folder, swap_in, writing


def test_a_finished_file_takes_the_place_of_the_old_one(tmp_path):
    target = tmp_path / "new" / "table.csv"
    for content in ("first", "second"):
        with atomic_file(target) as temporary:
            temporary.write_text(content)
        assert target.read_text() == content
    assert [item.name for item in target.parent.iterdir()] == ["table.csv"]
    assert target.stat().st_mode & 0o400


def test_an_interrupted_file_leaves_the_old_one(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")

    def interrupted() -> None:
        with atomic_file(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["table.csv"]


def test_a_staging_folder_is_removed_whatever_happens(tmp_path):
    def failing() -> None:
        with staging_folder(tmp_path) as folder:
            (folder / "half").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "message"), [(errno.ENOSPC, "No space left"), (errno.EACCES, "cannot be written")])
def test_a_full_disk_and_missing_rights_are_user_errors(tmp_path, number, message):
    with pytest.raises(UserError, match=message), writing(tmp_path):
        raise OSError(number, "reason")


def test_other_failures_pass(tmp_path):
    with pytest.raises(OSError, match="reason"), writing(tmp_path):
        raise OSError(errno.EIO, "reason")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "from" / "plots").mkdir(parents=True)
    (tmp_path / "from" / "a.txt").write_text("a")
    (tmp_path / "from" / "plots" / "b.txt").write_text("b")
    return tmp_path / "from"


def test_a_folder_moves_to_another_file_system_too(folder, tmp_path, monkeypatch):
    def other_file_system(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr("pathlib.Path.rename", other_file_system)
    move_folder(folder, tmp_path / "to")
    assert (tmp_path / "to" / "plots" / "b.txt").read_text() == "b"
    assert not folder.exists()


def test_a_disk_that_fills_while_a_folder_is_copied_keeps_its_error_number(folder, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(UserError, match="No space left"), writing(tmp_path):
        copy_folder(folder, tmp_path / "to")


def test_hash_is_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_file(tmp_path / "x").startswith("ba7816bf8f01cfea")


def test_a_folder_takes_the_place_of_another_or_leaves_it(tmp_path):
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with pytest.raises(FileNotFoundError):
        swap_in(tmp_path / "missing", tmp_path / "old", tmp_path / "replaced")
    assert (tmp_path / "old/file").read_text() == "old"
    swap_in(tmp_path / "new", tmp_path / "old", tmp_path / "replaced")
    assert (tmp_path / "old/file").read_text() == "new"
    assert (tmp_path / "replaced/file").read_text() == "old"
