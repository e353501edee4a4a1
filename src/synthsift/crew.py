"""Several processes that share the splits of one comparison: process 0 hands out jobs, the others do them.

Process 0 decides everything and keeps everything. A job is JSON, an answer is JSON and arrays, both sent as tensors
over gloo. A finished cell travels at once, so that no more is lost with a process than what it is working on.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from threading import Lock, Thread
from typing import Any

import numpy as np

from synthsift.records import DataError

Arrays = dict[str, np.ndarray]
Job = dict[str, Any]
MEETING = timedelta(minutes=2)  # for all processes to come
FOREVER = timedelta(days=365)  # a job takes as long as it takes; a lost process is seen by its closed connection
FAREWELL = timedelta(seconds=5)  # for the others to take notice of an error
INTERRUPTED = 3  # the exit code of a process that has lost process 0


class LostProcess(RuntimeError):
    """A process of the crew is gone."""


def cut(costs: Sequence[float], num: int) -> list[list[int]]:
    """Return places of `costs`, dealt to at most `num` parts of about the same sum, the dearest first."""
    parts: list[list[int]] = [[] for _ in range(min(num, len(costs)))]
    sums = [0.0] * len(parts)
    for place in sorted(range(len(costs)), key=lambda k: -costs[k]):
        least = sums.index(min(sums))
        parts[least].append(place)
        sums[least] += costs[place]
    return [part for part in parts if part]


def parts_of(num_splits: int, num_processes: int) -> list[int]:
    """Return in how many parts each split is done: whole ones while there is one for everybody, the rest cut.

    A part describes its split again, so that a split is cut only where processes would have nothing to do.
    """
    rest = num_splits % num_processes
    return [1] * (num_splits - rest) + [num_processes // rest] * rest if rest else [1] * num_splits


def speed_up(num_splits: int, num_processes: int) -> float:
    """Return how many times as fast the processes are with `num_splits` splits, by `parts_of`."""
    whole, rest = divmod(num_splits, num_processes)
    return num_splits / (whole + (1 / (num_processes // rest) if rest else 0))


@dataclass
class Crew:
    """One of several processes; made by `join`.

    Parameters
    ----------
    rank, size : int
        The place of this process, and how many there are.
    threads : int
        Threads of this process that leave the other processes of this machine their cores.
    check : str
        Names data and version; processes that differ in it refuse to work together.
    traces : bool
        Errors are reported with their traceback.
    ended : int, optional
        The exit code of process 0 once it has told it.
    """

    rank: int
    size: int
    threads: int
    check: str = ""
    traces: bool = False
    ended: int | None = None
    sending: Lock = field(default_factory=Lock)

    @staticmethod
    def join() -> Crew:
        """Meet the other processes that torchrun has started.

        Raises
        ------
        DataError
            If they do not come.
        """
        import torch.distributed as dist

        try:
            dist.init_process_group("gloo", timeout=MEETING)
        except (RuntimeError, ValueError) as error:
            told = f"process {os.environ['RANK']} of {os.environ['WORLD_SIZE']}"
            raise DataError(
                f"the environment says that this is {told}, and the processes did not meet "
                f"({str(error).splitlines()[0]}). Start all of them with torchrun, or unset WORLD_SIZE to run alone"
            ) from error
        here = int(os.environ.get("LOCAL_WORLD_SIZE", dist.get_world_size()))
        return Crew(dist.get_rank(), dist.get_world_size(), max(1, (os.cpu_count() or 1) // here))

    # ------------------------------------------------------------------------------------------------ process 0

    def share(
        self,
        jobs: Sequence[Job],
        work: Callable[[Job], None],
        take: Callable[[Job, Job, Arrays], None],
        first: Callable[[], None] = lambda: None,
    ) -> None:
        """Have `jobs` done by all processes, each taking the next one when it is free.

        Parameters
        ----------
        jobs : sequence of dict
            JSON-safe; the longest first.
        work : callable
            Does one in this process.
        take : callable
            Called in a thread with a job, and what another process has sent of its results: a JSON-safe record and
            arrays.
        first : callable
            What only this process can do, while the others begin with the jobs.

        Raises
        ------
        Exception
            The first error, here or in another process, where it is said which.
        LostProcess
            If another process ends.
        """
        waiting, errors = deque(jobs), list[BaseException]()

        def following() -> Iterator[Job]:
            while waiting and not errors:
                with suppress(IndexError):  # another thread may have taken the last one
                    yield waiting.popleft()

        def lead(other: int, job: Job) -> None:
            try:
                for each in chain([job], following()):
                    self._send({"job": each, "check": self.check}, {}, other)
                    while (answer := self._receive(other))[0].get("is") != "done":
                        if answer[0].get("is") == "error":
                            raise self._told(other, answer[0])
                        take(each, *answer)
            except BaseException as error:  # handed to the main thread
                errors.append(error)

        others = range(1, min(self.size, len(jobs) + 1))
        leads = [Thread(target=lead, args=(other, waiting.popleft()), daemon=True) for other in others]
        for thread in leads:
            thread.start()
        first()
        for job in following():
            work(job)
        for thread in leads:
            while thread.is_alive() and not errors:
                thread.join(0.05)
        if errors:
            raise errors[0]

    def _told(self, other: int, record: Job) -> BaseException:
        """Return the error that another process has reported."""
        text = f"process {other} of {self.size}: {record['text']}"
        if record["kind"] == "DataError":
            return DataError(text)
        if record["kind"] == "MemoryError":
            return MemoryError(text)
        return RuntimeError(f"{text}\n{record['trace']}" if record["trace"] else text)

    def end(self, code: int) -> None:
        """Tell the others that all is over, with the exit code of process 0."""
        for other in range(1, self.size):
            with suppress(LostProcess):  # who is still reading the data has to learn of a success, too
                self._send({"end": code}, {}, other, FAREWELL if code else FOREVER)

    # --------------------------------------------------------------------------------------------- the other ones

    def serve(self, work: Callable[[Job], None]) -> int:
        """Do what process 0 asks for until it ends; return its exit code, or 3 where it is lost.

        Parameters
        ----------
        work : callable
            Does one job and sends what it finds with `report`. Its errors are reported, and raised by process 0.
        """
        import traceback

        try:
            while "end" not in (record := self._receive(0)[0]):
                try:
                    if self.check and record["check"] != self.check:
                        raise DataError("it reads other data, or is another version, than process 0; copy them there")
                    work(record["job"])
                    self.report({"is": "done"}, {})
                except LostProcess:
                    raise
                except Exception as error:
                    trace = traceback.format_exc() if self.traces else ""
                    kind = "DataError" if isinstance(error, DataError) else type(error).__name__
                    text = str(error) if kind == "DataError" else f"{kind}: {error}"
                    self.report({"is": "error", "kind": kind, "text": text, "trace": trace}, {})
            self.ended = int(record["end"])
        except LostProcess:
            self.ended = INTERRUPTED
        return self.ended

    def report(self, record: Job, arrays: Arrays) -> None:
        """Send a record and arrays to process 0; from any thread."""
        with self.sending:
            self._send(record, arrays, 0)

    # ------------------------------------------------------------------------------------------------- the wire

    def _send(self, record: Job, arrays: Arrays, other: int, patience: timedelta = FOREVER) -> None:
        """Send the length, then one safetensors buffer whose header holds the record."""
        import torch
        import torch.distributed as dist
        from safetensors.numpy import save

        ordered = {name: np.array(array, order="C") for name, array in arrays.items()}
        body = torch.frombuffer(bytearray(save(ordered, metadata={"record": json.dumps(record)})), dtype=torch.uint8)
        try:
            for part in (torch.tensor([len(body)]), body):
                _wait(dist.isend(part, other), patience)
        except RuntimeError as error:
            raise LostProcess(self._gone(other)) from error

    def _receive(self, other: int) -> tuple[Job, Arrays]:
        """Wait for what `_send` of the other process sends."""
        import torch
        import torch.distributed as dist
        from safetensors.numpy import load

        try:
            length = torch.zeros(1, dtype=torch.int64)
            _wait(dist.irecv(length, other), FOREVER)
            body = torch.zeros(int(length), dtype=torch.uint8)
            _wait(dist.irecv(body, other), FOREVER)
        except RuntimeError as error:
            raise LostProcess(self._gone(other)) from error
        data = body.numpy().tobytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return json.loads(header["__metadata__"]["record"]), load(data)

    def _gone(self, other: int) -> str:
        return f"Process {other} of {self.size} is gone. Finished cells are kept: the same command goes on from there."


def _wait(work: Any, patience: timedelta) -> None:
    """Wait for a transfer."""
    if work is None or not work.wait(patience):
        raise RuntimeError("the transfer did not end")
