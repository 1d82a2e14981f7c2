"""Evaluation of bundles: metrics, calibration, robustness, plots, reports and the model card. Never imports torch."""
