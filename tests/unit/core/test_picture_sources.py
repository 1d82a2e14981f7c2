"""Batch scoring finds every picture of a file, a folder, a list or a URL, once and in order."""

from __future__ import annotations

import os

import pytest

from mlopsproject.core.errors import DataError
from mlopsproject.core.picture_sources import find_pictures


def names(source) -> list[str]:
    return [entry.name for entry in find_pictures(source)]


def test_a_file_is_one_picture(tmp_path):
    (tmp_path / "face.jpg").touch()
    (entry,) = find_pictures(tmp_path / "face.jpg")
    assert entry.read() == tmp_path / "face.jpg"


def test_a_folder_is_searched_to_any_depth_in_a_stable_order(tmp_path):
    for name in (
        "b/2.jpg",
        "b/1.jpg",
        "a/deep/er/3.png",
        "0.gif",
        "notes.txt",
        ".hidden.jpg",
        ".git/x.jpg",
        "Thumbs.db",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    expected = ["0.gif", "notes.txt", "a/deep/er/3.png", "b/1.jpg", "b/2.jpg"]
    assert names(tmp_path) == [f"{tmp_path}/{name}" for name in expected]


def test_linked_folders_are_searched_once(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.jpg").touch()
    folder = tmp_path / "faces"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "again").symlink_to(tmp_path / "elsewhere")
    (folder / "itself").symlink_to(folder)
    assert names(folder) == [(folder / "again" / "1.jpg").as_posix()], "the first in order, on any file system"


def test_a_folder_that_may_not_be_read_is_listed_in_place_of_its_pictures(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "1.jpg").touch()
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert names(tmp_path) == [f"{tmp_path}/1.jpg", f"{tmp_path}/closed"]


def test_a_text_list_names_paths_and_urls(tmp_path):
    (tmp_path / "beside.jpg").touch()
    lines = ["beside.jpg", "", "  /absolute/face.png  ", "https://example.org/face.jpg"]
    (tmp_path / "list.txt").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    entries = list(find_pictures(tmp_path / "list.txt"))
    assert [entry.name for entry in entries] == ["beside.jpg", "/absolute/face.png", "https://example.org/face.jpg"]
    assert entries[0].location == tmp_path / "beside.jpg"
    assert entries[2].location == "https://example.org/face.jpg"


def test_relative_paths_are_looked_for_from_the_working_directory_first(tmp_path, monkeypatch):
    (tmp_path / "lists").mkdir()
    (tmp_path / "face.jpg").touch()
    (tmp_path / "lists" / "list.txt").write_text("face.jpg\nother.jpg\n")
    monkeypatch.chdir(tmp_path)
    first, second = find_pictures("lists/list.txt")
    assert first.read().resolve() == tmp_path / "face.jpg"
    assert second.read().resolve() == tmp_path / "lists" / "other.jpg"


def test_a_csv_list_is_read_by_its_column_path(tmp_path):
    (tmp_path / "list.csv").write_text('label,path\nhappy,"a, b.jpg"\nsad,\nsad,"say ""hi"".jpg"\n')
    assert names(tmp_path / "list.csv") == ["a, b.jpg", 'say "hi".jpg']


def test_a_csv_without_that_column_says_which_it_has(tmp_path):
    (tmp_path / "list.csv").write_text("file,label\nx.jpg,happy\n")
    with pytest.raises(DataError, match=r"no column 'path'; it has \['file', 'label'\]"):
        names(tmp_path / "list.csv")


def test_a_url_is_one_picture():
    assert names("HTTP://example.org/face.jpg") == ["HTTP://example.org/face.jpg"]


def test_what_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"input=.*missing does not exist"):
        names(tmp_path / "missing")


def test_file_names_that_are_not_utf_8_can_be_written_to_a_table(tmp_path):
    (tmp_path / os.fsdecode(b"bad\xff.jpg")).touch()
    (entry,) = find_pictures(tmp_path)
    assert entry.name.endswith(r"bad\udcff.jpg")
    assert entry.read().exists()
