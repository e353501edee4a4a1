"""Rows to vectors (encoders) and vectors to named features."""
