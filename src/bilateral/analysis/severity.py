"""How bad the mistakes are: within the right superclass, or outside."""

from textwrap import fill

import pandas as pd
from matplotlib.figure import Figure

from ..base.statistics import first_place
from .study import NotApplicableError, Study
from .style import COLOURS, claim, panels, sentence, short, told_first_place

RESTS_ON = ("fine",)

OUTCOMES = {
    "right": COLOURS["bilateral"],
    "wrong class, right superclass": COLOURS["coarse"],
    "wrong superclass": COLOURS["right"],
}


def compute(study: Study) -> pd.DataFrame:
    """The share of the test images (%) by outcome of the fine prediction, for each row that has one, and seed."""
    lines = []
    for name, row in study.rows.items():
        for seed, predictions in study.predictions(name).items():
            if "fine" not in predictions.logits:
                continue
            right = predictions.correct("fine")
            rolled_up = study.hierarchy.roll_up(predictions.logits["fine"].argmax(1))
            within = ~right & (rolled_up == predictions.labels["coarse"])
            for outcome, chosen in zip(OUTCOMES, (right, within, ~right & ~within)):
                lines.append((name, row.title, seed, outcome, 100 * chosen.double().mean().item()))
    if not lines:
        raise NotApplicableError("no network has a fine head")
    return pd.DataFrame(lines, columns=["row", "title", "seed", "outcome", "share_pct"])


def draw(table: pd.DataFrame) -> Figure:
    """One bar a row of the table, divided by outcome; means over seeds."""
    means = table.groupby(["title", "outcome"], sort=False)["share_pct"].mean().unstack()
    means = means.loc[list(dict.fromkeys(table["title"]))[::-1]]
    figure, axes = panels(height=1.0 + 0.3 * len(means))
    start = pd.Series(0.0, index=means.index)
    for outcome, colour in OUTCOMES.items():
        bars = axes.barh(means.index, means[outcome], left=start, color=colour, label=outcome)
        axes.bar_label(bars, fmt="%.1f", label_type="center", fontsize=7, color="#1a1a1a")
        start += means[outcome]
    axes.set_yticks(range(len(means)), [fill(short(title), 24) for title in means.index], fontsize=8)
    axes.set(xlabel="% of the test images", xlim=(0, 100))
    axes.grid(False)
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def tell(table: pd.DataFrame) -> str:
    """Compare the shares of mistakes that stay within the superclass."""
    titles = table.drop_duplicates("row").set_index("row")["title"]
    shares = (
        table.set_index(["row", "seed", "outcome"])["share_pct"]
        .unstack()
        .rename(lambda row: f"“{titles[row]}”", level="row")
    )
    wrong = 100 - shares["right"]
    within = (100 * shares["wrong class, right superclass"] / wrong)[wrong > 0]
    means = within.groupby("row").mean()
    if means.empty:
        return "No network has a wrong fine prediction."
    if len(means) == 1:
        return f"Of the mistakes of {means.index[0]}, {means.iloc[0]:.1f} % stay within the right superclass."
    found = first_place(within.to_dict())
    most = claim(
        found,
        f"{found.first} keeps the largest share of its mistakes within the right superclass",
        "no network is shown to keep more of its mistakes within the right superclass than all others",
    )
    shares_told = f"This share is {means.min():.1f} to {means.max():.1f} %; {told_first_place(found, unit=' %')}."
    return f"{sentence(most)} {shares_told}"
