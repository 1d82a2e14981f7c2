from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import tarfile
import time
import tracemalloc
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.data import sources
from mlopsproject.data.labelling import class_names
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


def test_kaggle_without_the_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(DataError, match="extra `kaggle`"):
        open_source("kaggle:msambare/fer2013")


def claim(archive: Path, size: int, opener: Callable[..., IO[bytes]] = open) -> None:
    """Write a tar of one picture whose header claims `size` bytes."""
    header = tarfile.TarInfo("happy/1.png")
    header.size = size
    with opener(archive, "wb") as stream:
        stream.write(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


@pytest.mark.parametrize(("name", "opener"), [("f.tar", open), ("f.tar.gz", gzip.open), ("f.tar.xz", lzma.open)])
def test_what_a_tar_claims_to_hold_takes_no_time(tmp_path: Path, name: str, opener: Callable[..., IO[bytes]]) -> None:
    claim(tmp_path / name, 8 * 10**12, opener)
    began = time.process_time()
    with pytest.raises(DataError, match=r"is cut off or damaged"):
        open_source(tmp_path / name).scan()
    assert time.process_time() - began < 2


@pytest.mark.parametrize("opener", [gzip.open, bz2.open, lzma.open])
def test_what_a_tar_unpacks_to_is_bounded(tmp_path: Path, opener: Callable[..., IO[bytes]]) -> None:
    archive = tmp_path / "f.tar.gz"
    with opener(archive, "wb") as packed, tarfile.open(fileobj=packed, mode="w|") as tar:
        for number in range(3):
            header = tarfile.TarInfo(f"happy/{number}.png")
            header.size = 8_000_000
            tar.addfile(header, io.BytesIO(bytes(header.size)))
    assert open_source(archive, max_unpacked_gb=0.03).scan().files == 3
    with pytest.raises(DataError, match=r"f\.tar\.gz unpacks to more than 0\.0 GB.*max_unpacked_gb"):
        open_source(archive, max_unpacked_gb=0.02).scan()


def test_a_tar_header_of_many_bytes_is_not_read_into_memory(tmp_path: Path) -> None:
    archive = tmp_path / "f.tar.gz"
    header = tarfile.TarInfo("long")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 200_000_000
    with gzip.open(archive, "wb", 1) as packed:
        packed.write(header.tobuf(tarfile.GNU_FORMAT) + bytes(header.size + 1024))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"is cut off or damaged \(a header of 200,000,000 bytes\)"):
        open_source(archive).scan()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_what_a_zip_unpacks_to_is_bounded(tmp_path: Path) -> None:
    archive = tmp_path / "f.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(3):
            packed.writestr(f"happy/{number}.png", bytes(8_000_000))
    assert open_source(archive, max_unpacked_gb=0.03).scan().files == 3
    with pytest.raises(DataError, match="max_unpacked_gb"):
        open_source(archive, max_unpacked_gb=0.02).scan()


def test_a_label_map_that_maps_nothing_is_an_error_that_says_what_there_is(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"label_map names 'smirk'.*Found: happy, sad"):
        open_source(folder, class_names("seven", {"smirk": "happy"})).scan()
