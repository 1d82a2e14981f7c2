"""What an alias held before: one line of JSON per change, in the store beside the aliases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel, Field, ValidationError

#: Within the folder of aliases; no alias begins with a dot.
HISTORY_FOLDER: Final = ".history"


class AliasChange(BaseModel):
    """One change of an alias.

    Attributes:
        at: when.
        bundle: name of the bundle that it held from then on.
        before: name of the one that it held until then; `None` for a new alias.
        rollback: whether it went back, and not on.
    """

    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    bundle: str
    before: str | None
    rollback: bool = False


def read_history(content: bytes | None) -> list[AliasChange]:
    """Read a history, the oldest change first; a line that cannot be read is left out.

    Args:
        content: of the file; `None` if there is none.
    """
    changes = []
    for line in (content or b"").splitlines():
        try:
            changes.append(AliasChange.model_validate_json(line))
        except ValidationError:
            # A damaged line must not keep anybody from going back to what the others say.
            continue
    return changes


def previous(changes: Sequence[AliasChange], current: str) -> str | None:
    """The bundle that an alias held before it moved on to the one that it holds now, if that is known.

    The moves are played through: one on adds a bundle, one back takes away what came after the bundle it went to. So
    going back twice goes back further, and never in a circle.

    Args:
        changes: the oldest first.
        current: name of the bundle that the alias holds.
    """
    held: list[str] = []
    for change in changes:
        if not held and change.before is not None:
            held.append(change.before)
        if change.rollback and change.bundle in held[:-1]:
            del held[_last(held[:-1], change.bundle) + 1 :]
        else:
            held.append(change.bundle)
    # A change that was noted and then failed is at the end, and not what the alias holds.
    if current in held:
        del held[_last(held, current) + 1 :]
    return held[-2] if len(held) > 1 and held[-1] == current else None


def _last(names: Sequence[str], name: str) -> int:
    return len(names) - 1 - list(reversed(names)).index(name)
