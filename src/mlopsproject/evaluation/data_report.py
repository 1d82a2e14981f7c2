"""Report on the contents of a data set, as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopsproject.data.facts import SUSPECT_LIMITS, dataset_facts, dataset_images
from mlopsproject.data.manifest import column, read_manifest
from mlopsproject.data.quality import failed_checks
from mlopsproject.evaluation.pages import picture_uri, write_page
from mlopsproject.evaluation.style import GRID, MUTED, SPLIT_COLOURS

_MODES = {"L": "gray", "RGB": "colour", "RGBA": "colour with alpha", "P": "palette", "1": "black and white"}
_MODES |= {"LA": "gray with alpha", "CMYK": "print colours", "I;16": "16-bit gray"}
_COLOURS = {**SPLIT_COLOURS, "dropped": MUTED, "none": GRID}


class Gallery:
    """Pictures of a data set with their labels and paths, for the page's template.

    Args:
        images: uint8 ``[N, C, H, W]``, one per manifest row.
        labels: class name of each row.
        paths: path of each row, as the manifest has it.
    """

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[Any], paths: NDArray[Any]) -> None:
        self._images = images
        self.labels = labels
        self._paths = paths

    def picture(self, row: int) -> str:
        """Return the picture of a row as a `data:` URI."""
        return picture_uri(np.asarray(self._images[row]))

    def label(self, row: int) -> str:
        """Return the class name of a row."""
        return str(self.labels[row])

    def path(self, row: int) -> str:
        """Return the source path of a row's picture."""
        return str(self._paths[row])

    def samples(self, count: int, seed: int) -> dict[str, list[int]]:
        """Draw at most `count` rows of every class at random; class name → sorted rows."""
        rng = np.random.default_rng(seed)
        return {
            str(name): np.sort(rng.permutation(np.flatnonzero(self.labels == name))[:count]).tolist()
            for name in np.unique(self.labels.astype(str))
        }


@dataclass(frozen=True)
class _Figures:
    """Values that the page derives from the facts."""

    facts: dict[str, Any]
    samples: dict[str, list[int]]

    @property
    def classes(self) -> list[str]:
        """The classes that have images, by name."""
        balance = self.facts["class_balance"]
        names = sorted({name for counts in balance.values() for name in counts})
        return [name for name in names if self.total(balance, name)]

    @property
    def largest_class(self) -> int:
        return max(self._totals)

    @property
    def imbalance(self) -> str:
        return f"{max(self._totals) / min(self._totals):.1f}"

    @property
    def excluded(self) -> int:
        return sum(self.facts["excluded"].values())

    @property
    def published(self) -> bool:
        """Whether the source has published splits."""
        return set(self.facts["source_balance"]) != {"none"}

    @property
    def sizes(self) -> list[tuple[str, int]]:
        """The smallest and most frequent group sizes, at most twelve."""
        return list(self.facts["duplicates"]["group_sizes"].items())[:12]

    @property
    def _totals(self) -> list[int]:
        return [self.total(self.facts["class_balance"], name) for name in self.classes]

    @staticmethod
    def total(table: dict[str, dict[str, int]], name: str) -> int:
        """Images of a class in all splits of a balance table."""
        return sum(counts.get(name, 0) for counts in table.values())

    @staticmethod
    def by_class(table: dict[str, dict[str, int]], name: str) -> dict[str, int]:
        """Images of a class in each split of a balance table."""
        return {split: counts.get(name, 0) for split, counts in table.items()}


def write_data_report(
    name: str,
    path: Path,
    *,
    root: Path = Path("data"),
    samples: int = 13,
    seed: int = 0,
    command: str = "",
    checks: Mapping[str, Any] | None = None,
) -> list[str]:
    """Write the page on an imported data set.

    Args:
        name: of the data set.
        path: of the HTML file.
        root: where data sets live.
        samples: pictures shown of each class.
        seed: of their random choice.
        command: that wrote the page, shown on it.
        checks: limits, see `quality.failed_checks`.

    Returns:
        A sentence for each limit that is not kept; the page shows them, too.

    Raises:
        DataError: no such data set, or it is damaged.
    """
    facts = dataset_facts(name, root, seed=seed)
    manifest = read_manifest(root / name)
    gallery = Gallery(dataset_images(name, root), column(manifest, "label"), column(manifest, "path"))
    failed = failed_checks(facts, checks) if checks else []
    render_data_report(facts, gallery, path, samples=samples, seed=seed, command=command, failed=failed)
    return failed


def render_data_report(
    facts: dict[str, Any],
    gallery: Gallery,
    path: Path,
    *,
    samples: int = 13,
    seed: int = 0,
    command: str = "",
    failed: Sequence[str] = (),
) -> Path:
    """Write the page from facts as `data.facts.dataset_facts` gives them.

    Returns:
        The path.
    """
    return write_page(
        "data.html.j2",
        path,
        title=facts["name"],
        kicker="Data report",
        subtitle=f"{facts['rows']:,} images, split {facts['options']['split']}",
        d=facts,
        f=_Figures(facts, gallery.samples(samples, seed)),
        gallery=gallery,
        colours=_COLOURS,
        modes=_MODES,
        suspect_rule=_suspect_rule,
        command=command,
        failed=failed,
    )


def _suspect_rule(kind: str) -> str:
    """The rule by which an image is suspect, such as `brightness below 0.12`."""
    statistic, limit, above = SUSPECT_LIMITS[kind]
    return f"{statistic} {'above' if above else 'below'} {limit}"
