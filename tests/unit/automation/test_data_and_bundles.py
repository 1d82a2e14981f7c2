"""Changed data and bundles: what the scripts count and which bounds they hold."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.docs_blocks import ROOT
from tests.unit.automation.conftest import Said

from mlopsproject.core.bundle import Bundle


def test_a_bundle_within_its_bounds_passes_and_one_outside_fails(run: Callable[..., Said], tiny_bundle: Bundle) -> None:
    given = {"STORE": str(tiny_bundle.path.parent), "MAX_MS": "1000"}
    passed = run("model_check.sh", tiny_bundle.name, MIN_ACCURACY="0.2", **given)
    assert passed.code == 0, passed.text
    assert "| accuracy | 0.2 | ≥ 0.2 | met |" in passed.summary
    failed = run("model_check.sh", tiny_bundle.name, MIN_ACCURACY="0.3", **given)
    assert failed.code == 1
    assert "**missed**" in failed.summary


def test_a_damaged_bundle_fails(run: Callable[..., Said], make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "models")
    with (bundle.path / "model.onnx").open("ab") as stream:
        stream.write(b"x")
    said = run("model_check.sh", bundle.name, MIN_ACCURACY="0", MAX_MS="1000")
    assert said.code == 1
    assert "damaged" in said.text


@pytest.mark.parametrize("figure", [None, True, float("nan"), "0.9"])
def test_a_figure_that_is_no_number_meets_no_bound(run: Callable[..., Said], tmp_path: Path, figure: object) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"accuracy": figure}), encoding="utf-8")
    assert run("model_check.py", "metrics.json", "--title", "x", "--least", "accuracy=0.1").code == 1
    assert run("model_check.py", "metrics.json", "--title", "x", "--most", "other=1").code == 1


def test_a_data_set_is_counted_and_compared_with_what_was(
    run: Callable[..., Said], drawn_faces: Path, tmp_path: Path
) -> None:
    (tmp_path / "drawn.dvc").write_text(
        "outs:\n- {md5: a.dir, nfiles: 160, size: 900, path: drawn}\n", encoding="utf-8"
    )
    (tmp_path / "before").write_text("outs:\n- {md5: b.dir, nfiles: 150, size: 800, path: drawn}\n", encoding="utf-8")
    info = str(drawn_faces / "drawn/import.json")
    text = run("data_summary.py", info, "--tracked", "drawn.dvc", "--before", "before").text
    assert "160 files = 160 images + 0 left out" in text
    assert "Changed: 150 → 160 files, 800 → 900 bytes." in text
    assert "| happy | 16 | 8 | 8 | 20.0 % |" in text
    assert "⚠" not in text


def test_a_class_that_is_missing_or_rare_is_remarked(
    run: Callable[..., Said], drawn_faces: Path, tmp_path: Path
) -> None:
    info = json.loads((drawn_faces / "drawn/import.json").read_text(encoding="utf-8"))
    info["splits"]["test"].pop("sad")
    info["splits"]["train"]["happy"] = 200
    (tmp_path / "import.json").write_text(json.dumps(info), encoding="utf-8")
    text = run("data_summary.py", "import.json").text
    assert "⚠ No images in test: sad" in text
    assert "⚠ Out of balance: 216 × happy, 24 × sad" in text


@pytest.mark.slow
def test_sample_faces_that_a_commit_brings_are_imported_counted_and_reported(
    run: Callable[..., Said], tmp_path: Path
) -> None:
    for name in (".dvc/config", "data_remote", "drift_data.dvc", "train_data.dvc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    tracked = (tmp_path / "drift_data.dvc").read_text(encoding="utf-8")
    (tmp_path / "drift_data.dvc").write_text(tracked.replace("nfiles: 300", "nfiles: 299"), encoding="utf-8")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for arguments in (["init", "--quiet"], ["add", "--all", "--", "*.dvc"], ["commit", "--quiet", "--message", "x"]):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True)
    (tmp_path / "drift_data.dvc").write_text(tracked, encoding="utf-8")
    said = run("data_change.sh", BASE="HEAD")
    assert said.code == 0, said.text
    assert "## Data set `drift_data`" in said.summary
    assert "| happy | 59 | 7 | 7 | 24.3 % |" in said.summary
    assert [path.name for path in (tmp_path / "reports/shared").iterdir()] == ["data-drift_data.html"]
