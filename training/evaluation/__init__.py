"""The metrics of a model: calibration, test metrics, novelty and photos."""
