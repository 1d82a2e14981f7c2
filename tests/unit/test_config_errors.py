"""What a user is told about a wrong config: one line that names the key and the nearest valid one."""

from __future__ import annotations

import errno
import logging
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from mlopsproject.config import command_line, config_folder, load_config, require, run_job, values
from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.overrides import sweep_points


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("epohcs=3", "'epohcs' is not a config key of train; did you mean 'epochs'?"),
        (
            "trainer.precison=32-true",
            "'trainer.precison' is not a config key of train; did you mean 'trainer.precision'?",
        ),
        ("augment.flipp=0.1", "did you mean 'augment.flip'?"),
        ("flip=0.1", "did you mean 'augment.flip'?"),
        ("size=48", "did you mean 'data.size'?"),
        ("wandb.enable=true", "did you mean 'wandb.enabled'?"),
        ("modle=fast", "did you mean 'model'?"),
        ("model=refrence", "model=refrence does not exist; did you mean 'reference'?"),
        ("trainer=zzz", "trainer=zzz does not exist; choose one of cpu, ddp, gpu."),
        ("optim=adamw2", "did you mean 'adamw'?"),
        ("experiment=fer2013_fiv", "did you mean 'fer2013_five'?"),
        ("debug=smok", "did you mean 'smoke'?"),
        ("zzzzzz=1", "'zzzzzz' is not a config key of train; see configs/train.yaml."),
        ("model=3", "model=3 does not exist;"),
        ("=3", "cannot read the override"),
        ("epochs=[1", "cannot read the override"),
        ("epochs", "cannot read the override 'epochs'. Write key=value"),
        ("epochs=many", "epochs=many is not a number."),
        ("callbacks.ema=auto", "callbacks.ema=auto is not a number."),
        (
            "store=models",
            "store=models is not possible: store is a group. Set its keys, as store.uri=….",
        ),
        ("data.mean=0.5", "data.mean=0.5 is not a list. Write 'data.mean=[0.5]'."),
        ("data.size=large", "data.size=large is not a number."),
        ("wandb.enabled=yes", "wandb.enabled=yes is not true or false."),
        ("export.int8=no", "export.int8=no is not true or false."),
        ("~epochs", "~epochs is not possible: train needs the key. Set another value, as epochs=…."),
        ("~model", "~model is not possible: train needs the key."),
        ("~epohcs", "nothing in train reads 'epohcs'; did you mean 'epochs'?"),
        ("+augment.foo=1", "nothing in train reads 'augment.foo'; did you mean 'augment.flip'?"),
        ("+trainer.presicion=32-true", "nothing in train reads 'trainer.presicion'; did you mean 'trainer.precision'?"),
    ],
)
def test_a_wrong_override_names_the_key_and_the_fix(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("train", ["seed=1", override])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("override", ["+model.init=3", "+logger.extra._target_=x", "~model.dropout"])
def test_arguments_of_classes_and_groups_may_be_added_and_removed(override: str) -> None:
    load_config("train", [override])


@pytest.mark.parametrize(
    ("job", "override", "said"),
    [
        ("predict", "model=fast", "'model' is not a config key of predict; did you mean 'face_model'?"),
        ("predict", "augment=none", "'augment' is not a config key of predict; see configs/predict.yaml."),
        ("benchmark", "detect=default", "'detect' is not a config key of benchmark; did you mean 'drift.detect'?"),
        ("benchmark", "detect@drift.detect=x", "detect@drift.detect=x does not exist;"),
    ],
)
def test_groups_of_other_jobs_are_unknown(job: str, override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(job, [override])
    assert said in str(caught.value)


@pytest.mark.parametrize("wrong", ["epohcs=1,2", "model=fast,larg", "epochs=1,many"])
def test_every_value_of_a_sweep_is_checked_before_anything_runs(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train", "-m", "seed=1,2", wrong])
    with pytest.raises(SystemExit) as left:
        run_job("train", lambda _: pytest.fail("it ran"))
    assert left.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_a_sweep_is_checked_once_per_value() -> None:
    points = list(sweep_points(["a=1", "b=1,2,3", "+c=x,y", "d=range(0,2)"]))
    first = ["a=1", "b=1", "+c=x", "d=0"]
    assert points == [
        first,
        ["a=1", "b=2", "+c=x", "d=0"],
        ["a=1", "b=3", "+c=x", "d=0"],
        ["a=1", "b=1", "+c=y", "d=0"],
        ["a=1", "b=1", "+c=x", "d=1"],
    ]


@pytest.mark.parametrize("job", ["evaluate", "predict", "import_data", "export", "promote", "data_report"])
def test_every_job_names_the_nearest_key(job: str) -> None:
    key = {"evaluate": "bundel", "predict": "inptu", "import_data": "sourse", "export": "chekpoint"}.get(job, "sed")
    key = {"promote": "alais", "data_report": "nam"}.get(job, key)
    with pytest.raises(ConfigError, match=rf"'{key}' is not a config key of {job}; did you mean '"):
        load_config(job, [f"{key}=x"])


@pytest.mark.parametrize(
    "override", ["epochs=3", "lr=1e-3", "trainer.devices=auto", "callbacks.ema=null", "+model.key=1"]
)
def test_a_right_override_is_taken(override: str) -> None:
    assert load_config("train", [override]) is not None


def test_the_wrong_override_is_found_among_right_ones() -> None:
    with pytest.raises(ConfigError, match=r"'batchsize'.*'batch_size'"):
        load_config("train", ["model=reference", "lr=0.1", "batchsize=3", "seed=2"])


def test_the_configs_are_found_from_any_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (config_folder() / "train.yaml").is_file()
    own = tmp_path / "configs"
    own.mkdir()
    (own / "train.yaml").touch()
    assert config_folder() != own, "those of another project"
    (own / "job.yaml").touch()
    assert config_folder() == own, "a project's own configs come first"


def test_a_value_that_must_be_given_is_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"source= is missing\..*-o source=VALUE"):
        require({"source": None}, "source")


# ---- the command line around a job

Job = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Job:
    """``run(task, *arguments)`` runs a job in this process: its exit code and what it wrote to stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)

    def job(task: Callable[[DictConfig], object], *arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["train", *arguments])
        with pytest.raises(SystemExit) as stopped:
            run_job("train", task)
        return int(stopped.value.code or 0), capsys.readouterr().err

    return job


def raising(error: BaseException) -> Callable[[DictConfig], object]:
    def task(config: DictConfig) -> object:
        raise error

    return task


def test_a_job_gets_its_config_and_its_result_is_the_exit_code(run: Job) -> None:
    seen = {}

    def task(config: DictConfig) -> int:
        seen.update(values(config))
        return 3

    assert run(task, "epochs=7")[0] == 3
    assert seen["epochs"] == 7
    assert run(lambda config: None)[0] == 0
    assert run(lambda config: True)[0] == 0


def test_our_progress_is_told_and_libraries_are_heard_only_when_they_warn(run: Job) -> None:
    def task(config: DictConfig) -> None:
        # As a library does that sets its own level when it is imported, after the job has begun.
        library = logging.getLogger("a_library.somewhere")
        library.setLevel(logging.INFO)
        library.info("a tip")
        library.warning("a warning")
        logging.getLogger("mlopsproject.somewhere").info("an epoch")

    said = run(task)[1]
    assert "a tip" not in said
    assert "a warning" in said
    assert "an epoch" in said


def test_each_run_has_its_own_folder(run: Job, tmp_path: Path) -> None:
    run(lambda config: None)
    assert len(list((tmp_path / "runs" / "train").iterdir())) == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DataError("no [data] here.", "Import some."), "error: no [data] here. Import some."),
        (OSError(28, "No space left on device"), "error: No space left on device. Free some space and run again."),
        (PermissionError(13, "Permission denied", "/x"), "error: Permission denied (/x). Choose a place"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_exit_code_one(run: Job, error: Exception, line: str) -> None:
    code, said = run(raising(error))
    assert code == 1
    assert said.startswith(line)
    assert said.count("\n") == 1


def test_sigterm_ends_a_job_in_order(run: Job) -> None:
    tidied = []

    def task(config: DictConfig) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError("went on")
        finally:
            tidied.append(True)

    before = signal.getsignal(signal.SIGTERM)
    try:
        code, said = run(task)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert code == 143
    assert "Stopped by SIGTERM." in said
    assert tidied


def test_a_typo_never_starts_the_job(run: Job, tmp_path: Path) -> None:
    code, said = run(raising(AssertionError("started")), "epohcs=3")
    assert (code, said.count("\n")) == (1, 1)
    assert "did you mean 'epochs'?" in said
    assert not (tmp_path / "runs").exists()


def test_a_word_without_a_value_never_starts_the_job(run: Job, tmp_path: Path) -> None:
    code, said = run(raising(AssertionError("started")), "epochs")
    assert code == 1
    assert said == "error: cannot read the override 'epochs'. Write key=value, for example epochs=5.\n"


@pytest.mark.parametrize("arguments", ["--cfg job", "epochs=3 --cfg job", "-c job epochs=3"])
def test_the_words_of_hydras_own_flags_are_no_overrides(run: Job, arguments: str) -> None:
    assert run(raising(AssertionError("started")), *arguments.split()) == (0, "")


@pytest.mark.parametrize("given", ["~/my faces", "~/models"])
def test_a_tilde_is_the_home_folder(run: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    seen = {}
    run(lambda config: seen.update(values(config)), f"store.uri={given}")
    assert seen["store"]["uri"] == str(tmp_path / given[2:])


def test_the_command_to_go_on_with_replaces_what_it_was_given_before(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["epochs=3", "resume=old.ckpt", "~debug", "-x", "hydra.run.dir=here", "hydra.job.name=train"]
    monkeypatch.setattr(sys, "argv", ["train", *given])
    said = command_line("train", resume="new run/last.ckpt")
    assert shlex.split(said)[3:] == ["train", "-o", "epochs=3", "-o", "~debug", "-o", "resume=new run/last.ckpt"]


def test_ctrl_c_is_one_word_and_exit_code_130(run: Job) -> None:
    assert run(raising(KeyboardInterrupt())) == (130, "interrupted\n")


def test_a_bug_keeps_its_traceback(run: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train"])
    with pytest.raises(ZeroDivisionError):
        run_job("train", lambda config: 1 // 0)


def test_a_copy_that_fails_names_the_place_that_is_full(run: Job) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "/tmp/made", None, "/data/copied")
    assert run(raising(error)) == (1, "error: No space left on device (/data/copied). Free some space and run again.\n")
