"""Put an API under load and check what it answers and logs: `python -m mlopsproject.load_test seconds=60`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from omegaconf import DictConfig
from rich.console import Console

from mlopsproject.config import output_folder, run_job, values
from mlopsproject.core.checks import check_choice, check_number, check_whole
from mlopsproject.core.errors import ConfigError, UserError
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.load.load_report import missed, print_comparison, print_figures
from mlopsproject.load.locust_run import LocustResult, run_locust
from mlopsproject.load.logged import Comparison, compare, read_answers
from mlopsproject.load.processes import Server, api_server
from mlopsproject.overrides import config_folder
from mlopsproject.prediction_log.settings import LogSettings

_LOCUSTFILE: Final = Path("tests", "performance", "locustfile.py")
#: Seconds that rows may take from a given host to its database.
_DRAIN_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class LoadTest:
    """What a load test found out.

    Attributes:
        figures: of the requests.
        comparison: of the answers with the prediction log; `None` if that could not be looked at.
        missed: the thresholds that were not kept, in words.
    """

    figures: LocustResult
    comparison: Comparison | None
    missed: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 if everything is as it should be, else 1."""
        return int(bool(self.missed) or (self.comparison is not None and not self.comparison.is_equal))


def load_test(config: DictConfig, output: Path) -> LoadTest:
    """Test as the config says, print the figures, and write them into a folder.

    Args:
        config: see `configs/load_test.yaml`.
        output: folder for Locust's CSV files and its HTML report, the log of the API, and ids that are missing.

    Raises:
        UserError: for an impossible key, an API that cannot be started, cannot be reached, or ends during the test.
    """
    settings = values(config)
    _check(settings)
    output.mkdir(parents=True, exist_ok=True)
    console = Console()
    figures, comparison = _test_own(settings, output) if settings["host"] is None else _test_given(settings, output)
    print_figures(console, figures)
    print_comparison(console, comparison, output)
    found = LoadTest(figures, comparison, missed(figures, settings))
    for sentence in found.missed:
        console.print(f"[bold red]failed:[/] {sentence}", soft_wrap=True, highlight=False)
    console.print(f"Report: {output / 'report.html'}", soft_wrap=True, highlight=False)
    return found


def _check(settings: dict[str, Any]) -> None:
    check_whole("users", settings["users"], lowest=1)
    check_number("spawn_rate", settings["spawn_rate"], open_ends=True)
    check_whole("seconds", settings["seconds"], lowest=1)
    check_whole("api.workers", settings["api"]["workers"], lowest=1)
    if settings["api"]["precision"] is not None:
        check_choice("api.precision", settings["api"]["precision"], ("fp32", "int8"))
    check_whole("max_failures", settings["max_failures"], lowest=0, optional=True)
    check_number("max_p99_ms", settings["max_p99_ms"], optional=True)
    check_number("min_rps", settings["min_rps"], optional=True)
    if settings["host"] is not None:
        address = urlsplit(str(settings["host"]))
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ConfigError(f"host={settings['host']} is no address.", "Give one such as http://localhost:8000.")
    elif settings["database_url"] is not None:
        raise ConfigError("database_url= belongs to a given host; an API of its own has a log of its own.")


def _test_own(settings: dict[str, Any], output: Path) -> tuple[LocustResult, Comparison]:
    """Start an API, test it, stop it, and look into its log."""
    with _own_api(settings, output) as (server, log):

        def check() -> None:
            if server.exit_code is not None:
                raise UserError(
                    f"The API ended in the middle of the test (exit code {server.exit_code}).", server.last_words()
                )

        figures = _run_locust(settings, server.url, output, None, check)
        check()
        # Stopping moves the rows that wait into the database.
        code = server.stop()
        if code:
            raise UserError(f"The API did not stop in an orderly way (exit code {code}).", server.last_words())
        return figures, compare(read_answers(output / "answers.txt"), log)


def _test_given(settings: dict[str, Any], output: Path) -> tuple[LocustResult, Comparison | None]:
    """Test an API that runs somewhere."""
    url = settings["database_url"]
    # Before the test: a mistyped address need not wait for its end.
    log = LogSettings.read(env_file=None, database_url=str(url)) if url is not None else None
    figures = _run_locust(settings, str(settings["host"]), output, os.environ.get("API_KEY"), lambda: None)
    answers = read_answers(output / "answers.txt")
    return figures, compare(answers, log, _DRAIN_SECONDS) if log is not None else None


@contextmanager
def _own_api(settings: dict[str, Any], output: Path) -> Iterator[tuple[Server, LogSettings]]:
    chosen = settings["api"]
    bundle = resolve_bundle(str(chosen["model"]), settings["store"]["uri"])
    bundle.model_file(chosen["precision"] or bundle.spec.default_precision)
    with tempfile.TemporaryDirectory(prefix="load-test-") as folder:
        environment = {
            "MODEL_URI": bundle.path.resolve(),
            "MODEL_PRECISION": chosen["precision"] or "",
            "WORKERS": chosen["workers"],
            "LOG_LEVEL": "WARNING",
        }
        with api_server(Path(folder), (output / "server.log").resolve(), environment) as server:
            server.wait_until_ready("/ready")
            yield server, LogSettings(_env_file=None, data_dir=Path(folder) / "data", database_url=None)


def _run_locust(settings: dict[str, Any], host: str, output: Path, key: str | None, check: Any) -> LocustResult:
    locustfile = config_folder().parent / _LOCUSTFILE
    if not locustfile.is_file():
        raise ConfigError(f"There is no {_LOCUSTFILE}.", "Run from the project's folder.")
    return run_locust(
        locustfile,
        host,
        output,
        users=settings["users"],
        spawn_rate=settings["spawn_rate"],
        seconds=settings["seconds"],
        api_key=key,
        check=check,
    )


def main() -> None:
    """Run from the command line."""
    run_job("load_test", lambda config: load_test(config, output_folder()).exit_code)


if __name__ == "__main__":
    main()
