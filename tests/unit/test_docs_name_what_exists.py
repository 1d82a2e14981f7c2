"""What the documentation names exists: commands, flags, config keys, links, pages; what is not run says why."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from invoke import Collection
from invoke.parser import Parser
from tests import docs_blocks
from tests.docs_blocks import OWN_TERMINAL, REASONS, ROOT, blocks, page_id
from tests.docs_hooks import config_reference, generate

from mlopsproject.config import load_config
from mlopsproject.data.synthetic.__main__ import _parser as synthetic_parser
from mlopsproject.overrides import quoted

PAGES = [*docs_blocks.PAGES, ROOT / "SECURITY.md", ROOT / "data_remote/README.md"]
JOBS = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml") if path.stem != "job")
GROUPS = {path.name for path in (ROOT / "configs").iterdir() if path.is_dir()}


@cache
def text_of(page: Path) -> str:
    """A page as the site has it, with the parts that are generated."""
    return generate.on_page_markdown(page.read_text(encoding="utf-8"))


def commands(page: Path) -> Iterator[str]:
    """Every command of the page's shell blocks, one line each, without comments."""
    for block in blocks(page):
        if block.language != "bash":
            continue
        # Bash expands the tilde of `-o source=~/faces` before the job sees it.
        for line in block.text.replace("\\\n", " ").replace("=~/", "=/home/me/").splitlines():
            words = shlex.split(line, comments=True)
            for command in " \0".join(words).split("&&"):
                if command.strip():
                    yield command.strip(" \0")


def words_after(command: str, *start: str) -> list[str] | None:
    """The words of a command behind `start`, or nothing if it does not contain them."""
    words = command.replace(" \0", "\0").split("\0")
    for index in range(len(words)):
        if tuple(words[index : index + len(start)]) == start:
            return words[index + len(start) :]
    return None


@cache
def task_parser() -> Parser:
    spec = importlib.util.spec_from_file_location("tasks_of_docs", ROOT / "tasks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Parser(contexts=Collection.from_module(module).to_contexts())


@cache
def every_key() -> set[str]:
    """Every key that some job knows, groups and their choices included."""
    variants = [("train", f"model={path.stem}") for path in (ROOT / "configs/model").glob("*.yaml")]
    found = {key for variant in [*((job,) for job in JOBS), *variants] for key in config_reference.leaves(*variant)}
    return found | GROUPS | {key.rpartition(".")[0] for key in found} | {"hydra.run.dir"}


@pytest.mark.parametrize("page", docs_blocks.PAGES, ids=page_id)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    assert text_of(page).count("```") % 2 == 0
    for block in blocks(page):
        if block.reason is None:
            assert block.title in ("", OWN_TERMINAL), block.place
        else:
            assert any(re.match(reason, block.reason) for reason in REASONS), f"{block.place}: {block.reason}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_tasks_and_their_flags_exist_and_overrides_compose(page: Path) -> None:
    for command in commands(page):
        words = words_after(command, "invoke")
        # `aws lambda invoke` is another one.
        if words is None or words == ["--list"] or command.startswith("aws"):
            continue
        (context,) = [found for found in task_parser().parse_argv(words) if found.name]
        if "override" in context.args:
            # An experiment that the page itself writes does not exist here.
            written = {f"experiment={name}" for name in re.findall(r"> configs/experiment/(\w+)\.yaml", text_of(page))}
            overrides = [quoted(text) for text in context.args["override"].value or [] if text not in written]
            load_config(str(context.name).replace("-", "_"), overrides)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_modules_take_the_arguments_that_are_shown(page: Path) -> None:
    for command in commands(page):
        if drawing := words_after(command, "-m", "mlopsproject.data.synthetic"):
            synthetic_parser().parse_args(drawing)
        for job in JOBS:
            if overrides := words_after(command, "-m", f"mlopsproject.{job}"):
                load_config(job, [quoted(word) for word in overrides if "=" in word])


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_tasks_named_in_the_text_exist(page: Path) -> None:
    known = set(task_parser().contexts)
    named = re.findall(r"`[^`\n]*\binvoke ([a-z][a-z-]+)[^`\n]*`", text_of(page))
    assert set(named) <= known


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_config_keys_named_in_the_text_exist(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    spans = [word for span in re.findall(r"`([^`\n]+)`", prose) for word in span.split()]
    # `data.size`, `epochs=5`, `-o data.name=mine`; other dotted words are files and Python, `key=value` is a pattern.
    assigned = [match[1] for word in spans if (match := re.match(r"([a-z_][a-z_0-9.]*)=", word))]
    first = {key.partition(".")[0] for key in every_key() if "." in key}
    dotted = [word for word in spans if re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)+", word)]
    files = (".csv", ".js", ".json", ".onnx", ".parquet", ".png", ".py", ".tflite", ".yaml")
    named = {*assigned, *(word for word in dotted if word.partition(".")[0] in first and not word.endswith(files))}
    assert named - every_key() - {"key", "group", "group.key", "title"} == set()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_relative_links_and_their_anchors_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if "://" in target or target == generate.OPENAPI:
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        if page.parent.name == "docs":
            assert linked.is_relative_to(ROOT / "docs"), f"{target} is not part of the site"
        if anchor:
            assert anchor in anchors(linked), target


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    given = {match[1] for heading in headings if (match := re.search(r"\{ #([\w-]+) \}$", heading))}
    plain = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return given | {re.sub(r"[-\s]+", "-", heading) for heading in plain}


def test_every_page_is_in_the_menu_and_every_picture_is_small() -> None:
    menu = re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(menu) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))
    for picture in (ROOT / "docs").rglob("*.png"):
        assert picture.stat().st_size < 200_000, picture.name
