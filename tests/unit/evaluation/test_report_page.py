"""The evaluation page: self-contained, complete, safe against odd names."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mlopsproject.evaluation.evaluator import evaluate_bundle
from mlopsproject.evaluation.pages import UNKNOWN, decimal, interval, number, percent
from mlopsproject.evaluation.report import top_confusions, write_report


class Tags(HTMLParser):
    """Collects addresses and checks that tags are balanced."""

    VOID = frozenset({"meta", "img", "br", "rect", "line"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.addresses += [value for key, value in attrs if key in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def page(predictor, faces, tmp_path: Path):
    def write(*, plots: bool = False, **options) -> str:
        metrics = evaluate_bundle(
            predictor, faces, "test", tmp_path, bootstrap_samples=20, plots=plots, examples=True, progress=False
        )
        return write_report(metrics, tmp_path, **options).read_text(encoding="utf-8")

    return write


def test_needs_no_other_file_and_is_well_formed(page) -> None:
    tags = Tags(page(plots=True))
    assert tags.open == []
    assert len(tags.addresses) == 7
    assert all(address.startswith("data:image/png;base64,") for address in tags.addresses)


def test_shows_the_headline_figures_with_and_without_twins(page) -> None:
    text = page()
    assert "66.7%" in text
    assert "without exact and near twins" in text
    assert "50.0%" in text
    assert "1 exact and 2 exact or near twins" in text


def test_shows_how_to_reproduce_it(page, predictor) -> None:
    assert "<pre>make it so</pre>" in page(command="make it so")
    predictor.model_version = "tiny-0123456789ab"
    assert (
        "uv run invoke evaluate -o bundle=tiny-0123456789ab -o precision=fp32 -o data.name=faces -o split=test"
        in page()
    )


def test_says_so_when_twins_are_unknown(page, predictor) -> None:
    (predictor.bundle.path / "train_hashes.parquet").unlink()
    text = page()
    assert "carries no hashes" in text
    assert "without exact twins" not in text


def test_escapes_names(page, faces) -> None:
    faces.name = "<script>alert(1)</script>"
    assert "<script>" not in page()


def test_speaks_of_apparent_expression_and_the_law(page) -> None:
    assert re.search(r"apparent expression.*Art\. 5\(1\)\(f\)", page(), re.DOTALL)


def test_a_failed_page_leaves_the_old_one(page, tmp_path: Path) -> None:
    page()
    before = (tmp_path / "report.html").read_bytes()
    with pytest.raises(KeyError):
        write_report({}, tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before
    assert not list(tmp_path.glob(".*partial"))


def test_mix_ups_are_ranked_by_share_and_only_real_ones_are_named() -> None:
    metrics = {"confusion": {"raw": [[8, 2, 0], [5, 5, 0], [0, 0, 0]]}, "per_class": dict.fromkeys(("a", "b", "c"))}
    assert [(item["label"], item["predicted"], item["count"]) for item in top_confusions(metrics)] == [
        ("b", "a", 5),
        ("a", "b", 2),
    ]


def test_figures_that_are_unknown_are_said_to_be() -> None:
    assert percent(None) == number(None) == decimal(None) == UNKNOWN
    assert interval(None) == ""
    assert (percent(0.5), number(12345), decimal(0.12345)) == ("50.0%", "12,345", "0.123")
    assert interval([0.401, 0.5]) == "40.1\u201350.0%"
