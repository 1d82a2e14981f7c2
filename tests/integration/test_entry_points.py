"""Each job does what its config says, from import to promotion, and answers mistakes with one line and exit code 1."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from mlopsproject import config as job_config
from mlopsproject.benchmark import benchmark
from mlopsproject.compare import compare
from mlopsproject.config import load_config
from mlopsproject.core.bundle import Bundle
from mlopsproject.core.errors import ConfigError, DataError, UserError
from mlopsproject.core.store import Store
from mlopsproject.data_report import data_report
from mlopsproject.evaluate import evaluate
from mlopsproject.import_data import import_data
from mlopsproject.import_data import main as import_data_command
from mlopsproject.predict import predict
from mlopsproject.promote import promote


@pytest.fixture
def store(make_bundle: Callable[..., Bundle], tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    bundle = make_bundle(folder, size=16)
    Store(folder).set_alias("latest", bundle.name)
    return folder


def test_import_accounts_for_every_file_and_says_how_to_go_on(
    drawn_faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_data(
        load_config("import_data", [f"source={drawn_faces.parent}/source", "name=again", f"root={tmp_path}", "size=16"])
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "160 files = 160 images + 0 left out" in said
    assert "train -o data.name=again" in said
    assert (tmp_path / "again" / "manifest.parquet").is_file()


def test_import_says_how_to_train_on_classes_of_ones_own(
    drawn_faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(drawn_faces.parent / "source/train", tmp_path / "own")
    (tmp_path / "own/happy").rename(tmp_path / "own/bored")
    overrides = [f"source={tmp_path / 'own'}", "name=own", f"root={tmp_path}/data", "classes=[sad,bored]", "size=16"]
    import_data(load_config("import_data", overrides))
    assert "train -o data.name=own -o 'classes=[sad,bored]'" in " ".join(capsys.readouterr().out.split())


def test_import_counts_the_pictures_that_a_label_map_leaves_out(
    drawn_faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(drawn_faces.parent / "source/train", tmp_path / "own")
    (tmp_path / "own/happy").rename(tmp_path / "own/1_smirk")
    overrides = [f"source={tmp_path / 'own'}", "name=own", f"root={tmp_path}/data", "size=16"]
    import_data(load_config("import_data", [*overrides, "label_map={smirk: happy, sad: null}"]))
    said = " ".join(capsys.readouterr().out.split())
    assert "80 files = 64 images + 16 left out" in said
    assert "left out: dropped_label │ 16" in said
    with pytest.raises(ConfigError, match=r"names 'smrik'.*did you mean '1_smirk'"):
        import_data(load_config("import_data", [*overrides, "label_map={smirk: happy, smrik: sad}"]))


def test_evaluate_writes_metrics_plots_and_one_page(store: Path, drawn_faces: Path, tmp_path: Path) -> None:
    overrides = ["data.name=drawn", f"data.root={drawn_faces}", f"store.uri={store}", "bootstrap_samples=20"]
    metrics = evaluate(load_config("evaluate", overrides), tmp_path / "run")
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert written["accuracy"] == metrics["accuracy"]
    assert metrics["images"] == 40
    assert (tmp_path / "run" / "plots" / "examples.png").is_file()
    assert "<html" in (tmp_path / "run" / "report.html").read_text()


def test_evaluate_without_intervals_prints_its_table(
    store: Path, drawn_faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["data.name=drawn", f"data.root={drawn_faces}", f"store.uri={store}", "bootstrap_samples=0"]
    assert "intervals_95" not in evaluate(load_config("evaluate", overrides), tmp_path / "run")
    assert "accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("batch_size=0", "batch_size=0 is not possible"),
        ("seed=-1", "seed=-1 is not possible"),
        ("bootstrap_samples=-1", "bootstrap_samples=-1 is not possible"),
        ("threads=0", "threads=0 is not possible"),
        ("wandb.mode=onlin", "wandb.mode='onlin' is unknown"),
    ],
)
def test_evaluate_refuses_wrong_values_before_any_work(
    store: Path, drawn_faces: Path, tmp_path: Path, override: str, said: str
) -> None:
    overrides = ["data.name=drawn", f"data.root={drawn_faces}", f"store.uri={store}", override]
    with pytest.raises(ConfigError, match=said):
        evaluate(load_config("evaluate", overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_evaluate_of_an_unknown_split_names_the_known_ones(store: Path, drawn_faces: Path, tmp_path: Path) -> None:
    overrides = ["data.name=drawn", f"data.root={drawn_faces}", f"store.uri={store}", "split=tests"]
    with pytest.raises(ConfigError, match="did you mean 'test'"):
        evaluate(load_config("evaluate", overrides), tmp_path / "run")


def test_evaluate_logs_to_wandb_offline_when_asked(
    store: Path, drawn_faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    overrides = ["data.name=drawn", f"data.root={drawn_faces}", f"store.uri={store}", "bootstrap_samples=20"]
    output = tmp_path / "run"
    evaluate(load_config("evaluate", [*overrides, "wandb.enabled=true", "wandb.mode=offline"]), output)
    assert list(output.glob("wandb/offline-run-*/run-*.wandb"))


def test_predict_writes_one_row_per_picture(store: Path, drawn_faces: Path, tmp_path: Path) -> None:
    pictures, table = drawn_faces.parent / "source" / "test", tmp_path / "predictions.csv"
    overrides = [f"input={pictures}", f"output={table}", "bundle=latest", f"store.uri={store}", "progress=false"]
    result = predict(load_config("predict", overrides))
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result.scored == 40
    assert {row["model_version"] for row in rows} == {Store(store).get_alias("latest")}


def test_predict_without_input_says_which_key_is_missing(store: Path) -> None:
    with pytest.raises(ConfigError, match="input= is missing"):
        predict(load_config("predict", [f"store.uri={store}"]))


def test_promote_moves_the_alias_of_a_tested_bundle(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    promotion = promote(load_config("promote", ["bundle=latest", f"store.uri={store}"]))
    assert Store(store).get_alias("production") == promotion.new
    assert "tested: fp32, int8" in capsys.readouterr().out


def test_promote_of_a_damaged_bundle_leaves_the_alias_alone(store: Path) -> None:
    name = Store(store).get_alias("latest")
    (store / str(name) / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(UserError):
        promote(load_config("promote", ["bundle=latest", f"store.uri={store}"]))
    assert Store(store).get_alias("production") is None


def test_data_report_is_one_page(drawn_faces: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert data_report(load_config("data_report", ["name=drawn", f"root={drawn_faces}", f"output={page}"])) == page
    assert "drawn" in page.read_text()


def test_data_that_do_not_keep_their_limits_are_an_error_after_the_report(drawn_faces: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    with pytest.raises(DataError, match=rf"at least 1,000 are needed \(checks.min_per_class\). Look at {page}"):
        data_report(
            load_config(
                "data_report", ["name=drawn", f"root={drawn_faces}", f"output={page}", "checks.min_per_class=1000"]
            )
        )
    assert "Checks that failed" in page.read_text()


def test_what_may_pass_when_it_is_tried_again_has_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: str) -> str:
        raise ConnectionError("no route")

    monkeypatch.setitem(sys.modules, "kagglehub", types.SimpleNamespace(dataset_download=fail))
    arguments = ["import_data", "source=kaggle:a/b", "name=faces", f"root={tmp_path}/data", f"hydra.run.dir={tmp_path}"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stopped:
        import_data_command()
    assert stopped.value.code == 75
    assert "Downloading kaggle:a/b failed (ConnectionError: no route)" in capsys.readouterr().err
    assert not (tmp_path / "data/faces").exists()


def test_a_user_mistake_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["import_data", "sorce=faces", f"hydra.run.dir={tmp_path}"])
    with pytest.raises(SystemExit) as stopped:
        import_data_command()
    assert stopped.value.code == 1
    assert "'sorce' is not a config key of import_data; did you mean 'source'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("epochs=5", "epochs=5"),
        ("classes=[happy,sad]", "classes=[happy,sad]"),
        ("input=https://example.org/a.jpg?x=1", "input='https://example.org/a.jpg?x=1'"),
        ("source=faces (1).zip", "source='faces (1).zip'"),
        ("source=it's.zip", r"source='it\'s.zip'"),
        ("--help", "--help"),
    ],
)
def test_values_that_hydra_cannot_read_are_quoted(text: str, read_as: str) -> None:
    assert job_config.quoted(text) == read_as


def test_a_quoted_value_arrives_as_it_was_typed() -> None:
    for value in ("https://example.org/a.jpg?x=1&y=[2", "faces (1), new.zip", r"back\slash's.zip"):
        assert load_config("predict", [job_config.quoted(f"input={value}")]).input == value


def test_compare_measures_every_bundle_and_precision_into_one_table_and_plot(
    store: Path, drawn_faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results" / "bundles.csv"
    overrides = ["bundles=[latest]", "data.name=drawn", f"data.root={drawn_faces}", f"store.uri={store}"]
    overrides += ["bootstrap_samples=20", "robustness_images=20", f"results={results}", "published=null"]
    rows = compare(load_config("compare", overrides), tmp_path / "run")
    assert [row["precision"] for row in rows] == ["fp32", "int8"]
    assert all(row["latency_ms"] > 0 for row in rows)
    with results.open(newline="") as stream:
        written = list(csv.DictReader(stream))
    assert {row["accuracy"] for row in written} == {str(row["accuracy"]) for row in rows}
    assert results.with_name("bundles_drawn_5.png").is_file()
    assert (tmp_path / "run" / f"{rows[0]['bundle']}-fp32" / "metrics.json").is_file()
    assert "Bundles side by side" in capsys.readouterr().out
    compare(load_config("compare", [*overrides, "precisions=[fp32]"]), tmp_path / "again")
    with results.open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 2


def test_compare_draws_what_others_published_of_the_same_data_only(
    store: Path, drawn_faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = tmp_path / "published.csv"
    published.write_text("name,classes,accuracy,data\na,5,0.6,Drawn test\nb,5,0.7,FER2013\n")
    drawn: list[str] = []
    monkeypatch.setattr(
        "mlopsproject.compare.plot_comparison",
        lambda rows, others, path, classes: drawn.extend(o["name"] for o in others),
    )
    overrides = ["bundles=[latest]", "precisions=[fp32]", "data.name=drawn", f"data.root={drawn_faces}"]
    overrides += [f"store.uri={store}", "bootstrap_samples=0", "robustness_images=0", f"published={published}"]
    compare(load_config("compare", [*overrides, f"results={tmp_path / 'bundles.csv'}"]), tmp_path / "run")
    assert drawn == ["a"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("bundles=[]", r"bundles=\[\] is not possible"),
        ("precisions=[fp16]", "precisions='fp16' is unknown"),
        ("results=null", "results=None is not possible"),
        ("results=.", r"results=\. is not possible"),
        ("split=tests", "did you mean 'test'"),
        ("published=nowhere.csv", r"published=nowhere\.csv: there is no such file"),
        ("bundles=[nothing]", "nothing"),
    ],
)
def test_compare_refuses_what_it_cannot_measure(override: str, said: str, store: Path, tmp_path: Path) -> None:
    overrides = [f"store.uri={store}", f"results={tmp_path}/bundles.csv", "published=null", override]
    with pytest.raises(UserError, match=said):
        compare(load_config("compare", overrides), tmp_path / "run")


def test_latency_is_measured_for_both_precisions(store: Path, tmp_path: Path) -> None:
    overrides = ["what=latency", "latency.bundle=latest", f"latency.store={store}", "latency.rounds=1"]
    figures = benchmark(load_config("benchmark", overrides), tmp_path)
    assert 0 < figures["fp32_ms"] < 1000
    assert 0 < figures["int8_ms"] < 1000
    assert json.loads((tmp_path / "benchmark.json").read_text()) == figures
