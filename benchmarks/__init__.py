"""Speed and quality tables, each run as ``python -m benchmarks.NAME``."""
