"""The figure of a sweep: a measure against the settings, with a point a seed, means and intervals."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation
from pandas.api.types import is_numeric_dtype

from ..analysis import running, style
from ..base.statistics import summarise
from .outcome import SweepOutcome, label

MOST_LINES = 8
"""Lines that can be told apart; with more there is a panel for each key instead."""
WIDE = 100
"""A grid of positive numbers gets a logarithmic axis where the largest is so many times the smallest."""


def draw(found: SweepOutcome, measure: str) -> Figure:
    """Draw a measure: against the first key with a line for each value of the others, or a panel for each key.

    The panels are for settings drawn at random, and for more than eight lines.
    """
    across, others = found.search.keys[:1], found.search.keys[1:]
    lines = found.lines.dropna(subset=[measure])
    groups = list(lines.groupby(others, sort=False)) if others else [((), lines)]
    has_lines = not found.search.is_random and len(groups) <= MOST_LINES
    if not has_lines:
        across, groups = found.search.keys, [((), lines)]
    width = (8.4 if len(groups) > 1 else 6.4) if len(across) == 1 else min(3.4 * len(across), 14.0)
    figure, grid = style.panels(1, len(across), width=width, height=3.6, sharey=True, squeeze=False)
    colours = [style.row_style(found.row)[0]]
    if len(groups) > 1:  # from dark to light, as far as the light ones can be seen on white
        colours = list(colormaps[style.SEQUENTIAL](np.linspace(0, 0.85, len(groups))))
    for panel, key in zip(grid[0], across):
        places, is_words = _places(panel, found, key), not is_numeric_dtype(lines[key])
        for number, ((values, own), colour) in enumerate(zip(groups, colours)):
            place = own[key].map(places)
            if is_words and has_lines:  # lines side by side
                place += (number - (len(groups) - 1) / 2) * 0.5 / len(groups)
            elif is_words:  # settings side by side
                order = own["setting"].factorize()[0]
                place += 0.7 * (order / max(order.max(), 1) - 0.5)
            name = ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
            line = "-" if has_lines and not is_words else ""
            _series(panel, own.assign(place=place), measure, color=colour, label=name, linestyle=line)
        panel.set_xlabel(key)
    grid[0][0].set_ylabel(label(measure))
    seeds = lines["seed"].nunique()
    figure.suptitle(
        f"{found.row}, {seeds} seed{'s' * (seeds > 1)}: mean and 95 % interval of each setting", fontsize=10
    )
    if len(groups) > 1:
        figure.legend(*grid[0][0].get_legend_handles_labels(), title="\n".join(others), loc="outside right center")
    return figure


def _places(panel: Axes, found: SweepOutcome, key: str) -> dict[Any, float]:
    """Where each value of a key stands on its axis, which is made ready: numbers at themselves, words in a row."""
    values = list(dict.fromkeys(found.lines[key]))
    if not is_numeric_dtype(found.lines[key]):
        panel.set_xticks(range(len(values)), [style.short(value, 20) for value in values])
        panel.set_xlim(-0.5, len(values) - 0.5)
        panel.grid(axis="x", visible=False)
        return {value: float(place) for place, value in enumerate(values)}
    is_wide = min(values) > 0 and max(values) >= WIDE * min(values)
    if key in found.search.geometric or (is_wide and not found.search.is_random):
        panel.set_xscale("log")
        is_short = max(values) < WIDE * min(values)
        panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if is_short else (1.0,)))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter(NullFormatter())
    return {value: float(value) for value in values}


def _series(panel: Axes, lines: pd.DataFrame, measure: str, color: Any, **options: Any) -> None:
    """The mean of each setting with its interval, at its `place`, and left of it a point a seed."""
    beside = panel.transData + ScaledTranslation(-4 / 72, 0, panel.figure.dpi_scale_trans)
    panel.scatter(lines["place"], lines[measure], s=8, color=color, alpha=0.55, linewidths=0, transform=beside)
    means = [(place, summarise(each[measure].tolist())) for (place, _), each in lines.groupby(["place", "setting"])]
    ends = [each["ci95"][1] - each["mean"] if each["ci95"] else np.nan for _, each in means]
    x, y = [place for place, _ in means], [each["mean"] for _, each in means]
    panel.errorbar(x, y, ends, marker="o", markersize=4.5, linewidth=1, color=color, **options)


def save(found: SweepOutcome, measure: str) -> None:
    """Write the figure of a measure as MEASURE.svg and MEASURE.png into the sweep's folder."""
    text = "".join(value for setting in found.search.settings for value in setting.values())
    with style.styled(text):
        running.save(draw(found, measure), found.folder, measure)
