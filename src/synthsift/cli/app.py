"""All verbs, and what becomes of errors. Nothing heavy is imported before a verb is called."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

from synthsift.cli.crew import is_called, run_in_crew
from synthsift.cli.verbs.check import check
from synthsift.cli.verbs.demo import demo
from synthsift.cli.verbs.drift import drift
from synthsift.cli.verbs.export import export
from synthsift.cli.verbs.plan import plan
from synthsift.cli.verbs.report import report
from synthsift.cli.verbs.reproduce import reproduce
from synthsift.cli.verbs.run import run
from synthsift.cli.verbs.score import score
from synthsift.cli.verbs.simulate import simulate

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Should you train on this synthetic data, on which of it, with what weight, and is the model really better?",
)

DONE, FOUND, BAD_INPUT, INTERRUPTED, INTERNAL = 0, 1, 2, 3, 4
SIGINT_CODE = 130  # what typer makes of Ctrl-C
STOPPED = "Interrupted. Finished cells are kept: the same command goes on from there."
OUT_OF_MEMORY = (
    "Out of memory. Lower --max-rows-per-source or --max-real, reduce a wide table with --pca, or give shorter vectors "
    "with --embeddings."
)

for verb in (demo, check, run, score, export, report, drift, reproduce):
    app.command()(verb)
app.add_typer(plan, name="plan")
app.add_typer(simulate, name="simulate")


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Print the version, or go on to a verb."""
    if show:
        from synthsift import __version__

        typer.echo(__version__)
        raise typer.Exit


def run_app() -> None:
    """Run a verb and turn what went wrong into an exit code and a sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name may hold what the terminal cannot show
    if is_called(os.environ):
        run_in_crew(_run, app)
    _run(app)


def _run(act: Callable[[], Any]) -> None:
    """Call the command line, or what comes before it."""
    try:
        act()
    except KeyboardInterrupt:
        _tell(STOPPED, INTERRUPTED)
    except SystemExit as end:
        if end.code == SIGINT_CODE:
            _tell(STOPPED, INTERRUPTED)
        raise
    except MemoryError:
        _tell(OUT_OF_MEMORY, BAD_INPUT)
    except Exception as error:
        from synthsift.crew import LostProcess
        from synthsift.records import DataError

        if "--debug" in sys.argv:
            traceback.print_exc()
        if isinstance(error, DataError):
            _tell(str(error), BAD_INPUT)
        if isinstance(error, LostProcess):
            _tell(str(error), INTERRUPTED)
        if "can't allocate memory" in str(error):  # what torch raises is a RuntimeError
            _tell(OUT_OF_MEMORY, BAD_INPUT)
        if isinstance(error, OSError):
            _tell(f"{error}. Check the path, its permissions and the space on the disk.", BAD_INPUT)
        _tell(
            f"Internal error: {type(error).__name__}: {error}. Run again with --debug and report what it prints.",
            INTERNAL,
        )


def _tell(message: str, code: int) -> None:
    """Print to stderr, where a name of the user's must not move the cursor, and end the process."""
    from synthsift.report.wording import printable

    sys.stderr.write(f"synthsift: {printable(message)}\n")
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(code) if code == INTERRUPTED else sys.exit(code)
