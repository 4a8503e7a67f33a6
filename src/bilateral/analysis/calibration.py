"""Calibration: does a network's certainty say how often it is right? (Guo et al. 2017, arXiv 1706.04599)"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..base.statistics import first_place
from ..experiments.measures import CALIBRATION_BINS
from ..runs.predictions import LEVELS
from .study import Study
from .style import COLOURS, claim, own_rows, panels, row_style, sentence, told_first_place

FEWEST = 20
"""Images below which a bin is not drawn."""
MAIN = ("left", "right", "specialised", "unilateral_wide", "nonspecialised", "hemispheres_ensemble")
"""The published rows that are drawn."""


def compute(study: Study) -> pd.DataFrame:
    """Certainty and accuracy (0 to 1) in bins of equal width, for each row, level and seed; empty bins are absent."""
    lines = []
    for name, row in study.rows.items():
        for seed, predictions in study.predictions(name).items():
            for level in [level for level in LEVELS if level in predictions.logits]:
                certainty = predictions.logits[level].softmax(1).amax(1).double().numpy()
                right = predictions.correct(level).double().numpy()
                bins = np.clip((certainty * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
                for which in np.unique(bins):
                    own = bins == which
                    values = (certainty[own].mean(), right[own].mean())
                    lines.append((name, row.title, level, seed, int(which), int(own.sum()), *values))
    return pd.DataFrame(lines, columns=["row", "title", "level", "seed", "bin", "images", "certainty", "accuracy"])


def calibration_error(table: pd.DataFrame) -> pd.Series:
    """Expected calibration error, %, by row, level and seed."""
    gap = table["images"] * (table["certainty"] - table["accuracy"]).abs()
    keys = [table[key] for key in ("row", "level", "seed")]
    return 100 * gap.groupby(keys, sort=False).sum() / table["images"].groupby(keys, sort=False).sum()


def draw(table: pd.DataFrame) -> Figure:
    """Reliability diagrams of the main rows and a config's own, all seeds together; the diagonal is ideal."""
    figure, axes = panels(2, height=3.4, sharex=True)
    shown = [*MAIN, *own_rows(table["row"].unique())]
    for panel, level in zip(axes, LEVELS):
        panel.plot([0, 1], [0, 1], color=COLOURS["other"], linewidth=0.8)
        for row in shown:
            colour, line, _ = row_style(row)
            own = table[(table["row"] == row) & (table["level"] == level)]
            own = own[own.groupby("bin")["images"].transform("sum") >= FEWEST]
            if own.empty:
                continue
            weighted = own.assign(c=own["certainty"] * own["images"], a=own["accuracy"] * own["images"])
            bins = weighted.groupby("bin")[["c", "a", "images"]].sum()
            mean, title = bins.div(bins["images"], axis=0), own["title"].iloc[0]
            panel.plot(mean["c"], mean["a"], line, marker="o", markersize=3, color=colour, label=title)
        panel.set(title=f"{level} labels", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
        if panel.get_legend_handles_labels()[0]:
            panel.legend(fontsize=7)
        else:
            panel.text(0.5, 0.5, f"no bin has {FEWEST} images", ha="center")
    axes[-1].set_xlabel("certainty")
    return figure


def tell(table: pd.DataFrame) -> str:
    """Name the best calibrated row of each level, if it is shown to be; and how large the errors are."""
    errors = calibration_error(table)
    titles = table.drop_duplicates("row").set_index("row")["title"]
    clauses, details = [], []
    for level in [level for level in LEVELS if level in errors.index.get_level_values("level")]:
        own = errors.xs(level, level="level").rename(lambda row: f"“{titles[row]}”", level="row")
        means = own.groupby("row").mean()
        details.append(f"{means.min():.1f} to {means.max():.1f} % on {level} labels")
        if len(means) > 1:
            found = first_place(own.to_dict(), sign=-1)
            best = f"{found.first} is calibrated best on {level} labels"
            clauses.append(claim(found, best, f"no network is shown to be calibrated best on {level} labels"))
            details[-1] += f", where {told_first_place(found)}"
    conclusion = f"{sentence('; '.join(clauses))} " if clauses else ""
    errors_told = f"The expected calibration error, the mean gap of probability and accuracy, is {'; '.join(details)}."
    return conclusion + errors_told
