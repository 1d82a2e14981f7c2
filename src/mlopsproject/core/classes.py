"""The expression classes: presets, aliases of folder names, and how a user's choice is resolved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mlopsproject.core.errors import ConfigError, nearest

#: FER2013's own order for seven classes; its digits 0-6 index this tuple.
SEVEN = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FIVE = ("angry", "fear", "happy", "sad", "surprise")
PRESETS: dict[str, tuple[str, ...]] = {"five": FIVE, "seven": SEVEN}

#: Classes that public sets contain: known by name, used only when asked for.
KNOWN = (*SEVEN, "contempt")

_ALIASES: dict[str, tuple[str, ...]] = {
    "angry": ("anger", "angriness", "mad"),
    "disgust": ("disgusted", "disgusting"),
    "fear": ("fearful", "afraid", "scared"),
    "happy": ("happiness", "joy", "smile"),
    "sad": ("sadness",),
    "surprise": ("suprise", "surprised", "suprised", "surprize"),
    "neutral": ("neutrality", "calm", "natural"),
    "contempt": ("contemptuous",),
}
#: A number in front of a class, as in `0_angry`, `1-fear` or `02 happy`, which only orders folders.
_NUMBERED = re.compile(r"[0-9]+[\s._-]+(?=\S)")
_CANONICAL = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases)}


def canonical_class(name: str, extra: Iterable[str] = ()) -> str | None:
    """Map a folder name or label to its class; a number in front counts for nothing unless a class is called so.

    Args:
        name: as found, in any case, for example ``Suprise`` or ``0_angry``.
        extra: further class names that count as known (a user's own list), in any case, with spaces or `_`.

    Returns:
        The class name, or ``None`` if the name is unknown.
    """
    own = [normal_label(each) for each in extra]
    for key in label_spellings(name):
        if key in own or key in _CANONICAL:
            return key if key in own else _CANONICAL[key]
    return None


def label_spellings(name: str) -> tuple[str, ...]:
    """The normal spelling of a label, and that without a number in front."""
    return normal_label(name), normal_label(_NUMBERED.sub("", name.strip(), count=1))


def resolve_classes(classes: str | Sequence[str]) -> tuple[str, ...]:
    """Turn a preset name or a list into the tuple of classes in output order.

    Raises:
        ConfigError: for an unknown preset, something that is no list, fewer than two classes, or a class named twice.
    """
    if isinstance(classes, str):
        if classes in PRESETS:
            return PRESETS[classes]
        hint = nearest(classes, PRESETS) or f"Presets: {', '.join(PRESETS)}; or give a list such as [happy,sad]."
        raise ConfigError(f"classes={classes!r} is not a preset;", hint)
    given: object = classes
    if not isinstance(given, Sequence):
        raise ConfigError(
            f"classes={given!r} is neither a preset nor a list.",
            f"Presets: {', '.join(PRESETS)}; or give a list such as [happy,sad].",
        )
    names = tuple(canonical_class(str(name)) or normal_label(str(name)) for name in classes)
    if len(names) < 2:
        raise ConfigError(f"classes={list(classes)!r} names fewer than two classes.", "Give at least two.")
    if len(set(names)) != len(names):
        raise ConfigError(f"classes={list(classes)!r} names one class twice (after aliases: {list(names)}).")
    return names


def normal_label(name: str) -> str:
    """Spell a name the one way that all its spellings share: `Very happy` is `very_happy`."""
    return "_".join(name.lower().split())
