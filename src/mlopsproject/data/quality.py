"""What a data set has to keep before anything is trained on it: limits of a data report's facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlopsproject.core.checks import check_number, check_whole
from mlopsproject.data.splits import SPLITS


def check_limits(checks: Mapping[str, Any]) -> None:
    """Refuse limits that no data set can have.

    Args:
        checks: as `checks` in `configs/data_report.yaml`.

    Raises:
        ConfigError: naming the key.
    """
    for key in ("max_left_out", "max_conflicts"):
        check_number(f"checks.{key}", checks[key], highest=1, optional=True)
    check_whole("checks.min_per_class", checks["min_per_class"], lowest=0, optional=True)


def failed_checks(facts: Mapping[str, Any], checks: Mapping[str, Any]) -> list[str]:
    """Compare a data set with its limits.

    Args:
        facts: as `facts.dataset_facts` gives them.
        checks: the limits; those that are ``None`` are not asked for.

    Returns:
        A sentence for each limit that is not kept.
    """
    failed = []
    left_out, files = sum(facts["excluded"].values()), facts["files"]
    for key, count, total, what in (
        ("max_left_out", left_out, files, "files are no usable pictures"),
        ("max_conflicts", facts["conflicts"]["images"], facts["rows"], "images have another label elsewhere"),
    ):
        limit = checks[key]
        if limit is not None and count > limit * total:
            share = f"{100 * count / total:.1f} %, at most {100 * limit:g} % may (checks.{key})"
            failed.append(f"{count:,} of {total:,} {what}: {share}.")
    least = checks["min_per_class"]
    if least is not None:
        balance = facts["class_balance"]
        names = sorted({name for counts in balance.values() for name in counts})
        found = {(name, split): balance.get(split, {}).get(name, 0) for name in names for split in SPLITS}
        few = [f"{name} {count:,} in {split}" for (name, split), count in found.items() if count < least]
        if few:
            failed.append(f"Too few images: {', '.join(few)}; at least {least:,} are needed (checks.min_per_class).")
    return failed
