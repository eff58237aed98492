"""Run a bundle: engines, scorer, predictor and model servers."""
