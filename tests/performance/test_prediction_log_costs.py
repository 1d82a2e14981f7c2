"""What the prediction log costs. The bounds are several times what an idle machine needs: they catch a blunder."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.prediction_rows import RunningLog, make_rows, stored

from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.drainer import Drainer
from mlopsproject.prediction_log.migrate import migrate
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.stats import stats

pytestmark = pytest.mark.slow
ROWS = 20_000
#: Rows that wait together, as under load.
GROUP = 64


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Show a figure, also when the test passes."""
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")


def test_keeping_and_draining_a_row_costs_microseconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings, rows = LogSettings(data_dir=tmp_path / "queue"), make_rows(ROWS)
    elsewhere = LogSettings(data_dir=tmp_path / "server")
    for each in (settings, elsewhere):
        migrate(each)
    running = RunningLog(settings)
    process = time.process_time()
    for start in range(0, ROWS, GROUP):
        assert not any(running.write_each(rows[start : start + GROUP]))
    keeping = (time.process_time() - process) / ROWS * 1e6
    running.close()
    queue, server = Database(settings.url), Database(elsewhere.url)
    drainer = Drainer(queue, server, batch_rows=100, pause=1)
    process = time.process_time()
    while drainer.round()[0]:
        pass
    draining = (time.process_time() - process) / ROWS * 1e6
    assert len(stored(server)) == ROWS
    say(capsys, f"CPU per row: {keeping:.1f} µs to keep it, {draining:.1f} µs to move it on")
    assert keeping < 400
    assert draining < 400


UNTIL = datetime(2026, 3, 31, tzinfo=UTC)
_FILL = f"""
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000000)
INSERT INTO predictions
SELECT lower(hex(randomblob(16))), 'r', {UNTIL.timestamp()} - n * 30 * 86400.0 / 1000000, 'm', 'int8', 'upload',
       CASE n % 3 WHEN 0 THEN 'happy' WHEN 1 THEN 'sad' ELSE 'fear' END, 0.5, n % 5 = 0, '{{"happy": 0.5, "sad": 0.5}}',
       'found', NULL, NULL, NULL, NULL, 64, 64, 0.5, 0.5, 0.5, 3.5
FROM numbers
"""
_EXPORT = """
import re, sys
from datetime import datetime
from pathlib import Path
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.export import Selection, export
from mlopsproject.prediction_log.settings import LogSettings
folder, since = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
result = export(Database(LogSettings(data_dir=folder).url), folder / "log.csv", Selection(since), progress=False)
# Not getrusage: that counts the process which this one was forked from.
print(result.rows, int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> LogSettings:
    """A log of a million rows over thirty days."""
    settings = LogSettings(data_dir=tmp_path_factory.mktemp("million"))
    migrate(settings)
    with Database(settings.url).transaction() as connection:
        connection.exec_driver_sql(_FILL)
    return settings


def test_statistics_of_a_day_of_a_million_rows_take_less_than_a_second(
    million: LogSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    start = time.perf_counter()
    found = stats(Database(million.url), UNTIL - timedelta(days=1), UNTIL, pending=0)
    seconds = time.perf_counter() - start
    say(capsys, f"statistics of {found.total:,} rows among a million: {seconds:.2f} s")
    assert found.total == pytest.approx(1_000_000 / 30, abs=1)
    assert seconds < 1


def test_the_memory_of_an_export_does_not_grow_with_its_rows(
    million: LogSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = []
    for days in (0.2, 4):
        since = (UNTIL - timedelta(days=days)).isoformat()
        command = [sys.executable, "-c", _EXPORT, str(million.data_dir), since]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        sizes.append([int(word) for word in done.stdout.split()])
    (few, small), (many, large) = sizes
    say(capsys, f"peak memory of an export: {small} MB for {few:,} rows, {large} MB for {many:,}")
    assert many > 15 * few
    assert large < small + 15
