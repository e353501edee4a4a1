"""What all tests share: mathematics on one thread, and the way to the data sets that are too large for the repository.

One thread makes sums repeatable from machine to machine and is faster on arrays of test size; libraries read the
variables when they are first imported, and this file is imported before any of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

DATA = Path(os.environ.get("SYNTHSIFT_DATA") or Path(__file__).parents[1] / "../shared/data")


@pytest.fixture(autouse=True)
def one_torch_thread() -> None:
    """Keep torch on one thread where a test module imported it; most never do, and it takes seconds to import."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Return a function from the name of a data set to its path, which skips the test where the set is absent."""

    def find(name: str) -> Path:
        if not (DATA / name).exists():
            pytest.skip(f"{name} is not in {DATA}; set SYNTHSIFT_DATA to the folder that holds it")
        return DATA / name

    return find
