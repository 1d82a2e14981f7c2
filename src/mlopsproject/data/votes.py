"""What several raters said of a picture: read from a table of votes, and turned into labels.

A vote is for a class, or for one of `NO_CLASS`. The layout and the rules are those of FER+ (Barsoum et al., "Training
Deep Networks for Facial Expression Recognition with Crowd-Sourced Label Distribution", 2016).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlopsproject.core.checks import check_choice, check_number, check_whole
from mlopsproject.data.manifest import codes, column

LABELS: Final = ("given", "majority", "votes")
OTHER_VOTES: Final = ("uniform", "drop")
WITHOUT_VOTES: Final = ("drop", "given")
_BINS: Final = 40
#: What raters may say besides a class, with its spellings.
NO_CLASS: Final = {"unknown": ("unknown", "unsure"), "not_face": ("nf", "not_face", "no_face", "not_a_face")}


@dataclass(frozen=True)
class LabelRule:
    """Which label a picture of several raters has; each field is the config key `data.` of that name.

    Attributes:
        labels: `given` takes the source's own label, `majority` what most raters said, `votes` teaches the raters'
            distribution and validates and tests on their majority.
        min_votes: fewer votes for a class than this do not count.
        majority: share of the votes that count which the majority must exceed, 0-1; a tie is none.
        other_votes: with `votes`, what votes for anything but the chosen classes do: `uniform` spreads them over these,
            so that a picture of something else is taught as none of them; `drop` leaves them out.
        without_votes: what becomes of pictures that nobody voted on: `drop` leaves them out, `given` takes the given
            label for unanimous.

    Raises:
        ConfigError: for a value that is not possible.
    """

    labels: str = "given"
    min_votes: int = 2
    majority: float = 0.5
    other_votes: str = "uniform"
    without_votes: str = "drop"

    def __post_init__(self) -> None:
        check_choice("data.labels", self.labels, LABELS)
        check_whole("data.min_votes", self.min_votes, lowest=1)
        check_number("data.majority", self.majority, lowest=0, highest=0.99)
        check_choice("data.other_votes", self.other_votes, OTHER_VOTES)
        check_choice("data.without_votes", self.without_votes, WITHOUT_VOTES)

    def changed(self) -> dict[str, Any]:
        """What a measurement by this rule needs besides `labels`: the keys that differ from their defaults."""
        keys = ("min_votes", "majority", "without_votes")
        return {key: getattr(self, key) for key in keys if getattr(self, key) != self.__dataclass_fields__[key].default}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> LabelRule:
        """The rule of a config's `data` group, or of an older record that lacks some of the keys."""
        return cls(**{key: data[key] for key in cls.__dataclass_fields__ if key in data})


#: The source's own labels.
GIVEN: Final = LabelRule()


@dataclass(frozen=True)
class Votes:
    """The votes on every picture of a data set.

    Attributes:
        names: what can be voted for: classes, and some of `NO_CLASS`.
        counts: int64 `[N, V]`, one row per picture; all 0 where nobody voted.
    """

    names: tuple[str, ...]
    counts: NDArray[np.int64]

    @cached_property
    def voted(self) -> NDArray[np.bool_]:
        """Which pictures have votes, `[N]`."""
        return np.asarray(self.counts.sum(axis=1) > 0)

    def kept(self, rule: LabelRule) -> NDArray[np.int64]:
        """The votes that count, `[N, V]`."""
        return np.where(self.counts >= rule.min_votes, self.counts, 0)

    def majority(self, rule: LabelRule) -> NDArray[np.int64]:
        """What most raters said: int64 `[N]`, index into `names`; -1 where there is no majority."""
        kept = self.kept(rule)
        if not kept.shape[1]:
            return np.full(len(kept), -1)
        top = kept.argmax(axis=1)
        most = kept.max(axis=1)
        alone = (kept == most[:, None]).sum(axis=1) == 1
        return np.where((most > rule.majority * kept.sum(axis=1)) & alone, top, -1)

    def distribution(self, rule: LabelRule, classes: Sequence[str]) -> NDArray[np.float32]:
        """The raters' distribution over some classes.

        Returns:
            float32 `[N, K]`; rows sum to 1, or are 0 where no vote is left.
        """
        kept = self.kept(rule)
        own = np.zeros((len(kept), len(classes)))
        for place, name in enumerate(classes):
            if name in self.names:
                own[:, place] = kept[:, self.names.index(name)]
        if rule.other_votes == "uniform":
            own += (kept.sum(axis=1) - own.sum(axis=1))[:, None] / len(classes)
        total = own.sum(axis=1, keepdims=True)
        shares: NDArray[np.float64] = np.divide(own, total, out=np.zeros_like(own), where=total > 0)
        return shares.astype(np.float32)


def votes_of(manifest: pa.Table) -> Votes | None:
    """The votes on a data set's pictures; `None` if it has none.

    Args:
        manifest: with the column `votes`.
    """
    code, texts = codes(manifest, "votes")
    if not any(texts):
        return None
    parsed: list[dict[str, int]] = [json.loads(text) if text else {} for text in texts]
    names = tuple(dict.fromkeys(name for votes in parsed for name in votes))
    different = np.array([[votes.get(name, 0) for name in names] for votes in parsed], np.int64)
    return Votes(names, different[code])


def vote_facts(votes: Votes, given: NDArray[np.object_], left_out: Sequence[str] = ()) -> dict[str, Any]:
    """What an import tells of the votes.

    Args:
        votes: on the pictures.
        given: `[N]`, the labels that the source came with.
        left_out: columns of the table that are no class.

    Returns:
        `names` (what was voted for), `left_out`, `images` with votes, `without`, `votes` (the median of an image's),
        `majority` (images with one, by the usual rule) and `given_is_majority` (of these, whose own label it is).
    """
    majority = votes.majority(LabelRule())
    clear = majority >= 0
    said = np.array(votes.names, object)[majority[clear]]
    return {
        "names": list(votes.names),
        "left_out": list(left_out),
        "images": int(votes.voted.sum()),
        "without": int((~votes.voted).sum()),
        "votes": float(np.median(votes.counts.sum(axis=1)[votes.voted])),
        "majority": int(clear.sum()),
        "given_is_majority": int((said == given[clear]).sum()),
    }


def rater_facts(manifest: pa.Table, *, examples: int) -> dict[str, Any] | None:
    """How far raters agree, by the usual rule (`LabelRule`); rows are row indices of the manifest.

    Returns:
        All of `vote_facts`; `entropy`: `{edges, counts, median}` of the images' distributions in bits, `confusion`:
        `{given label: {majority, or "no majority": images}}`, `classes`: `{majority: {images, share}}`, where `share`
        is the mean share of the votes that it has, and `quarrels`: rows of the images with the highest entropy, at most
        `examples`. ``None`` without votes.
    """
    votes, given = votes_of(manifest), column(manifest, "label")
    if votes is None:
        return None
    said = np.array([*votes.names, "no majority"], object)[votes.majority(LabelRule())]
    shares = votes.counts / np.maximum(votes.counts.sum(axis=1), 1)[:, None]
    entropy = -(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=1)
    counts, edges = np.histogram(entropy[votes.voted], bins=_BINS, range=(0.0, math.log2(max(2, len(votes.names)))))
    pairs = Counter(zip(given[votes.voted].tolist(), said[votes.voted].tolist(), strict=True))
    confusion: dict[str, dict[str, int]] = {own: {} for own, _ in sorted(pairs)}
    for (own, name), images in pairs.items():
        confusion[own][name] = images
    classes = {
        name: {"images": int((said == name).sum()), "share": float(shares[said == name, place].mean())}
        for name, place in sorted((name, place) for place, name in enumerate(votes.names))
        if (said == name).any()
    }
    worst = np.argsort(-np.where(votes.voted, entropy, -1), kind="stable")[:examples]
    return {
        **vote_facts(votes, given),
        "entropy": {
            "edges": edges.tolist(),
            "counts": counts.tolist(),
            "median": float(np.median(entropy[votes.voted])),
        },
        "confusion": confusion,
        "classes": classes,
        "quarrels": worst[votes.voted[worst]].tolist(),
    }
