"""An import that is cut off at any point continues, and never costs the data set that was there before."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlopsproject.core.errors import DataError
from mlopsproject.data import pipeline, placing, staging
from mlopsproject.data.dataset import load_dataset
from mlopsproject.data.examine import Examined, ExamineOptions, examine
from mlopsproject.data.facts import dataset_images
from mlopsproject.data.importer import import_dataset
from mlopsproject.data.items import Item
from mlopsproject.data.placing import restore_replaced

Options = dict[str, Any]


@pytest.fixture
def faces(write_faces: Callable[..., Path]) -> Path:
    """Sixty pictures and, in the chunk that is cut off below, a file that is none."""
    source = write_faces(["happy", "sad"], each=30)
    (source / "happy" / "0019.png").write_text("no picture")
    return source


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    monkeypatch.setattr(pipeline, "CHUNK_ITEMS", 8)
    return {"root": tmp_path / "data", "workers": 1, "progress": False}


def same(first: Path, second: Path) -> bool:
    """Whether two data sets hold the same pictures, rows and left-out files."""
    one, two = (load_dataset(path.name, root=path.parent, classes=["happy", "sad"]) for path in (first, second))
    np.testing.assert_array_equal(one.images, two.images)
    left_out = (first / "excluded.csv").read_text() == (second / "excluded.csv").read_text()
    return left_out and one.fingerprint == two.fingerprint


class Stopping:
    """A file of which one write fails."""

    def __init__(self, file: Any, error: BaseException) -> None:
        self._file = file
        self._error = error

    def write(self, data: Any) -> int:
        raise self._error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def stop_inside_append(monkeypatch: pytest.MonkeyPatch, file: str, error: BaseException, chunks: int = 2) -> None:
    """Fail when a chunk's part for `file` is written; its parts for the files before are written by then."""
    real = staging.Staging.append

    def append(self: staging.Staging, examined: Examined) -> None:
        if self.chunks == chunks:
            self._files[file] = Stopping(self._files[file], error)
        real(self, examined)

    monkeypatch.setattr(staging.Staging, "append", append)


@pytest.mark.parametrize("file", [staging.ROWS, staging.PIXELS, staging.THUMBNAILS, staging.EXCLUDED])
def test_ctrl_c_within_a_chunk_does_not_count_its_first_half(
    faces: Path, options: Options, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = import_dataset(faces, "whole", **options)
    with monkeypatch.context() as patch:
        stop_inside_append(patch, file, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            import_dataset(faces, "faces", **options)
    assert same(import_dataset(faces, "faces", **options).folder, whole.folder)


def test_a_disk_that_fills_up_costs_only_what_was_not_saved(
    faces: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = import_dataset(faces, "whole", **options)
    with monkeypatch.context() as patch:
        stop_inside_append(patch, staging.PIXELS, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(DataError, match=r"No space left on the disk.*Free some"):
            import_dataset(faces, "faces", **options)
    examined: list[int] = []
    monkeypatch.setattr(pipeline, "examine", lambda items, how: examined.append(len(items)) or examine(items, how))
    assert same(import_dataset(faces, "faces", **options).folder, whole.folder)
    assert sum(examined) == 60 - 2 * 8


def test_a_disk_too_full_to_save_leaves_nothing(faces: Path, options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    stop_inside_append(monkeypatch, staging.PIXELS, full)
    monkeypatch.setattr(staging.Staging, "save", lambda self: (_ for _ in ()).throw(full))
    with pytest.raises(DataError, match="No space left on the disk"):
        import_dataset(faces, "faces", **options)
    assert list(options["root"].iterdir()) == []


def kill_between_the_renames(folder: Path) -> None:
    """Leave what a kill leaves that comes after the old data set was set aside and before the new one is in place."""
    work = placing.work_folder(folder)
    work.mkdir(exist_ok=True)
    (work / "lock").touch()
    folder.rename(work / "replaced")


def test_a_kill_between_the_renames_is_undone_by_the_next_import(faces: Path, options: Options) -> None:
    old = import_dataset(faces, "faces", **options)
    kill_between_the_renames(old.folder)
    with pytest.raises(DataError, match="does not exist"):
        import_dataset(faces / "gone", "faces", **options)
    assert len(dataset_images("faces", options["root"])) == old.info["rows"]
    kill_between_the_renames(old.folder)
    assert import_dataset(faces, "faces", **options).info["fingerprint"] == old.info["fingerprint"]
    assert [path.name for path in options["root"].iterdir()] == ["faces"]


def test_a_running_import_is_not_disturbed_between_its_renames(faces: Path, options: Options) -> None:
    folder = import_dataset(faces, "faces", **options).folder
    kill_between_the_renames(folder)
    with staging.lock(placing.work_folder(folder)):
        restore_replaced(folder)
        assert not folder.exists()
    restore_replaced(folder)
    assert folder.exists()


def test_a_swap_that_fails_half_way_puts_the_old_data_set_back(
    faces: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = import_dataset(faces, "faces", **options)
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if self.name == "complete":
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(PermissionError):
        import_dataset(faces, "faces", **options)
    assert len(dataset_images("faces", options["root"])) == old.info["rows"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_hard_links_will_do(
    faces: Path, options: Options, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = import_dataset(faces, "whole", **options)

    def no_link(*paths: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", no_link)
    assert same(import_dataset(faces, "copied", **options).folder, whole.folder)


def test_reasons_that_name_a_file_in_no_utf_8_are_listed(tmp_path: Path) -> None:
    raw = os.fsdecode(b"happy/\xff.png")
    nothing = examine([], ExamineOptions())
    work = staging.Staging(tmp_path / "work", {})
    work.append(nothing._replace(excluded=[("happy/1.png", "unreadable", f"{raw} is locked")]))
    work.save()
    work.close()
    assert (work.folder / "excluded.csv").read_text().splitlines()[1:] == [
        r"happy/1.png,unreadable,happy/\udcff.png is locked"
    ]


def test_a_file_that_vanishes_is_listed_whatever_its_name(
    faces: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = Path(os.fsdecode(os.fsencode(faces / "sad") + b"/\xff.png"))
    odd.write_bytes((faces / "sad" / "0000.png").read_bytes())

    def vanishing(items: list[Item], how: ExamineOptions) -> Examined:
        if any(item.payload == str(odd) for item in items):
            odd.unlink()
        return examine(items, how)

    monkeypatch.setattr(pipeline, "examine", vanishing)
    result = import_dataset(faces, "faces", **options)
    assert result.info["excluded"] == {"not_an_image": 1, "unreadable": 1}
    assert "does not exist" in (result.folder / "excluded.csv").read_text(encoding="utf-8")
