"""The model card (`MODEL_CARD.md`), generated from a bundle's spec and metrics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mlopsproject.core.errors import BundleError
from mlopsproject.core.spec import ModelSpec
from mlopsproject.data.votes import LabelRule
from mlopsproject.evaluation.pages import environment, number
from mlopsproject.evaluation.report import top_confusions

CARD_FILE = "MODEL_CARD.md"
LICENCE = (
    "The weights are released under the project's MIT licence. The training data keep their own terms, which may "
    "restrict how weights trained on them are used; ask for them where the data came from. No training image is part "
    "of the bundle."
)


def write_model_card(spec: ModelSpec, metrics: dict[str, Any], path: Path, *, licence: str = LICENCE) -> Path:
    """Write `MODEL_CARD.md`.

    Args:
        spec: of the bundle, sealed or not.
        metrics: from `evaluator.evaluate_bundle`.
        path: of the card.
        licence: terms of the weights.

    Returns:
        The path.

    Raises:
        BundleError: if a section would be empty.
    """
    template = environment().get_template("model_card.md.j2")
    text = template.render(
        spec=spec,
        m=metrics,
        details=_details(spec),
        confusions=top_confusions(metrics),
        licence=licence,
        commands=_commands(spec, metrics),
        provenance=_provenance(spec),
    )
    text = re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
    empty = empty_sections(text)
    if empty:
        raise BundleError(f"The model card has nothing under: {', '.join(empty)}.", "Fill in the spec or the metrics.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def empty_sections(text: str) -> list[str]:
    """List the headings of a Markdown text that have no content; a table without rows is no content."""
    parts = re.split(r"^## +(.+)$", text, flags=re.MULTILINE)[1:]
    titles, bodies = parts[::2], parts[1::2]
    table_head = re.compile(r"^\|[^\n]*\|\n\|[-| :]+\|\n", re.MULTILINE)
    return [title.strip() for title, body in zip(titles, bodies, strict=True) if not table_head.sub("", body).strip()]


def _details(spec: ModelSpec) -> list[tuple[str, str]]:
    network, entry = dict(spec.network), spec.input
    colour = "gray" if entry.channels == 1 else "RGB"
    details = [("input", f"{entry.size} x {entry.size} pixels, {colour}, {entry.resize_filter} resize")]
    for key, label in (("parameters", "parameters"), ("macs", "multiply-adds per image")):
        if key in network:
            details.append((label, number(network.pop(key))))
    details += [(f"network {key}", f"`{value}`") for key, value in network.items() if value not in (None, "", {}, [])]
    details.append(("precisions", ", ".join(f"{name} (`{item.file}`)" for name, item in spec.precisions.items())))
    details.append(("format", "ONNX: `image` in, `logits` and `embedding` out; preprocessing is in `spec.json`"))
    return details


def _commands(spec: ModelSpec, metrics: dict[str, Any]) -> list[str]:
    """Commands that import the data, train the model and evaluate it."""
    known = [str(spec.training.get(key) or "") for key in ("import_command", "command", "export_command")]
    # The bundle's name cannot be in the card, because it is a hash over the card, too.
    measure = f"uv run invoke evaluate -o bundle=BUNDLE -o data.name={metrics['data']['name']}"
    rule = LabelRule.of(metrics["data"])
    if rule.labels != "given":
        changes = {"labels": "majority", **rule.changed()}
        measure += "".join(f" -o data.{key}={value}" for key, value in changes.items())
    return [command for command in known if command] + ([measure] if any(known) else [])


def _provenance(spec: ModelSpec) -> list[tuple[str, str]]:
    versions = ", ".join(f"{name} {version}" for name, version in spec.library_versions.items())
    facts = {"git commit": spec.git_commit, "created": spec.created_at, "libraries": versions}
    return [(key, value) for key, value in facts.items() if value]
