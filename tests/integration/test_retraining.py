"""The retraining: each step once, in order, resumable, and only a better model takes production's place."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.prediction_rows import make_row

from mlopsproject import retrain as job
from mlopsproject.config import load_config, values
from mlopsproject.core.bundle import Bundle, seal_bundle
from mlopsproject.core.errors import ConfigError, StoreError, UserError
from mlopsproject.core.promotion import roll_back
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.core.store import Store
from mlopsproject.data.importer import import_dataset
from mlopsproject.data.manifest import read_manifest
from mlopsproject.data.synthetic import write_dataset
from mlopsproject.monitoring import retraining as module
from mlopsproject.monitoring.comparison import Comparison
from mlopsproject.monitoring.retraining import Retraining
from mlopsproject.monitoring.retraining_settings import STEPS, Outcome
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.migrate import migrate
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.tables import to_record

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return resolve_bundle("sample", ROOT / "models")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data sets: the sample faces, and others of a drifted and of the same world."""
    root = tmp_path_factory.mktemp("retraining") / "data"
    import_dataset(ROOT / "train_data", "train_data", root=root, progress=False)
    import_dataset(ROOT / "drift_data", "drifted", root=root, progress=False)
    write_dataset(root.parent / "same", images=300, seed=5, progress=False)
    import_dataset(root.parent / "same", "same", root=root, progress=False)
    return root


class Trainer:
    """Stands in for training: seals a copy of `sample` as the candidate, which is as good as production."""

    def __init__(self, bundle: Bundle, store: Path) -> None:
        self.calls: list[list[str]] = []
        self.fail = False
        self._bundle = bundle
        self._store = store

    def __call__(self, overrides: list[str], output: Path) -> None:
        self.calls.append(overrides)
        (output / "checkpoints").mkdir(parents=True, exist_ok=True)
        (output / "checkpoints" / "last.ckpt").touch()
        if self.fail:
            raise KeyboardInterrupt
        (prefix,) = (text.partition("=")[2] for text in overrides if text.startswith("bundle_name="))
        shutil.copytree(self._bundle.path, output / "copy")
        seal_bundle(output / "copy", self._bundle.spec, self._store, prefix)


@pytest.fixture
def trainer(bundle: Bundle, tmp_path: Path) -> Trainer:
    store = tmp_path / "models"
    shutil.copytree(bundle.path, store / bundle.name)
    Store(store).set_alias("live", bundle.name)
    return Trainer(bundle, store)


@pytest.fixture
def retrain(trainer: Trainer, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """``retrain("new_data=drifted", …)`` in a working folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*overrides: str) -> Outcome:
        fixed = ["alias=live", f"store.uri={tmp_path}/models", f"data.root={data}", "progress=false"]
        return Retraining(values(load_config("retrain", [*fixed, *overrides])), trainer).run()

    return run


def holder(trainer: Trainer, tmp_path: Path) -> str | None:
    return Store(tmp_path / "models").get_alias("live")


def test_without_drift_or_decay_there_is_nothing_to_do(retrain: Callable[..., Outcome], trainer: Trainer) -> None:
    outcome = retrain("new_data=same")
    assert outcome.stopped is not None
    assert "No reason to retrain (drift: ok, performance: ok)" in outcome.stopped
    assert outcome.done == ()
    assert trainer.calls == []


def test_what_production_was_trained_on_is_not_learnt_again(
    retrain: Callable[..., Outcome], trainer: Trainer, tmp_path: Path, data: Path
) -> None:
    import_dataset(ROOT / "train_data", "again", root=data, progress=False)
    outcome = retrain("new_data=again")
    assert outcome.stopped is not None
    assert "has learnt from 80 % of again already" in outcome.stopped
    assert trainer.calls == []


def test_steps_after_a_check_without_a_reason_end_well_with_that_reason(
    retrain: Callable[..., Outcome], trainer: Trainer
) -> None:
    assert "No reason to retrain" in str(retrain("new_data=same", "step=check").stopped)
    for step in ("merge", "train", "promote"):
        assert "No reason to retrain" in str(retrain("new_data=same", f"step={step}").stopped)
    assert trainer.calls == []
    assert retrain("new_data=same", "step=check", "force=true").done == ("check",)
    assert retrain("new_data=same", "step=merge", "force=true").done == ("check", "merge")


def test_new_data_join_what_production_was_trained_on_and_nothing_else(
    retrain: Callable[..., Outcome], data: Path
) -> None:
    """Another data set's test split would not be production's."""
    with pytest.raises(UserError, match=r"was trained on data set 'train_data' .* and .*drifted is another one"):
        retrain("new_data=same", "data.name=drifted")


def test_what_imports_were_told_about_labels_holds_for_the_merged_data_set(
    retrain: Callable[..., Outcome], data: Path, tmp_path: Path
) -> None:
    shutil.copytree(data, tmp_path / "data")
    for name in ("train_data", "drifted"):
        file = tmp_path / "data" / name / "import.json"
        info = json.loads(file.read_text(encoding="utf-8"))
        info["options"] |= {"own_classes": ["happy"], "label_map": {"happy": "happy"}}
        file.write_text(json.dumps(info), encoding="utf-8")
    place = f"data.root={tmp_path}/data"
    assert retrain("new_data=drifted", place, "step=check").done == ("check",)
    assert retrain("new_data=drifted", place, "step=merge").done == ("check", "merge")


def test_an_equal_model_is_kept_aside_and_nothing_is_done_twice(
    retrain: Callable[..., Outcome], trainer: Trainer, bundle: Bundle, tmp_path: Path, data: Path
) -> None:
    outcome = retrain("new_data=drifted")
    assert outcome.done == STEPS
    assert outcome.promoted is None
    assert outcome.comparison is not None
    assert outcome.comparison.new.difference == 0.0
    assert outcome.comparison.new.images == 30
    assert outcome.comparison.old.images == 260
    assert "not certainly better" in outcome.comparison.reason
    assert holder(trainer, tmp_path) == bundle.name
    assert (outcome.folder / "report.html").is_file()
    again = retrain("new_data=drifted")
    assert (again.folder, again.done, len(trainer.calls)) == (outcome.folder, STEPS, 1)
    # The test images of the old data set are those of the merged one.
    old = read_manifest(data / "train_data")
    merged = read_manifest(data / json.loads((outcome.folder / "merge.json").read_text())["data"])
    splits = dict(zip(merged["path"].to_pylist(), merged["split"].to_pylist(), strict=True))
    for path, split in zip(old["path"].to_pylist(), old["split"].to_pylist(), strict=True):
        assert splits[f"train_data/{path}"] == split


def test_training_is_told_what_it_needs_and_force_goes_on_without_a_reason(
    retrain: Callable[..., Outcome], trainer: Trainer, bundle: Bundle
) -> None:
    retrain("new_data=same", "force=true", "train.epochs=3", "finetune=true")
    (given,) = trainer.calls
    assert given[:2] == ["experiment=sample", "epochs=3"]
    assert "store.alias=null" in given
    assert f"classes=[{','.join(bundle.spec.classes)}]" in given
    assert f"model.init_from={bundle.name}" in given
    # A whole and possible config.
    config = values(load_config("train", given))
    assert config["epochs"] == 3
    assert config["data"]["name"].startswith("train_data-same-")
    assert config["bundle_name"].startswith("sample-r")


def better(*_: Any, **__: Any) -> Comparison:
    part = {
        "images": 100,
        "groups": 100,
        "seen": 0,
        "production": 0.5,
        "candidate": 0.9,
        "difference": 0.4,
        "low": 0.3,
        "high": 0.5,
    }
    names = {"production": "a", "candidate": "b", "data": "d"}
    parts = {"old": {**part, "per_class": {}}, "new": {**part, "per_class": {}}}
    limits = {"margin": 0.02, "confidence": 0.95, "min_test": 20}
    return Comparison.model_validate({**names, **parts, **limits, "better": True, "reason": "better"})


def test_a_better_model_takes_the_alias_and_can_be_rolled_back(
    retrain: Callable[..., Outcome],
    trainer: Trainer,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "compare_models", better)
    outcome = retrain("new_data=drifted")
    assert outcome.promoted is not None
    assert holder(trainer, tmp_path) == outcome.promoted
    assert roll_back("live", tmp_path / "models").new == bundle.name
    again = retrain("new_data=drifted")
    assert again.promoted is None
    assert again.stopped is not None
    assert f"{outcome.promoted} was promoted, and rolled back since: the alias holds {bundle.name}" in again.stopped


def test_another_gate_compares_again_and_trains_nothing(
    retrain: Callable[..., Outcome], trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_aside = retrain("new_data=drifted")
    assert kept_aside.promoted is None
    monkeypatch.setattr(module, "compare_models", better)
    assert retrain("new_data=drifted").promoted is None
    again = retrain("new_data=drifted", "gate.margin=0.05")
    assert again.promoted is not None
    assert again.folder == kept_aside.folder
    assert len(trainer.calls) == 1


def test_the_job_prints_the_comparison_and_what_was_decided(
    retrain: Callable[..., Outcome],
    trainer: Trainer,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(job, "_train", trainer)
    fixed = ["alias=live", f"store.uri={tmp_path}/models", f"data.root={data}", "progress=false"]

    def said(*overrides: str) -> str:
        job.retrain(load_config("retrain", [*fixed, *overrides]))
        return " ".join(capsys.readouterr().out.split())

    assert "No reason to retrain" in said("new_data=same")
    assert "Next: step=merge Steps done: check." in said("new_data=drifted", "step=check")
    kept_aside = said("new_data=drifted")
    assert "Kept aside: sample-r" in kept_aside
    assert "new data" in kept_aside
    monkeypatch.setattr(module, "compare_models", better)
    assert "is better; step=promote moves live" in said("new_data=drifted", "gate.seed=1", "step=compare")
    assert "Back again: uv run invoke rollback -o alias=live" in said("new_data=drifted", "gate.seed=1")


def test_another_recipe_joins_the_same_data(retrain: Callable[..., Outcome], trainer: Trainer, data: Path) -> None:
    folders = [retrain("new_data=drifted", f"train.epochs={epochs}").folder for epochs in (3, 4)]
    first, second = (json.loads((folder / "merge.json").read_text())["data"] for folder in folders)
    assert folders[0] != folders[1]
    assert first == second
    assert len(trainer.calls) == 2


def test_an_orchestrator_calls_the_steps_one_by_one_in_their_order(
    retrain: Callable[..., Outcome], trainer: Trainer
) -> None:
    with pytest.raises(ConfigError, match="step=train needs the step check first"):
        retrain("new_data=drifted", "step=train")
    for number, step in enumerate(STEPS, 1):
        assert retrain("new_data=drifted", f"step={step}").done == STEPS[:number]
    with pytest.raises(ConfigError, match="step='tran' is unknown; did you mean 'train'"):
        retrain("new_data=drifted", "step=tran")


def test_drift_of_the_log_is_a_reason_too(
    retrain: Callable[..., Outcome], bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "serving"))
    log = LogSettings(data_dir=tmp_path / "serving")
    migrate(log)
    rng = np.random.default_rng(0)
    rows = [make_row(model_version=bundle.name, brightness=float(rng.uniform(0, 0.2))) for _ in range(200)]
    Database(log.url).insert([to_record(row) for row in rows])
    outcome = retrain("new_data=same", "trigger=log", "step=check")
    assert outcome.done == ("check",)
    assert outcome.report is not None
    assert (outcome.report.source, outcome.report.verdict) == ("log", "drift")


def test_an_interrupted_training_goes_on_from_its_checkpoint(retrain: Callable[..., Outcome], trainer: Trainer) -> None:
    trainer.fail = True
    with pytest.raises(KeyboardInterrupt):
        retrain("new_data=drifted")
    trainer.fail = False
    outcome = retrain("new_data=drifted")
    assert outcome.done == STEPS
    first, second = trainer.calls
    assert second == [*first, f"resume={outcome.folder / 'train'}"]


def test_a_candidate_that_was_finished_before_a_crash_is_not_trained_again(
    retrain: Callable[..., Outcome], trainer: Trainer
) -> None:
    folder = retrain("new_data=drifted").folder
    for step in ("train", "compare", "promote"):
        (folder / f"{step}.json").unlink()
    assert retrain("new_data=drifted").done == STEPS
    assert len(trainer.calls) == 1


def test_a_crash_after_the_alias_moved_is_seen_and_finished(
    retrain: Callable[..., Outcome], trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "compare_models", better)
    outcome = retrain("new_data=drifted")
    (outcome.folder / "promote.json").unlink()
    again = retrain("new_data=drifted")
    assert (again.folder, again.promoted, again.done) == (outcome.folder, outcome.promoted, STEPS)
    assert len(Store(tmp_path / "models").alias_history("live")) == 2


def test_a_production_that_others_replaced_meanwhile_is_not_overwritten(
    retrain: Callable[..., Outcome], trainer: Trainer, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "models")
    shutil.copytree(bundle.path, tmp_path / "copy")
    third = seal_bundle(tmp_path / "copy", bundle.spec, tmp_path / "models", "third").name

    def compare_while_another_promotes(*_: Any, **__: Any) -> Comparison:
        store.set_alias("live", third)
        return better()

    monkeypatch.setattr(module, "compare_models", compare_while_another_promotes)
    with pytest.raises(StoreError, match=f"live holds {third} by now"):
        retrain("new_data=drifted")
    assert store.get_alias("live") == third


def test_two_at_once_do_not_work_on_the_same(
    retrain: Callable[..., Outcome], trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compare_while_another_starts(*_: Any, **__: Any) -> Comparison:
        with pytest.raises(ConfigError, match="Another process is at work"):
            retrain("new_data=drifted")
        return better()

    monkeypatch.setattr(module, "compare_models", compare_while_another_starts)
    assert retrain("new_data=drifted").done == STEPS


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([], "new_data= is missing"),
        (["new_data=train_data"], "is what production was trained on"),
        (["new_data=drifted", "data.name=null", "data.root=null"], "data.root=None is not possible"),
        (["new_data=drifted", "runs=5"], "runs=5 is not possible"),
        (["new_data=nothing"], "No data set 'nothing'"),
        (["new_data=drifted", "train.experiment=smaple"], "smaple"),
        (["new_data=drifted", "trigger=moon"], "trigger='moon' is unknown"),
        (["new_data=drifted", "gate.margin=2"], "gate.margin=2"),
        (["new_data=drifted", "alias=lvie"], "lvie"),
    ],
)
def test_mistakes_are_answered_before_any_work(
    retrain: Callable[..., Outcome], overrides: list[str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        retrain(*overrides)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_whole_loop_killed_everywhere_promotes_a_better_model_and_not_a_worse_one(
    trainer: Trainer, bundle: Bundle, tmp_path: Path
) -> None:
    """Real training in processes of their own: SIGKILL in mid-training and after each step, and on it goes."""
    write_dataset(tmp_path / "dim", images=1000, seed=1, drift=True, progress=False)
    shutil.copytree(ROOT / "train_data", tmp_path / "train_data")

    def start(*overrides: str) -> subprocess.Popen[str]:
        given = ["new_data=dim", "alias=live", f"store.uri={tmp_path}/models", "progress=false"]
        # 260 old test images cannot tell the two points that are the default.
        given += ["gate.margin=0.05", *overrides]
        command = [sys.executable, "-m", "mlopsproject.retrain", *given]
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(*overrides: str) -> str:
        out, _ = (process := start(*overrides)).communicate(timeout=900)
        assert process.returncode == 0, out
        return out

    def folder() -> Path:
        (found,) = (tmp_path / "runs" / "retrain").glob("train_data-dim-*/*")
        return found

    # Worse: hardly trained.
    said = finish("train.epochs=1")
    assert "Kept aside" in said
    assert Store(tmp_path / "models").get_alias("live") == bundle.name
    shutil.rmtree(tmp_path / "runs" / "retrain")
    # Better: killed while it is trained, and again before each step that follows.
    process = start()
    deadline = time.monotonic() + 600
    while not list((tmp_path / "runs" / "retrain").glob("train_data-dim-*/*/train/checkpoints/last.ckpt")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (folder() / "train.json").exists()
    for step in ("train", "compare"):
        assert f"Steps done: {', '.join(STEPS[: STEPS.index(step) + 1])}." in finish(f"step={step}")
    said = finish()
    assert "Promoted: live" in said
    promoted = Store(tmp_path / "models").get_alias("live")
    assert promoted is not None
    assert promoted != bundle.name
    assert "has learnt from 80 % of dim already" in finish()
