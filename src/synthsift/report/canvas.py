"""A Matplotlib figure to an SVG that takes its colors from the page, so that one picture serves dark and light.

Figures are drawn in placeholder colors, one for each role; in the SVG a placeholder becomes a CSS variable of the page,
with a neutral value for a viewer that has none. Text stays text: small, selectable, in the page's own font.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#010101", "#020202", "#030303"
ACCENT, WARM, PAPER = "#040404", "#050505", "#060606"
VARIABLES = {
    INK: "var(--ink, #333333)",
    MUTED: "var(--muted, #777777)",
    GRID: "var(--rule, #bbbbbb)",
    ACCENT: "var(--accent, #0b6e69)",
    WARM: "var(--warm, #ad4e1b)",
    PAPER: "var(--paper, #ffffff)",
}
WIDE, NARROW = 9.0, 3.9  # inches: the page's text width and a telephone's, at 96 pixels an inch


@contextmanager
def theme(size: float = 9.0) -> Iterator[None]:
    """Draw inside this: text of `size` points, placeholder colors, no formulas in the user's names."""
    import matplotlib

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "synthsift",
        "text.parse_math": False,
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": size,
        "text.color": INK,
        "axes.edgecolor": GRID,
        "axes.labelcolor": MUTED,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": size,
        "axes.titlelocation": "left",
        "axes.titlecolor": INK,
        "axes.labelsize": size,
        "axes.formatter.useoffset": False,
        "xtick.color": GRID,
        "ytick.color": GRID,
        "xtick.labelcolor": MUTED,
        "ytick.labelcolor": INK,
        "xtick.labelsize": size,
        "ytick.labelsize": size,
        "ytick.major.size": 0,
        "lines.solid_capstyle": "butt",
    }
    with matplotlib.rc_context(), warnings.catch_warnings():
        # The user's own matplotlibrc (another font, TeX) is for the user's own figures.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        # The browser has the glyphs that Matplotlib's measuring font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` x `height` inches that pyplot does not know."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    return figure


def place_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Return axes whose place is given in inches from the lower left corner."""
    total_width, total_height = figure.get_size_inches()
    return figure.add_axes(
        (left / total_width, bottom / total_height, width / total_width, height / total_height), facecolor="none"
    )


def label_room(names: Sequence[str], width: float) -> float:
    """Return the inches that the longest name takes, also in bold: at most half of a figure `width` inches wide."""
    return min(1.1 * max(map(_text_width, names)) + 0.1, 0.5 * width)


def to_svg(figure: Figure, name: str, title: str) -> str:
    """Return `figure` as one SVG element for a page.

    Parameters
    ----------
    figure : Figure
        Drawn inside `theme`.
    name : str
        Prefix of all ids, so that several pictures live in one page.
    title : str
        What the picture shows, for those who cannot see it; plain ASCII words of ours, never a name of the user's.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"<svg[^>]*viewBox", f'<svg class="figure" role="img" aria-label="{title}" viewBox', svg, count=1)
    svg = svg.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1)
    return _inherit_colors(_shorten(_own_ids(svg, name)))


def _text_width(text: str) -> float:
    """Inches of `text` in Matplotlib's own font; a browser's is usually narrower, a glyph it lacks counts as a box."""
    from matplotlib import rcParams
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    font.set_size(rcParams["font.size"], 72)
    font.set_text(text)
    return font.get_width_height()[0] / 64 / 72  # 26.6 fixed-point numbers of points


def _own_ids(svg: str, name: str) -> str:
    """Ids and references to them, prefixed; ids that nothing refers to are dropped."""
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", svg)
    return re.sub(r'(href="|url\()#', rf"\1#{name}-", svg)


def _shorten(svg: str) -> str:
    """Drop what the page says itself: fonts, rotations by nothing, line breaks inside paths."""
    svg = re.sub(r"font-family: [^;\"]*; ?", "", svg)
    svg = re.sub(r"font: (?:(bold|\d+) )?([\d.]+px) [^;\"]*", lambda m: _font(m[1], m[2]), svg)
    svg = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", svg)
    return re.sub(r' d="[^"]*"', lambda m: m[0].replace(" \n", " ").replace("\n", " "), svg)


def _font(weight: str | None, size: str) -> str:
    """Size and weight of a font without its family."""
    return f"font-size: {size}" + (f"; font-weight: {weight}" if weight else "")


def _inherit_colors(svg: str) -> str:
    """Placeholders to variables, inside style attributes only."""

    def exchange(match: re.Match[str]) -> str:
        style = match[0]
        for placeholder, variable in VARIABLES.items():
            style = style.replace(placeholder, variable)
        return style

    return re.sub(r'style="[^"]*"', exchange, svg)
