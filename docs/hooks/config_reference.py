"""The configuration reference: every key of every job with its default, explained by the comments in `configs/`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from markdown_tables import table

from mlopsproject.config_help import Group, Row, file_of, groups, head, leaves, others, rows, written
from mlopsproject.overrides import choices, config_folder

JOBS: Final = (
    "import_data",
    "preprocess",
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


def page() -> str:
    """The whole reference, as Markdown."""
    return "\n\n".join(_section(section) for job in JOBS for section in sections(job)) + "\n\n" + experiments()


def sections(job: str) -> list[Section]:
    """The tables of a job: its own keys, those of its groups, and choices with other keys.

    Args:
        job: its name, as that of its file.
    """
    file = config_folder() / f"{job}.yaml"
    found = [Section(f"`{job}`", 2, head(file), rows(job, file))]
    for group in groups(job):
        title = f"`{job}`, group `{group.package}`"
        found.append(Section(title, 3, _choices(job, group), rows(job, file_of(group), f"{group.package}.")))
        found += _other_keys(job, group)
    return found


def experiments() -> str:
    """Tables of the experiments and of the debugging runs."""
    parts = ["## Experiments and debugging\n"]
    for group in ("experiment", "debug"):
        rows = [[f"`{group}={name}`", head(file)] for name, file in choices(config_folder() / group).items()]
        parts.append(table(["`train` with", "what"], rows))
    return "\n".join(parts)


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


def _choices(job: str, group: Group) -> str:
    """What the other files of a group with the same keys say."""
    usual = leaves(job)
    lines = []
    for file in others(group):
        chosen = leaves(job, f"{group.name}={file.stem}")
        if not chosen.keys() - usual.keys() and not usual.keys() - chosen.keys():
            changes = ", ".join(f"`{key}={written(chosen[key])}`" for key in usual if chosen[key] != usual[key])
            lines.append(f"- `{group.name}={file.stem}`: " + " ".join(part for part in (head(file), changes) if part))
    return (
        "\n".join([f"By default `{group.name}={group.choice}`. " + head(file_of(group)), "", *lines]) if lines else ""
    )


def _other_keys(job: str, group: Group) -> list[Section]:
    """Tables of the files of a group that have other keys."""
    found = []
    for file in others(group):
        chosen = leaves(job, f"{group.name}={file.stem}")
        if chosen.keys() != leaves(job).keys():
            title = f"`{job}` with `{group.name}={file.stem}`"
            keys = rows(job, file, f"{group.package}.", f"{group.name}={file.stem}")
            found.append(Section(title, 3, head(file), keys))
    return found
