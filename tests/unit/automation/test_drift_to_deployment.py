"""From drift to a deployment: what the scripts decide by exit codes, reports and results of steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from tests.docs_blocks import ROOT
from tests.drift_examples import make_performance, make_report
from tests.unit.automation.conftest import Said


def drift_job(job: Callable[..., str], code: int, **report: Any) -> str:
    text = make_report(**report).model_dump_json()
    return job(f"""
        folder = pathlib.Path(given["hydra.run.dir"])
        folder.mkdir(parents=True)
        (folder / "drift.json").write_text({text!r})
        sys.exit({code})
    """)


def test_drift_begins_a_retraining(run: Callable[..., Said], job: Callable[..., str]) -> None:
    said = run("drift.sh", "current=log", PYTHON=drift_job(job, 3), DATABASE_URL="postgresql://x", NEW_DATA="faces")
    assert said.code == 0, said.text
    assert said.outputs == {"retrain": "true"}
    assert "| brightness | 0.25 | below 0.001 | yes |" in said.summary


def test_drift_that_nothing_can_be_learnt_from_fails(run: Callable[..., Said], job: Callable[..., str]) -> None:
    said = run("drift.sh", "current=log", PYTHON=drift_job(job, 3), DATABASE_URL="postgresql://x")
    assert said.code == 3
    assert "NEW_DATA" in said.text


@pytest.mark.parametrize(("code", "verdict"), [(0, "ok"), (4, "not_enough_data")])
def test_nothing_follows_from_no_drift_or_too_few_faces(
    run: Callable[..., Said], job: Callable[..., str], code: int, verdict: str
) -> None:
    said = run("drift.sh", "current=faces", PYTHON=drift_job(job, code, verdict=verdict, columns=()), NEW_DATA="faces")
    assert (said.code, said.outputs) == (0, {"retrain": "false"})
    assert f"## Drift: {verdict}" in said.summary
    assert ("::notice title=Not enough data::" in said.text) is (code == 4)


def test_decay_is_in_the_summary(run: Callable[..., Said], job: Callable[..., str]) -> None:
    stand_in = drift_job(job, 3, verdict="ok", performance=make_performance())
    assert "Performance: decay, 400 labels" in run("drift.sh", PYTHON=stand_in, NEW_DATA="faces").summary


def test_an_error_of_the_drift_job_is_no_verdict(run: Callable[..., Said], job: Callable[..., str]) -> None:
    said = run("drift.sh", "current=faces", PYTHON=job("sys.exit(1)"), NEW_DATA="faces")
    assert (said.code, said.outputs) == (1, {})


def test_without_a_log_nothing_is_checked_and_that_is_said(run: Callable[..., Said], job: Callable[..., str]) -> None:
    said = run("drift.sh", "current=log", PYTHON=job("sys.exit(3)"), NEW_DATA="faces")
    assert (said.code, said.outputs) == (0, {"retrain": "false"})
    assert "DATABASE_URL" in said.summary


#: The retraining job, as far as the script sees it: a folder with the results of its steps.
RETRAINING = """
    results = {results!r}
    step = given["step"]
    folder = pathlib.Path("runs/retrain/a-b/production")
    folder.mkdir(parents=True, exist_ok=True)
    for name, result in results.get(step, {{}}).items():
        (folder / f"{{name}}.json").write_text(json.dumps(result))
    print(f"Steps done: {{step}}. Folder: {{folder}}")
    sys.exit({code})
"""
BETTER = {
    "check": {"check": {"verdict": "drift"}},
    "merge": {"merge": {"data": "old-new"}},
    "train": {"train": {"candidate": "tiny-1"}},
    "compare": {"compare": {"better": True}, "comparison": {"candidate": "tiny-1", "reason": "Better."}},
    "promote": {"promote": {"promoted": "tiny-1"}},
}
SETTINGS = {"NEW_DATA": "new", "ALIAS": "production", "STORE": "models", "TRIGGER": "log", "SINCE": "7d", "MARGIN": "0"}


def test_a_better_candidate_is_named_and_then_promoted(run: Callable[..., Said], job: Callable[..., str]) -> None:
    stand_in = job(RETRAINING.format(results=BETTER, code=0))
    said = run("retrain.sh", "learn", PYTHON=stand_in, **SETTINGS)
    assert said.code == 0, said.text
    assert said.outputs == {"candidate": "tiny-1", "better": "true", "data": "old-new"}
    assert "**tiny-1**: Better." in said.summary
    assert run("retrain.sh", "promote", PYTHON=stand_in, **SETTINGS).outputs == {"promoted": "tiny-1"}


def test_a_candidate_that_is_not_better_is_kept_aside(run: Callable[..., Said], job: Callable[..., str]) -> None:
    results = {**BETTER, "compare": {"compare": {"better": False}}, "promote": {"promote": {"promoted": None}}}
    stand_in = job(RETRAINING.format(results=results, code=0))
    assert run("retrain.sh", "learn", PYTHON=stand_in, **SETTINGS).outputs["better"] == "false"
    said = run("retrain.sh", "promote", PYTHON=stand_in, **SETTINGS)
    assert said.outputs == {"promoted": ""}
    assert "Kept aside" in said.summary


@pytest.mark.parametrize("code", [0, 4])
def test_without_a_reason_nothing_is_trained(run: Callable[..., Said], job: Callable[..., str], code: int) -> None:
    results = {"check": {"stopped": {"reason": "No reason."}}, "train": {"train": {"candidate": "tiny-1"}}}
    said = run("retrain.sh", "learn", PYTHON=job(RETRAINING.format(results=results, code=code)), **SETTINGS)
    assert (said.code, said.outputs) == (0, {"candidate": "", "better": "", "data": ""})
    assert "No reason." in said.summary


def test_a_step_that_fails_ends_the_retraining(run: Callable[..., Said], job: Callable[..., str]) -> None:
    said = run("retrain.sh", "learn", PYTHON=job(RETRAINING.format(results=BETTER, code=1)), **SETTINGS)
    assert (said.code, said.outputs) == (1, {})


@pytest.mark.slow
def test_the_samples_drifted_faces_ask_for_a_retraining(run: Callable[..., Said]) -> None:
    faces = f"current={ROOT / 'drift_data'}"
    said = run("drift.sh", "bundle=sample", faces, f"store.uri={ROOT / 'models'}", NEW_DATA="faces")
    assert (said.code, said.outputs) == (0, {"retrain": "true"}), said.text


@pytest.fixture
def api() -> Iterator[str]:
    """Address of something that is ready with the bundle `tiny-1`."""

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/ready" else 404)
            self.end_headers()
            self.wfile.write(b'{"model_version": "tiny-1"}')

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Ready)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("name", "code"), [("tiny-1", 0), ("", 0), ("tiny-2", 1)])
def test_a_deployment_waits_for_the_bundle_that_it_brings(
    run: Callable[..., Said], api: str, name: str, code: int
) -> None:
    said = run("await_model.sh", api, name, SECONDS_LEFT="0")
    assert said.code == code
    assert f"{api} answers with tiny-1" in said.text
