"""From a source to a data set on disk: every file accounted for, nothing half-written, interruptions survived."""

from __future__ import annotations

import csv
import errno
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mlopsproject.core.classes import FIVE
from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.data import importer, pipeline, staging
from mlopsproject.data.dataset import load_dataset
from mlopsproject.data.facts import dataset_facts, dataset_images
from mlopsproject.data.importer import import_dataset

QUIET: dict[str, Any] = {"workers": 1, "progress": False}


def draw(seed: int, side: int = 40) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def write_faces(source: Path, folders: list[str], each: int) -> Path:
    for number, folder in enumerate(folders):
        (source / folder).mkdir(parents=True)
        for index in range(each):
            draw(1000 * number + index).save(source / folder / f"{index:04}.png")
    return source


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "faces", list(FIVE), 30)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


def excluded(folder: Path) -> dict[str, str]:
    with (folder / "excluded.csv").open(newline="", encoding="utf-8") as file:
        return {row["path"]: row["reason"] for row in csv.DictReader(file)}


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_messy(happy: Path) -> dict[str, str]:
    """Write what people's folders hold; returns the reason expected for each file, empty for usable ones."""
    stream = io.BytesIO()
    draw(1, 200).save(stream, "JPEG")
    (happy / "zero.jpg").write_bytes(b"")
    (happy / "cut.jpg").write_bytes(stream.getvalue()[:3000])
    (happy / "text.jpg").write_text("not a picture")
    (happy / ".DS_Store").write_text("x")
    (happy / "gone.jpg").symlink_to("/nowhere")
    Image.new("L", (1, 1), 9).save(happy / "one.png")
    Image.new("RGB", (64, 64), (9, 80, 7)).save(happy / "flat.png")
    Image.new("1", (8000, 8000)).save(happy / "huge.png")
    Image.fromarray(np.asarray(draw(2)).astype(np.uint16) * 257).save(happy / "deep.png")
    draw(3).convert("CMYK").save(happy / "cmyk.jpg")
    draw(4).save(happy / "moving.gif", save_all=True, append_images=[draw(5), draw(6)])
    draw(7).convert("RGB").quantize(16).save(happy / "palette.png", transparency=0)
    draw(8).convert("RGBA").save(happy / "alpha.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    draw(9).resize((60, 40)).save(happy / "turned.jpg", exif=turned)
    draw(10).resize((5000, 4000)).save(happy / "large.jpg")
    bad = {"zero.jpg": "empty", "cut.jpg": "truncated", "text.jpg": "not_an_image", ".DS_Store": "hidden_or_system"}
    bad |= {"gone.jpg": "unreadable", "one.png": "tiny", "flat.png": "constant", "huge.png": "too_large"}
    good = ("deep.png", "cmyk.jpg", "moving.gif", "palette.png", "alpha.png", "turned.jpg", "large.jpg")
    return bad | dict.fromkeys(good, "")


def test_a_messy_folder_is_accounted_for_to_the_last_file(faces: Path, root: Path) -> None:
    expected = write_messy(faces / "happy")
    (faces / "README.txt").write_text("about these faces")
    result = import_dataset(faces, "messy", root=root, **QUIET)
    reasons = excluded(result.folder)
    manifest = pq.read_table(result.folder / "manifest.parquet").to_pydict()
    rows = dict(
        zip(manifest["path"], zip(manifest["mode"], manifest["width"], manifest["height"], strict=True), strict=True)
    )
    assert {name: reasons.get(f"happy/{name}", "") for name in expected} == expected
    assert reasons["README.txt"] == "no_class_folder"
    assert result.info["files"] == sum(path.is_file() or path.is_symlink() for path in faces.rglob("*"))
    assert (
        result.info["files"] == len(rows) + len(reasons) == result.info["rows"] + sum(result.info["excluded"].values())
    )
    assert rows["happy/turned.jpg"] == ("L", 40, 60)
    assert rows["happy/deep.png"][0] == "I;16"
    assert rows["happy/large.jpg"] == ("L", 5000, 4000)


def test_the_manifest_describes_the_cache_row_by_row(faces: Path, root: Path) -> None:
    import_dataset(faces, "faces", root=root, size=40, **QUIET)
    dataset = load_dataset("faces", root=root, size=40)
    assert dataset.images.shape == (150, 1, 40, 40)
    for row, path in enumerate(dataset.manifest.column("path").to_pylist()):
        np.testing.assert_array_equal(dataset.images[row, 0], np.asarray(Image.open(faces / path)))
    assert [dataset.classes[label] for label in dataset.labels] == dataset.manifest.column("label").to_pylist()
    assert sorted(np.concatenate(list(dataset.splits.values()))) == list(range(150))
    assert {name: len(rows) for name, rows in dataset.splits.items()} == {"train": 120, "validation": 15, "test": 15}


def test_one_and_two_workers_give_the_same_data_set(faces: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "FILES_PER_WORKER", 10)
    monkeypatch.setattr(pipeline, "CHUNK_ITEMS", 16)
    one = import_dataset(faces, "one", root=root, **QUIET)
    two = import_dataset(faces, "two", root=root, workers=2, progress=False)
    assert one.info["fingerprint"] == two.info["fingerprint"]
    np.testing.assert_array_equal(dataset_images("one", root), dataset_images("two", root))


def test_twins_stay_together_and_conflicting_labels_leave_training_only(faces: Path, root: Path) -> None:
    for index in range(10):
        draw(index).save(faces / "sad" / f"copy{index}.png")  # angry/0000 ... 0009 again, as sad
    policies = {}
    for policy in ("drop", "keep", "majority"):
        info = import_dataset(faces, policy, root=root, conflicts=policy, **QUIET).info
        policies[policy] = info["conflicts"]
        manifest = pq.read_table(root / policy / "manifest.parquet").to_pylist()
        assert all("conflicting_label" in row["flags"] for row in manifest if "copy" in row["path"])
        assert {row["split"] for row in manifest if row["split"] == ""} == ({""} if policy != "keep" else set())
        assert not any(row["split"] == "" for row in manifest if "dropped_conflict" not in row["flags"])
    assert {name: figures["images"] for name, figures in policies.items()} == dict.fromkeys(policies, 20)
    assert policies["keep"]["dropped_from_train"] == 0
    assert policies["drop"]["dropped_from_train"] == policies["majority"]["dropped_from_train"] > 0, (
        "ties have no majority"
    )


def test_the_majority_label_survives_a_vote(faces: Path, root: Path) -> None:
    for name in ("a", "b"):
        draw(0).save(faces / "angry" / f"{name}.png")
    draw(0).save(faces / "sad" / "c.png")
    for seed in range(5):
        import_dataset(faces, "vote", root=root, conflicts="majority", seed=seed, **QUIET)
        rows = {row["path"]: row["split"] for row in pq.read_table(root / "vote/manifest.parquet").to_pylist()}
        if rows["angry/a.png"] == "train":
            break
    assert rows["sad/c.png"] == ""
    assert rows["angry/0000.png"] == rows["angry/a.png"] == rows["angry/b.png"] == "train"


def test_official_splits_report_their_twins_and_can_drop_them(tmp_path: Path, root: Path) -> None:
    source = write_faces(tmp_path / "s", [f"{split}/{name}" for split in ("train", "test") for name in FIVE], 20)
    draw(0).save(source / "test/angry/twin.png")
    info = import_dataset(source, "official", root=root, split="official", **QUIET).info
    assert info["twins"]["with_twin_in_train"] == {"validation": 0, "test": 1}
    plain = load_dataset("official", root=root)
    clean = load_dataset("official", root=root, drop_twins=True)
    assert len(plain.splits["train"]) - len(clean.splits["train"]) == 1
    facts = dataset_facts("official", root)
    assert facts["leakage"]["used"]["test"]["twins"] == 1
    assert facts["leakage"]["published"]["validation"]["images"] == 0
    assert facts["largest_group"]["size"] == 2


def test_labels_read_as_others_stay_so_in_every_cache(tmp_path: Path, root: Path) -> None:
    source = write_faces(tmp_path / "s", ["0_smirk", "1_sad", "2_contempt"], 20)
    label_map = {"smirk": "happy", "contempt": None}
    info = import_dataset(source, "mapped", root=root, label_map=label_map, **QUIET).info
    assert info["options"]["label_map"] == label_map
    assert info["excluded"] == {"dropped_label": 20}
    assert set(info["splits"]["train"]) == {"happy", "sad"}
    loaded = load_dataset("mapped", root=root, classes=["happy", "sad"], size=32, progress=False)
    assert len(loaded.images) == 40
    changed = import_dataset(source, "mapped", root=root, label_map={"smirk": "sad", "sad": "happy"}, **QUIET).info
    assert (changed["excluded"], set(changed["splits"]["train"])) == ({}, {"contempt", "happy", "sad"})


def test_a_data_set_imported_beyond_the_usual_limits_can_be_cached_again(faces: Path, root: Path) -> None:
    import_dataset(faces, "many", root=root, max_files=150, **QUIET)
    with pytest.raises(DataError, match="max_files=149"):
        import_dataset(faces, "more", root=root, max_files=149, **QUIET)
    file = root / "many" / "import.json"
    record = json.loads(file.read_text())
    for limit in ("max_files", "max_file_mb", "max_total_mb", "label_map"):
        del record["options"][limit]  # as an earlier version wrote it
    file.write_text(json.dumps(record))
    assert len(load_dataset("many", root=root, size=32, progress=False).images) == 150


@pytest.mark.parametrize("source", [".", "angry/.."])
def test_pictures_are_never_replaced_by_their_own_data_set(faces: Path, source: str) -> None:
    before = sorted(faces.rglob("*"))
    with pytest.raises(DataError, match=r"take the place of its own source, .*/faces\. Choose another name"):
        import_dataset(faces / source, "faces", root=faces.parent, **QUIET)
    assert sorted(faces.rglob("*")) == before
    (faces / "import.json").write_text("{}")
    with pytest.raises(DataError, match="take the place"):
        import_dataset(faces / "angry", "faces", root=faces.parent, **QUIET)


def test_what_is_no_data_set_is_not_replaced_by_one(faces: Path, root: Path) -> None:
    (root / "faces").mkdir(parents=True)
    (root / "faces" / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"data/faces is there already and is no data set\. Move it"):
        import_dataset(faces, "faces", root=root, **QUIET)
    assert (root / "faces" / "thesis.txt").read_text() == "mine"
    (root / "faces" / "thesis.txt").unlink()
    assert import_dataset(faces, "faces", root=root, **QUIET).info["rows"] == 150


def test_facts_can_be_written_as_json_and_count_everything(faces: Path, root: Path) -> None:
    write_messy(faces / "happy")
    info = import_dataset(faces, "messy", root=root, **QUIET).info
    facts = json.loads(json.dumps(dataset_facts("messy", root)))
    assert facts["files"] == facts["rows"] + sum(facts["excluded"].values())
    assert sum(sum(counts.values()) for counts in facts["class_balance"].values()) == facts["rows"] == info["rows"]
    assert sum(facts["modes"].values()) == facts["rows"]
    assert facts["leakage"]["published"] is None
    assert facts["excluded_examples"]["empty"] == [{"path": "happy/zero.jpg", "detail": "The file is empty (0 bytes)."}]


def test_random_split_leakage_is_the_expectation() -> None:
    from mlopsproject.data.facts import _random_leakage

    assert _random_leakage(np.arange(10)) == 0
    assert _random_leakage(np.tile(np.arange(10), 2)) == pytest.approx(0.8)
    assert _random_leakage(np.tile(np.arange(10), 3)) == pytest.approx(0.96)


def interrupt_after(chunks: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the import fail with `error` once it has stored some chunks."""
    real = staging.Staging.append

    def append(self: staging.Staging, examined: Any) -> None:
        if self.chunks == chunks:
            raise error
        real(self, examined)

    monkeypatch.setattr(staging.Staging, "append", append)


def test_an_interrupted_import_leaves_nothing_in_place_and_continues_where_it_was(
    faces: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "CHUNK_ITEMS", 16)
    whole = import_dataset(faces, "whole", root=root, **QUIET)
    with monkeypatch.context() as patch:
        interrupt_after(4, KeyboardInterrupt(), patch)
        with pytest.raises(KeyboardInterrupt):
            import_dataset(faces, "faces", root=root, **QUIET)
    assert visible(root) == [".faces.importing", "whole"]
    examined = []
    real = pipeline.examine
    monkeypatch.setattr(pipeline, "examine", lambda items, options: examined.append(len(items)) or real(items, options))
    result = import_dataset(faces, "faces", root=root, **QUIET)
    assert sum(examined) == 150 - 4 * 16
    assert visible(root) == ["faces", "whole"]
    assert result.info["fingerprint"] == whole.info["fingerprint"]
    np.testing.assert_array_equal(dataset_images("faces", root), dataset_images("whole", root))


def test_other_options_or_a_changed_source_start_afresh(
    faces: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "CHUNK_ITEMS", 16)
    with monkeypatch.context() as patch:
        interrupt_after(4, KeyboardInterrupt(), patch)
        with pytest.raises(KeyboardInterrupt):
            import_dataset(faces, "faces", root=root, **QUIET)
    assert import_dataset(faces, "faces", root=root, size=32, **QUIET).info["rows"] == 150
    assert load_dataset("faces", root=root, size=32).images.shape == (150, 1, 32, 32)


def test_kill_9_leaves_nothing_in_place_and_the_next_import_completes(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_faces(tmp_path / "many", list(FIVE), 200)
    code = (
        "import sys; from pathlib import Path\n"
        "from mlopsproject.data import importer, pipeline, staging\n"
        "staging._SAVE_EVERY, pipeline.CHUNK_ITEMS, pipeline.FILES_PER_WORKER = 0, 16, 100\n"
        "if __name__ == '__main__':\n"
        "    importer.import_dataset(sys.argv[1], 'killed', root=Path(sys.argv[2]), workers=2, progress=False)\n"
    )
    (tmp_path / "job.py").write_text(code)
    job = subprocess.Popen([sys.executable, tmp_path / "job.py", source, root])
    state = root / ".killed.importing" / "state.json"
    deadline = time.monotonic() + 60
    while not state.exists() and job.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert not (root / "killed").exists()
    monkeypatch.setattr(pipeline, "CHUNK_ITEMS", 16)
    assert import_dataset(source, "killed", root=root, **QUIET).info["rows"] == 1000
    assert visible(root) == ["killed"]
    whole = import_dataset(source, "whole", root=root, **QUIET)
    np.testing.assert_array_equal(dataset_images("killed", root), dataset_images("whole", root))
    assert load_dataset("killed", root=root).fingerprint == whole.info["fingerprint"]


def test_a_disk_full_from_the_start_is_one_clear_error_and_leaves_nothing(
    faces: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_after(0, OSError(errno.ENOSPC, "No space left on device"), monkeypatch)
    with pytest.raises(DataError, match=rf"No space left on the disk of {root}.*Free some"):
        import_dataset(faces, "faces", root=root, **QUIET)
    assert visible(root) == []


def test_too_little_room_is_noticed_before_anything_is_decoded(
    faces: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = importer.shutil.disk_usage(faces)
    monkeypatch.setattr(importer.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DataError, match="No space left"):
        import_dataset(faces, "faces", root=root, **QUIET)
    assert visible(root) == []


def test_a_new_import_replaces_the_old_one_only_when_complete(
    faces: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = import_dataset(faces, "faces", root=root, **QUIET)
    draw(77_777).save(faces / "sad" / "new.png")
    with monkeypatch.context() as patch:
        interrupt_after(0, KeyboardInterrupt(), patch)
        with pytest.raises(KeyboardInterrupt):
            import_dataset(faces, "faces", root=root, **QUIET)
    assert load_dataset("faces", root=root).fingerprint == old.info["fingerprint"]
    assert import_dataset(faces, "faces", root=root, **QUIET).info["rows"] == 151
    assert len(load_dataset("faces", root=root).images) == 151


def test_a_crash_after_the_swap_harms_neither_the_data_set_nor_the_next_import(
    faces: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_dataset(faces, "faces", root=root, **QUIET)
    with monkeypatch.context() as patch:
        patch.setattr(staging.Staging, "discard", staging.Staging.close)
        import_dataset(faces, "faces", root=root, **QUIET)
    with monkeypatch.context() as patch:
        interrupt_after(0, KeyboardInterrupt(), patch)
        with pytest.raises(KeyboardInterrupt):
            import_dataset(faces, "faces", root=root, size=32, **QUIET)
    assert load_dataset("faces", root=root).images.shape == (150, 1, 64, 64)
    import_dataset(faces, "faces", root=root, size=32, **QUIET)
    assert visible(root) == ["faces"]


@pytest.fixture
def running_import(root: Path) -> Iterator[None]:
    held = staging.Staging(root / ".faces.importing", {"of": "another process"})
    yield
    held.close()


def test_two_imports_of_one_name_do_not_mix(faces: Path, root: Path, running_import: None) -> None:
    with pytest.raises(DataError, match=r"Another import is writing .*\.faces\.importing"):
        import_dataset(faces, "faces", root=root, **QUIET)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"split": "oficial"}, "did you mean 'official'"),
        ({"seed": -1}, "seed=-1"),
        ({"workers": 0}, "workers=0"),
        ({"classes": 5}, "classes=5 is neither a preset nor a list"),
        ({"name": "../escape"}, "cannot name a data set"),
    ],
)
def test_wrong_options_are_named_before_any_work(faces: Path, root: Path, option: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        import_dataset(faces, **({"name": "faces", "root": root} | QUIET | option))
    assert not root.exists()


def test_a_source_without_a_usable_picture_says_where_the_reasons_are(tmp_path: Path, root: Path) -> None:
    (tmp_path / "bad/happy").mkdir(parents=True)
    (tmp_path / "bad/happy/1.jpg").write_text("no")
    with pytest.raises(DataError, match=r"None of the 1 files .*excluded\.csv"):
        import_dataset(tmp_path / "bad", "bad", root=root, **QUIET)


@pytest.mark.parametrize("shape", [{"size": 48}, {"channels": 3}, {"resize_filter": "lanczos"}])
def test_a_cache_of_another_shape_is_built_from_the_source(
    faces: Path, root: Path, shape: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import_dataset(faces, "faces", root=root, **QUIET)
    direct = import_dataset(faces, "direct", root=root, **shape, **QUIET)
    built = load_dataset("faces", root=root, progress=False, **shape)
    np.testing.assert_array_equal(built.images, load_dataset("direct", root=root, **shape).images)
    assert built.fingerprint == direct.info["fingerprint"]
    assert len(list((root / "faces/cache").glob("*.npy"))) == 2
    assert not list((root / "faces/cache").glob("*.part"))


def test_a_changed_or_missing_source_is_noticed_when_a_cache_is_built(faces: Path, root: Path) -> None:
    import_dataset(faces, "faces", root=root, **QUIET)
    draw(5).save(faces / "happy/0003.png")
    with pytest.raises(DataError, match=r"has changed since the import \(at happy/0003.png\)"):
        load_dataset("faces", root=root, size=32)
    faces.rename(faces.with_name("moved"))
    with pytest.raises(DataError, match=r"no cache at 32 px .*its source is gone.*size=64"):
        load_dataset("faces", root=root, size=32)
    assert load_dataset("faces", root=root).images.shape == (150, 1, 64, 64)


def damage_byte(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["cut", "header", "first", "last", "checks"])
def test_a_corrupt_cache_names_the_file_and_the_fix(faces: Path, root: Path, how: str) -> None:
    import_dataset(faces, "faces", root=root, **QUIET)
    (path,) = (root / "faces/cache").glob("*.npy")
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif how == "checks":
        path.with_suffix(".checks.json").write_text("{}")
    else:
        damage_byte(path, {"header": 20, "first": 128, "last": -1}[how])
    with pytest.raises(DataError, match=rf"{path} is corrupt.*Delete it"):
        load_dataset("faces", root=root)
    path.unlink()
    assert load_dataset("faces", root=root, progress=False).images.shape == (150, 1, 64, 64)


def test_a_damaged_manifest_or_import_file_is_named(faces: Path, root: Path) -> None:
    folder = import_dataset(faces, "faces", root=root, **QUIET).folder
    manifest = pq.read_table(folder / "manifest.parquet")
    pq.write_table(manifest.slice(1), folder / "manifest.parquet")
    with pytest.raises(DataError, match=r"manifest\.parquet does not match"):
        load_dataset("faces", root=root)
    (folder / "manifest.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"manifest\.parquet is missing or damaged"):
        load_dataset("faces", root=root)
    (folder / "import.json").write_text("{")
    with pytest.raises(DataError, match=r"import\.json is damaged"):
        load_dataset("faces", root=root)


def test_an_unknown_data_set_lists_the_known_ones_and_the_command(faces: Path, root: Path) -> None:
    with pytest.raises(DataError, match=r"None is imported yet.*invoke import-data"):
        load_dataset("faces", root=root)
    import_dataset(faces, "faces", root=root, **QUIET)
    with pytest.raises(DataError, match=r"did you mean 'faces'.*Known: faces"):
        load_dataset("facse", root=root)


def test_a_chosen_class_without_images_in_a_split_is_an_error_that_names_it(faces: Path, root: Path) -> None:
    import_dataset(faces, "faces", root=root, **QUIET)
    with pytest.raises(DataError, match="no train images of disgust, neutral"):
        load_dataset("faces", root=root, classes="seven")


def test_only_chosen_classes_are_in_the_splits_and_the_rest_is_counted(faces: Path, root: Path) -> None:
    import_dataset(faces, "faces", root=root, **QUIET)
    dataset = load_dataset("faces", root=root, classes=["sad", "happy"])
    assert dataset.classes == ("sad", "happy")
    assert sum(map(len, dataset.splits.values())) == 60
    assert dataset.info["loaded"]["other_classes"] == 90
    assert dataset.info["loaded"]["counts"]["train"] == {"sad": 24, "happy": 24}
    assert len(dataset.images) == len(dataset.labels) == 150


def test_own_classes_are_imported_beside_the_known_ones(faces: Path, root: Path) -> None:
    (faces / "bored").mkdir()
    for index in range(30):
        draw(50_000 + index).save(faces / "bored" / f"{index}.png")
    with pytest.raises(DataError, match="Unknown class 'bored'"):
        import_dataset(faces, "own", root=root, **QUIET)
    import_dataset(faces, "own", root=root, classes=["happy", "bored"], **QUIET)
    assert load_dataset("own", root=root, classes=["happy", "bored"]).classes == ("happy", "bored")


def test_the_dead_worker_of_a_pool_is_reported_with_a_way_on(
    faces: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DeadPool:
        def __init__(self, *args: Any, **options: Any) -> None: ...

        def submit(self, *args: Any) -> Any:
            raise pipeline.BrokenProcessPool("gone")

        def shutdown(self, **options: Any) -> None: ...

    monkeypatch.setattr(pipeline, "FILES_PER_WORKER", 10)
    monkeypatch.setattr(pipeline, "ProcessPoolExecutor", DeadPool)
    with pytest.raises(DataError, match=r"worker process died.*workers=1"):
        import_dataset(faces, "faces", root=root, workers=2, progress=False)


def test_fer_csv_rows_become_a_data_set(tmp_path: Path, root: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["emotion, Usage, pixels"]
    for usage, count in (("Training", 20), ("PublicTest", 3), ("PrivateTest", 3)):
        for emotion in range(7):
            lines += [f"{emotion},{usage}," + " ".join(map(str, rng.integers(0, 256, 2304))) for _ in range(count)]
    lines.append("3,Training,1 2 3")
    (tmp_path / "icml_face_data.csv").write_text("\n".join(lines))
    import_dataset(tmp_path / "icml_face_data.csv", "fer", root=root, split="official", **QUIET)
    dataset = load_dataset("fer", root=root, classes="seven")
    assert {name: len(rows) for name, rows in dataset.splits.items()} == {"train": 140, "validation": 21, "test": 21}
    assert excluded(root / "fer") == {"icml_face_data.csv#row=183": "truncated"}


@pytest.mark.parametrize("archive", ["zip", "gztar"])
def test_an_archive_gives_the_same_data_set_as_its_folder(
    faces: Path, tmp_path: Path, root: Path, archive: str, make_archive: Callable[[str, Path], Path]
) -> None:
    packed = make_archive(archive, faces)
    one = import_dataset(packed, "packed", root=root, **QUIET)
    two = import_dataset(faces, "folder", root=root, **QUIET)
    assert {row["path"]: row["pixel_hash"] for row in pq.read_table(one.folder / "manifest.parquet").to_pylist()} == {
        row["path"]: row["pixel_hash"] for row in pq.read_table(two.folder / "manifest.parquet").to_pylist()
    }
    assert load_dataset("packed", root=root, size=32, progress=False).images.shape == (150, 1, 32, 32)


@pytest.fixture
def make_archive(tmp_path: Path) -> Callable[[str, Path], Path]:
    import shutil

    return lambda kind, folder: Path(shutil.make_archive(str(tmp_path / "packed"), kind, folder))
