"""What a reproduction is made of: figures with their numbers, printed values to compare with, and the files of both."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthsift.records import DataError
from synthsift.writing import atomic_write, write_csv, write_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colors that stay apart for the color-blind (Okabe and Ito), in the order of use.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")


#: Folder, beside the figures, of finished generations of a long loop.
ROUNDS = "rounds"


@dataclass(frozen=True)
class Check:
    """One printed value and what we get.

    Parameters
    ----------
    what : str
        Which value.
    printed : float
        As printed, or read off a published figure.
    ours : float
        From our formula, or from a model trained here.
    simulated : float, optional
        From drawn data, where there is such a twin.
    standard_error : float, optional
        Of `simulated`, or of `ours` where that is an average.
    """

    what: str
    printed: float
    ours: float
    simulated: float | None = None
    standard_error: float | None = None


@dataclass(frozen=True)
class Rebuilt:
    """One figure or table: its numbers, how to draw them, and the printed values it is held against.

    Parameters
    ----------
    name : str
        Stem of its files.
    title : str
        What it shows, with the figure's number in the source.
    columns : mapping of str to sequence
        Long table; all of one length.
    draw : callable
        Draws it into an empty figure.
    size : tuple of float
        Inches.
    checks : tuple of Check
    is_exact : bool
        True where the printed values are those of a formula (a difference is an error, and only the largest is told),
        False where they were read off an experiment (each is told).
    slack : float
        Share of our value by which a simulation may differ besides its 4 standard errors (finite size).
    note : str
        What to know when comparing.
    """

    name: str
    title: str
    columns: Mapping[str, Sequence[Any]]
    draw: Callable[[Figure], None]
    size: tuple[float, float] = (7.0, 4.2)
    checks: tuple[Check, ...] = ()
    is_exact: bool = True
    slack: float = 0.003
    note: str = ""

    @property
    def simulated(self) -> list[Check]:
        """The checks that have a simulation."""
        return [check for check in self.checks if check.simulated is not None]

    @property
    def disagreeing(self) -> list[Check]:
        """Those whose simulation differs from our formula by more than 4 standard errors and the slack."""
        return [
            c
            for c in self.simulated
            if abs(c.ours - (c.simulated or 0.0)) > max(4 * (c.standard_error or 0.0), self.slack * abs(c.ours))
        ]

    @property
    def worst(self) -> Check:
        """The check with the largest relative difference between printed and ours."""
        return max(self.checks, key=lambda c: abs(c.ours - c.printed) / abs(c.printed))


@dataclass
class Table:
    """A long table that grows row by row; every row has the same columns."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, **row: Any) -> None:
        """Append a row."""
        self.rows.append(row)

    @property
    def columns(self) -> dict[str, list[Any]]:
        """Column name -> values."""
        return {name: [row[name] for row in self.rows] for name in self.rows[0]} if self.rows else {}

    def where(self, x: str, y: str, **wanted: Any) -> tuple[list[Any], list[Any]]:
        """Columns `x` and `y` of the rows that have the wanted values and a value of `y`."""
        chosen = [r for r in self.rows if all(r[k] == v for k, v in wanted.items()) and r[y] is not None]
        return [r[x] for r in chosen], [r[y] for r in chosen]


def write_rebuilt(rebuilt: Rebuilt, out: Path) -> None:
    """Write NAME.csv, NAME.png and NAME.svg into `out`, each whole or not at all."""
    write_csv(
        out / f"{rebuilt.name}.csv",
        {name: ["" if v is None else v for v in values] for name, values in rebuilt.columns.items()},
    )
    for ending, content in draw_files(rebuilt).items():
        atomic_write(out / f"{rebuilt.name}.{ending}", content)


def draw_files(rebuilt: Rebuilt, endings: Sequence[str] = ("png", "svg")) -> dict[str, bytes]:
    """The figure in each form: for the same endings the same bytes every time."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "synthsift",
        "font.size": 9.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 9.5,
        "axes.titlelocation": "left",
        "legend.frameon": False,
        "legend.fontsize": 8.0,
        "lines.linewidth": 1.5,
        "lines.markersize": 4.0,
    }
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # the user's own matplotlibrc is for the user's own figures
        matplotlib.rcParams.update(settings)
        figure = Figure(figsize=rebuilt.size, layout="constrained")
        FigureCanvasAgg(figure)
        rebuilt.draw(figure)
        files = {}
        unsigned: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
        for ending in endings:
            buffer = io.BytesIO()
            figure.savefig(buffer, format=ending, dpi=140, metadata=unsigned[ending])
            files[ending] = buffer.getvalue()
    return files


def label_axes(axes: Axes, title: str, x: str, y: str, *, logs: str = "") -> None:
    """Title and axis labels; `logs` names the axes ("x", "y", "xy") that are logarithmic."""
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if "x" in logs:
        axes.set_xscale("log")
    if "y" in logs:
        axes.set_yscale("log")


def write_numbers(rebuilt: Sequence[Rebuilt], settings: Mapping[str, Any], out: Path) -> None:
    """Write numbers.json: settings, every column and every comparison."""
    write_json(
        out / "numbers.json",
        {
            "settings": dict(settings),
            "figures": {
                one.name: {
                    "title": one.title,
                    "note": one.note,
                    "columns": dict(one.columns),
                    "checks": [vars(check) for check in one.checks],
                }
                for one in rebuilt
            },
        },
    )


def prepare_folder(out: Path) -> None:
    """Make the folder for the files, or say why it cannot be.

    Raises
    ------
    DataError
        If `out` is a file, or holds something else than an earlier reproduction.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file and a folder is needed for figures and numbers. Choose another --out.")
    foreign = sorted(
        p.name
        for p in out.glob("*")
        if p.suffix not in (".csv", ".png", ".svg") and p.name not in ("numbers.json", ROUNDS)
    )
    if foreign:
        raise DataError(
            f"{out} holds files that are none of a reproduction ({', '.join(foreign[:3])}); nothing was touched. Name "
            "a new or empty folder with --out."
        )
    out.mkdir(parents=True, exist_ok=True)


def compare_lines(rebuilt: Sequence[Rebuilt]) -> list[str]:
    """Plain lines that say how the printed values compare: one a formula's table, one a value of an experiment."""
    lines = []
    for one in rebuilt:
        lines.append(f"{one.name}: {one.title}")
        if one.checks and one.is_exact:
            worst = one.worst
            lines.append(
                f"  {len(one.checks)} printed values, largest difference {abs(worst.ours / worst.printed - 1):.2%} "
                f"({worst.what}: printed {worst.printed:.6g}, ours {worst.ours:.6g})"
            )
        elif one.checks:
            lines.append(f"  {'value':<44}{'printed':>10}{'ours':>10}{'simulated':>12}{'+-':>10}")
            lines += [_check_line(check) for check in one.checks]
        if one.simulated:
            lines.append(
                f"  simulated: {len(one.simulated)} of them; beyond 4 standard errors and {one.slack:.1%} of our "
                f"formula: {len(one.disagreeing)}"
            )
        if one.note:
            lines.append(f"  {one.note}")
    return lines


def _check_line(check: Check) -> str:
    cells = (check.printed, check.ours, check.simulated, check.standard_error)
    widths = (10, 10, 12, 10)
    shown = ("" if cell is None else f"{cell:.4g}" if i < 3 else f"{cell:.1g}" for i, cell in enumerate(cells))
    return f"  {check.what:<44}" + "".join(f"{cell:>{width}}" for cell, width in zip(shown, widths, strict=True))
