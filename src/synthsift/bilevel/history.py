"""Numbers recorded along a meta-training."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class History:
    """Numbers recorded along the meta-training, one list a name."""

    columns: dict[str, list[float]] = field(default_factory=dict)

    def append(self, step: int, numbers: dict[str, float]) -> None:
        """Add one row."""
        for name, value in {"step": float(step), **numbers}.items():
            self.columns.setdefault(name, []).append(value)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return one array a name."""
        return {name: np.array(values) for name, values in self.columns.items()}
