"""Every option of an import is checked, and what is wrong is named with what would be right."""

from __future__ import annotations

import inspect
import shlex
from typing import Any

import pytest

from mlopsproject.config import load_config, values
from mlopsproject.core.classes import normal_name
from mlopsproject.core.errors import ConfigError
from mlopsproject.data.examine import ExamineOptions
from mlopsproject.data.import_options import DEFAULTS, check_options, import_command
from mlopsproject.data.importer import import_dataset
from mlopsproject.data.labelling import read_labels
from mlopsproject.overrides import quoted


def test_the_defaults_pass() -> None:
    check_options(**vars(ExamineOptions()), split="grouped", conflicts="drop", seed=42, workers=None)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("split", "oficial", "did you mean 'official'.*Known: grouped, official"),
        ("split", None, "Known: grouped, official"),
        ("conflicts", "dorp", "did you mean 'drop'"),
        ("twins", "all", "hashes, all_pairs"),
        ("twin_correlation", 0.5, "at least 0.8 and at most 1"),
        ("twin_correlation", 1.2, "at least 0.8 and at most 1"),
        ("resize_filter", "cubic", "did you mean 'bicubic'"),
        ("resize_filter", 3, "Known: nearest, box, bilinear"),
        ("size", 4, "from 8 to 1024"),
        ("size", 7, "from 8 to 1024"),
        ("size", 1025, "from 8 to 1024"),
        ("size", 48.5, "whole number from 8 to 1024"),
        ("size", "large", "whole number"),
        ("size", None, "whole number"),
        ("channels", 2, "1 .gray. or 3 .colour."),
        ("channels", 1.0, "1 .gray. or 3 .colour."),
        ("channels", True, "1 .gray. or 3 .colour."),
        ("min_size", -1, "at least 0"),
        ("max_pixels", 0, "at least 1"),
        ("seed", -1, "at least 0"),
        ("seed", 1.5, "whole number"),
        ("seed", None, "whole number"),
        ("workers", 0, "at least 1"),
        ("workers", 1.5, "whole number"),
        ("max_files", 0, "at least 1"),
        ("max_file_mb", None, "whole number"),
        ("max_total_mb", 0.5, "whole number"),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_what_is_possible(key: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key}={value!r} is (unknown|not possible).*{said}"):
        check_options(**{key: value})


def imported(**options: object) -> dict[str, Any]:
    usual = {"size": 64, "split": "grouped", "conflicts": "drop", "seed": 42, "min_size": 16, "own_classes": []}
    return {"name": "faces", "source": {"given": "/home/me/all faces.zip"}, "options": usual | options}


def test_the_command_that_imports_again_names_what_differs_from_the_usual() -> None:
    assert import_command(imported()) == "uv run invoke import-data -o 'source=all faces.zip' -o name=faces"
    options = {"split": "official", "twins": "all_pairs", "twin_correlation": 0.92, "own_classes": ["bored", "sad"]}
    assert import_command(imported(**options)).endswith(
        "-o split=official -o twins=all_pairs -o twin_correlation=0.92 -o 'classes=[bored,sad]'"
    )
    assert import_command(imported(max_total_mb=50_000)).endswith("-o max_total_mb=50000")


@pytest.mark.parametrize(
    "label_map", [{"smirk": "happy", "contempt": None}, {"7": "sad"}, {"怒り": "angry"}, {"a, b": "sad", "c": None}]
)
def test_the_command_that_imports_again_reads_labels_as_before(label_map: dict[str, str | None]) -> None:
    words = shlex.split(import_command(imported(label_map=label_map)))
    (override,) = [quoted(word) for word in words if word.startswith("label_map=")]
    given = values(load_config("import_data", [override]))["label_map"]
    assert dict(read_labels("seven", given).label_map) == {normal_name(key): label_map[key] for key in label_map}


def test_a_plain_label_map_is_written_as_a_person_would() -> None:
    command = import_command(imported(label_map={"smirk": "happy", "contempt": None}))
    assert command.endswith("-o 'label_map={smirk: happy, contempt: null}'")


def test_a_folder_of_the_data_sets_name_needs_no_command_and_kaggle_keeps_its_address() -> None:
    assert import_command(imported() | {"source": {"given": "faces"}}) == ""
    assert "split=official" in import_command(imported(split="official") | {"source": {"given": "faces"}})
    assert "source=faces" in import_command(imported() | {"source": {"given": "/elsewhere/faces"}})
    assert "source=kaggle:a/b" in import_command(imported() | {"source": {"given": "kaggle:a/b"}})


def test_the_config_file_and_the_function_agree_on_what_is_usual() -> None:
    config = values(load_config("import_data"))
    usual = {name: parameter.default for name, parameter in inspect.signature(import_dataset).parameters.items()}
    assert {key: config[key] for key in DEFAULTS} == DEFAULTS
    assert config["label_map"] is usual["label_map"] is None


def test_what_counts_as_usual_is_what_an_import_does() -> None:
    usual = {name: parameter.default for name, parameter in inspect.signature(import_dataset).parameters.items()}
    assert {key: usual[key] for key in DEFAULTS} == DEFAULTS
