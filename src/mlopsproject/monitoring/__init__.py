"""Monitoring of a model in use: data drift, performance decay and retraining."""
