"""History of an alias: the bundles that it pointed at, as one line of JSON per change in the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel, Field, ValidationError

#: Subfolder of the aliases; no alias begins with a dot, so that it cannot be one.
HISTORY_FOLDER: Final = ".history"


class AliasChange(BaseModel):
    """One entry of an alias's history.

    Attributes:
        at: time of the change, in UTC.
        bundle: name of the bundle that the alias points at from then on.
        before: name of the bundle that it pointed at until then; `None` for a new alias.
        rollback: true for a rollback, false for a promotion.
    """

    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    bundle: str
    before: str | None
    rollback: bool = False


def read_history(content: bytes | None) -> list[AliasChange]:
    """Parse a history, the oldest change first; lines that cannot be parsed are skipped.

    Args:
        content: of the history file; `None` if there is none.
    """
    changes = []
    for line in (content or b"").splitlines():
        try:
            changes.append(AliasChange.model_validate_json(line))
        except ValidationError:
            # A damaged line must not prevent a rollback to a bundle that other lines name.
            continue
    return changes


def previous(changes: Sequence[AliasChange], current: str) -> str | None:
    """Name of the bundle that a rollback of an alias goes to; `None` if it is not known.

    The changes are replayed on a stack: a promotion pushes its bundle, a rollback pops all bundles above its target.
    Repeated rollbacks therefore go further back instead of alternating between two bundles.

    Args:
        changes: the oldest first.
        current: name of the bundle that the alias points at.
    """
    stack: list[str] = []
    for change in changes:
        if not stack and change.before is not None:
            stack.append(change.before)
        if change.rollback and change.bundle in stack[:-1]:
            del stack[_last_index(stack[:-1], change.bundle) + 1 :]
        else:
            stack.append(change.bundle)
    # The history is written before the alias, so that its last change may have failed.
    if current in stack:
        del stack[_last_index(stack, current) + 1 :]
    return stack[-2] if len(stack) > 1 and stack[-1] == current else None


def _last_index(names: Sequence[str], name: str) -> int:
    return len(names) - 1 - list(reversed(names)).index(name)
