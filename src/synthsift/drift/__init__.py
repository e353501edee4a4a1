"""Retraining loops: laws, simulations, measures of drift."""
