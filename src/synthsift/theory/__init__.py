"""Predictions with their Monte-Carlo twins: `predict_*` is a formula, `simulate_*` draws the data."""
