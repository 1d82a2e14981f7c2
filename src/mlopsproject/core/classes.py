"""The expression classes: presets, aliases of folder names, and how a user's choice is resolved."""

from __future__ import annotations

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
_CANONICAL = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases)}


def canonical_class(name: str, extra: Iterable[str] = ()) -> str | None:
    """Map a folder name or label to its class.

    Args:
        name: as found, in any case, for example ``Suprise``.
        extra: further class names that count as known (a user's own list), in any case, with spaces or `_`.

    Returns:
        The class name, or ``None`` if the name is unknown.
    """
    key = normal_name(name)
    return key if key in map(normal_name, extra) else _CANONICAL.get(key)


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
    names = tuple(canonical_class(str(name)) or normal_name(str(name)) for name in classes)
    if len(names) < 2:
        raise ConfigError(f"classes={list(classes)!r} names fewer than two classes.", "Give at least two.")
    if len(set(names)) != len(names):
        raise ConfigError(f"classes={list(classes)!r} names one class twice (after aliases: {list(names)}).")
    return names


def normal_name(name: str) -> str:
    """Spell a name the one way that all its spellings share: `Very happy` is `very_happy`."""
    return "_".join(name.lower().split())
