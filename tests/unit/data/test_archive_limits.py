"""An archive takes no more time and memory than the limits allow, whatever its headers say."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import re
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlopsproject.core.errors import DataError
from mlopsproject.data.limits import USUAL_LIMITS, Limits
from mlopsproject.data.sources import open_source

END = bytes(1024)
TB = 10**12
HUGE = Limits(max_file_mb=10**9, max_total_mb=10**9)
PACK: dict[str, Callable[[bytes], bytes]] = {
    "f.tar": bytes,
    "f.tar.gz": gzip.compress,
    "f.tar.bz2": bz2.compress,
    "f.tar.xz": lzma.compress,
}


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def member(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    return header(name, len(content), kind) + content + bytes(-len(content) % 512)


def pax(**records: object) -> bytes:
    """Headers of a header, such as a size that the field for it cannot hold."""
    text = tarfile.TarInfo()._create_pax_generic_header(  # type: ignore[attr-defined]
        {key: str(value) for key, value in records.items()}, tarfile.XHDTYPE, "utf-8"
    )
    return bytes(text)


def refusal(archive: Path, limits: Limits = USUAL_LIMITS) -> str:
    with pytest.raises(DataError) as caught:
        open_source(archive, limits=limits).scan()
    return str(caught.value)


@pytest.mark.parametrize("name", PACK)
@pytest.mark.parametrize(
    ("content", "claimed"),
    [
        (header("happy/1.jpg", 8 * TB), "happy/1.jpg"),
        (header("README", 8 * TB), "README"),
        (header("sad", 8 * TB, b"Z"), "sad"),
        (member("happy/1.jpg", b"abc") + header("happy/2.jpg", 8 * TB) + b"abc", "happy/2.jpg"),
        (pax(size=8 * TB) + header("happy/1.jpg", 3) + b"abc", "happy/1.jpg"),
    ],
    ids=["picture", "other file", "unknown kind", "second", "extended header"],
)
def test_a_claim_of_terabytes_is_refused_at_once(tmp_path: Path, name: str, content: bytes, claimed: str) -> None:
    archive = tmp_path / name
    archive.write_bytes(PACK[name](content + END))
    said = rf"^{archive} has a member {claimed} of 8,000,000,000,000 bytes, .*max_file_mb=1000 .*raise max_file_mb="
    assert re.search(said, refusal(archive))


@pytest.mark.parametrize("name", PACK)
def test_a_claim_that_is_allowed_ends_where_the_archive_does(tmp_path: Path, name: str) -> None:
    archive = tmp_path / name
    archive.write_bytes(PACK[name](header("happy/1.jpg", 8 * TB) + bytes(20_000)))
    assert "cut off or damaged (unexpected end of data)" in refusal(archive, HUGE)


@pytest.mark.parametrize("name", list(PACK)[1:])
def test_many_members_that_unpack_to_too_much_are_refused_half_way(tmp_path: Path, name: str) -> None:
    archive = tmp_path / name
    content = b"".join(member(f"happy/{number}.bmp", bytes(10**6)) for number in range(12))
    archive.write_bytes(PACK[name](content + END))
    assert archive.stat().st_size < 100_000
    said = refusal(archive, Limits(max_total_mb=5))
    assert re.search(rf"^{archive} unpacks to 5,\d+,\d+ bytes up to happy/4.bmp, .*raise max_total_mb=", said)
    assert open_source(archive, limits=Limits(max_total_mb=13)).scan().files == 12


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_without_end_is_not_taken_into_memory(tmp_path: Path, kind: bytes) -> None:
    archive = tmp_path / "f.tar.gz"
    archive.write_bytes(gzip.compress(header("happy", 100 * 10**6, kind) + bytes(100 * 10**6), 1))
    tracemalloc.start()
    try:
        assert "headers of a member are too long" in refusal(archive, HUGE)
        assert tracemalloc.get_traced_memory()[1] < 10 * 10**6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_headers_of_headers_of_headers_are_damage(tmp_path: Path, kind: bytes) -> None:
    (tmp_path / "f.tar").write_bytes(member("x", b"13 comment=a\n", kind) * 2000 + END)
    assert "cut off or damaged" in refusal(tmp_path / "f.tar")


@pytest.mark.parametrize(
    "content",
    [
        pax(size=-1024) + member("happy/2.jpg", b"abc") + END,
        pax(**{"GNU.sparse.major": 1, "GNU.sparse.minor": 0, "GNU.sparse.realsize": 9}) + member("x", b"zz") + END,
        pax(**{"GNU.sparse.size": "abc"}) + member("x", b"zz") + END,
        b"no header, which is where tarfile takes the archive for ended".ljust(512) + member("sad/2.jpg", b"abc") + END,
        header("sad/2.jpg", 3)[:200],
        b"",
    ],
    ids=["negative size", "sparse map", "sparse size", "damaged header", "cut-off header", "no end"],
)
def test_members_behind_a_damaged_header_are_not_left_out_silently(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f.tar").write_bytes(member("happy/1.jpg", b"abc") + content)
    assert "cut off or damaged" in refusal(tmp_path / "f.tar")


def test_a_sparse_file_is_left_out_whatever_size_its_holes_make_it(tmp_path: Path) -> None:
    names = {"GNU.sparse.name": "happy/2.jpg", "GNU.sparse.map": "0,1", "GNU.sparse.size": 900_000_000}
    content = member("happy/1.jpg", b"abc") + pax(**names) + member("x", b"a") + END
    (tmp_path / "f.tar").write_bytes(content)
    assert [item.reason for item in open_source(tmp_path / "f.tar").items()] == ["", "not_a_regular_file"]


def zipped(archive: Path, method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> Path:
    with zipfile.ZipFile(archive, "w", method) as packed:
        for name, content in members.items():
            packed.writestr(f"happy/{name}", content)
    return archive


def test_a_zip_is_held_to_what_its_list_claims(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "f.zip", a=b"abc")
    content = bytearray(archive.read_bytes())
    size = content.index(b"PK\1\2") + 24
    content[size : size + 4] = struct.pack("<I", 4 * 10**9)
    archive.write_bytes(content)
    assert re.search(r"f\.zip has a member happy/a of 4,000,000,000 bytes.*raise max_file_mb=", refusal(archive))
    # Allowed that much, it still gives no more than it has.
    (item,) = open_source(archive, limits=HUGE).items()
    assert item.reason == "too_large"


def test_a_zip_of_many_members_is_held_to_the_total(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "f.zip", **{str(number): bytes(10**6) for number in range(12)})
    said = refusal(archive, Limits(max_total_mb=5))
    assert re.search(r"f\.zip unpacks to 12,000,000 bytes, more than max_total_mb=5 allows\. .*raise", said)
    assert open_source(archive, limits=Limits(max_total_mb=12)).scan().files == 12


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("name", ["a.jpg", "faces.csv"])
def test_zip_members_whose_unpacking_cannot_be_bounded_are_not_unpacked(tmp_path: Path, method: int, name: str) -> None:
    archive = zipped(tmp_path / "f.zip", method, **{name: b"emotion,pixels\n" + bytes(10**7)})
    assert re.search(r"1 files looked at, mostly: unreadable, .*not packed with deflate", refusal(archive))


def test_files_folders_of_archives_and_rows_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "happy" / "more").mkdir(parents=True)
    (folder / "happy/1.jpg").write_bytes(b"abc")
    (folder / "f.csv").write_text("emotion,pixels\n" + "3,1\n\n" * 5)
    with tarfile.open(tmp_path / "f.tar", "w") as packed:
        packed.add(folder, arcname="in")
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(tmp_path))
    for source in (folder, folder / "f.csv", tmp_path / "f.tar", tmp_path / "f.zip"):
        said = refusal(source, Limits(max_files=9))
        assert said.startswith(f"{source} has more files and CSV rows than max_files=9 allows.")
        assert open_source(source, limits=Limits(max_files=11)).scan().labels == (
            {"happy": 5 if source.suffix == ".csv" else 6}
        )
    empty = b"".join(member(f"happy/{number}", b"", tarfile.DIRTYPE) for number in range(20))
    (tmp_path / "folders.tar").write_bytes(empty + END)
    assert "max_files=9" in refusal(tmp_path / "folders.tar", Limits(max_files=9))


ARCHIVES = ["f.zip", *PACK, "pax.tar"]


def packed(name: str) -> bytes:
    """A small archive of pictures and a CSV, long names among them."""
    files = {f"{'long' * 30}/happy/{number}é.jpg": bytes([number]) * 700 for number in range(3)}
    files["f.csv"] = b"emotion,pixels\n3,1 2 3 4\n"
    stream = io.BytesIO()
    if name == "f.zip":
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in files.items():
                archive.writestr(path, content)
        return stream.getvalue()
    form = tarfile.PAX_FORMAT if name == "pax.tar" else tarfile.GNU_FORMAT
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return PACK.get(name, bytes)(stream.getvalue())


def with_checksums(content: bytes) -> bytes:
    """Make the headers of a damaged tar agree with their checksums again."""
    blocks = [content[start : start + 512] for start in range(0, len(content), 512)]
    for number, block in enumerate(blocks):
        if block[257:262] == b"ustar" and len(block) == 512:
            blank = block[:148] + b" " * 8 + block[156:]
            blocks[number] = blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]
    return b"".join(blocks)


@pytest.mark.parametrize("name", ARCHIVES)
@settings(max_examples=60, deadline=None)
@given(
    damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=12)), min_size=1, max_size=4),
    keep=st.floats(0.3, 1.7),
)
def test_a_damaged_archive_is_read_or_refused(
    name: str, damage: list[tuple[float, bytes]], keep: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(packed(name))
    for place, written in damage:
        start = int(place * len(content))
        content[start : start + len(written)] = written
    content = content[: int(len(content) * keep)]
    archive = tmp_path_factory.mktemp("damaged") / name
    archive.write_bytes(with_checksums(bytes(content)) if name.endswith(".tar") else bytes(content))
    source = open_source(archive)
    with contextlib.suppress(DataError):
        assert source.scan().files == len(list(source.items()))
