"""Report on one evaluation, as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mlopsproject.core.commands import job_command
from mlopsproject.evaluation.evaluator import PLOTS_FOLDER
from mlopsproject.evaluation.pages import file_uri, write_page

REPORT_FILE = "report.html"
_COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def write_report(metrics: dict[str, Any], out_dir: Path, *, command: str = "") -> Path:
    """Write `report.html` beside `metrics.json` and the plots, which it contains.

    Args:
        metrics: from `evaluator.evaluate_bundle`.
        out_dir: the folder given to it; every known figure under its `plots/` is shown.
        command: reproduces the evaluation, shown on the page; by default made from bundle, data and split.

    Returns:
        The page's path.
    """
    plots = {path.stem: file_uri(path) for path in sorted((out_dir / PLOTS_FOLDER).glob("*.png"))}
    bundle, data = metrics["bundle"], metrics["data"]
    rows = [("all", metrics), ("without exact twins", metrics["without_exact_twins"])]
    rows.append(("without exact and near twins", metrics["without_twins"]))
    tta = ("all, with flip TTA", metrics["flip_tta"])
    facts = {
        "bundle": bundle["name"] or "not sealed yet",
        "precision": bundle["precision"],
        "trained on": bundle["trained_on"] or "unknown",
        "data set": f"{data['name']}, split {data['split']}",
        "data fingerprint": data["fingerprint"],
        "scored in": f"{metrics['seconds']} s",
        "versions": ", ".join(f"{name} {version}" for name, version in metrics["versions"].items()),
        "created": metrics["created_at"],
    }
    curve = metrics["risk_coverage"]
    return write_page(
        "evaluation.html.j2",
        out_dir / REPORT_FILE,
        title=bundle["name"] or "Unsealed bundle",
        kicker="Model evaluation",
        subtitle=f"{metrics['images']:,} images of {data['name']} ({data['split']}), {bundle['precision']}",
        m=metrics,
        plots=plots,
        rows=[*(rows if metrics["twins"] else rows[:1]), tta],
        confusions=top_confusions(metrics),
        coverages=[(share, curve["risk"][round(share * 100) - 1]) for share in _COVERAGES],
        facts=facts.items(),
        command=command or _command(metrics),
    )


def _command(metrics: dict[str, Any]) -> str:
    bundle, data = metrics["bundle"], metrics["data"]
    values = {"bundle": bundle["name"], "precision": bundle["precision"], "data.name": data["name"]}
    options = {**values, "split": data["split"]}.items()
    return job_command("evaluate", *(f"{key}={value}" for key, value in options)) if bundle["name"] else ""


def top_confusions(metrics: dict[str, Any], count: int = 3) -> list[dict[str, Any]]:
    """List the most frequent confusions, by their share of the true class.

    Returns:
        Entries with `label`, `predicted`, `count` and `share` (0-1), the largest share first.
    """
    raw = np.asarray(metrics["confusion"]["raw"], dtype=np.int64)
    classes = list(metrics["per_class"])
    shares = raw / np.maximum(raw.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0.0)
    order = np.argsort(-shares, axis=None, kind="stable")[:count]
    pairs = [divmod(int(flat), len(classes)) for flat in order]
    return [
        {"label": classes[i], "predicted": classes[j], "count": int(raw[i, j]), "share": float(shares[i, j])}
        for i, j in pairs
        if shares[i, j] > 0
    ]
