"""One integer in, any number of named and independent random generators out.

A stream is addressed by the path of names that leads to it, so adding a new consumer never shifts the numbers another
one draws, and a single cell of a comparison can be repeated without running the cells before it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Seeds:
    """A node in a tree of random streams.

    Parameters
    ----------
    root : int
        The one integer a user sets.
    path : tuple of str
        Names from the root to this node.

    Examples
    --------
    >>> seeds = Seeds(0)
    >>> a = seeds.numpy("split").integers(1000)
    >>> b = Seeds(0).numpy("split").integers(1000)
    >>> bool(a == b)
    True
    """

    root: int
    path: tuple[str, ...] = ()

    def child(self, *names: object) -> Seeds:
        """Return the node reached from here by `names` (each is turned into text)."""
        return Seeds(self.root, (*self.path, *(str(name) for name in names)))

    def entropy(self, name: str) -> int:
        """Return the 128-bit integer that stands for stream `name` below this node."""
        text = "/".join((str(self.root), *self.path, name))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")

    def numpy(self, name: str) -> np.random.Generator:
        """Return a NumPy generator for stream `name`."""
        return np.random.default_rng(self.entropy(name))

    def integer(self, name: str) -> int:
        """Return a number below 2**31 - 1 for scikit-learn's ``random_state``."""
        return self.entropy(name) % (2**31 - 1)

    def torch(self, name: str) -> torch.Generator:
        """Return a torch CPU generator for stream `name` (imports torch)."""
        import torch

        return torch.Generator().manual_seed(self.entropy(name) % 2**63)


def as_seeds(seeds: Seeds | int) -> Seeds:
    """Accept an integer wherever `Seeds` is expected."""
    return seeds if isinstance(seeds, Seeds) else Seeds(int(seeds))
