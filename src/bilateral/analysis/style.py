"""How all figures look: sizes, and colours that colour-blind people can tell apart, each with one meaning."""

from collections.abc import Iterable
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#2b2b33"
"""Of all text and axes. A page with a dark theme replaces it, and it alone."""

# Okabe and Ito 2008.
COLOURS = {
    "left": "#0072b2",
    "right": "#d55e00",
    "bilateral": "#009e73",
    "fine": "#56b4e9",
    "coarse": "#e69f00",
    "other": "#8a8a93",
    "extra": "#cc79a7",
}
ROWS = {
    # colour, line, marker
    "left": (COLOURS["left"], "-", "o"),
    "right": (COLOURS["right"], "-", "s"),
    "side_by_side": (COLOURS["other"], "-", "D"),
    "unilateral": (COLOURS["extra"], "-", "^"),
    "unilateral_wide": (COLOURS["extra"], "--", "v"),
    "nonspecialised": (COLOURS["coarse"], "-", "P"),
    "two_left": (COLOURS["left"], ":", "<"),
    "two_right": (COLOURS["right"], ":", ">"),
    "untrained": (COLOURS["other"], ":", "x"),
    "specialised": (COLOURS["bilateral"], "-", "*"),
    "fine_tuned": (COLOURS["bilateral"], "--", "X"),
    "hemispheres_ensemble": (COLOURS["coarse"], "--", "h"),
}
"""The rows of an experiment, in every figure alike; see `row_style`."""
SEQUENTIAL, DIVERGING = "cividis", "PuOr"
"""Colour maps for quantities from nothing to much, and for those around zero."""

_SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.color": COLOURS["other"],
    "errorbar.capsize": 2,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "bilateral",
    "image.interpolation": "nearest",
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color", "ytick.color"), INK
    ),
}


def styled() -> Any:
    """Give the context in which figures are made and saved."""
    return rc_context(_SETTINGS)  # type: ignore[arg-type]


def panels(columns: int = 1, rows: int = 1, height: float = 3.2, width: float = 8.0, **options: Any) -> tuple[Any, Any]:
    """Make a figure with `rows` x `columns` panels: (figure, axes); sizes in inches, `height` of one row."""
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def row_style(row: str) -> tuple[str, str, str]:
    """Give a row's colour, line and marker; those without one of their own (ensembles) are light blue."""
    return ROWS.get(row, (COLOURS["fine"], "--" if row.endswith("_probabilities") else "-", "p"))


def no_grid(*axes: Axes) -> None:
    """Leave out the grid, as for a matrix."""
    for each in axes:
        each.grid(False)


def annotate_cells(axes: Axes, values: Any, form: str = "{:.1f}", threshold: float | None = None) -> None:
    """Write each value of a matrix into its cell, light where the cell is dark (below `threshold`)."""
    for (row, column), value in _cells(values):
        dark = threshold is not None and value < threshold
        axes.text(column, row, form.format(value), ha="center", va="center", color="white" if dark else "#1a1a1a")


def _cells(values: Any) -> Iterable[tuple[tuple[int, int], float]]:
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            yield (row, column), float(value)
