"""What a user may write behind a job's name: `key=value`, read, checked against the config and explained when wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from mlopsproject.core.errors import ConfigError, first_line, nearest
from mlopsproject.core.shipped import shipped_folder


def config_folder() -> Path:
    """Where the YAML files are: `configs/` of the working directory if they are this project's, else those that ship.

    Raises:
        ConfigError: if there are none.
    """
    for candidate in (Path.cwd() / "configs", shipped_folder("configs")):
        # Other projects have a configs/train.yaml too; that every job reads job.yaml is this project's.
        if candidate is not None and all((candidate / name).is_file() for name in ("train.yaml", "job.yaml")):
            return candidate
    raise ConfigError("no configs/ folder found.", "Install the package again, or run from the project's folder.")


def choices(group: Path) -> dict[str, Path]:
    """The files of a config group by what is written for them on the command line, such as `teachers/large`."""
    files = sorted(group.rglob("*.yaml"), key=lambda path: (len(path.parts), path))
    return {path.relative_to(group).with_suffix("").as_posix(): path for path in files}


def group_choices(job: str) -> dict[str, str | None]:
    """The file that a job takes of each group by default: by the group's name, and its package behind an `@` if any."""
    entries = yaml.safe_load((config_folder() / f"{job}.yaml").read_text(encoding="utf-8"))["defaults"]
    pairs = [pair for entry in entries if isinstance(entry, dict) for pair in entry.items()]
    return {place: choice for place, choice in pairs if not place.startswith("override ")}


@cache
def defaults(job: str, folder: Path) -> DictConfig:
    """A job's config without overrides."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder), version_base="1.3", job_name=job):
        return compose(job)


def explain(job: str, overrides: list[str], error: Exception) -> ConfigError:
    """Say which override is wrong and which key, group or choice was probably meant."""
    if not overrides:
        return ConfigError(f"configs/{job}.yaml does not compose: {first_line(error)}")
    parser = OverridesParser.create()
    for text in overrides:
        try:
            override = parser.parse_override(text)
            key = "@".join(filter(None, (override.key_or_group, override.package)))
        except HydraException:
            key = ""
        if not key:
            return ConfigError(f"cannot read the override {text!r}.", "Write key=value, for example epochs=5.")
        value = text.partition("=")[2]
        if key.lstrip("+") in group_choices(job):
            known_choices = choices(config_folder() / key.lstrip("+").partition("@")[0])
            if value not in known_choices:
                hint = nearest(value, known_choices) or f"choose one of {', '.join(known_choices)}."
                return ConfigError(f"{key}={value} does not exist;", hint)
            continue
        if text.startswith(("+", "hydra")):
            continue
        known = _known_keys(job)
        if key not in known:
            tail = {name for name in known if name.rpartition(".")[2] == key.rpartition(".")[2]}
            hint = nearest(key, known) or (f"did you mean '{min(tail)}'?" if tail else f"see configs/{job}.yaml.")
            return ConfigError(f"{key!r} is not a config key of {job};", hint)
    return ConfigError(f"the config of {job} does not compose: {first_line(error)}")


#: What takes arguments of its own, which `+key=value` may add and `~key` remove.
_OPEN_GROUPS = ("model.", "logger", "hydra.")


def check_changed(job: str, overrides: list[str]) -> None:
    """Refuse `+key=value` where nothing would read the key, and `~key` where the job needs it."""
    for text in overrides:
        key = text.partition("=")[0].lstrip("+~")
        if not text.startswith(("+", "~")) or key.startswith(_OPEN_GROUPS):
            continue
        known = _known_keys(job)
        if key not in known:
            raise ConfigError(f"nothing in {job} reads {key!r};", nearest(key, known) or f"see configs/{job}.yaml.")
        if text.startswith("~"):
            raise ConfigError(f"{text} is not possible: {job} needs the key.", f"Set another value, as {key}=….")


def sweep_points(overrides: Iterable[str]) -> Iterator[list[str]]:
    """Overrides that together try every value of a sweep (`key=a,b`) once; the first begins with the first of each."""
    values = [_sweep_values(text) for text in overrides]
    first = [each[0] for each in values]
    yield first
    for place, each in enumerate(values):
        yield from ([*first[:place], value, *first[place + 1 :]] for value in each[1:])


def _sweep_values(text: str) -> list[str]:
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException:
        return [text]
    if not override.is_sweep_override():
        return [text]
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


#: Words that may stand where the default is a number or a truth value.
_WORDS = {"trainer.devices": {"auto"}, "trainer.deterministic": {"warn"}}


def check_kinds(config: DictConfig, usual: DictConfig, overrides: list[str]) -> None:
    """Refuse a word for a number or a truth value, and a single value for a list or a group.

    Args:
        config: as composed.
        usual: the same job's config without overrides.
        overrides: `key=value` strings.

    Raises:
        ConfigError: naming the key and the value.
    """
    for text in overrides:
        key = text.partition("=")[0].lstrip("+~")
        value, default = OmegaConf.select(config, key), OmegaConf.select(usual, key)
        if isinstance(value, str) and value not in _WORDS.get(key, ()) and isinstance(default, int | float):
            raise ConfigError(f"{key}={value} is not {'true or false' if isinstance(default, bool) else 'a number'}.")
        # A group with files may be left out as a whole, as in logger=null.
        left_out = value is None and (config_folder() / key).is_dir()
        if OmegaConf.is_dict(default) and not OmegaConf.is_dict(value) and not left_out:
            first = next(iter(default), "KEY")
            raise ConfigError(f"{key}={value} is not possible: {key} is a group.", f"Set its keys, as {key}.{first}=….")
        if OmegaConf.is_list(default) and isinstance(value, str | int | float):
            raise ConfigError(f"{key}={value} is not a list.", f"Write '{key}=[{value}]'.")


def _known_keys(job: str) -> set[str]:
    """Every dotted key of a job's default config, groups included."""
    config = OmegaConf.to_container(defaults(job, config_folder()), resolve=False)
    keys: set[str] = set()

    def walk(node: Any, prefix: str) -> None:
        if isinstance(node, dict):
            for name, child in node.items():
                keys.add(f"{prefix}{name}")
                walk(child, f"{prefix}{name}.")

    walk(config, "")
    return keys | group_choices(job).keys()


def quoted(text: str) -> str:
    """An override as Hydra can read it.

    A leading `~` becomes the home folder, which most shells leave to the program behind a `=`; a value that Hydra
    cannot read as it stands, such as a URL or a path with spaces or commas, is put in quotes.
    """
    key, equals, value = text.partition("=")
    if not equals or text.startswith("-"):
        return text
    if value == "~" or value.startswith("~/"):
        value = str(Path(value).expanduser())
        text = f"{key}={value}"
    try:
        if not OverridesParser.create().parse_override(text).is_sweep_override():
            return text
    except HydraException:
        pass
    # Hydra takes a backslash literally unless it stands before a quote.
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"{key}='{escaped}'"
