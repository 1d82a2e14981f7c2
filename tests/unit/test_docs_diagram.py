"""The diagram of the architecture names the rooms that there are, and draws with nothing but itself."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.docs_blocks import ROOT

FILE = ROOT / "docs/images/architecture.svg"


def test_the_diagram_names_every_room_on_the_way_of_a_face() -> None:
    words = {text for text in ElementTree.parse(FILE).getroot().itertext() if text.endswith("/")}
    rooms = {f"{path.parent.name}/" for path in (ROOT / "src/mlopsproject").glob("*/__init__.py")}
    # Load tests look at the API from outside; the Lambda function takes its place elsewhere.
    assert words == rooms - {"load/", "aws/"}


def test_the_diagram_needs_no_other_file() -> None:
    names = {name for part in ElementTree.parse(FILE).iter() for name in part.attrib}
    assert not {name for name in names if name.endswith("href")}
    assert "url(http" not in FILE.read_text(encoding="utf-8")
