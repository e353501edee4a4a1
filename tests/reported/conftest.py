"""Benchmarks are no part of the package: put the repository's root on the path, as `python -m benchmarks.NAME` does."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
