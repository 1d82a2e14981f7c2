"""The map of the code names what is there, and the rooms import what it says."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest
from tests.docs_blocks import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
BLOB = "https://github.com/mlopsproject/mlopsproject/blob/main/"
#: A numbered step: the file, and what of it is named before the colon.
STEP = re.compile(rf"^\d+\. \[`[^`]+`\]\({re.escape(BLOB)}([^)]+)\)((?:, `\w+`)+):", re.MULTILINE)
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


def section(title: str) -> str:
    return PAGE.split(f"## {title}")[1].split("\n## ")[0]


def rooms() -> dict[str, str]:
    """What each room of the table imports, from the top."""
    rows = re.findall(r"^\| `(\w+)/` \| [^|]+ \| ([^|]+) \|", section("Rooms"), re.MULTILINE)
    return dict(rows)


def test_every_link_to_the_code_leads_to_a_file() -> None:
    paths = re.findall(re.escape(BLOB) + r"([^)]+)", PAGE)
    assert len(paths) > 10
    for path in paths:
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize(
    ("title", "most"),
    [("One picture, from upload to logged row", 8), ("One config value, from the command line to the optimiser", 8)],
)
def test_each_step_names_what_its_file_defines(title: str, most: int) -> None:
    text = section(title)
    steps = STEP.findall(text)
    assert len(steps) == len(re.findall(r"^\d+\. ", text, re.MULTILINE)) <= most
    for path, names in steps:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        defined = {node.name for node in ast.walk(tree) if isinstance(node, kinds)}
        assert set(re.findall(r"`(\w+)`", names)) <= defined, path


def test_every_room_is_in_the_table_in_the_order_of_the_contract() -> None:
    (layers,) = (contract["layers"] for contract in CONTRACTS if contract["type"] == "layers")
    contract = [layer.removeprefix("mlopsproject.") for layer in layers[1:]]
    assert [room for room in rooms() if room != "frontend"] == contract
    folders = {path.parent.name for path in (ROOT / "src/mlopsproject").glob("*/__init__.py")}
    assert set(rooms()) == folders


def test_the_rooms_import_what_the_table_says() -> None:
    for room, said in rooms().items():
        imported = set()
        for path in (ROOT / "src/mlopsproject" / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mlopsproject."):
                    imported.add((node.module or "").split(".")[1])
        named = set(re.findall(r"`(\w+)`", said))
        assert {name for name in imported if name in rooms()} - {room} == named, room
