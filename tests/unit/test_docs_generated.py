"""What the documentation takes from elsewhere is complete: config keys, settings, routes, model cards."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tests.docs_hooks import config_reference, generate, http_reference, model_cards, settings_reference

from mlopsproject import config_help
from mlopsproject.overrides import choices, config_folder

JOBS = sorted(path.stem for path in config_folder().glob("*.yaml") if path.stem != "job")


def test_the_reference_has_every_job() -> None:
    assert sorted(config_reference.JOBS) == JOBS


@pytest.mark.parametrize("job", JOBS)
def test_the_reference_has_every_key_of_a_job_with_its_default(job: str) -> None:
    own = [section for section in config_reference.sections(job) if " with " not in section.title]
    rows = {row.key: yaml.safe_load(row.default) for section in own for row in section.rows if row.default}
    assert rows == config_reference.leaves(job)


@pytest.mark.parametrize("job", JOBS)
def test_every_key_of_a_job_is_explained_behind_it_in_its_file(job: str) -> None:
    unexplained = [row.key for section in config_reference.sections(job) for row in section.rows if not row.meaning]
    assert unexplained == []


@pytest.mark.parametrize("group", ["experiment", "debug", "model"])
def test_every_choice_of_a_group_says_what_it_is(group: str) -> None:
    for file in config_folder().joinpath(group).rglob("*.yaml"):
        assert config_reference.head(file), file


def test_the_page_shows_each_row_and_each_choice() -> None:
    page = config_reference.page()
    for job in JOBS:
        for section in config_reference.sections(job):
            assert f"\n{'#' * section.level} {section.title}\n" in f"\n{page}"
            for row in section.rows:
                assert f"\n| `{row.key}` | {row.default and f'`{row.default}`'} | " in page
    for group in ("model", "optim", "augment", "trainer", "experiment", "debug"):
        for name in choices(config_folder() / group):
            assert f"`{group}={name}`" in page


def test_a_comment_goes_on_below_and_ends_at_the_next_key_or_an_empty_line(tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text(
        "# Of the file.\n"
        "a: 'x # no comment'   # first,\n"
        "                      # and on\n"
        "# Of the next.\n"
        "b:                    # of the group\n"
        "  c: [1, 2]           # inside\n"
        "\n"
        "                      # of nothing\n"
        "d: 1\n",
        encoding="utf-8",
    )
    assert config_help.explanations(file) == {"a": "first, and on", "b": "of the group", "b.c": "inside", "d": ""}
    assert config_reference.head(file) == "Of the file."


def test_every_setting_has_its_variable_its_default_and_a_meaning() -> None:
    page = settings_reference.page()
    for settings in settings_reference.CLASSES.values():
        said = settings_reference.meanings(settings)
        assert set(said) == set(settings.model_fields)
        assert all(said.values())
        for name in settings.model_fields:
            assert f"| `{name.upper()}` |" in page
    assert "| `LOG_WHEN_FULL` | `refuse` | `refuse`, `answer` |" in page
    assert "| `PORT` | `8000` | ≥ 0, ≤ 65,535 |" in page


def test_every_route_and_every_schema_of_the_api_is_there() -> None:
    page = http_reference.page()
    document = http_reference.document()
    headings = re.findall(r"^### `([A-Z]+) (.+)`$", page, re.MULTILINE)
    routes = [(verb.upper(), path) for path, item in document["paths"].items() for verb in item]
    assert sorted(headings) == sorted(routes)
    schemas = document["components"]["schemas"]
    assert set(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == set(schemas)
    assert set(re.findall(r"\(#(\w+)\)", page)) <= {name.lower() for name in schemas}
    for name in schemas["Stats"]["properties"]:
        assert f"| `{name}` |" in page


def test_the_cards_of_all_bundles_that_ship_are_there_with_headings_of_their_own() -> None:
    page = model_cards.page()
    headings = re.findall(r"^#+ .* \{ #([\w-]+) \}$", page, re.MULTILINE)
    assert len(set(headings)) == len(headings)
    for alias in model_cards.ALIASES:
        assert {alias, f"{alias}-metrics", f"{alias}-training-data"} <= set(headings)
    assert "```bash\nuv run" in page


def test_a_part_that_nothing_makes_stops_the_build() -> None:
    with pytest.raises(Exception, match="No part 'nothing' is generated"):
        generate.on_page_markdown("# A page\n\n<!-- generated: nothing -->\n")
