"""What a load test makes of Locust's files and of the prediction log's database."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.prediction_rows import make_rows

from mlopsproject.config import load_config
from mlopsproject.core.errors import UserError
from mlopsproject.load.load_report import missed, print_comparison, print_figures
from mlopsproject.load.locust_run import BACK_PRESSURE, LocustResult, RequestFigures, read_result
from mlopsproject.load.logged import Comparison, compare, read_answers
from mlopsproject.load.processes import neutral_environment
from mlopsproject.load_test import LoadTest, load_test
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.migrate import migrate
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.tables import to_record

KEYS = ("max_failures", "max_p99_ms", "min_rps")


def entry(name: str, times: dict[str, int], *, failures: int = 0, start: float = 1000.0, end: float = 1010.0) -> Any:
    return {
        "name": name,
        "method": "POST",
        "num_requests": sum(times.values()),
        "num_failures": failures,
        "response_times": times,
        "start_time": start,
        "last_request_timestamp": end,
    }


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """``written(entries, failures="", exceptions="")`` writes what Locust leaves in a folder."""

    def write(entries: list[Any], failures: str = "", exceptions: str = "") -> Path:
        (tmp_path / "locust.json").write_text(json.dumps(entries))
        (tmp_path / "locust_failures.csv").write_text("Method,Name,Error,Occurrences\n" + failures)
        (tmp_path / "locust_exceptions.csv").write_text("Count,Message,Traceback,Nodes\n" + exceptions)
        return tmp_path

    return write


def test_quantiles_are_those_of_all_requests_together(written: Callable[..., Path]) -> None:
    faces = entry("/predict/ face", {"10": 50, "20": 40, "30": 4})
    batches = entry("/predict/batch", {"500": 6}, failures=2)
    found = read_result(written([faces, batches]))
    assert [kind.name for kind in found.kinds] == ["/predict/ face", "/predict/batch"]
    assert (found.total.p50_ms, found.total.p95_ms, found.total.p99_ms) == (10, 500, 500)
    assert found.kinds[0].p95_ms == 20
    assert (found.total.requests, found.total.failures) == (100, 2)
    assert found.total.per_second == 10


def test_back_pressure_is_neither_an_answer_nor_a_failure(written: Callable[..., Path]) -> None:
    busy = entry(BACK_PRESSURE, {"1": 900}, start=990.0)
    found = read_result(written([entry("/predict/ face", {"10": 40}), busy]))
    assert found.back_pressure == 900
    assert found.total.requests == 40
    assert found.total.per_second == 2  # within the 20 s in which anything was sent
    assert found.total.p99_ms == 10
    assert found.reasons == {}


def test_failures_are_told_by_reason_and_mistakes_of_the_locustfile_are_failures(written: Callable[..., Path]) -> None:
    folder = written(
        [entry("/predict/ face", {"10": 40}, failures=3)],
        failures='POST,/predict/ face,"answered 500 (internal)",2\nPOST,/predict/ face,no answer,1\n',
        exceptions="4,KeyError('x'),\"File, line 1\",local\n",
    )
    found = read_result(folder)
    assert found.reasons == {
        "/predict/ face: answered 500 (internal)": 2,
        "/predict/ face: no answer": 1,
        "locustfile: KeyError('x')": 4,
    }


@pytest.mark.parametrize("entries", [[], [entry(BACK_PRESSURE, {"1": 5})]])
def test_a_test_in_which_nothing_was_answered_is_an_error(written: Callable[..., Path], entries: list[Any]) -> None:
    with pytest.raises(UserError, match="No request was answered"):
        read_result(written(entries))


def figures(*, p99_ms: float = 100.0, per_second: float = 50.0, failures: int = 0) -> LocustResult:
    total = RequestFigures("all", 1500, failures, per_second, p50_ms=20.0, p95_ms=50.0, p99_ms=p99_ms)
    return LocustResult(
        (total,), total, 7, {"/predict/ [photo]: answered 500 (internal)": failures} if failures else {}
    )


@pytest.mark.parametrize(
    ("found", "thresholds", "said"),
    [
        (figures(failures=1), {"max_failures": 0}, "1 requests failed, max_failures=0."),
        (figures(p99_ms=101), {"max_p99_ms": 100}, "p99 was 101 ms, max_p99_ms=100."),
        (figures(per_second=49.9), {"min_rps": 50}, "49.9 requests per second were answered, min_rps=50."),
    ],
)
def test_a_threshold_that_is_not_kept_is_named(found: LocustResult, thresholds: dict[str, Any], said: str) -> None:
    others = dict.fromkeys(KEYS)
    assert missed(found, others | thresholds) == (said,)
    assert missed(figures(), others | thresholds) == ()
    assert missed(found, others) == ()


def test_the_exit_code_tells_of_thresholds_and_of_answers_that_are_not_logged() -> None:
    equal, unequal = Comparison(1, (), (), ()), Comparison(1, (), ("a",), ())
    assert LoadTest(figures(), equal, ()).exit_code == 0
    assert LoadTest(figures(), None, ()).exit_code == 0
    assert LoadTest(figures(), equal, ("p99",)).exit_code == 1
    assert LoadTest(figures(), unequal, ()).exit_code == 1


def test_the_table_shows_figures_reasons_and_back_pressure(capsys: pytest.CaptureFixture[str]) -> None:
    print_figures(Console(width=120), figures(failures=3))
    said = capsys.readouterr().out
    assert "50.0" in said
    assert "3 × /predict/ [photo]: answered 500 (internal)" in said
    assert "Back-pressure: 7 requests" in said


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LogSettings:
    """Settings of a log with a migrated database."""
    for name in LogSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    found = LogSettings(data_dir=tmp_path / "serving")
    migrate(found)
    return found


@pytest.fixture
def answered(log: LogSettings) -> list[str]:
    """The ids of 1,200 answers, all in the database."""
    rows = make_rows(1200)
    database = Database(log.url)
    database.insert([to_record(row) for row in rows])
    database.close()
    return [row.prediction_id for row in rows]


def test_answers_that_are_all_logged_once_are_equal(log: LogSettings, answered: list[str]) -> None:
    found = compare(answered, log)
    assert found.answered == 1200
    assert found.is_equal
    # The end of the test may cut a client off whose answer was logged.
    assert compare(answered[:-1], log).is_equal


def test_an_answer_that_is_not_logged_is_missed(
    log: LogSettings, answered: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = compare([*answered, "f" * 32], log)
    assert found.missing == ("f" * 32,)
    assert not found.is_equal
    print_comparison(Console(width=200), found, tmp_path)
    assert "of 1,201 answers 1 are not in the prediction log" in capsys.readouterr().out
    assert (tmp_path / "not_logged.txt").read_text() == "f" * 32 + "\n"


def test_an_id_that_two_answers_have_is_found_out(log: LogSettings, answered: list[str]) -> None:
    found = compare([*answered, answered[0]], log)
    assert found.repeated == (answered[0],)
    assert not found.is_equal


def test_rows_on_their_way_to_the_database_are_waited_for(log: LogSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = make_rows(3)
    database = Database(log.url)

    def drain(seconds: float) -> None:
        database.insert([to_record(row) for row in rows])

    monkeypatch.setattr("mlopsproject.load.logged.time.sleep", drain)
    assert compare([row.prediction_id for row in rows], log, seconds=10).is_equal
    database.close()


def test_a_comparison_that_could_not_be_made_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison(Console(width=200), None, tmp_path)
    assert "NOT checked" in capsys.readouterr().out
    print_comparison(Console(width=200), Comparison(0, (), (), ()), tmp_path)
    assert "nothing was answered" in capsys.readouterr().out


def test_notes_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "answers.txt").write_bytes(b"a1\nb2\n")
    assert read_answers(tmp_path / "answers.txt") == ["a1", "b2"]


@pytest.mark.parametrize(
    "name", ["PORT", "workers", "API_KEY", "DATABASE_URL", "LOG_DURABILITY", "PROMETHEUS_MULTIPROC_DIR", "LOCUST_USERS"]
)
def test_no_setting_of_the_developer_reaches_what_is_started(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    environment = neutral_environment()
    assert name not in environment
    assert environment["SOMETHING_ELSE"] == "1"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["users=0"], "users=0"),
        (["spawn_rate=0"], "spawn_rate=0"),
        (["seconds=0"], "seconds=0"),
        (["seconds=2.5"], "seconds=2.5"),
        (["api.workers=0"], r"api\.workers=0"),
        (["api.precision=fp16"], "Known: fp32, int8"),
        (["max_failures=-1"], "max_failures=-1"),
        (["max_p99_ms=-1"], "max_p99_ms=-1"),
        (["min_rps=-1"], "min_rps=-1"),
        (["host=localhost:8000"], "is no address"),
        (["database_url=sqlite:///log.db"], "belongs to a given host"),
        (["host=http://localhost:8000", "database_url=mysql://localhost/log"], "DATABASE_URL is not possible"),
        (["api.model=nothing-of-that-name"], "nothing-of-that-name"),
    ],
)
def test_what_cannot_be_tested_is_refused_in_one_line(overrides: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said) as caught:
        load_test(load_config("load_test", overrides), tmp_path)
    assert "\n" not in str(caught.value)
