"""The configuration reference: every key of every job with its default, explained by the comments in `configs/`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from markdown_tables import table

from mlopsproject.config import load_config, values

CONFIGS: Final = Path(__file__).parents[2] / "configs"
JOBS: Final = (
    "import_data",
    "data_report",
    "train",
    "export",
    "evaluate",
    "compare",
    "predict",
    "promote",
    "rollback",
    "drift",
    "retrain",
    "load_test",
    "log_export",
    "log_prune",
    "benchmark",
)
#: Columns that a comment may begin before the one that it continues.
_SLACK: Final = 1


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
class Section:
    """A table of keys.

    Attributes:
        title: of the heading, in Markdown.
        level: of the heading.
        intro: paragraphs between heading and table, in Markdown.
        rows: of the table.
    """

    title: str
    level: int
    intro: str
    rows: tuple[Row, ...]


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


def page() -> str:
    """The whole reference, as Markdown."""
    return "\n\n".join(_section(section) for job in JOBS for section in sections(job)) + "\n\n" + experiments()


def sections(job: str) -> list[Section]:
    """The tables of a job: its own keys, those of its groups, and choices with other keys.

    Args:
        job: its name, as that of its file.
    """
    defaults = leaves(job)
    file = CONFIGS / f"{job}.yaml"
    found = [Section(f"`{job}`", 2, head(file), _rows(file, "", defaults))]
    for group in groups(job):
        file = CONFIGS / group.name / f"{group.choice}.yaml"
        title = f"`{job}`, group `{group.package}`"
        found.append(Section(title, 3, _choices(job, group), _rows(file, f"{group.package}.", defaults)))
        found += _other_keys(job, group)
    return found


def explanations(file: Path) -> dict[str, str]:
    """The comment behind each key of a YAML file, groups included, by dotted key.

    A comment goes on in the lines below that have nothing else, if they begin no further left.

    Args:
        file: whose keys stand one in a line.
    """
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    return {key: _comment(lines, line, column) for key, line, column in _places(yaml.compose(text))}


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
    entries = yaml.safe_load((CONFIGS / f"{job}.yaml").read_text(encoding="utf-8"))["defaults"]
    pairs = [pair for entry in entries if isinstance(entry, dict) for pair in entry.items()]
    found = []
    for place, choice in pairs:
        name, _, package = place.partition("@")
        if choice is not None and not name.startswith("override "):
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


def experiments() -> str:
    """Tables of the experiments and of the debugging runs."""
    parts = ["## Experiments and debugging\n"]
    for group in ("experiment", "debug"):
        files = sorted((CONFIGS / group).glob("*.yaml"))
        parts.append(table(["`train` with", "what"], [[f"`{group}={file.stem}`", head(file)] for file in files]))
    return "\n".join(parts)


def written(value: Any) -> str:
    """A value as YAML writes it in one line.

    Args:
        value: plain Python.
    """
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).removesuffix("\n...\n").strip()


def linked(text: str) -> str:
    """Markdown of a comment: places of the documentation become links.

    Args:
        text: in which pages are named as `docs/page.md#heading`.
    """

    def link(found: re.Match[str]) -> str:
        words = (found[2] or found[1]).lstrip("#").replace("-", " ")
        return f"[{words}]({found[1]}.md{found[2] or ''})"

    return re.sub(r"docs/([\w-]+)\.md(#[\w-]+)?", link, text)


def _section(section: Section) -> str:
    heading = f"{'#' * section.level} {section.title}"
    cells = [[f"`{row.key}`", row.default and f"`{row.default}`", linked(row.meaning)] for row in section.rows]
    return "\n\n".join(part for part in (heading, section.intro, table(["key", "default", "meaning"], cells)) if part)


def _rows(file: Path, prefix: str, defaults: Mapping[str, Any]) -> tuple[Row, ...]:
    rows = []
    for key, meaning in explanations(file).items():
        name = f"{prefix}{key}"
        if name in defaults:
            rows.append(Row(name, written(defaults[name]), meaning))
        elif meaning:
            rows.append(Row(f"{name}.*", "", meaning))
    return tuple(rows)


def _choices(job: str, group: Group) -> str:
    """What the other files of a group with the same keys say."""
    usual = leaves(job)
    lines = []
    for file in _others(group):
        chosen = leaves(job, f"{group.name}={file.stem}")
        if not chosen.keys() - usual.keys() and not usual.keys() - chosen.keys():
            changes = ", ".join(f"`{key}={written(chosen[key])}`" for key in usual if chosen[key] != usual[key])
            lines.append(f"- `{group.name}={file.stem}`: " + " ".join(part for part in (head(file), changes) if part))
    return "\n".join([f"By default `{group.name}={group.choice}`. " + head(_file(group)), "", *lines]) if lines else ""


def _other_keys(job: str, group: Group) -> list[Section]:
    """Tables of the files of a group that have other keys."""
    found = []
    for file in _others(group):
        chosen = leaves(job, f"{group.name}={file.stem}")
        if chosen.keys() != leaves(job).keys():
            title = f"`{job}` with `{group.name}={file.stem}`"
            found.append(Section(title, 3, head(file), _rows(file, f"{group.package}.", chosen)))
    return found


def _file(group: Group) -> Path:
    return CONFIGS / group.name / f"{group.choice}.yaml"


def _others(group: Group) -> list[Path]:
    # Of a group within another key, such as `detect@drift.detect`, the choices are those of the group's own job.
    files = [] if group.package != group.name else sorted((CONFIGS / group.name).glob("*.yaml"))
    return [file for file in files if file.stem != group.choice]


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
