"""Drift detection: two-sample tests of each column, the current faces against the reference, with Evidently.

A column has drifted if the difference is significant (p-value below `alpha` / number of columns) and large (distance at
least `min_distance`). With few faces the first condition is the stricter one, with many the second.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, ks_2samp

from mlopsproject.core.commands import job_command
from mlopsproject.core.errors import BundleError
from mlopsproject.core.schemas import ColumnDrift, DriftVerdict
from mlopsproject.monitoring.settings import EMBEDDING, PREDICTED, DetectionSettings

if TYPE_CHECKING:
    from evidently.core.report import Snapshot

#: Evidently's tests: two-sample Kolmogorov-Smirnov; Mann-Whitney, one-sided.
_KS, _MANN_WHITNEY, _CHI_SQUARE = "ks", "mannw", "chi2_contingency"
_FOLDS: Final = 5
#: Inverse regularisation strength of the classifier, low because there are few faces for so many dimensions.
_INVERSE_PENALTY: Final = 0.01
#: Share of drifted columns at which Evidently reports data set drift: so low that one column suffices.
_DRIFT_SHARE: Final = 0.001
#: Significance level for columns whose distance is too small: no p-value is below.
_NEVER: Final = -1.0


@dataclass(frozen=True)
class Detection:
    """Result of a drift detection.

    Attributes:
        verdict: `not_enough_data` if there are too few faces; then nothing was tested.
        columns: the largest distance first.
        reference: the values that were compared, a row per face; the embedding as one column, see `domain_scores`.
        current: likewise.
    """

    verdict: DriftVerdict
    columns: list[ColumnDrift]
    reference: pd.DataFrame
    current: pd.DataFrame

    @property
    def drifted(self) -> list[str]:
        """Names of the columns that have drifted."""
        return [column.column for column in self.columns if column.drifted]


def detect(reference: pd.DataFrame, current: pd.DataFrame, settings: DetectionSettings) -> Detection:
    """Compare current faces with the reference, column by column.

    Args:
        reference: a row per face, with the columns to test; the embedding as `e_0`, `e_1`, …
        current: likewise.
        settings: which columns, and the thresholds.

    Raises:
        BundleError: if the embeddings of both sides have different widths.
    """
    if min(len(reference), len(current)) < settings.min_rows:
        return Detection("not_enough_data", [], reference, current)
    old, new = pd.DataFrame(index=reference.index), pd.DataFrame(index=current.index)
    for name in settings.columns:
        if name == EMBEDDING:
            _check_width(reference, current)
            old[name], new[name] = domain_scores(embedding(reference), embedding(current), settings.seed)
        else:
            old[name], new[name] = reference[name], current[name]
    distances = {name: distance(old[name], new[name]) for name in settings.columns}
    p_values = _p_values(old, new, {name: _test_of(name) for name in settings.columns})
    columns = []
    for name in settings.columns:
        column = ColumnDrift(
            column=name,
            test=_test_of(name),
            p_value=p_values[name],
            threshold=settings.threshold,
            distance=distances[name],
            min_distance=settings.min_distance,
            drifted=False,
            reference=_summary(old[name]),
            current=_summary(new[name]),
        )
        column.drifted = _is_large(column) and column.p_value < column.threshold
        columns.append(column)
    verdict: DriftVerdict = "drift" if any(column.drifted for column in columns) else "ok"
    return Detection(verdict, sorted(columns, key=lambda column: -column.distance), old, new)


def write_page(detection: Detection, path: Path) -> None:
    """Write Evidently's HTML page: both distributions of every column, and whether it has drifted.

    Args:
        detection: in which something was tested.
        path: of the HTML file.
    """
    names = [column.column for column in detection.columns]
    thresholds = {column.column: column.threshold if _is_large(column) else _NEVER for column in detection.columns}
    preset = _evidently().presets.DataDriftPreset(
        columns=names,
        drift_share=_DRIFT_SHARE,
        per_column_method={name: _test_of(name) for name in names},
        per_column_threshold=thresholds,
    )
    _run_evidently([preset], detection.reference, detection.current).save_html(str(path))


def domain_scores(
    reference: NDArray[np.float64], current: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score faces by a domain classifier of reference against current faces, with five-fold cross-validation.

    Without drift both sides have the same distribution of scores: a classifier two-sample test (Lopez-Paz and Oquab,
    "Revisiting Classifier Two-Sample Tests", 2017). The classifier is a logistic regression on standardised values.

    Args:
        reference: float `[N, E]`, embeddings.
        current: float `[M, E]`.
        seed: of the folds.

    Returns:
        Scores `[N]` and `[M]`, 0-1: predicted probability that the face is a current one.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    values = np.concatenate([reference, current])
    is_current = np.repeat([0, 1], [len(reference), len(current)])
    classifier = LogisticRegression(C=_INVERSE_PENALTY, class_weight="balanced", max_iter=500)
    folds = StratifiedKFold(min(_FOLDS, *np.bincount(is_current)), shuffle=True, random_state=seed)
    model = make_pipeline(StandardScaler(), classifier)
    scores = cross_val_predict(model, values, is_current, cv=folds, method="predict_proba")[:, 1]
    return scores[: len(reference)], scores[len(reference) :]


def distance(reference: pd.Series[Any], current: pd.Series[Any]) -> float:
    """Distance of two samples, 0-1: the smallest share of faces that would have to change to make them equal.

    Numbers: Kolmogorov-Smirnov statistic, the largest gap of the cumulative distributions. Classes: total variation
    distance, half the sum of the differences of their shares.
    """
    if reference.name == PREDICTED:
        shares = [values.value_counts(normalize=True) for values in (reference, current)]
        return float(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)
    return float(ks_2samp(reference, current, method="asymp").statistic)


def embedding(table: pd.DataFrame) -> NDArray[np.float64]:
    """The embeddings of a table's faces, float64 `[N, E]`."""
    return table[embedding_columns(table)].to_numpy(np.float64)


def embedding_columns(table: pd.DataFrame) -> list[str]:
    """The columns `e_0`, `e_1`, … of a table."""
    return [name for name in table.columns if name.startswith("e_") and name[2:].isdecimal()]


def _is_large(column: ColumnDrift) -> bool:
    """Whether a column's distance reaches `min_distance`."""
    return column.distance >= column.min_distance


def _check_width(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    """Check that both embeddings have the same width.

    Raises:
        BundleError: otherwise, naming both widths.
    """
    widths = [len(embedding_columns(table)) for table in (reference, current)]
    if widths[0] != widths[1]:
        raise BundleError(
            f"The reference has embeddings of {widths[0]} values, the bundle's network gives {widths[1]}.",
            f"Export the bundle again: {job_command('export')}",
        )


def _test_of(column: str) -> str:
    return {PREDICTED: _CHI_SQUARE, EMBEDDING: _MANN_WHITNEY}.get(column, _KS)


def _summary(values: pd.Series[Any]) -> dict[str, float]:
    if values.name == PREDICTED:
        return {str(name): float(share) for name, share in values.value_counts(normalize=True).sort_index().items()}
    return {"mean": float(values.mean()), "sd": float(values.std(ddof=0))}


def _p_values(reference: pd.DataFrame, current: pd.DataFrame, tests: dict[str, str]) -> dict[str, float]:
    """The p-value of each column by the test named for it."""
    metrics = [_evidently().metrics.ValueDrift(column=name, method=test) for name, test in tests.items()]
    found = _run_evidently(metrics, reference, current).dict()["metrics"]
    values = {name: float(metric["value"]) for name, metric in zip(tests, found, strict=True)}
    # The p-value is NaN for a column that is constant and equal on both sides.
    return {name: 1.0 if np.isnan(value) else min(1.0, value) for name, value in values.items()}


def _run_evidently(metrics: list[Any], reference: pd.DataFrame, current: pd.DataFrame) -> Snapshot:
    evidently = _evidently()
    _register_chi_square()
    names = [str(name) for name in reference.columns]
    classes = [name for name in names if name == PREDICTED]
    definition = evidently.DataDefinition(
        numerical_columns=[name for name in names if name not in classes], categorical_columns=classes
    )
    old, new = (evidently.Dataset.from_pandas(table, data_definition=definition) for table in (reference, current))
    return evidently.Report(metrics, include_tests=True).run(new, old)


def _evidently() -> Any:
    """Import Evidently late, because it takes seconds, and with its usage statistics turned off."""
    os.environ["DO_NOT_TRACK"] = "1"
    import evidently.metrics
    import evidently.presets

    return evidently


def _register_chi_square() -> None:
    """Register the two-sample chi-square test with Evidently.

    Evidently's own test treats the shares of the reference as exact. With 260 reference and 500 current faces, it
    rejects equal shares at p < 0.01 in a third of the cases.
    """
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    register_stattest(
        StatTest(_CHI_SQUARE, "chi-square p_value, two samples", [ColumnType.Categorical], 0.05), _chi_square
    )


def _chi_square(
    reference: pd.Series[Any], current: pd.Series[Any], _feature_type: object, threshold: float
) -> tuple[float, bool]:
    counts = pd.DataFrame({"reference": reference.value_counts(), "current": current.value_counts()}).fillna(0)
    p_value = float(chi2_contingency(counts.to_numpy()).pvalue) if len(counts) > 1 else 1.0
    return p_value, p_value < threshold
