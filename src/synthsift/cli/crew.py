"""One command in several processes: number 0 does what a single process does, the others are silent and work for it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from synthsift.crew import Crew

CREW: list[Crew] = []  # of this process, once it has joined; like torch's process group, there is one a process


def is_called(environment: Mapping[str, str]) -> bool:
    """Whether the environment is that of one of several processes, as torchrun sets it."""
    count = environment.get("WORLD_SIZE", "1")
    return count.isdigit() and int(count) > 1 and all(environment.get(name) for name in ("RANK", "MASTER_ADDR"))


def joined() -> Crew | None:
    """Return the crew of this process, None where it is alone."""
    return CREW[0] if CREW else None


def run_in_crew(run: Callable[[Callable[[], Any]], None], app: Callable[[], Any]) -> NoReturn:
    """Run the command line as one of several processes, and end with the exit code of number 0.

    Parameters
    ----------
    run : callable
        Calls what it is given, tells errors on stderr and raises SystemExit.
    app : callable
        The command line.
    """
    if os.environ["RANK"] != "0":
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # number 0 says that it was interrupted
    else:
        for number in (signal.SIGINT, signal.SIGTERM):  # torchrun sends the second where another process has died
            signal.signal(number, _interrupt)
    code: Any = 0
    try:
        run(_join)
        if CREW[0].rank:
            _serve(CREW[0], app)
        run(app)
    except SystemExit as end:
        code = 0 if end.code is None else end.code
    if CREW:
        CREW[0].end(code)
    _leave(code)


def _interrupt(number: int, frame: object) -> None:
    """Interrupt once, whatever comes after it."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _join() -> None:
    from synthsift.crew import Crew

    CREW.append(Crew.join())
    CREW[0].traces = "--debug" in sys.argv


def _serve(crew: Crew, app: Callable[[], Any]) -> NoReturn:
    """Take part where the verb is shared, wait where it is not, and end with the exit code of number 0."""
    trouble: Exception = RuntimeError("it was not ready to work")
    try:
        if sys.argv[1:2] == ["run"]:
            app()
    except SystemExit:
        pass
    except Exception as error:
        trouble = error
    if crew.ended is None:

        def refuse(job: object) -> NoReturn:
            raise trouble

        crew.check = ""
        crew.serve(refuse)
    _leave(crew.ended)


def _leave(code: Any) -> NoReturn:
    """End without the clean-up of threads that may wait for a process that is gone."""
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 4)
