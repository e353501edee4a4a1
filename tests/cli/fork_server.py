"""Import everything once, then fork a child for each command: twenty starts cost the imports of one.

Reads one JSON object a line: ``words`` of the command line, ``log`` (file that gets what is printed), and optionally
``kill_after`` (seconds), ``kill_at`` (the child kills itself before it renames the n-th file), ``pause`` (seconds after
each finished cell) and ``wait`` (false: answer at once). Answers with ``pid``, ``code`` (-9 if killed) and ``seconds``.
With ``pid`` instead of ``words``: waits for that child.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
from typing import Any

# What a run imports when it first needs it; a name that a later version lacks only costs time.
LAZY = (
    *("pandas", "pyarrow.compute", "pyarrow.csv", "pyarrow.dataset", "pyarrow.parquet", "safetensors.numpy"),
    *("sympy", "torch._dynamo", "jinja2", "rich.console", "rich.table", "synthsift.report.render"),
)


def run_child(job: dict[str, Any]) -> None:
    """Be the command, in a forked process."""
    from synthsift.cli.app import run_app
    from synthsift.report import render
    from synthsift.runs import RunFolder

    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    render.draw_figures = lambda report: {}
    put, rename, calls = RunFolder.put_cell, os.replace, [0]

    def put_slowly(*cell: Any) -> None:
        put(*cell)
        time.sleep(job["pause"])

    def rename_or_die(*paths: Any) -> None:
        calls[0] += 1
        if calls[0] == job["kill_at"]:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(*paths)

    if "pause" in job:
        RunFolder.put_cell = put_slowly  # type: ignore[method-assign]
    if "kill_at" in job:
        os.replace = rename_or_die  # type: ignore[assignment]
    sys.argv = ["synthsift", *job["words"]]
    run_app()


def start(job: dict[str, Any]) -> int:
    """Fork and return the child's pid."""
    pid = os.fork()
    if pid:
        return pid
    code: Any = 70
    try:
        run_child(job)
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        os._exit(code)


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Start a child, see it end or kill it."""
    began, pid = time.monotonic(), job.get("pid") or start(job)
    code: int | None = None
    while job.get("wait", True) and code is None:
        done, status = os.waitpid(pid, os.WNOHANG)
        code = os.waitstatus_to_exitcode(status) if done else None
        if code is None and time.monotonic() - began > job.get("kill_after", 300):
            os.kill(pid, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        time.sleep(0.002)
    return {"pid": pid, "code": code, "seconds": time.monotonic() - began}


if __name__ == "__main__":
    importlib.import_module("synthsift.cli.run")
    for module in LAZY:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
