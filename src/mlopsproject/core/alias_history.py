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

    Changes that went back are passed over, so that going back twice goes back further.

    Args:
        changes: the oldest first.
        current: name of the bundle that the alias holds.
    """
    moves = (change for change in reversed(changes) if change.bundle == current and not change.rollback)
    return next((change.before for change in moves if change.before is not None), None)
