"""Is the bilateral network better than each other row, and by how much? Every row, whether or not it was asked for."""

import pandas as pd
from matplotlib.figure import Figure

from ..base.statistics import paired_difference
from ..experiments.contrasts import BETTER, WORSE, whether_better
from ..runs.predictions import LEVELS
from .study import NotApplicableError, Study
from .style import forest, own_rows

OPEN = "not shown to differ"
SINGLE = ("unilateral",)
SIZED = (
    "unilateral_long",
    "unilateral_wide",
    "nonspecialised",
    "two_left",
    "two_right",
    "ensemble_2",
    "hemispheres_ensemble",
)
"""The controls: one hemisphere that does both, and networks about as large as the bilateral one."""


def compute(study: Study) -> pd.DataFrame:
    """One line a level and other row: the subject's accuracy minus the row's, in points, paired by seed.

    ci95_low, ci95_high: Student's t over n pairs; absent for one. verdict: BETTER or WORSE where the interval leaves
    out 0, else OPEN. Not corrected for the number of rows; the experiment's own comparisons are.
    """
    lines = []
    subject = study.predictions(study.subject)
    for name, row in study.rows.items():
        other = {} if name == study.subject else study.predictions(name)
        for level in LEVELS:
            seeds = [s for s in subject if s in other and level in other[s].logits and level in subject[s].logits]
            if not seeds:
                continue
            found = paired_difference(
                [subject[s].accuracy_pct(level) for s in seeds], [other[s].accuracy_pct(level) for s in seeds]
            )
            low, high = found.ci95 or (None, None)
            verdict = OPEN if low is None or high is None or low <= 0 <= high else BETTER if low > 0 else WORSE
            lines.append((level, name, row.title, found.n, found.mean, low, high, verdict))
    if not lines:
        raise NotApplicableError("there is nothing to compare the bilateral network with")
    columns = ["level", "row", "title", "n", "difference", "ci95_low", "ci95_high", "verdict"]
    return pd.DataFrame(lines, columns=columns)


def draw(table: pd.DataFrame) -> Figure:
    """Every difference with its interval; right of the line the bilateral network is better."""
    shown = table[table["row"] != "untrained"]  # tens of points away, which would flatten the rest
    shown = table if shown.empty else shown
    return forest(shown, "level", {level: f"{level} labels" for level in LEVELS}, {"ci95": 1})


def tell(table: pd.DataFrame) -> str:
    """Give the verdict: against one hemisphere, networks of the same size, and the rows that a config adds."""
    single, _ = _single(table)
    groups = {
        "networks of about its own size": table[table["row"].isin(SIZED)],
        "the variants in this config": table[table["row"].isin(own_rows(table["row"]))],
    }
    compared = {what: own for what, own in groups.items() if not own.empty}
    clauses = [clause] if (clause := against_one(table)) else []
    clauses += [f"{whether_better([*own['verdict']])} against {what}" for what, own in compared.items()]
    sentences = [f"{clauses[0][0].upper()}{'; '.join(clauses)[1:]}."] if clauses else []
    sentences += [f"Against “{title}”: {texts(own)}." for title, own in single.groupby("title", sort=False)]
    sentences += [_count(own, what) for what, own in compared.items()]
    if not compared:
        sentences.append("There is no network of its size to compare it with.")
    return " ".join(sentences)


def _count(own: pd.DataFrame, what: str) -> str:
    """In how many comparisons of a group is it better, and in how many worse?"""
    decidable = own.dropna(subset="ci95_low")
    if decidable.empty:
        least, most = own["difference"].min(), own["difference"].max()
        return (
            f"Its differences from {what} lie between {least:+.1f} and {most:+.1f} points; "
            "one seed has no interval, so no difference is decided."
        )
    better, worse, unclear = (int((decidable["verdict"] == verdict).sum()) for verdict in (BETTER, WORSE, OPEN))
    comparisons = f"comparison{'s' if len(decidable) > 1 else ''}"
    return (
        f"In {len(decidable)} {comparisons} with {what} it is better in {better}, worse in {worse}, and "
        f"too close to call in {unclear} (by 95 % intervals, not corrected for their number)."
    )


def _single(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The comparisons with one hemisphere, and what that is."""
    both = table[table["row"].isin(SINGLE)]
    if not both.empty:
        return both, "one hemisphere of the same architecture"
    alone = table.query("(row == 'left' and level == 'fine') or (row == 'right' and level == 'coarse')")
    return alone, "each hemisphere alone"


def against_one(table: pd.DataFrame) -> str:
    """Say in a clause whether it is better than one hemisphere; "" where there is none."""
    single, what = _single(table)
    levels = single.groupby("level", sort=False)["difference"]
    points = ", ".join(f"{level} labels {own.mean():+.1f}" for level, own in levels)
    return f"{whether_better([*single['verdict']])} against {what} ({points} points)" if points else ""


def texts(table: pd.DataFrame) -> str:
    """Differences in words."""
    found = []
    for _, line in table.iterrows():
        low, high = line["ci95_low"], line["ci95_high"]
        ends = "one seed" if pd.isna(low) else f"95 % interval {low:.2f} to {high:.2f}"
        found.append(f"{line['difference']:+.2f} points on {line['level']} labels ({ends})")
    return ", ".join(found)
