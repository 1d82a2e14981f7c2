"""What a bundle is worth: metrics, calibration, plots, HTML reports and the model card. Never imports torch."""
