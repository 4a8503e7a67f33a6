"""Specialisation of every row that is a network of two hemispheres, beside its accuracy.

How far the sides specialise is half of the difference between the laterality indices of fine and of coarse labels, by
readouts (see `specialisation`). For compound figures, where left and right may know the large form, the small ones, or
both, it is also the interaction (see `global_local`). Two sides that nothing tells to differ are the yardstick.
"""

from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..base.statistics import first_place
from . import global_local, specialisation
from .study import Study
from .style import INK, claim, panels, row_style, seed_points, sentence, short, told, told_first_place

MEASURES = {"specialisation": "specialisation, -1 to 1", "interaction": "interaction, points"}
"""What can be measured of a row, and its axis."""
YARDSTICK = "nonspecialised"
MOST_FOR_EXACT_P = 7
"""Rows up to which the p of their correlation is of all orders in which they can stand."""


def compute(study: Study) -> pd.DataFrame:
    """Every measure by row and seed: row, title, seed, measure, value.

    measure: `specialisation`, -1 to 1, above 0 where left is the side for fine labels. `interaction`, of compound
    figures, in points: local less global identities, left less right. `fine_pct`, `coarse_pct`: accuracy of the heads.
    """
    lines = []
    for row in study.rows_of_two_sides:
        own = study.of(row)
        readouts = specialisation.compute(own, readouts_only=True)
        found = {"specialisation": specialisation.specialisation(readouts, "readout")}
        if study.config.data.name == "navon":
            found["interaction"] = global_local.interaction(global_local.compute(own, readouts_only=True))
        for seed, said in own.predictions(row).items():
            accuracies = {f"{level}_pct": said.accuracy_pct(level) for level in said.logits}
            values = {measure: by_seed[seed] for measure, by_seed in found.items() if seed in by_seed} | accuracies
            lines += [(row, study.rows[row].title, seed, measure, value) for measure, value in values.items()]
    return pd.DataFrame(lines, columns=["row", "title", "seed", "measure", "value"])


def values(table: pd.DataFrame, row: str, measure: str) -> pd.Series:
    """A measure of a row by seed."""
    chosen = (table["row"] == row) & (table["measure"] == measure)
    return table[chosen].set_index("seed")["value"]


def strength(table: pd.DataFrame, row: str) -> pd.Series:
    """How far the sides of a row specialise, by seed, whichever way: the interaction if there is one."""
    return values(table, row, list(_measures(table))[-1]).abs()


def _measures(table: pd.DataFrame) -> dict[str, str]:
    there = {"specialisation", *table["measure"]}  # it is missing where no side knows anything
    return {measure: label for measure, label in MEASURES.items() if measure in there}


def draw(table: pd.DataFrame) -> Figure:
    """Every row's measures, a point a seed, the mean and its interval; and how strong they are beside accuracy."""
    rows, measures = list(table["row"].unique()), _measures(table)
    titles = table.drop_duplicates("row")["title"]
    figure, axes = panels(len(measures) + 1, height=1.2 + 0.25 * len(rows))
    for panel, (measure, label) in zip(axes, measures.items()):
        panel.axvline(0, color=INK, linewidth=0.6)
        for place, row in enumerate(rows):
            seed_points(panel, place, values(table, row, measure).tolist(), row_style(row)[0])
        if measure == "specialisation":  # an index: with few seeds, an interval may go beyond what it can be
            low, high = panel.get_xlim()
            panel.set_xlim(max(low, -1.05), min(high, 1.05))
        panel.set(xlabel=label, ylim=(len(rows) - 0.5, -0.5), yticks=range(len(rows)))
        panel.set_yticklabels(
            [fill(f"{number}: {short(title, 72)}", 36) for number, title in enumerate(titles, 1)], fontsize=7
        )
        panel.xaxis.set_major_locator(MaxNLocator(5))
    for number, row in enumerate(rows, 1):
        if strength(table, row).empty:
            continue
        across, up = strength(table, row).mean(), values(table, row, "fine_pct").mean()
        axes[-1].plot(across, up, "o", color=row_style(row)[0], markersize=4)
        axes[-1].annotate(str(number), (across, up), xytext=(3, 3), textcoords="offset points", fontsize=7)
    axes[-1].margins(0.15)  # for the numbers
    axes[-1].set(xlabel="strength, whichever way", ylabel="fine accuracy, %")
    return figure


def tell(table: pd.DataFrame) -> str:
    """Say whose sides specialise most, if that is shown, how far all do, and whether this goes with accuracy."""
    titles = dict(zip(table["row"], table["title"]))
    strengths = {row: strength(table, row) for row in titles}
    means = pd.Series({row: found.mean() for row, found in strengths.items()}).dropna()
    if means.empty:
        return "No row's sides know anything above chance."
    measure = list(_measures(table))[-1]
    named = list(dict.fromkeys([means.idxmax(), *({YARDSTICK} & set(means.index)), means.idxmin()]))
    form = ".1f" if measure == "interaction" else ".3f"
    texts = [f"“{titles[row]}” {told(strengths[row], form)}" for row in named]
    text = ""
    if len(means) > 1:
        found = first_place(pd.concat({f"“{titles[row]}”": strengths[row] for row in means.index}).to_dict())
        not_shown = "no network's two sides are shown to specialise more than those of all others"
        first = claim(found, f"the two sides specialise most in {found.first}", not_shown)
        text = f"{sentence(first)} {sentence(told_first_place(found, form))} "
    text += f"Strength of specialisation ({MEASURES[measure]}, whichever way): {', '.join(texts)}."
    accuracy = pd.Series({row: values(table, row, "fine_pct").mean() for row in means.index})
    if len(means) > 2 and min(means.nunique(), accuracy.nunique()) > 1:
        correlation, p = _rank_correlation(means.to_numpy(), accuracy.to_numpy())
        chance = "p below 0.001" if p < 0.001 else f"p {p:.2g}"
        text += (
            f" Over {len(means)} rows its correlation with fine accuracy is {correlation:+.2f} (Spearman; {chance})."
        )
    return text


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Spearman's correlation and its two-sided p: exact for few values, where the usual approximation may give 0."""
    from scipy.stats import permutation_test, rankdata, spearmanr  # take a second to import

    found = spearmanr(first, second)
    if len(first) > MOST_FOR_EXACT_P:
        return found.statistic, found.pvalue
    ranks, centred = rankdata(first), rankdata(second) - (len(second) + 1) / 2
    test = permutation_test((ranks,), lambda own, axis=-1: (own * centred).sum(axis), permutation_type="pairings")
    return found.statistic, test.pvalue
