from __future__ import annotations

import io
import os
import sys
import tarfile
import types
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.data import sources
from mlopsproject.data.labelling import read_labels
from mlopsproject.data.sources import open_source

CSV = "emotion,pixels,Usage\n3,1 2 3 4,Training\n4,1 2 3 4,PublicTest\n"


def listing(location: Path | str) -> dict[str, tuple[str, str, str]]:
    return {item.path: (item.label, item.source_split, item.reason) for item in open_source(location).items()}


@pytest.fixture
def folder(write_faces: Callable[..., Path]) -> Path:
    source = write_faces(["train/happy", "test/Sad"], each=2)
    (source / "README.md").write_text("about")
    return source


def pack_zip(folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, path.relative_to(folder))


def pack_tar(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:" + {".gz": "gz", ".bz2": "bz2", ".xz": "xz"}.get(archive.suffix, "")) as packed:
        packed.add(folder, arcname=".")


@pytest.mark.parametrize("name", ["f.zip", "f.tar", "f.tar.gz", "f.tgz", "f.tar.bz2", "f.tar.xz"])
def test_an_archive_reads_like_the_folder_it_was_packed_from(folder: Path, tmp_path: Path, name: str) -> None:
    archive = tmp_path / name
    if name == "f.tgz":
        pack_tar(folder, tmp_path / "f.tar.gz")
        (tmp_path / "f.tar.gz").rename(archive)
    else:
        (pack_zip if name.endswith("zip") else pack_tar)(folder, archive)
    before = sorted(tmp_path.rglob("*"))
    assert listing(archive) == listing(folder)
    for item in open_source(archive).items():
        assert item.reason or item.payload == (folder / item.path).read_bytes()
    assert sorted(tmp_path.rglob("*")) == before, "something was extracted"


def test_scan_counts_without_decoding_and_its_fingerprint_follows_the_files(folder: Path) -> None:
    scan = open_source(folder).scan()
    assert (scan.files, scan.labels, scan.source_splits) == (5, {"happy": 2, "sad": 2}, {"train": 2, "test": 2})
    assert open_source(folder).scan().fingerprint == scan.fingerprint
    os.utime(folder / "train/happy/0000.png", (1, 1))
    assert open_source(folder).scan().fingerprint != scan.fingerprint


def test_a_fer_csv_alone_in_a_folder_and_in_archives_gives_its_rows(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    csv = tmp_path / "in" / "fer2013.csv"
    csv.write_text(CSV)
    pack_zip(tmp_path / "in", tmp_path / "f.zip")
    pack_tar(tmp_path / "in", tmp_path / "f.tar.gz")
    expected = {"fer2013.csv#row=1": ("happy", "train", ""), "fer2013.csv#row=2": ("sad", "validation", "")}
    for location in (csv, tmp_path / "in", tmp_path / "f.zip", tmp_path / "f.tar.gz"):
        assert listing(location) == expected
        assert [item.payload for item in open_source(location).items()] == ["1 2 3 4", "1 2 3 4"]


def test_a_table_with_tabs_may_be_named_so(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/FER.TSV").write_text(CSV.replace(",", "\t"))
    for location in (tmp_path / "in", tmp_path / "in/FER.TSV"):
        assert listing(location) == {
            "FER.TSV#row=1": ("happy", "train", ""),
            "FER.TSV#row=2": ("sad", "validation", ""),
        }


def test_members_that_point_outside_or_are_links_are_left_out(tmp_path: Path) -> None:
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as packed:
        for name in ("../happy/up.jpg", "/etc/happy/root.jpg", "happy/fine.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 3
            packed.addfile(member, io.BytesIO(b"abc"))
        link = tarfile.TarInfo("happy/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(link)
    reasons = [reason for _, _, reason in listing(archive).values()]
    assert reasons == ["unsafe_path", "unsafe_path", "", "not_a_regular_file"]


def test_a_cut_off_archive_is_one_clear_error(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "f.tar.gz"
    pack_tar(folder, archive)
    archive.write_bytes(archive.read_bytes()[:-300])
    with pytest.raises(DataError, match=r"f\.tar\.gz is cut off or damaged"):
        open_source(archive).scan()


@pytest.fixture
def fer_csv(tmp_path: Path) -> Path:
    """A folder with a CSV of rows that hardly compress."""
    numbers = np.random.default_rng(0)
    rows = [f"{index % 7},{' '.join(map(str, numbers.integers(0, 256, 400)))},Training" for index in range(60)]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]))
    return tmp_path / "in"


@pytest.mark.parametrize("name", ["f.tar", "f.tar.gz", "f.tar.bz2", "f.tar.xz"])
@pytest.mark.parametrize("keep", [0.1, 0.5])
def test_a_csv_in_a_cut_off_tar_is_the_same_clear_error(fer_csv: Path, tmp_path: Path, name: str, keep: float) -> None:
    archive = tmp_path / name
    pack_tar(fer_csv, archive)
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * keep)])
    with pytest.raises(DataError, match=r"cut off or damaged .*Download or pack it again"):
        open_source(archive).scan()


def test_a_damaged_csv_in_a_zip_is_the_same_clear_error(fer_csv: Path, tmp_path: Path) -> None:
    archive = tmp_path / "f.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        packed.write(fer_csv / "fer2013.csv", "fer2013.csv")
    archive.write_bytes(archive.read_bytes().replace(b",Training\n1,", b",Training\n2,", 1))
    with pytest.raises(DataError, match=r"f\.zip is cut off or damaged \(Bad CRC.*Download or pack it again"):
        open_source(archive).scan()


@pytest.mark.parametrize("name", ["f.zip", "f.tar", "f.tar.gz"])
def test_a_csv_that_lists_no_pictures_is_a_file_like_others(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / "train/happy/labels.csv").write_text("name,label\nx,happy\n" * 2000)
    (folder / "train/happy/tiny.csv").write_text("name\n")
    archive = tmp_path / name
    (pack_zip if name.endswith("zip") else pack_tar)(folder, archive)
    assert listing(archive) == listing(folder)
    assert open_source(archive).scan().files == 7
    for item in open_source(archive).items():
        assert item.reason or item.payload == (folder / item.path).read_bytes()


def pack_tar_around_a_zip(folder: Path, archive: Path) -> None:
    """Pack a tar whose last bytes are those of a zip: what tells a zip by its end takes it for one."""
    pack_zip(folder, folder / "train/happy/last.zip")
    with tarfile.open(archive, "w") as packed:
        for path in (*sorted(folder.rglob("*.png")), folder / "train/happy/last.zip"):
            packed.add(path, path.relative_to(folder).as_posix())
    assert zipfile.is_zipfile(archive)


def test_a_tar_that_ends_in_a_zip_is_a_tar(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "f.tar"
    pack_tar_around_a_zip(folder, archive)
    paths = ["test/Sad/0000.png", "test/Sad/0001.png", "train/happy/0000.png", "train/happy/0001.png"]
    assert list(listing(archive)) == [*paths, "train/happy/last.zip"]
    for item in open_source(archive).items():
        assert item.payload == (folder / item.path).read_bytes()


def test_a_corrupt_zip_member_is_listed_and_the_rest_is_read(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "f.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for path in sorted(folder.rglob("*.png")):
            packed.write(path, path.relative_to(folder))
    content = (folder / "train/happy/0001.png").read_bytes()
    archive.write_bytes(archive.read_bytes().replace(content, content[:-20] + bytes(20)))
    reasons = {path: reason for path, (_, _, reason) in listing(archive).items() if reason}
    assert reasons == {"train/happy/0001.png": "unreadable"}


def test_a_member_that_unpacks_too_large_is_left_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack_zip(folder, tmp_path / "f.zip")
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 10)
    for location in (folder, tmp_path / "f.zip"):
        assert {reason for _, _, reason in listing(location).values()} == {"too_large", "no_class_folder"}


def test_links_pipes_loops_and_odd_names_do_not_stop_a_walk(folder: Path) -> None:
    (folder / "train/happy/gone.jpg").symlink_to("/nowhere/at/all")
    (folder / "train/happy/loop").symlink_to("..")
    os.mkfifo(folder / "train/happy/pipe.jpg")
    for name in (b"/\xff.png", b"/\xfe.png"):
        Path(os.fsdecode(os.fsencode(folder / "train/happy") + name)).write_bytes(b"x")
    found = listing(folder)
    assert found["train/happy/gone.jpg"][2] == "unreadable"
    assert found["train/happy/pipe.jpg"][2] == "not_a_regular_file"
    assert found[r"train/happy/\udcff.png"] == ("happy", "train", "")
    assert found[r"train/happy/\udcfe.png"] == ("happy", "train", "")
    assert len(found) == 9


@pytest.fixture
def renamed(folder: Path) -> Path:
    """Folders that no class is named like, and rows of other labels."""
    (folder / "train/happy").rename(folder / "train/02_smirk")
    (folder / "faces.csv").write_text("emotion;pixels\n3.0;1 2 3 4\nContempt;1 2 3 4\n7;1 2 3 4\n")
    return folder


@pytest.mark.parametrize("name", ["", "f.zip", "f.tar.gz"])
def test_a_label_map_reads_folders_and_rows_alike_and_lists_what_it_leaves_out(
    renamed: Path, tmp_path: Path, name: str
) -> None:
    if name:
        (pack_zip if name.endswith("zip") else pack_tar)(renamed, tmp_path / name)
    labels = read_labels("seven", {"smirk": "happy", "sad": None, "contempt": None, "7": "disgust", "happy": "neutral"})
    source = open_source(tmp_path / name if name else renamed, labels)
    scan = source.scan()
    assert (scan.files, scan.labels) == (8, {"happy": 2, "neutral": 1, "disgust": 1})
    left_out = {item.path: item.reason for item in source.items() if item.reason}
    assert left_out.pop("README.md") == "no_class_folder"
    assert left_out == dict.fromkeys(["test/Sad/0000.png", "test/Sad/0001.png", "faces.csv#row=2"], "dropped_label")


def test_a_key_of_a_label_map_that_is_no_label_names_those_that_there_are(renamed: Path) -> None:
    # That `3` goes before `happy` is no reason to say that there is no such label.
    given = {"smirk": "happy", "7": None, "3": "sad", "happy": "sad", "smrik": "sad"}
    labels = read_labels("seven", given)
    with pytest.raises(
        ConfigError,
        match=r"names 'smrik', which is no label in .*source; did you mean '02_smirk'\? "
        r"Labels there: 02_smirk, 3 = happy, 7, Contempt, Sad\.",
    ):
        open_source(renamed, labels).scan()


def test_a_source_of_which_nothing_is_left_says_why(renamed: Path) -> None:
    labels = read_labels("seven", dict.fromkeys(["smirk", "sad", "3", "7", "contempt"]))
    with pytest.raises(DataError, match=r"8 files looked at, mostly: dropped_label, label_map leaves 'Sad' out"):
        open_source(renamed, labels).scan()


def test_a_csv_that_is_the_source_must_list_pictures(tmp_path: Path) -> None:
    (tmp_path / "faces.csv").write_text("path,label\nx,happy\n")
    with pytest.raises(DataError, match=r"faces\.csv has a first line .*'path,label'"):
        open_source(tmp_path / "faces.csv").scan()


def test_a_csv_whose_own_name_is_no_utf_8_is_read(tmp_path: Path) -> None:
    csv = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.csv"))
    csv.write_text(CSV)
    assert open_source(csv).scan().files == 2
    assert list(listing(csv)) == [rf"\udcff.csv#row={row}" for row in (1, 2)]


def test_a_missing_source_names_the_nearest_and_other_files_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'source'"):
        open_source(tmp_path / "sorce")
    with pytest.raises(DataError, match="neither a folder, an archive nor a CSV"):
        open_source(folder / "README.md")


def test_a_source_without_class_folders_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no picture in a class folder \(0 files"):
        open_source(tmp_path / "empty").scan()


def _with_status(status: int) -> Exception:
    error = OSError(f"{status} Client Error")
    error.response = types.SimpleNamespace(status_code=status)  # type: ignore[attr-defined]
    return error


def test_kaggle_goes_through_kagglehub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fake_download(slug: str) -> str:
        asked.append(slug)
        if slug == "no/network":
            raise ConnectionError("name resolution failed")
        return str(folder)

    monkeypatch.setitem(sys.modules, "kagglehub", types.SimpleNamespace(dataset_download=fake_download))
    assert open_source("kaggle:msambare/fer2013").location == folder
    with pytest.raises(
        DataError, match=r"no/network failed \(ConnectionError: name resolution failed\).*import the folder"
    ):
        open_source("kaggle:no/network")
    with pytest.raises(DataError, match="kaggle:owner/name"):
        open_source("kaggle:fer2013")
    assert asked == ["msambare/fer2013", "no/network"]


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConnectionError("no route"), True),
        (TimeoutError("too slow"), True),
        (_with_status(503), True),
        (_with_status(429), True),
        (_with_status(403), False),
        (_with_status(404), False),
        (ValueError("not a data set"), False),
    ],
)
def test_only_what_may_pass_is_worth_another_try_at_kaggle(
    monkeypatch: pytest.MonkeyPatch, error: Exception, again: bool
) -> None:
    def fail(_: str) -> str:
        raise error

    monkeypatch.setitem(sys.modules, "kagglehub", types.SimpleNamespace(dataset_download=fail))
    monkeypatch.delenv("KAGGLE_KEY", raising=False)
    with pytest.raises(DataError, match=r"KAGGLE_USERNAME and KAGGLE_KEY.*no such variables are set") as raised:
        open_source("kaggle:a/b")
    assert raised.value.exit_code == (75 if again else 1)


def test_kaggle_keys_that_are_set_are_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> str:
        raise _with_status(403)

    monkeypatch.setitem(sys.modules, "kagglehub", types.SimpleNamespace(dataset_download=fail))
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", "secret")
    with pytest.raises(DataError) as raised:
        open_source("kaggle:a/b")
    assert "no such variables" not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_kaggle_without_the_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(DataError, match="extra `kaggle`"):
        open_source("kaggle:msambare/fer2013")
