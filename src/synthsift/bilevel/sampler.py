"""A sampler that draws rows by their weights and shares them among processes: the same global order for any number.

Torch has `WeightedRandomSampler`, which every process draws anew from its own generator, and `DistributedSampler`,
which knows no weights (pytorch #77154). This one draws the whole epoch on every process from (seed, epoch) alone and
hands out every count-th place, in turns, so global batch k holds the same rows whether 1 or 8 processes read it.

Without replacement it uses exponential keys: the rows with the smallest E_i / w_i, E_i standard exponential, in that
order, are a draw without replacement in proportion to w (Efraimidis and Spirakis 2006).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from synthsift.bilevel.processes import Processes
from synthsift.records import DataError
from synthsift.seeds import Seeds


class WeightedDistributedSampler(Sampler[int]):
    """Places of rows, drawn in proportion to their weights and shared among processes.

    Give it to a ``DataLoader`` as ``sampler=``; call `set_epoch` before each epoch and `set_weights` whenever weights
    have changed. With `state_dict` a loop goes on in the middle of an epoch.

    Parameters
    ----------
    weights : array (rows,)
        Not negative, at least one positive; a row of weight 0 is never drawn.
    num_rows : int, optional
        Draws an epoch, over all processes; by default as many as there are rows (with replacement) or as have weight
        (without).
    replacement : bool
        Whether a row may be drawn twice in an epoch.
    rank, count : int, optional
        This process and how many there are; by default from ``torch.distributed``.
    drop_last : bool
        Where the processes do not divide `num_rows`: leave the rest out, or (False) start again at the first draws, so
        that every process gets equally many rows.
    seed : int
        The same on every process.

    Raises
    ------
    DataError
        If weights are not finite, negative or all 0, or more rows are wanted than have weight.

    Examples
    --------
    >>> sampler = WeightedDistributedSampler([1.0, 0.0, 3.0], num_rows=4, rank=0, count=2)
    >>> len(sampler), 1 in list(sampler)
    (2, False)
    """

    def __init__(
        self,
        weights: Any,
        num_rows: int | None = None,
        *,
        replacement: bool = True,
        rank: int | None = None,
        count: int | None = None,
        drop_last: bool = False,
        seed: int = 0,
    ) -> None:
        here = Processes() if rank is None or count is None else None
        self.rank = rank if rank is not None else here.rank if here else 0
        self.count = count if count is not None else here.count if here else 1
        if not 0 <= self.rank < self.count:
            raise DataError(f"rank is {self.rank} of {self.count} processes; ranks run from 0 to count - 1")
        self.replacement, self.drop_last, self.seed = replacement, drop_last, seed
        if num_rows is not None and not isinstance(num_rows, int | np.integer):
            raise DataError(f"num_rows is {num_rows!r}; needed is a whole number of draws an epoch")
        self.epoch, self.place, self._num_rows = 0, 0, None if num_rows is None else int(num_rows)
        self._start = 0  # place where the next reading begins; not 0 after `load_state_dict` alone
        self._pending: np.ndarray | None = None
        self.weights = self._checked(weights)

    def _checked(self, weights: Any) -> np.ndarray:
        weights = np.array(weights, dtype=np.float64)
        if weights.ndim != 1 or not len(weights):
            raise DataError(f"weights have shape {weights.shape}; needed is one number a row, (rows,)")
        if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
            raise DataError("weights must be finite and not negative, and at least one must be positive")
        wanted, there = self._num_rows, int(np.count_nonzero(weights))
        if wanted is not None and wanted < 1:
            raise DataError(f"num_rows is {wanted}; an epoch has at least one row")
        if wanted is not None and not self.replacement and wanted > there:
            raise DataError(f"num_rows is {wanted} without replacement, but only {there} rows have a positive weight")
        return weights

    @property
    def num_rows(self) -> int:
        """Draws an epoch over all processes, before they are evened out."""
        if self._num_rows is not None:
            return self._num_rows
        return len(self.weights) if self.replacement else int(np.count_nonzero(self.weights))

    def __len__(self) -> int:
        """Rows an epoch of this process."""
        return self.num_rows // self.count if self.drop_last else -(-self.num_rows // self.count)

    def global_order(self) -> np.ndarray:
        """Return the places of the epoch in the order in which all processes together read them."""
        rng = Seeds(self.seed).numpy(f"epoch {self.epoch}")
        if self.replacement:
            edges = np.cumsum(self.weights / self.weights.max())
            drawn = np.searchsorted(edges, rng.random(self.num_rows) * edges[-1], side="right")
            order = np.minimum(drawn, np.flatnonzero(self.weights)[-1])  # a rounding at the upper end
        else:
            with np.errstate(divide="ignore"):
                keys = np.log(rng.standard_exponential(len(self.weights))) - np.log(self.weights)  # infinite for 0
            order = np.argsort(keys, kind="stable")[: self.num_rows]
        total = len(self) * self.count
        return np.resize(order, total) if total > len(order) else order[:total]

    def __iter__(self) -> Iterator[int]:
        """Hand out this process's places of the epoch, once from where a loaded state stood; then the next one begins.

        A reading that was given up (a look at the first row) leaves no trace: the next one has the whole epoch.
        """
        start, self._start = self._start, 0
        mine = self.global_order()[self.rank :: self.count]
        for place in range(start, len(mine)):
            self.place = place + 1
            yield int(mine[place])
        self.set_epoch(self.epoch + 1)

    def set_epoch(self, epoch: int) -> None:
        """Start the epoch of this number, with the weights last set; in the epoch it stands in, the place is kept."""
        if epoch == self.epoch:
            return
        self.epoch, self.place, self._start = epoch, 0, 0
        if self._pending is not None:
            self.weights, self._pending = self._pending, None

    def set_weights(self, weights: Any) -> None:
        """Use these weights from the next epoch on; every process must be given the same ones.

        Raises
        ------
        DataError
            As at the start, and if their number has changed.
        """
        weights = self._checked(weights)
        if len(weights) != len(self.weights):
            raise DataError(f"there were {len(self.weights)} weights and now there are {len(weights)}; rows are fixed")
        if self.place:
            self._pending = weights
        else:
            self.weights = weights

    def state_dict(self, unread: int = 0) -> dict[str, Any]:
        """Return where the sampler stands.

        Parameters
        ----------
        unread : int
            Rows of this process that a loader has fetched ahead and the loop has not used: they are handed out again.
        """
        return {
            "epoch": self.epoch,
            "place": max(self.place - unread, 0),
            "order": self._order(),
            "weights": self.weights.copy(),
            "pending": None if self._pending is None else self._pending.copy(),
        }

    def _order(self) -> dict[str, int]:
        """What the global order follows from beside the weights, and the processes that share it."""
        wanted = 0 if self._num_rows is None else self._num_rows
        fixed = {"seed": self.seed, "rows": len(self.weights), "num_rows": wanted, "replacement": int(self.replacement)}
        return fixed | {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken, with as many processes or with another number of them.

        The global order is the same for any number, so what k processes have read is what other ones go on from.

        Raises
        ------
        DataError
            If the state is that of another order (seed, rows, num_rows, replacement), or so many rows are read that
            these processes cannot have read equally many.
        """
        was, now = dict(state.get("order", {})), self._order()
        other = [f"{name}={was.get(name)} instead of {now[name]}" for name in now if was.get(name) != now[name]]
        other = [one for one in other if not one.startswith("count=") or "count" not in was]
        if other:
            raise DataError(
                f"the state belongs to another sampler, with {', '.join(other)}; make it with the same ones"
            )
        read = int(state["place"]) * int(was["count"])  # by all processes together
        if read % self.count:
            raise DataError(
                f"{read} rows were read by {was['count']} processes, which {self.count} cannot have read equally; go "
                "on with a divisor of them, or save at the end of an epoch"
            )
        self.epoch, self.place = int(state["epoch"]), read // self.count
        self._start = self.place
        self.weights = self._checked(state["weights"])
        self._pending = None if state["pending"] is None else self._checked(state["pending"])
