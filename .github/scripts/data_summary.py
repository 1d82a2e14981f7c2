"""What is in an imported data set, as Markdown: `python data_summary.py data/NAME/import.json --tracked NAME.dvc`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

#: A class this many times as frequent as another is worth a remark.
UNBALANCED = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the summary.

    Args:
        arguments: of the command line.
    """
    options = _parser().parse_args(arguments)
    info = json.loads(options.info.read_text(encoding="utf-8"))
    lines = [*_head(info), *_changes(options.tracked, options.before), *_table(info), *_remarks(info)]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _head(info: dict[str, Any]) -> Iterator[str]:
    left_out = sum(info["excluded"].values())
    yield f"## Data set `{info['name']}`"
    yield f"\n{info['files']:,} files = {info['rows']:,} images + {left_out:,} left out\n"


def _changes(tracked: Path | None, before: Path | None) -> Iterator[str]:
    """How the tracked folder differs from the one before, by what DVC knows of both."""
    new, old = _outs(tracked), _outs(before)
    if not new:
        return
    if not old:
        yield "New: there was no such data set before.\n"
    elif old["md5"] == new["md5"]:
        yield "The files are the same as before.\n"
    else:
        files, size = (f"{old.get(key, 0):,} → {new.get(key, 0):,}" for key in ("nfiles", "size"))
        yield f"Changed: {files} files, {size} bytes.\n"


def _outs(file: Path | None) -> dict[str, Any]:
    """What a `.dvc` file says of what it tracks; nothing for a file that is empty."""
    found = yaml.safe_load(file.read_text(encoding="utf-8")) if file else None
    return dict(found["outs"][0]) if found else {}


def _table(info: dict[str, Any]) -> Iterator[str]:
    """Images per class and split, and each class's share."""
    splits = list(info["splits"])
    totals = _totals(info)
    everything = sum(totals.values())
    yield f"| class | {' | '.join(split or 'dropped' for split in splits)} | share |"
    yield "|---" + "|---:" * (len(splits) + 1) + "|"
    for label, total in totals.items():
        counts = " | ".join(f"{info['splits'][split].get(label, 0):,}" for split in splits)
        yield f"| {label} | {counts} | {100 * total / everything:.1f} % |"


def _totals(info: dict[str, Any]) -> dict[str, int]:
    labels = sorted({label for counts in info["splits"].values() for label in counts})
    return {label: sum(counts.get(label, 0) for counts in info["splits"].values()) for label in labels}


def _remarks(info: dict[str, Any]) -> Iterator[str]:
    """What somebody should look at."""
    totals = _totals(info)
    yield ""
    for split in ("train", "validation", "test"):
        missing = sorted(set(totals) - {label for label, count in info["splits"].get(split, {}).items() if count})
        if missing:
            yield f"- ⚠ No images in {split}: {', '.join(missing)}"
    if totals and max(totals.values()) > UNBALANCED * min(totals.values()):
        most, least = max(totals, key=totals.__getitem__), min(totals, key=totals.__getitem__)
        yield f"- ⚠ Out of balance: {totals[most]:,} × {most}, {totals[least]:,} × {least}"
    for reason, count in sorted(info["excluded"].items()):
        yield f"- left out, {reason}: {count:,}"
    twins, conflicts = info["twins"], info["conflicts"]
    yield f"- {twins['images']:,} images have a twin; {twins['with_twin_in_train']['test']:,} of test have one in train"
    yield f"- {conflicts['images']:,} images have conflicting labels"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("info", type=Path, help="the import.json of a data set")
    parser.add_argument("--tracked", type=Path, help="the .dvc file of its source")
    parser.add_argument("--before", type=Path, help="that file as it was; an empty one for a new data set")
    return parser


if __name__ == "__main__":
    sys.exit(main())
