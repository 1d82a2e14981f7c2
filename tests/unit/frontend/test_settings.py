"""The frontend's settings come from the environment; an impossible one is named."""

from __future__ import annotations

import pytest

from mlopsproject.core.errors import ConfigError
from mlopsproject.frontend.settings import FrontendSettings


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch):
    for name in FrontendSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_without_any_setting_the_local_api_is_asked_and_only_this_machine_may_look():
    settings = FrontendSettings.read(None)
    assert settings.backend == "http://localhost:8000"
    assert (settings.frontend_host, settings.frontend_port) == ("127.0.0.1", 8501)
    assert settings.backend_api_key is None


def test_a_file_of_settings_lies_beneath_the_environment(tmp_path, monkeypatch):
    file = tmp_path / ".env"
    file.write_text("BACKEND=https://faces.example/api/\nFRONTEND_PORT=9001\nUPLOAD_MAX_MB=\n", encoding="utf-8")
    monkeypatch.setenv("FRONTEND_PORT", "9002")
    settings = FrontendSettings.read(file)
    assert (settings.backend, settings.frontend_port, settings.upload_max_mb) == ("https://faces.example/api", 9002, 9)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BACKEND", "localhost:8000"),
        ("BACKEND", "ftp://localhost"),
        ("BACKEND", "http://"),
        ("BACKEND", "http://[::1"),
        ("BACKEND", "http://host:port"),
        ("BACKEND", "http://host/?key=1"),
        ("BACKEND", "http://user:secret@host"),
        ("BACKEND_API_KEY", "two words"),
        ("BACKEND_API_KEY", "schlüssel"),
        ("BACKEND_TIMEOUT_SECONDS", "0"),
        ("FRONTEND_PORT", "0"),
        ("FRONTEND_PORT", "http"),
        ("UPLOAD_MAX_MB", "0.5"),
    ],
)
def test_an_impossible_setting_is_named_and_its_value_is_not_repeated(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"^{name} is not possible: ") as caught:
        FrontendSettings.read(None)
    assert "secret" not in str(caught.value)


def test_the_key_is_not_printed(monkeypatch):
    monkeypatch.setenv("BACKEND_API_KEY", "k-0123456789")
    assert "k-0123456789" not in repr(FrontendSettings.read(None))


@pytest.mark.parametrize(
    ("backend", "local"),
    [
        ("http://localhost:8000", True),
        ("http://127.0.0.2:8000", True),
        ("http://[::1]:8000", True),
        ("http://api:8000", False),
        ("https://10.0.0.1", False),
    ],
)
def test_it_is_known_whether_the_api_is_on_this_machine(monkeypatch, backend, local):
    monkeypatch.setenv("BACKEND", backend)
    assert FrontendSettings.read(None).backend_is_local is local
