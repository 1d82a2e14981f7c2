"""How every job starts: its Hydra config, friendly errors, logging and exit codes."""

from __future__ import annotations

import errno
import logging
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.logging import RichHandler

from mlopsproject.core.errors import ConfigError, UserError, nearest

log = logging.getLogger(__name__)

#: Advice of libraries that does not apply here, or that a user cannot act on.
_LIBRARY_NOTES = (
    r".*LeafSpec.*is deprecated.*",
    r".*is smaller than the logging interval.*",
    r".*exists and is not empty.*",
    r".*does not have many workers.*",
    r".*`ModelCheckpoint.*exists and is not empty.*",
)

Task = Callable[[DictConfig], Any]


def config_folder() -> Path:
    """Where the YAML files are: `configs/` of the working directory, else of the project this package lies in.

    Raises:
        ConfigError: if neither exists.
    """
    candidates = [Path.cwd() / "configs", Path(__file__).resolve().parents[2] / "configs"]
    for candidate in candidates:
        if (candidate / "train.yaml").is_file():
            return candidate
    raise ConfigError("no configs/ folder found.", "Run from the project's folder.")


def load_config(job: str, overrides: Iterable[str] = ()) -> DictConfig:
    """Compose a job's config, as a test or a notebook does.

    Args:
        job: name of the job and of its YAML file, such as `train`.
        overrides: `key=value` strings.

    Raises:
        ConfigError: for an unknown key, group or value, naming the nearest one.
    """
    overrides = list(overrides)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3", job_name=job):
        try:
            config = compose(job, overrides=overrides, return_hydra_config=False)
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            raise _explain(job, overrides, error) from error
    if overrides:
        _check_added(job, overrides)
        _check_kinds(config, _defaults(job, config_folder()), overrides)
    return config


@cache
def _defaults(job: str, folder: Path) -> DictConfig:
    """A job's config without overrides."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder), version_base="1.3", job_name=job):
        return compose(job)


def _explain(job: str, overrides: list[str], error: Exception) -> ConfigError:
    """Say which override is wrong and which key, group or choice was probably meant."""
    if not overrides:
        return ConfigError(f"configs/{job}.yaml does not compose: {_first_line(error)}")
    parser = OverridesParser.create()
    for text in overrides:
        try:
            key = parser.parse_override(text).key_or_group
        except HydraException:
            key = ""
        if not key:
            return ConfigError(f"cannot read the override {text!r}.", "Write key=value, for example epochs=5.")
        value = text.partition("=")[2]
        folder = config_folder() / key.lstrip("+~")
        if folder.is_dir():
            choices = sorted(path.stem for path in folder.glob("*.yaml"))
            if value not in choices:
                hint = nearest(value, choices) or f"choose one of {', '.join(choices)}."
                return ConfigError(f"{key}={value} does not exist;", hint)
            continue
        if text.startswith(("+", "~", "hydra")):
            continue
        known = _known_keys(job)
        if key not in known:
            tail = {name for name in known if name.rpartition(".")[2] == key.rpartition(".")[2]}
            hint = nearest(key, known) or (f"did you mean '{min(tail)}'?" if tail else f"see configs/{job}.yaml.")
            return ConfigError(f"{key!r} is not a config key of {job};", hint)
    return ConfigError(f"the config of {job} does not compose: {_first_line(error)}")


#: What takes arguments of its own, which `+key=value` may add.
_OPEN_GROUPS = ("model.", "logger.", "hydra.")


def _check_added(job: str, overrides: list[str]) -> None:
    """Refuse `+key=value` where nothing would read the key."""
    for text in overrides:
        key = text.partition("=")[0].lstrip("+")
        if not text.startswith("+") or key.startswith(_OPEN_GROUPS) or (config_folder() / key).is_dir():
            continue
        known = _known_keys(job)
        if key not in known:
            raise ConfigError(f"nothing in {job} reads {key!r};", nearest(key, known) or f"see configs/{job}.yaml.")


#: Words that may stand where the default is a number or a truth value.
_WORDS = {"auto", "warn"}


def _check_kinds(config: DictConfig, defaults: DictConfig, overrides: list[str]) -> None:
    """Refuse a word where the default is a number or a truth value."""
    for text in overrides:
        key = text.partition("=")[0].lstrip("+~")
        value, default = OmegaConf.select(config, key), OmegaConf.select(defaults, key)
        if isinstance(value, str) and value not in _WORDS and isinstance(default, int | float):
            raise ConfigError(f"{key}={value} is not {'true or false' if isinstance(default, bool) else 'a number'}.")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _known_keys(job: str) -> set[str]:
    """Every dotted key of a job's default config, groups included."""
    config = OmegaConf.to_container(_defaults(job, config_folder()), resolve=False)
    keys: set[str] = set()

    def walk(node: Any, prefix: str) -> None:
        if isinstance(node, dict):
            for name, child in node.items():
                keys.add(f"{prefix}{name}")
                walk(child, f"{prefix}{name}.")

    walk(config, "")
    groups = {path.name for path in config_folder().iterdir() if path.is_dir()}
    return keys | groups


def set_up_logging() -> None:
    """Log to the terminal: readable for a person, one plain line per record elsewhere."""
    for note in _LIBRARY_NOTES:
        warnings.filterwarnings("ignore", message=note)
    if os.environ.get("LOCAL_RANK", "0") != "0":
        logging.basicConfig(level=logging.ERROR, force=True)
        return
    if sys.stderr.isatty():
        handler: logging.Handler = RichHandler(console=Console(stderr=True), show_path=False, show_level=False)
        logging.basicConfig(level=logging.WARNING, format="%(message)s", datefmt="%X", handlers=[handler], force=True)
    else:
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%X", force=True)
    logging.getLogger("mlopsproject").setLevel(logging.INFO)
    for chatty in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


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


def command_line(job: str) -> str:
    """The command that started this job, as a person would type it again."""
    overrides = [text for text in sys.argv[1:] if not text.startswith("hydra.")]
    words = ["uv", "run", "invoke", job.replace("_", "-"), *(word for text in overrides for word in ("-o", text))]
    return shlex.join(words)


def output_folder() -> Path:
    """The running job's own folder, `runs/<job>/<time>`."""
    return Path(HydraConfig.get().runtime.output_dir)


def run_job(job: str, task: Task) -> None:
    """Run a job from the command line: `python -m mlopsproject.<job> key=value …`.

    A `UserError` is printed in one line and exits with 1, without a traceback, and Ctrl-C exits with 130; any other
    exception is a bug and keeps its traceback. An integer that the task returns is the exit code.
    """
    set_up_logging()
    if not _is_sweep(sys.argv):
        sys.argv[1:] = [quoted(text) for text in sys.argv[1:]]
    with _one_line_errors():
        _check_overrides(job)
        code = _run_with_hydra(job, task)
    sys.exit(code)


def quoted(text: str) -> str:
    """An override whose value Hydra cannot read as it stands, put in quotes: a URL, or a path with spaces or commas."""
    key, equals, value = text.partition("=")
    if not equals or text.startswith("-"):
        return text
    try:
        if not OverridesParser.create().parse_override(text).is_sweep_override():
            return text
    except HydraException:
        pass
    # Hydra takes a backslash literally unless it stands before a quote.
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"{key}='{escaped}'"


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
    # Hydra would name the job after this module.
    sys.argv.append(f"hydra.job.name={job}")
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
        place = f" ({error.filename})" if error.filename else ""
        _fail(UserError(f"{error.strerror}{place}.", _DISK_ERRORS[error.errno]))
    except KeyboardInterrupt:
        Console(stderr=True).print("[bold red]interrupted[/]")
        sys.exit(130)


def _check_overrides(job: str) -> None:
    """Compose once before Hydra does, for better words when it fails; sweeps (`a=1,2 -m`) are left to Hydra."""
    if _is_sweep(sys.argv):
        return
    load_config(job, [text for text in sys.argv[1:] if not text.startswith("-") and re.search(r"[=~]", text)])
    GlobalHydra.instance().clear()


def _fail(error: UserError) -> NoReturn:
    """Print the one line and leave with exit code 1."""
    Console(stderr=True).print(f"[bold red]error:[/] {_escape(str(error))}", soft_wrap=True, highlight=False)
    sys.exit(1)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
