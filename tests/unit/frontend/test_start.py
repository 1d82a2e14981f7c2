"""`python -m mlopsproject.frontend` starts Streamlit with options that nothing else overrules, or says why not."""

from __future__ import annotations

import socket

import pytest
from streamlit.config import get_config_options

from mlopsproject.frontend import __main__ as start
from mlopsproject.frontend.settings import FrontendSettings


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch, tmp_path):
    for name in FrontendSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def options(**settings: object) -> dict[str, str]:
    command, script, *flags = start.arguments(FrontendSettings(**settings))
    assert command == "run"
    assert script.endswith("app.py")
    return dict(flag.removeprefix("--").split("=", 1) for flag in flags)


def test_streamlit_gets_the_settings():
    chosen = options(frontend_host="0.0.0.0", frontend_port=9000, upload_max_mb=3)
    assert (chosen["server.address"], chosen["server.port"], chosen["server.maxUploadSize"]) == ("0.0.0.0", "9000", "3")
    assert chosen["browser.serverAddress"] == "localhost"


def test_nothing_is_reported_to_anybody_and_no_traceback_reaches_a_page():
    chosen = options()
    assert chosen["browser.gatherUsageStats"] == "false"
    assert chosen["client.showErrorDetails"] == "none"
    assert chosen["server.headless"] == "true"


def test_the_only_csv_is_the_one_that_spreadsheets_do_not_run():
    assert options()["client.disableDataExport"] == "true"


def test_every_option_is_one_that_streamlit_knows():
    assert set(options()) <= set(get_config_options())


def test_both_themes_are_set():
    chosen = options()
    for theme in ("light", "dark"):
        assert chosen[f"theme.{theme}.backgroundColor"].startswith("#")


def test_a_port_in_use_is_one_line(monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("FRONTEND_PORT", str(port))
        assert start.main() == 1
    line = capsys.readouterr().err
    assert line == (
        f"error: Cannot listen at 127.0.0.1:{port} (Address already in use). Set FRONTEND_PORT or FRONTEND_HOST.\n"
    )


def test_a_host_that_is_not_here_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("FRONTEND_HOST", "192.0.2.1")
    assert start.main() == 1
    assert capsys.readouterr().err.startswith("error: Cannot listen at 192.0.2.1:8501 (")


def test_an_impossible_setting_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("BACKEND", "nowhere")
    assert start.main() == 1
    assert capsys.readouterr().err.startswith("error: BACKEND is not possible: ")


def test_streamlits_exit_code_is_ours(monkeypatch):
    monkeypatch.setattr(start, "_check_port", lambda settings: None)
    monkeypatch.setattr(start.cli, "main", lambda *_, **__: None)
    assert start.main() == 0
