"""Every YAML under configs/ composes, and what it names can be built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_class

from mlopsproject.config import config_folder, load_config, values
from mlopsproject.core.classes import resolve_classes
from mlopsproject.core.errors import ConfigError, UserError
from mlopsproject.data.opening import input_spec
from mlopsproject.overrides import choices
from mlopsproject.training.augment import Augmentation
from mlopsproject.training.bundling import ExportSettings
from mlopsproject.training.factory import build_network
from mlopsproject.training.optimisation import OPTIMISERS, SCHEDULES
from mlopsproject.training.settings import check_folder, check_settings
from mlopsproject.training.trainer import MONITORS, build_callbacks

FOLDER = config_folder()
JOBS = sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem != "job")
#: Groups of other jobs than training.
OTHER_GROUPS = ("detect", "decay", "gate")
CHOICES = [
    f"{group.name}={name}"
    for group in sorted(FOLDER.iterdir())
    if group.is_dir() and group.name not in OTHER_GROUPS
    for name in choices(group)
]


@pytest.mark.parametrize("job", JOBS)
def test_every_job_composes_and_is_a_module(job: str) -> None:
    assert values(load_config(job))
    assert Path(__file__).parents[2].joinpath("src/mlopsproject", f"{job}.py").is_file()


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_of_every_group_makes_a_whole_training_config(choice: str, tmp_path: Path) -> None:
    settings = values(load_config("train", [choice]))
    check_settings(settings)
    spec = input_spec(settings["data"])
    classes = resolve_classes(settings["classes"])
    assert build_network(settings["model"], classes=len(classes), channels=spec.channels, size=spec.size)
    assert settings["optim"]["name"] in OPTIMISERS
    assert settings["optim"]["schedule"] in SCHEDULES
    assert settings["callbacks"]["monitor"] in MONITORS
    assert Augmentation(**settings["augment"])
    assert ExportSettings(**settings["export"])
    assert build_callbacks(settings["callbacks"], tmp_path, progress=False)
    for logger in settings["logger"].values():
        assert get_class(logger["_target_"])


@pytest.mark.parametrize("group", ["optim", "trainer", "augment", "callbacks", "export", "data"])
def test_the_choices_of_a_group_have_the_same_keys(group: str) -> None:
    names = [path.stem for path in FOLDER.joinpath(group).glob("*.yaml")]
    keys = {name: set(values(load_config("train", [f"{group}={name}"]))[group]) for name in names}
    assert len({frozenset(each) for each in keys.values()}) == 1, keys


def test_adam_brings_its_own_learning_rate_which_the_command_line_overrides() -> None:
    assert load_config("train", ["optim=adamw"]).lr == 0.002
    assert load_config("train", ["optim=adamw", "lr=0.5"]).lr == 0.5


def test_debug_wins_over_an_experiment() -> None:
    experiment = min(choices(FOLDER / "experiment"))
    assert load_config("train", [f"experiment={experiment}", "debug=smoke"]).epochs == 2


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return values(load_config("train"))


@pytest.mark.parametrize("key", ["epochs", "batch_size"])
@pytest.mark.parametrize("value", [0, -1, 1.5, None, True])
def test_counts_are_whole_numbers_above_zero(settings: dict[str, Any], key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{key}={value} is not possible"):
        check_settings({**settings, key: value})


@pytest.mark.parametrize("lr", [0, -0.1, None])
def test_the_learning_rate_is_above_zero(settings: dict[str, Any], lr: object) -> None:
    with pytest.raises(ConfigError, match=r"lr=.* is not possible"):
        check_settings({**settings, "lr": lr})


@pytest.mark.parametrize(
    ("key", "value", "fix"),
    [
        ("export.default_precision", "fp16", "Known: fp32, int8"),
        ("export.calibration_images", 0, "at least 1"),
        ("export.bootstrap_samples", -1, "at least 0"),
        ("export.max_risk", 1.5, "at most 1"),
        ("export.min_coverage", -0.1, "at least 0"),
        ("export.int8", "auto", "true or false"),
        ("bundle_name", "my bundle", "Use letters"),
        ("bundle_name", "", "Use letters"),
        ("store.alias", "a/b", "Use a short word"),
        ("store.uri", None, "Give a folder"),
        ("store.uri", "ftpp://somewhere", "Use a folder, gs://"),
        ("trainer.limit_val_batches", 0, "above 0"),
        ("trainer.limit_train_batches", 0.0, "above 0"),
        ("trainer.limit_train_batches", 1.5, "number of batches"),
        ("trainer.threads", "four", "at least 1, or null"),
        ("trainer.gradient_clip_val", -1, "at least 0, or null"),
        ("trainer.num_nodes", 0, "at least 1"),
        ("trainer.compile", "auto", "true or false"),
        ("trainer.deterministic", "auto", "true or false"),
        ("trainer.profiler", "simpel", "did you mean 'simple'"),
        ("callbacks.patience", "five", "at least 1, or null"),
        ("callbacks.patience", 0, "at least 1, or null"),
        ("callbacks.ema", "auto", "above 0 and below 1, or null"),
        ("callbacks.ema", 2, "above 0 and below 1, or null"),
        ("callbacks.ema", 1, "above 0 and below 1, or null"),
        ("callbacks.monitor", "val/accu", "did you mean 'val/acc'"),
        ("augment.flip", None, "Give a number of at least 0 and at most 1"),
        ("augment.mixup_alpha", -1, "Give a number of at least 0"),
        ("augment.mixup_alpha", float("inf"), "Give a number of at least 0"),
        ("optim.label_smoothing", 1.5, "at most 1"),
        ("optim.momentum", "high", "at least 0"),
        ("optim.weight_decay", None, "at least 0"),
        ("optim.name", "sdg", "did you mean 'sgd'"),
        ("optim.schedule", "onecycle", "did you mean 'one_cycle'"),
        ("lr", float("nan"), "above 0"),
        ("data.drop_twins", None, "true or false"),
        ("data.leave_out", "4/3", "is not a part"),
        ("data.leave_out", "third", "is not a part"),
        ("data.validate_on", "0/4", "is not a part"),
        ("distill.unseen", "yes", "true or false"),
        ("data.balance", "wieghted", "did you mean 'weighted'"),
        ("data.per_class", 0, "at least 1"),
        ("wandb.mode", "ofline", "did you mean 'offline'"),
    ],
)
def test_a_value_that_no_run_can_have_is_refused_before_it_starts(
    settings: dict[str, Any], key: str, value: object, fix: str
) -> None:
    group, _, name = key.rpartition(".")
    changed = {**settings, group: {**settings[group], name: value}} if group else {**settings, name: value}
    with pytest.raises(UserError) as caught:
        check_settings(changed)
    said = str(caught.value)
    assert said.startswith(key)
    assert fix in said
    assert str(value) in said
    assert "\n" not in said


def test_an_int8_default_needs_an_int8_network(settings: dict[str, Any]) -> None:
    export = {**settings["export"], "int8": False, "default_precision": "int8"}
    with pytest.raises(ConfigError, match=r"export\.default_precision=int8, but export\.int8=false"):
        check_settings({**settings, "export": export})


def test_a_fixed_balance_needs_its_number_of_images(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"data\.per_class=None is not possible"):
        check_settings({**settings, "data": {**settings["data"], "balance": "fixed"}})


def test_numbers_may_name_a_bundle_and_an_alias(settings: dict[str, Any]) -> None:
    check_settings({**settings, "bundle_name": 2024, "store": {"uri": "models", "alias": 7}})


def test_an_earlier_run_is_not_written_over(tmp_path: Path) -> None:
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    check_folder(tmp_path / "run", None)
    last.parent.mkdir(parents=True)
    last.touch()
    check_folder(tmp_path / "other", None)
    check_folder(tmp_path / "run", last)
    for resume in (None, tmp_path / "elsewhere" / "checkpoints" / "last.ckpt"):
        with pytest.raises(ConfigError, match=r"holds an earlier run.*hydra\.run\.dir=.*resume="):
            check_folder(tmp_path / "run", resume)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"channels": 2}, "data.channels"),
        ({"channels": None}, "data.channels"),
        ({"size": 4}, "data.size"),
        ({"std": [0.0]}, "data"),
        ({"mean": [1, 2]}, "data"),
        ({"resize_filter": "best"}, "data.resize_filter"),
    ],
)
def test_an_input_that_no_network_can_have_names_its_key(
    settings: dict[str, Any], change: dict[str, Any], key: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{key}"):
        input_spec({**settings["data"], **change})


def test_one_mean_serves_all_channels(settings: dict[str, Any]) -> None:
    assert input_spec({**settings["data"], "channels": 3}).mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("experiment", choices(FOLDER / "experiment"))
def test_an_experiment_changes_the_run_and_names_its_bundle(experiment: str) -> None:
    chosen = load_config("train", [f"experiment={experiment}"])
    assert "experiment" not in chosen
    assert chosen.bundle_name
    assert chosen != load_config("train")


def test_teachers_and_initial_weights_come_from_other_experiments() -> None:
    experiments = [load_config("train", [f"experiment={name}"]) for name in choices(FOLDER / "experiment")]
    made = {each.store.alias for each in experiments}
    for each in experiments:
        assert {*each.distill.teachers, each.model.init_from} - {None} <= made - {each.store.alias}
