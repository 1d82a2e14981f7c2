"""How every job starts: its Hydra config, friendly errors, logging and exit codes."""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.logging import RichHandler

from mlopsproject.core.commands import job_command
from mlopsproject.core.errors import ConfigError, UserError
from mlopsproject.core.processes import end_at_closed_pipe
from mlopsproject.overrides import (
    check_changed,
    check_kinds,
    config_folder,
    defaults,
    explain,
    quoted,
    sweep_points,
)

#: Advice of libraries that does not apply here, or that a user cannot act on.
_LIBRARY_NOTES = (
    r".*LeafSpec.*is deprecated.*",
    r".*is smaller than the logging interval.*",
    r".*exists and is not empty.*",
    r".*does not have many workers.*",
    r".*callbacks used to create the checkpoint need to be provided.*",
)

log = logging.getLogger(__name__)

Task = Callable[[DictConfig], Any]


def load_config(job: str, overrides: Iterable[str] = ()) -> DictConfig:
    """Compose a job's config, as a test or a notebook does.

    Args:
        job: name of the job and of its YAML file, such as `train`.
        overrides: `key=value` strings.

    Raises:
        ConfigError: for an unknown key, group or value, naming the nearest one.
    """
    overrides = list(overrides)
    check_changed(job, overrides)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3", job_name=job):
        try:
            config = compose(job, overrides=overrides, return_hydra_config=False)
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            raise explain(job, overrides, error) from error
    if overrides:
        check_kinds(config, defaults(job, config_folder()), overrides)
    return config


def set_up_logging() -> None:
    """Log to the terminal: readable for a person, one plain line per record elsewhere."""
    for note in _LIBRARY_NOTES:
        warnings.filterwarnings("ignore", message=note)
    if os.environ.get("LOCAL_RANK", "0") != "0":
        logging.basicConfig(level=logging.ERROR, force=True)
        return
    if sys.stderr.isatty():
        handler: logging.Handler = RichHandler(console=Console(stderr=True), show_path=False, show_level=False)
        layout = "%(message)s"
    else:
        handler, layout = logging.StreamHandler(), "%(asctime)s %(message)s"
    # On the handler, because libraries set their loggers' levels themselves when they are imported, which is later.
    handler.addFilter(lambda record: record.levelno >= logging.WARNING or record.name.startswith("mlopsproject"))
    logging.basicConfig(level=logging.WARNING, format=layout, datefmt="%X", handlers=[handler], force=True)
    logging.getLogger("mlopsproject").setLevel(logging.INFO)


def values(config: DictConfig) -> dict[str, Any]:
    """A config as plain Python values."""
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def require(settings: Mapping[str, Any], key: str) -> Any:
    """The value of a key that has no default.

    Raises:
        ConfigError: if it was not given.
    """
    value = settings[key]
    if value is None:
        raise ConfigError(f"{key}= is missing.", f"Give it, as in: -o {key}=VALUE")
    return value


@contextmanager
def started_with(overrides: Iterable[str]) -> Iterator[None]:
    """Within another job, run one as if it had been started with these overrides: `command_line` says so."""
    given = sys.argv
    sys.argv = [given[0], *overrides]
    try:
        yield
    finally:
        sys.argv = given


def command_line(job: str, **changes: object) -> str:
    """The command that started this job, as a person would type it again.

    Args:
        job: its name.
        changes: keys to set instead of what was given for them.
    """
    given = [text for text in sys.argv[1:] if re.search("[=~]", text) and not text.startswith(("-", "hydra."))]
    kept = [text for text in given if text.partition("=")[0].lstrip("+") not in changes]
    overrides = [*kept, *(f"{key}={value}" for key, value in changes.items())]
    return job_command(job, *overrides)


def output_folder() -> Path:
    """The running job's own folder, `runs/<job>/<time>`."""
    return Path(HydraConfig.get().runtime.output_dir)


def run_job(job: str, task: Task) -> None:
    """Run a job from the command line: `python -m mlopsproject.<job> key=value …`.

    `--help` prints the job's keys. A `UserError` is printed in one line and exits with its code, without a traceback,
    Ctrl-C exits with 130 and SIGTERM with 143; any other exception is a bug and keeps its traceback. An integer that
    the task returns is the exit code.
    """
    set_up_logging()
    # By default the first process of a container, which a job is there, ignores it.
    signal.signal(signal.SIGTERM, _leave)
    if not _is_sweep(sys.argv):
        sys.argv[1:] = [quoted(text) for text in sys.argv[1:]]
    with end_at_closed_pipe(), _one_line_errors():
        if {"-h", "--help"} & set(sys.argv[1:]):
            from mlopsproject.config_help import print_help

            print_help(job)
            sys.exit(0)
        _check_overrides(job)
        code = _run_with_hydra(job, task)
        sys.exit(code)


def _leave(number: int, _: object) -> NoReturn:
    """End the job as a signal asks, in the way that lets it tidy up."""
    log.warning("Stopped by %s.", signal.Signals(number).name)
    sys.exit(128 + number)


def _is_sweep(arguments: list[str]) -> bool:
    return "-m" in arguments or "--multirun" in arguments


def _run_with_hydra(job: str, task: Task) -> int:
    code = 0

    @hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=job)
    def main(config: DictConfig) -> None:
        nonlocal code
        # Inside, because Hydra would report what a task raises in words of its own.
        with _one_line_errors():
            result = task(config)
        code = result if type(result) is int else 0

    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    # Hydra would name the job after this module. All overrides must stand together, before or after its own flags.
    given = get_args_parser().parse_known_args(sys.argv[1:])[0].overrides
    sys.argv.insert(sys.argv.index(given[0], 1) if given else len(sys.argv), f"hydra.job.name={job}")
    main()
    return code


#: What can be wrong with a disk or folder, and what to do about it.
_DISK_ERRORS = {
    errno.ENOSPC: "Free some space and run again.",
    errno.EDQUOT: "Free some space and run again.",
    errno.EROFS: "Choose a place that can be written.",
    errno.EACCES: "Choose a place that you may read and write.",
    errno.ENOTDIR: "Choose a folder.",
}


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Leave with one line and an exit code for what is not a bug."""
    try:
        yield
    except UserError as error:
        _fail(error)
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        # Of a copy or a move the second is the place that is full or closed.
        name = error.filename2 or error.filename
        place = f" ({name})" if name else ""
        _fail(UserError(f"{error.strerror}{place}.", _DISK_ERRORS[error.errno]))
    except KeyboardInterrupt:
        Console(stderr=True).print("[bold red]interrupted[/]")
        sys.exit(130)


def _check_overrides(job: str) -> None:
    """Compose once before Hydra does, and once per value of a sweep, for better words when it fails."""
    given, others = get_args_parser().parse_known_args(sys.argv[1:])
    overrides = [*given.overrides, *(text for text in others if not text.startswith("-"))]
    for point in sweep_points(overrides) if _is_sweep(sys.argv) else [overrides]:
        load_config(job, point)
    GlobalHydra.instance().clear()


def _fail(error: UserError) -> NoReturn:
    """Print the one line and leave with the error's exit code."""
    Console(stderr=True).print(f"[bold red]error:[/] {_escape(str(error))}", soft_wrap=True, highlight=False)
    sys.exit(error.exit_code)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
