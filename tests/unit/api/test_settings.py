"""Settings come from the environment and `.env`, and wrong ones are named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlopsproject.api.settings import ApiSettings
from mlopsproject.core.errors import ConfigError
from mlopsproject.frontend.settings import FrontendSettings
from mlopsproject.prediction_log.settings import LogSettings

EXAMPLE = Path(__file__).parents[3] / ".env.example"
CLASSES = (ApiSettings, LogSettings, FrontendSettings)


def example():
    """The variables of `.env.example`, with the values they stand there with."""
    return re.findall(r"^#([A-Z_]+)=(.*)$", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_defaults_serve_the_production_model_on_this_machine_only():
    settings = ApiSettings()
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert (settings.model_uri, settings.model_store, settings.model_precision) == ("production", "models", None)
    assert settings.api_key is None
    assert settings.cors_origins == ()


def test_the_example_names_every_setting_once():
    names = [name for name, _ in example()]
    assert sorted(names) == sorted(field.upper() for each in CLASSES for field in each.model_fields)


def test_the_example_shows_the_defaults(monkeypatch):
    defaults = [each() for each in CLASSES]
    for name, value in example():
        if value:  # an empty one is the default by definition
            monkeypatch.setenv(name, value)
    assert [each() for each in CLASSES] == defaults
    empty = {name.lower() for name, value in example() if not value}
    assert {name for name in empty for each in defaults if getattr(each, name, None)} == set()


def test_the_environment_wins_over_the_file(tmp_path, monkeypatch):
    file = tmp_path / ".env"
    file.write_text("PORT=1234\nMODEL_URI=seven\nUNHEARD_OF=1\nAPI_KEY=\n", encoding="utf-8")
    monkeypatch.setenv("PORT", "4321")
    monkeypatch.setenv("MODEL_PRECISION", "")
    settings = ApiSettings.read(file)
    assert (settings.port, settings.model_uri, settings.model_precision, settings.api_key) == (
        4321,
        "seven",
        None,
        None,
    )


def test_the_file_of_the_working_folder_is_read_by_read_alone(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("PORT=1234\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert ApiSettings.read().port == 1234
    assert ApiSettings().port == 8000


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MODEL_PRECISION", "int4", "'fp32' or 'int8'"),
        ("PORT", "80000", "65535"),
        ("PORT", "http", "integer"),
        ("WORKERS", "0", "greater than or equal to 1"),
        ("MAX_BODY_MB", "-1", "greater than 0"),
        ("REQUEST_TIMEOUT_SECONDS", "nan", ""),
        ("LOG_FORMAT", "xml", "'json' or 'text'"),
        ("LOG_LEVEL", "LOUD", "'DEBUG'"),
        ("RATE_LIMIT", "often", "COUNT/UNIT, such as 600/minute"),
        ("RATE_LIMIT", "-5/minute", "COUNT/UNIT"),
        ("CORS_ORIGINS", "example.org", "'example.org' is not an origin"),
        ("CORS_ORIGINS", "https://example.org/page", "is not an origin"),
        ("ROOT_PATH", "faces/", "match pattern"),
    ],
)
def test_impossible_values_are_named(monkeypatch, name, value, says):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"^{name} is not possible: .*{re.escape(says)}"):
        ApiSettings.read(None)


@pytest.mark.parametrize(
    "key",
    [
        "changeme",
        "CHANGE-ME-please-now",
        "abc",
        "my-secret-key-123456",
        "your-api-key-here",
        "kX7pQ2m N9vR4tY6wZ8aB",
        "é" * 20,
    ],
)
def test_a_key_that_is_none_is_refused_and_not_repeated(monkeypatch, key):
    monkeypatch.setenv("API_KEY", key)
    with pytest.raises(ConfigError, match=r"^API_KEY is not possible: .*secrets\.token_urlsafe") as error:
        ApiSettings.read(None)
    assert key not in str(error.value)


def test_a_good_key_does_not_show_when_settings_are_printed(monkeypatch):
    monkeypatch.setenv("API_KEY", "kX7pQ2mN9vR4tY6wZ8aB")
    settings = ApiSettings.read(None)
    assert "kX7p" not in repr(settings)
    assert settings.api_key.get_secret_value() == "kX7pQ2mN9vR4tY6wZ8aB"


def test_lists_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, http://localhost:3000,")
    assert ApiSettings.read(None).cors_origins == ("https://a.example", "http://localhost:3000")
    monkeypatch.setenv("CORS_ORIGINS", "*")
    assert ApiSettings.read(None).cors_origins == ("*",)
