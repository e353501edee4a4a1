"""How `synthsift` is called from where the reader stands, so that a printed command works when it is pasted."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

NAME = "synthsift"


def command_name() -> str:
    """Return the words that start this installation's command line, quoted for a shell.

    Returns
    -------
    str
        ``synthsift`` where the shell finds this one by that name; else the path of the script beside the running
        interpreter, such as ``.venv/bin/synthsift``; without such a script, the interpreter with ``-m synthsift``.
    """
    script = Path(sys.executable).with_name(NAME)
    found = shutil.which(NAME)
    if found and (not script.exists() or os.path.samefile(found, script)):
        return NAME
    if script.exists():
        return shlex.quote(_from_here(script))
    return f"{shlex.quote(_from_here(Path(sys.executable)))} -m {NAME}"


def _from_here(path: Path) -> str:
    """`path` relative to the current folder when it lies below it, else as it stands."""
    try:
        near = str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere, or the current folder is gone
        return str(path)
    return near if os.sep in near else f".{os.sep}{near}"  # a shell looks a bare name up on the PATH
