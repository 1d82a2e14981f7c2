"""Shared by all other packages: model spec, preprocessing, bundles, stores and the Predictor. Never imports torch."""
