"""The section of CHANGELOG.md about a release: `python release_notes.py v0.1.0`.

Exit codes: 0 printed, 1 if the tag is not the version of pyproject.toml, or the section is not there or empty.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the section.

    Args:
        arguments: of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tag", help="of the release")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2], help="of the repository")
    options = parser.parse_args(arguments)
    project = tomllib.loads((options.root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = project["version"]
    if options.tag != f"v{version}":
        return _fail(f"{options.tag} is not v{version}, the version of pyproject.toml. Tag the commit that has it.")
    notes = section((options.root / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    if not notes:
        return _fail(f"CHANGELOG.md says nothing under '## [{version}] - DATE'. Name the changes and the date there.")
    sys.stdout.write(notes + "\n")
    return 0


def section(changelog: str, version: str) -> str:
    """What stands under a version's heading; nothing while it has no date.

    Args:
        changelog: as https://keepachangelog.com has it.
        version: such as 0.1.0.
    """
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n"
    found = re.search(heading + r"(.*?)(?=^## |^\[[^]]+\]: |\Z)", changelog, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def _fail(message: str) -> int:
    sys.stderr.write(f"error: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
