"""What every other room shares: the spec, preprocessing, bundles, stores and the Predictor. Never imports torch."""
