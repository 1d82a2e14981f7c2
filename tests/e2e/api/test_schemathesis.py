"""Schemathesis over the whole OpenAPI document, with all its checks, against a real server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.drift_examples import make_performance, make_report, publish

from mlopsproject.core.store import Store

KEY = "kX7pQ2mN9vR4tY6wZ8aB"
#: What the schema cannot say: boxes lie within the picture, one moment before the other, labels are of the model that
#: answered, and a URL of a machine without a network leads nowhere.
CONFIG = f"""
headers = {{ X-API-Key = "{KEY}" }}
request-timeout = 60.0

[generation]
max-examples = 100
deterministic = true

[[operations]]
include-path = ["/predict/", "/explain"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "422"]

[[operations]]
include-path = "/stats"
checks.positive_data_acceptance.expected-statuses = ["2xx", "422"]

[[operations]]
include-path = "/feedback"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "422"]

[[operations]]
include-path = "/predict/url"
checks.positive_data_acceptance.expected-statuses = ["422", "502"]
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", "502"]
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_check_passes(start_server, model_store, tmp_path):
    store = shutil.copytree(model_store.uri, tmp_path / "store")
    name = Store(store).resolve("production")
    publish(store, tmp_path / "run", make_report(name, performance=make_performance()))
    server = start_server(api_key=KEY, model_reload_seconds=0, model_store=store)
    (tmp_path / "schemathesis.toml").write_text(CONFIG, encoding="utf-8")
    address = f"http://127.0.0.1:{server.port}/openapi.json"
    done = subprocess.run(
        [Path(sys.executable).with_name("schemathesis"), "run", address, "--checks", "all", "--continue-on-failure"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "SCHEMATHESIS_HOOKS": "schemathesis_hooks"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert "Traceback" not in server.log
