"""Groups of twins: exact duplicates, near duplicates and mirrored near duplicates, at a million images."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mlopsproject.core.errors import ConfigError
from mlopsproject.data.all_pairs import MAX_IMAGES, alike_pairs
from mlopsproject.data.thumbnails import ThumbnailFile

logger = logging.getLogger(__name__)

Indices = NDArray[np.int64]
Hashes = NDArray[np.uint64]

#: How near twins are proposed: by perceptual hashes, at any number of pictures, or by comparing all pairs as well.
TWIN_SEARCHES: Final = ("hashes", "all_pairs")

#: Perceptual hashes that differ in at most this many bits propose a pair.
MAX_DISTANCE: Final = 8
#: Thumbnails that correlate at least this much confirm it, unless an import asks for another value.
MIN_CORRELATION: Final = 0.95

#: With at most 8 of 64 bits different, at least 4 of 12 bands are equal, and 2 of those lie in one of three groups
#: of 4. Only hashes that agree in such a pair of bands are compared: about 3 % of all pairs, and no pair is missed.
_BANDS: Final = 12
_BAND_PAIRS: Final = [pair for start in (0, 4, 8) for pair in combinations(range(start, start + 4), 2)]
#: Below this many hashes comparing all pairs at once is faster than banding.
_BRUTE_FORCE: Final = 4096
#: Hashes with one key are compared as a block of their own if they are more than this.
_SMALL_BUCKET: Final = 256
#: Hash pairs compared per step: small enough for the processor's cache.
_BLOCK: Final = 1 << 18
#: Pictures with the same perceptual hash are each compared with this many of their neighbours.
_WINDOW: Final = 16
#: Of pictures with one perceptual hash this many stand for all when two hashes are alike.
_MEMBERS: Final = 3
#: The search stops after this many proposals per image: only masses of near-identical pictures get there.
_MAX_PROPOSALS_PER_IMAGE: Final = 500


@dataclass(frozen=True)
class Twins:
    """Which images belong together.

    Attributes:
        group: int64 `[N]`; equal for exact and near twins, numbered by first appearance.
        exact: int64 `[N]`; equal for exact duplicates only.
        complete: whether every proposed pair was looked at.
    """

    group: Indices
    exact: Indices
    complete: bool


def find_twins(
    pixel_hashes: NDArray[np.bytes_],
    perceptual: Hashes,
    mirrored: Hashes,
    thumbnails: ThumbnailFile,
    *,
    search: str = "hashes",
    correlation: float = MIN_CORRELATION,
) -> Twins:
    """Group exact duplicates and near twins.

    A pair is proposed by perceptual hashes within `MAX_DISTANCE` bits (of each other, or of the other's mirror image)
    and confirmed by `correlation` between the 32 x 32 thumbnails. Pairs chain: a group is
    everything connected by confirmed pairs.

    Args:
        pixel_hashes: 16-byte hashes `[N]`.
        perceptual: uint64 `[N]`.
        mirrored: uint64 `[N]`, perceptual hashes of the mirrored thumbnails.
        thumbnails: the `N` thumbnails on disk.
        search: one of `TWIN_SEARCHES`; `all_pairs` also proposes pairs whose hashes differ more, by comparing the
            thumbnails of all different pictures with each other.
        correlation: that the thumbnails of twins must reach. At 0.95 twins are copies; down to 0.92 other crops of the
            same photograph join them, and a few pictures that only look alike.

    Raises:
        ConfigError: `all_pairs` for more different pictures than `all_pairs.MAX_IMAGES`.
    """
    _, first, exact = np.unique(pixel_hashes, return_index=True, return_inverse=True)
    if search == "all_pairs":
        _check_count(len(first))
    merger = _Merger(
        len(first), thumbnails.subset(first), _MAX_PROPOSALS_PER_IMAGE * max(len(first), 1000), correlation
    )
    hashes, mirror_hashes = perceptual[first], mirrored[first]
    order = np.argsort(hashes, kind="stable")
    unique, start, count = np.unique(hashes[order], return_index=True, return_counts=True)
    for step in range(1, _WINDOW + 1):
        same = np.flatnonzero(hashes[order[:-step]] == hashes[order[step:]]) if step < len(order) else np.empty(0, int)
        merger.add(order[same], order[same + step])
    cells = _Cells(order, start, count)
    for left, right in close_pairs(unique):
        merger.add(*cells.members(left, cells, right))
        if merger.exhausted:
            break
    mirror_order = np.argsort(mirror_hashes, kind="stable")
    mirror_unique, start, count = np.unique(mirror_hashes[mirror_order], return_index=True, return_counts=True)
    mirror_cells = _Cells(mirror_order, start, count)
    for left, right in close_pairs(unique, mirror_unique):
        if merger.exhausted:
            break
        merger.add(*cells.members(left, mirror_cells, right), mirror=True)
    if search == "all_pairs":
        for mirror in (False, True):
            for left, right in alike_pairs(thumbnails.subset(first), len(first), correlation, mirror=mirror):
                merger.add(left, right, mirror=mirror)
                if merger.exhausted:
                    break
    if merger.exhausted:
        logger.warning("The near-twin search stopped early: too many look-alikes. Some near twins may stay apart.")
    return Twins(_by_first_appearance(merger.components()[exact]), _by_first_appearance(exact), not merger.exhausted)


def _check_count(images: int) -> None:
    if images > MAX_IMAGES:
        raise ConfigError(
            f"twins=all_pairs compares at most {MAX_IMAGES:,} different pictures, and there are {images:,}.",
            "Use twins=hashes.",
        )


def close_pairs(hashes: Hashes, others: Hashes | None = None) -> Iterator[tuple[Indices, Indices]]:
    """Find all pairs of hashes within `MAX_DISTANCE` bits, each once, without comparing all with all.

    Args:
        hashes: uint64 `[N]`.
        others: uint64 `[M]` to pair `hashes` with; ``None`` pairs `hashes` with itself (left < right).

    Yields:
        Index arrays (left, right) of equal length.
    """
    right = hashes if others is None else others
    if max(len(hashes), len(right)) <= _BRUTE_FORCE:
        yield from _compare(hashes, right, others is None)
        return
    left_keys = _band_keys(hashes)
    right_keys = left_keys if others is None else _band_keys(right)
    for turn in range(len(_BAND_PAIRS)):
        for one, two in _agreeing(hashes, right, left_keys[turn], right_keys[turn], others is None):
            # A pair that agrees in several keys is reported at the first of them only.
            fresh = (left_keys[:turn, one] != right_keys[:turn, two]).all(axis=0)
            if others is None:
                one, two = np.minimum(one, two), np.maximum(one, two)
            if fresh.any():
                yield one[fresh], two[fresh]


def _agreeing(
    left: Hashes, right: Hashes, left_keys: NDArray[np.uint16], right_keys: NDArray[np.uint16], triangle: bool
) -> Iterator[tuple[Indices, Indices]]:
    """Compare the hashes that have the same key; with `triangle` left and right are the same and a pair counts once."""
    left_order, right_order = np.argsort(left_keys, kind="stable"), np.argsort(right_keys, kind="stable")
    left_sorted, right_sorted = left_keys[left_order], right_keys[right_order]
    begin = np.searchsorted(right_sorted, left_sorted, "left")
    end = np.searchsorted(right_sorted, left_sorted, "right")
    small = np.flatnonzero(end - begin <= _SMALL_BUCKET)
    # Small buckets all at once: every hash with the first of its bucket, then with the second, and so on.
    partner = (small if triangle else begin[small] - 1) + 1
    last = end[small]
    mine, theirs = left[left_order], right[right_order]
    while len(small):
        inside = partner < last
        small, partner, last = small[inside], partner[inside], last[inside]
        hit = np.flatnonzero(np.bitwise_count(mine[small] ^ theirs[partner]) <= MAX_DISTANCE)
        if len(hit):
            yield left_order[small[hit]], right_order[partner[hit]]
        partner = partner + 1
    # Large ones each as a block.
    starts = np.flatnonzero((np.diff(left_sorted.astype(np.int32), prepend=-1) != 0) & (end - begin > _SMALL_BUCKET))
    stops = np.searchsorted(left_sorted, left_sorted[starts], "right")
    for a, b, c, d in zip(starts, stops, begin[starts], end[starts], strict=True):
        for i, j in _compare(mine[a:b], theirs[c:d], triangle):
            yield left_order[a + i], right_order[c + j]


def _compare(left: Hashes, right: Hashes, triangle: bool) -> Iterator[tuple[Indices, Indices]]:
    """Compare all with all, in blocks; with `triangle` both are the same array and only left < right counts."""
    if not len(left) or not len(right):
        return
    rows = max(1, _BLOCK // len(right))
    for start in range(0, len(left), rows):
        skip = start if triangle else 0
        distance = np.bitwise_count(left[start : start + rows, None] ^ right[None, skip:])
        i, j = np.nonzero(distance <= MAX_DISTANCE)
        i, j = i + start, j + skip
        if triangle:
            keep = i < j
            i, j = i[keep], j[keep]
        if len(i):
            yield i, j


def _band_keys(hashes: Hashes) -> NDArray[np.uint16]:
    """Give one key per pair of bands, `[18, N]`; each band takes every twelfth bit to be as telling as the rest."""
    bands = np.zeros((_BANDS, len(hashes)), np.uint16)
    for bit in range(64):
        bands[bit % _BANDS] |= ((hashes >> np.uint64(bit)) & np.uint64(1)).astype(np.uint16) << np.uint16(bit // _BANDS)
    return np.stack([bands[one] << np.uint16(-(-64 // _BANDS)) | bands[two] for one, two in _BAND_PAIRS])


@dataclass(frozen=True)
class _Cells:
    """Pictures sorted by hash: those with the `k`-th hash are `order[start[k] : start[k] + count[k]]`."""

    order: Indices
    start: Indices
    count: Indices

    def members(self, left: Indices, other: _Cells, right: Indices) -> tuple[Indices, Indices]:
        """Turn pairs of hashes into pairs of pictures, a few for each."""
        ones, twos = [], []
        for a in range(_MEMBERS):
            for b in range(_MEMBERS):
                valid = (self.count[left] > a) & (other.count[right] > b)
                ones.append(self.order[self.start[left[valid]] + a])
                twos.append(other.order[other.start[right[valid]] + b])
        return np.concatenate(ones), np.concatenate(twos)


class _Merger:
    """Union of confirmed pairs; pairs that are already connected are not looked at again."""

    def __init__(self, count: int, thumbnails: ThumbnailFile, budget: int, correlation: float) -> None:
        self._count = count
        self._thumbnails = thumbnails
        self._budget = budget
        self._correlation = correlation
        self._component: Indices = np.arange(count, dtype=np.int64)
        self._left: list[Indices] = []
        self._right: list[Indices] = []
        self._pending = 0

    @property
    def exhausted(self) -> bool:
        return self._budget <= 0

    def add(self, left: Indices, right: Indices, mirror: bool = False) -> None:
        """Confirm proposed pairs by correlation and connect them."""
        apart = (left != right) & (self._component[left] != self._component[right])
        left, right = left[apart], right[apart]
        self._budget -= len(left)
        if not len(left):
            return
        alike = self._thumbnails.correlation(left, right, mirror) >= self._correlation
        if alike.any():
            self._left.append(left[alike])
            self._right.append(right[alike])
            self._pending += int(alike.sum())
            if self._pending > self._count // 4:
                self.components()

    def components(self) -> Indices:
        """Connect everything confirmed so far; int64 `[count]`, equal for connected pictures."""
        if self._left:
            left, right = np.concatenate(self._left), np.concatenate(self._right)
            # Earlier unions live on as edges from each picture to its component's number.
            edges = np.concatenate([left, np.arange(self._count)]), np.concatenate([right, self._root()])
            ones = np.ones(len(edges[0]), np.bool_)
            _, labels = connected_components(coo_array((ones, edges), shape=(self._count,) * 2), directed=False)
            self._component = labels.astype(np.int64)
            self._left, self._right, self._pending = [], [], 0
        return self._component

    def _root(self) -> Indices:
        """The first picture of each picture's component."""
        _, first, inverse = np.unique(self._component, return_index=True, return_inverse=True)
        return first[inverse].astype(np.int64)


def _by_first_appearance(labels: Indices) -> Indices:
    """Renumber labels 0, 1, 2, ... in order of first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
