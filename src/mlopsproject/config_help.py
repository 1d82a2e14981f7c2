"""What can be said to a job: its keys, groups and choices, as the comments in `configs/` explain them; `--help`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlopsproject.__main__ import JOBS
from mlopsproject.config import load_config, values
from mlopsproject.core.commands import job_command
from mlopsproject.overrides import choices, config_folder, group_choices

#: Columns that a comment may begin before the one that it continues.
_SLACK: Final = 1
#: Columns of help that no terminal shows: a key per line, for `grep`. On a terminal, those of keys and defaults.
_WIDTH: Final = 400
_KEY_WIDTH: Final = 44


@dataclass(frozen=True)
class Row:
    """A key of a config.

    Attributes:
        key: with dots.
        default: as it is written in YAML; empty for a group of keys.
        meaning: the comment behind the key.
    """

    key: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Group:
    """A group of keys that has files of its own.

    Attributes:
        name: of the folder in `configs/`.
        package: what its keys begin with.
        choice: the file that is taken by default, without suffix.
    """

    name: str
    package: str
    choice: str


def print_help(job: str) -> None:
    """Print how a job is used: its own keys and those of its groups, each with its default and what it means.

    Args:
        job: its name, as that of its file.
    """
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _WIDTH
    folder = config_folder()
    name = job.replace("_", "-")
    summary = JOBS[name].summary[:1].upper() + JOBS[name].summary[1:]
    usage = job_command(name, "key=value") + " …"
    example = job_command(name, *JOBS[name].example.split())
    console.print(f"usage: {usage}\nexample: {example}\n\n{summary}.\n")
    key_width = _KEY_WIDTH if console.is_terminal else None
    console.print(_key_table("keys", rows(job, folder / f"{job}.yaml"), key_width))
    for group in groups(job):
        console.print(Text(f"\ngroup {group.package}", style="bold"), end="")
        console.print(f": {group.name}={group.choice} by default. {head(file_of(group))}" if others(group) else "")
        for file in others(group):
            console.print(f"  {group.name}={file.stem}: {head(file) or 'see ' + str(file.relative_to(folder.parent))}")
        console.print(_key_table("", rows(job, file_of(group), f"{group.package}."), key_width))
    for group_name in open_groups(job):
        console.print(Text(f"\n{group_name}=NAME", style="bold"), end="")
        console.print(", none by default:")
        console.print(_choice_table(choices(folder / group_name)))
    console.print(
        f"\nOf Hydra, after `mlopsproject {name}`: --cfg job shows the config, -m runs it per value of key=a,b."
    )


def open_groups(job: str) -> list[str]:
    """The groups of which a job takes nothing by default, such as `experiment`."""
    return [name for name, choice in group_choices(job).items() if choice is None]


def explanations(file: Path) -> dict[str, str]:
    """The comment behind each key of a YAML file, groups included, by dotted key.

    A comment goes on in the lines below that have nothing else, if they begin no further left.

    Args:
        file: whose keys stand one in a line.
    """
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    root = yaml.compose(text)
    assert root is not None
    return {key: _comment(lines, line, column) for key, line, column in _places(root)}


def head(file: Path) -> str:
    """The comment that a YAML file begins with, as one paragraph.

    Args:
        file: to read.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    said = [line.removeprefix("# ") for line in lines[: _first(lines)] if not line.startswith("# @package")]
    return " ".join(said)


def groups(job: str) -> list[Group]:
    """The groups that a job's config is made of by default.

    Args:
        job: its name.
    """
    found = []
    for place, choice in group_choices(job).items():
        name, _, package = place.partition("@")
        if choice is not None:
            found.append(Group(name, package or name, choice))
    return found


@cache
def leaves(job: str, *overrides: str) -> Mapping[str, Any]:
    """Every key of a job's config that is no group, with its value, as Hydra composes it.

    Args:
        job: its name.
        *overrides: as on the command line.
    """

    def walk(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
        for name, value in node.items():
            if isinstance(value, dict) and value:
                yield from walk(value, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", value

    return dict(walk(values(load_config(job, overrides))))


def written(value: Any) -> str:
    """A value as YAML writes it in one line.

    Args:
        value: plain Python.
    """
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).removesuffix("\n...\n").strip()


def rows(job: str, file: Path, prefix: str = "", *overrides: str) -> tuple[Row, ...]:
    """The keys that a file holds, with their values in a job's config.

    Args:
        job: its name.
        file: of the job or of one of its groups.
        prefix: what the file's keys begin with in the config.
        *overrides: that the config is composed with.
    """
    defaults = leaves(job, *overrides)
    found = []
    for key, meaning in explanations(file).items():
        name = f"{prefix}{key}"
        if name in defaults:
            found.append(Row(name, written(defaults[name]), meaning))
        elif meaning:
            found.append(Row(f"{name}.*", "", meaning))
    return tuple(found)


def file_of(group: Group) -> Path:
    """The file of a group that is taken by default."""
    return config_folder() / group.name / f"{group.choice}.yaml"


def others(group: Group) -> list[Path]:
    """The other files of a group."""
    # Of a group within another key, such as `detect@drift.detect`, the choices are those of the group's own job.
    files = [] if group.package != group.name else sorted((config_folder() / group.name).glob("*.yaml"))
    return [file for file in files if file.stem != group.choice]


def _key_table(title: str, found: tuple[Row, ...], key_width: int | None) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(max_width=key_width, overflow="fold")
    table.add_column()
    if title:
        table.add_row(Text(title, style="bold"))
    for row in found:
        table.add_row(f"  {row.key}={row.default}" if row.default else f"  {row.key}", row.meaning)
    return table


def _choice_table(files: Mapping[str, Path]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for name, file in files.items():
        table.add_row(f"  {name}", head(file))
    return table


def _places(node: yaml.Node, prefix: str = "") -> Iterator[tuple[str, int, int]]:
    """Dotted key, line, and the column behind which a comment may stand, of every key but Hydra's."""
    assert isinstance(node, yaml.MappingNode)
    for key, value in node.value:
        if key.value == "defaults":
            continue
        line = key.start_mark.line
        is_group = isinstance(value, yaml.MappingNode) and not value.flow_style
        ends_here = value.start_mark.line == line == value.end_mark.line
        yield f"{prefix}{key.value}", line, value.end_mark.column if ends_here else key.end_mark.column
        if is_group:
            yield from _places(value, f"{prefix}{key.value}.")


def _comment(lines: list[str], line: int, column: int) -> str:
    start = lines[line].find("#", column)
    if start < 0:
        return ""
    said = [lines[line][start:]]
    for below in lines[line + 1 :]:
        text = below.lstrip()
        if not text.startswith("#") or len(below) - len(text) < start - _SLACK:
            break
        said.append(text)
    return " ".join(part.lstrip("# ") for part in said)


def _first(lines: list[str]) -> int:
    """The first line that is no comment."""
    return next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
