"""Learning from corrections: datasets, fine-tuning, calibration."""
