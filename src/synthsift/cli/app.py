"""The verbs and their flags. Nothing heavy is imported before a verb is called."""

from __future__ import annotations

import io
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

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

Data = "Data"
More = "Data, more"
How = "How to compare"
Out = "Output"


def _option(text: str, panel: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


@app.command()
def run(
    out: Annotated[Path, _option("Run folder to write; resumed if it holds the same run.", Out)],
    real: Annotated[
        list[str] | None, _option("Real training rows: CSV, TSV, JSONL, Parquet (also .gz) or .npz.", Data)
    ] = None,
    synthetic: Annotated[
        list[str] | None, _option("[NAME=]FILE, a quoted glob or a folder; repeat for more.", Data)
    ] = None,
    valid: Annotated[str | None, _option("Real validation rows.", Data)] = None,
    test: Annotated[str | None, _option("Real test rows: opened once, at the end.", Data)] = None,
    data: Annotated[str | None, _option("One table with everything, instead of --real and --synthetic.", Data)] = None,
    label: Annotated[str | None, _option("Label column (y in .npz).", Data)] = None,
    text: Annotated[str | None, _option("Column of texts.", Data)] = None,
    source_column: Annotated[str | None, _option("With --data: who made a row; 'real' or a source.", Data)] = None,
    split_column: Annotated[str | None, _option("With --data: the split of a real row.", Data)] = None,
    train_split: Annotated[str, _option("Its value for training rows.", More)] = "train",
    valid_split: Annotated[str | None, _option("Its value for validation rows.", More)] = "val",
    test_split: Annotated[str | None, _option("Its value for test rows.", More)] = "test",
    id_column: Annotated[str | None, _option("Column of ids.", More, "--id")] = None,
    parent: Annotated[str | None, _option("Column with the real row a synthetic one was made from.", More)] = None,
    parent_split: Annotated[str | None, _option("--parent holds row numbers of this split.", More)] = None,
    group: Annotated[str | None, _option("Column of groups that must not straddle a split.", More)] = None,
    embeddings: Annotated[
        list[str] | None, _option("Own vectors: FILE.parquet with id, or DATAFILE=VECTORS.npy.", More)
    ] = None,
    max_real: Annotated[int | None, _option("Take at most so many real training rows.", More)] = None,
    max_valid: Annotated[int | None, _option("At most so many validation rows.", More)] = None,
    max_rows_per_source: Annotated[int | None, _option("At most so many rows of each source.", More)] = None,
    generator_saw: Annotated[
        str, _option("Real rows the generator was trained on: train, all, none, unknown.", More)
    ] = "unknown",
    learner: Annotated[
        str, _option("logistic, mlp, or package.module:Factory of a scikit-learn classifier.", How)
    ] = "logistic",
    policies: Annotated[str | None, _option("Comma-separated names; all by default.", How)] = None,
    metric: Annotated[str | None, _option("accuracy, balanced_accuracy, macro_f1, auc or log_loss.", How)] = None,
    seeds: Annotated[int, _option("Repetitions of the 5 folds.", How)] = 5,
    seed: Annotated[int, _option("The first of them; also draws --max-... rows.", How)] = 0,
    budget: Annotated[float, _option("Minutes.", How)] = 5.0,
    pca: Annotated[int | None, _option("Project a table to so many directions.", How)] = None,
    allow_leaks: Annotated[bool, _option("Go on although rows copy test rows.", How, "--allow-leaks")] = False,
    config: Annotated[
        Path | None, _option("settings.json of an earlier run; replaces all flags above but --out.", How)
    ] = None,
    gallery: Annotated[bool, _option("Show raw rows in the report.", Out, "--gallery/--no-gallery")] = True,
    overwrite: Annotated[bool, _option("Replace an earlier run in the folder.", Out, "--overwrite")] = False,
    as_json: Annotated[bool, _option("Print summary.json.", Out, "--json")] = False,
    quiet: Annotated[bool, _option("Print the verdict only.", Out, "--quiet")] = False,
    debug: Annotated[bool, _option("Show tracebacks.", Out, "--debug")] = False,
) -> None:
    """Compare ways of using the synthetic rows and say which one, if any, makes the model better."""
    from synthsift.cli.console import Console
    from synthsift.cli.settings import RunSettings
    from synthsift.data.spec import DataSpec

    if config is not None:
        settings = RunSettings.read(config)
    else:
        spec = DataSpec(
            real=tuple(real or ()),
            valid=valid,
            test=test,
            synthetic=tuple(synthetic or ()),
            data=data,
            source_column=source_column,
            split_column=split_column,
            train_split=train_split,
            valid_split=valid_split,
            test_split=test_split,
            label=label,
            text=text,
            id=id_column,
            parent=parent,
            parent_split=parent_split,
            group=group,
            embeddings=tuple(embeddings or ()),
            max_real=max_real,
            max_valid=max_valid,
            max_rows_per_source=max_rows_per_source,
            seed=seed,
        )
        settings = RunSettings(
            spec, learner, policies, seeds, seed, budget, metric, pca, generator_saw, allow_leaks, gallery
        )
    from synthsift.cli.run import execute  # after the settings: a slip in a flag is told at once

    raise typer.Exit(execute(settings, out, Console(quiet, as_json), overwrite=overwrite))


@app.command()
def demo(
    out: Annotated[Path, _option("Folder to write.", Out)] = Path("synthsift-demo"),
    overwrite: Annotated[bool, _option("Replace an earlier demo in the folder.", Out, "--overwrite")] = False,
    quiet: Annotated[bool, _option("Print the verdict only.", Out, "--quiet")] = False,
    debug: Annotated[bool, _option("Show tracebacks.", Out, "--debug")] = False,
) -> None:
    """Handwritten digits against digits rendered from fonts, a known part of them flawed. Offline, under a minute."""
    from synthsift.cli.console import Console
    from synthsift.cli.demo import execute_demo

    raise typer.Exit(execute_demo(out, Console(quiet), overwrite=overwrite))


@app.command()
def export(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Finished run folder.")],
    out: Annotated[Path, _option("Folder to write the selected data into.", Out)],
    debug: Annotated[bool, _option("Show tracebacks.", Out, "--debug")] = False,
) -> None:
    """Write the rows that the verdict keeps, in the format they came in, with a weight column."""
    from synthsift.cli.export import execute_export

    raise typer.Exit(execute_export(run_folder, out))


@app.command()
def report(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Finished run folder.")],
    as_json: Annotated[bool, _option("Print the report as JSON.", Out, "--json")] = False,
    markdown: Annotated[bool, _option("Print the report as Markdown.", Out, "--markdown")] = False,
    debug: Annotated[bool, _option("Show tracebacks.", Out, "--debug")] = False,
) -> None:
    """Rebuild report.html from the files of a run."""
    from synthsift.cli.export import execute_report

    raise typer.Exit(execute_report(run_folder, as_json=as_json, markdown=markdown))


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
    try:
        app(standalone_mode=True)
    except KeyboardInterrupt:
        _tell(STOPPED, INTERRUPTED)
    except SystemExit as end:
        if end.code == SIGINT_CODE:
            _tell(STOPPED, INTERRUPTED)
        raise
    except MemoryError:
        _tell(OUT_OF_MEMORY, BAD_INPUT)
    except Exception as error:
        from synthsift.records import DataError

        if "--debug" in sys.argv:
            traceback.print_exc()
        if isinstance(error, DataError):
            _tell(str(error), BAD_INPUT)
        if "can't allocate memory" in str(error):  # what torch raises is a RuntimeError
            _tell(OUT_OF_MEMORY, BAD_INPUT)
        if isinstance(error, OSError):
            _tell(f"{error}. Check the path, its permissions and the space on the disk.", BAD_INPUT)
        _tell(
            f"Internal error: {type(error).__name__}: {error}. Run again with --debug and report what it prints.",
            INTERNAL,
        )


def _tell(message: str, code: int) -> None:
    """Print to stderr and end the process."""
    sys.stderr.write(f"synthsift: {message}\n")
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(code) if code == INTERRUPTED else sys.exit(code)
