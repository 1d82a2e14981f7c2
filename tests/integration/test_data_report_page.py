"""The data report of really imported data sets: every fact is on the page, in one file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mlopsproject.core.classes import FIVE
from mlopsproject.core.errors import DataError
from mlopsproject.data.importer import import_dataset
from mlopsproject.evaluation.data_report import write_data_report

Draw = Callable[..., Image.Image]


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory, smooth_picture: Draw) -> Path:
    """Root of a data set `messy`: twins in one class, one picture under two labels, dark ones, and files of no use."""
    source = tmp_path_factory.mktemp("messy")
    for number, name in enumerate(FIVE):
        folder = source / name
        folder.mkdir()
        for index in range(12):
            smooth_picture(40 + number, 40, seed=100 * number + index, mode="L" if index % 2 else "RGB").save(
                folder / f"{index}.png"
            )
    for copy in range(4):
        smooth_picture(50, 50, seed=9999, mode="L").save(source / "happy" / f"twin{copy}.png")
    for name in ("sad", "fear"):
        smooth_picture(50, 50, seed=8888, mode="L").save(source / name / "both.png")
    smooth_picture(50, 50, seed=7777, mode="L").point(lambda value: value // 16).save(source / "sad" / "dark.png")
    (source / "sad" / "empty.jpg").write_bytes(b"")
    (source / "angry" / "<b>notes<b>.txt").write_text("hello", encoding="utf-8")
    root = tmp_path_factory.mktemp("data")
    import_dataset(source, "messy", root=root, size=32, workers=1, progress=False)
    return root


@pytest.fixture(scope="module")
def page(messy: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("reports") / "deep" / "data.html"
    write_data_report("messy", path, root=messy, command="import it")
    return path.read_text(encoding="utf-8")


def test_is_one_file_that_asks_for_no_other(page: str) -> None:
    addresses = re.findall(r'(?:src|href)="([^"]{5})', page)
    assert addresses
    assert set(addresses) == {"data:"}


def test_accounts_for_every_file(page: str) -> None:
    assert "69 files = 67 images used + 2 excluded" in page
    assert "&lt;b&gt;notes&lt;b&gt;.txt" in page


def test_shows_the_balance_of_every_class(page: str) -> None:
    for name in FIVE:
        assert f"<td><b>{name}</b></td>" in page


def test_shows_the_largest_group_and_what_a_random_split_would_leak(page: str) -> None:
    assert "The largest group: 4 images (happy 4)" in page
    assert "random 80/10/10" in page


def test_shows_pictures_with_conflicting_labels(page: str) -> None:
    assert "1 groups of exact duplicates carry different labels" in page
    assert "fear / sad 1" in page


def test_shows_suspects_sizes_and_modes(page: str) -> None:
    assert "very dark: 1" in page
    assert "40 × 40" in page
    assert "RGB <small>colour</small>" in page
    assert page.count("<svg") == 3


def test_says_how_it_was_imported(page: str) -> None:
    assert '<pre style="margin-bottom:14px">import it</pre>' in page
    assert "grouped" in page


def test_a_clean_set_has_nothing_to_complain_about(tmp_path: Path, smooth_picture: Draw) -> None:
    for number, name in enumerate(("happy", "sad")):
        (tmp_path / "clean" / name).mkdir(parents=True)
        for index in range(10):
            smooth_picture(32, 32, seed=100 * number + index, mode="L").save(tmp_path / "clean" / name / f"{index}.png")
    import_dataset(tmp_path / "clean", "clean", root=tmp_path / "data", size=32, workers=1, progress=False)
    assert write_data_report("clean", tmp_path / "clean.html", root=tmp_path / "data") == []
    text = (tmp_path / "clean.html").read_text(encoding="utf-8")
    assert "None: all 20 files are used." in text
    assert "The largest group" not in text
    assert "different labels</h2>" not in text


def test_an_unknown_data_set_is_an_error_and_leaves_no_page(messy: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'messy'"):
        write_data_report("mesy", tmp_path / "x.html", root=messy)
    assert not list(tmp_path.iterdir())


def test_limits_that_are_not_kept_are_named_and_shown(messy: Path, tmp_path: Path) -> None:
    limits = {"max_left_out": 0.02, "max_conflicts": 0.01, "min_per_class": 50}
    failed = write_data_report("messy", tmp_path / "data.html", root=messy, checks=limits)
    assert [sentence.partition("(")[2].partition(")")[0] for sentence in failed] == [
        "checks.max_left_out",
        "checks.max_conflicts",
        "checks.min_per_class",
    ]
    assert failed[0] == "2 of 69 files are no usable pictures: 2.9 %, at most 2 % may (checks.max_left_out)."
    text = (tmp_path / "data.html").read_text(encoding="utf-8")
    assert "Checks that failed" in text
    assert "2 of 69 files are no usable pictures" in text
