"""Weighted training, written once for everybody."""
