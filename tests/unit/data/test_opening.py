"""A folder named like the data set is imported by itself: once, and again, in the same way, when it changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mlopsproject.config import load_config
from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.core.spec import InputSpec
from mlopsproject.data import opening
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.data.importer import import_dataset
from mlopsproject.data.opening import input_spec, open_dataset
from mlopsproject.data.placing import work_folder
from mlopsproject.data_report import data_report

Picture = Callable[..., Image.Image]
QUIET: dict[str, Any] = {"workers": 1, "progress": False}
ROOT = Path("data")
RECORD = ROOT / "mine" / "import.json"


@pytest.fixture
def project(tmp_path: Path, write_faces: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with pictures of two classes, published in two splits, in the folder `mine`."""
    folders = [f"{split}/{name}" for split in ("train", "test") for name in ("happy", "sad")]
    folder = write_faces(folders, each=10, root="project/mine").parent
    monkeypatch.chdir(folder)
    return folder


def opened(classes: tuple[str, ...] = ("happy", "sad")) -> FaceDataset:
    return open_dataset({"name": "mine", "root": "data"}, InputSpec(size=32), classes=classes)


def recorded() -> dict[str, Any]:
    info: dict[str, Any] = json.loads(RECORD.read_text())
    return info


def test_a_changed_folder_is_imported_again_with_the_same_options(
    project: Path, picture: Picture, caplog: pytest.LogCaptureFixture
) -> None:
    chosen: dict[str, Any] = {"split": "official", "seed": 7, "conflicts": "keep", "min_size": 20}
    chosen |= {
        "twins": "all_pairs",
        "twin_correlation": 0.9,
        "max_pixels": 5000,
        "size": 24,
        "channels": 3,
        "resize_filter": "box",
        "label_map": {"sad": "happy", "happy": "sad"},
        "max_files": 100,
        "max_file_mb": 1,
        "max_total_mb": 2,
    }
    before = import_dataset("mine", "mine", root=ROOT, **chosen, **QUIET).info
    picture(500).save("mine/train/sad/new.png")
    picture(501, 18).save("mine/train/sad/tiny.png")
    picture(502, 80).save("mine/train/sad/large.png")
    with caplog.at_level("INFO", opening.__name__):
        opened()
    said = [record.message for record in caplog.records if record.name == opening.__name__]
    assert said == ["mine/ has changed: importing it again as data set 'mine', with the same options"]
    assert recorded()["options"] == before["options"] == {**chosen, "own_classes": []}
    assert recorded()["rows"] == before["rows"] + 1
    assert recorded()["excluded"] == {"tiny": 1, "too_large": 1}
    assert recorded()["splits"]["test"] == before["splits"]["test"]


def test_an_unchanged_folder_is_imported_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened()
    monkeypatch.setattr(opening, "import_dataset", lambda *given, **options: pytest.fail("imported again"))
    opened()


def test_a_report_of_classes_of_ones_own_needs_no_word_about_them(project: Path, picture: Picture) -> None:
    Path("mine/train/bored").mkdir()
    for index in range(10):
        picture(600 + index).save(f"mine/train/bored/{index}.png")
    import_dataset("mine", "mine", root=ROOT, classes=["happy", "sad", "bored"], **QUIET)
    picture(700).save("mine/train/bored/new.png")
    page = data_report(load_config("data_report", ["name=mine"]))
    assert "bored" in page.read_text(encoding="utf-8")
    assert recorded()["rows"] == 51
    assert recorded()["options"]["own_classes"] == ["bored"]


def test_a_class_that_is_new_in_folder_and_config_is_imported(project: Path, picture: Picture) -> None:
    opened()
    Path("mine/bored").mkdir()
    for index in range(10):
        picture(600 + index).save(f"mine/bored/{index}.png")
    with pytest.raises(DataError, match=r"Unknown class 'bored'.*import with classes="):
        opened()
    assert opened(("happy", "bored")).info["loaded"]["counts"]["train"]["bored"] == 8


@pytest.mark.parametrize("given", ["relative", "absolute"])
def test_changes_are_noticed_after_the_project_has_moved(
    project: Path, picture: Picture, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_dataset("mine" if given == "relative" else project / "mine", "mine", root=ROOT, **QUIET)
    moved = project.rename(project.with_name("moved"))
    monkeypatch.chdir(moved)
    picture(500).save("mine/train/sad/new.png")
    assert len(opened().images) == 41
    assert Path(recorded()["source"]["location"]) == moved / "mine"


def test_changes_are_noticed_in_a_copy_of_the_project(
    project: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_dataset("mine", "mine", root=ROOT, **QUIET)
    monkeypatch.chdir(shutil.copytree(project, project.with_name("copy")))
    picture(500).save("mine/train/sad/new.png")
    assert len(opened().images) == 41


def test_a_data_set_from_elsewhere_is_not_replaced_by_a_folder_of_its_name(
    project: Path, write_faces: Callable[..., Path]
) -> None:
    other = write_faces(["happy", "sad"], each=15, root="other", seed=9000)
    import_dataset(other, "mine", root=ROOT, size=32, **QUIET)
    assert len(opened().images) == 30
    other.rename(other.with_name("put away"))
    assert len(opened().images) == 30, "its cache is all that training needs"


def test_a_data_set_set_aside_by_a_killed_import_is_found_again(project: Path) -> None:
    import_dataset("mine", "mine", root=ROOT, seed=7, **QUIET)
    work = work_folder(ROOT / "mine")
    work.mkdir()
    (ROOT / "mine").rename(work / "replaced")
    opened()
    assert recorded()["options"]["seed"] == 7


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("channels", 1.0, "Give 1 .gray. or 3 .colour."),
        ("channels", True, "Give 1 .gray. or 3 .colour."),
        ("mean", None, r"Give a list such as \[0.5\]"),
        ("std", 0.5, "Give a list"),
        ("size", 4, "greater than or equal to 8"),
    ],
)
def test_an_input_that_no_network_can_have_is_refused(key: str, value: object, said: str) -> None:
    data = {"size": 64, "channels": 1, "resize_filter": "bilinear", "mean": [0.5], "std": [0.5], key: value}
    with pytest.raises(ConfigError, match=rf"data\.{key}={value!r} is not possible\. .*{said}"):
        input_spec(data)


@pytest.mark.parametrize("key", ["size", "own_classes"])
def test_a_record_without_an_option_is_damaged(project: Path, key: str) -> None:
    opened()
    record = recorded()
    del record["options"][key]
    RECORD.write_text(json.dumps(record))
    with pytest.raises(DataError, match=rf"import\.json is damaged .*{key}.*import it again"):
        opened()


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', '{"format": 1, "source": {}}', '{"format": 0}'])
def test_a_damaged_record_is_named(project: Path, content: str) -> None:
    opened()
    RECORD.write_text(content)
    with pytest.raises(DataError, match=r"data/mine/import\.json (is damaged|has format 0).*import it again"):
        opened()
