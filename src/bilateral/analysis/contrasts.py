"""The answer of an experiment: the contrasts that its config declared, as its table has them."""

import pandas as pd
from matplotlib.figure import Figure

from ..experiments.contrasts import UNDECIDED, Compared, against
from ..experiments.measures import MEASURES
from .study import NotApplicableError, Study
from .style import forest


def compute(study: Study) -> pd.DataFrame:
    """One line a contrast: the row's accuracy minus the other one's, in points, with both intervals and the verdict.

    ci95_seeds_low, ci95_seeds_high: over seeds alone, absent for one seed. ci95_low, ci95_high: over seeds and images.
    row: the title of the network in question. answer: the sentence that sums them up; both the same in every line.
    """
    table = study.table or {}
    if not table.get("contrasts"):
        raise NotApplicableError("no contrasts were declared and tested, which only an experiment does")
    titles = {row["name"]: row["title"] for row in table["rows"]}
    lines = []
    for each in table["contrasts"]:
        found = each["difference"]
        measured = (found["n"], found["mean"], *(found["ci95_seeds"] or (None, None)), *found["ci95"])
        tested = (each["p_holm"], each["p_equivalent_holm"], each["verdict"])
        title = titles.get(each["other"], each["other"])
        row = titles.get(each["row"], each["row"])
        lines.append((each["measure"], row, each["other"], title, *measured, *tested, table["answer"]))
    intervals = ["ci95_seeds_low", "ci95_seeds_high", "ci95_low", "ci95_high"]
    columns = [
        "measure",
        "row",
        "other",
        "title",
        "n",
        "difference",
        *intervals,
        "p_holm",
        "p_equivalent_holm",
        "verdict",
    ]
    return pd.DataFrame(lines, columns=[*columns, "answer"])


def draw(table: pd.DataFrame) -> Figure:
    """Every difference with its intervals, the thick one over seeds; right of the line the row is better."""
    names = {measure: MEASURES[measure] for measure in table["measure"].unique()}
    return forest(table, "measure", names, {"ci95": 1, "ci95_seeds": 3})


def tell(table: pd.DataFrame) -> str:
    """Say against which networks the row is better, by the verdicts of the experiment's files."""
    if (table["verdict"] == UNDECIDED).any():
        return str(table["answer"].iloc[0])
    intervals = zip(table["ci95_low"], table["ci95_high"])
    columns = (table["title"], table["measure"].map(MEASURES), table["difference"], intervals, table["verdict"])
    return (
        f"{against(map(Compared, *columns))}. “{table['row'].iloc[0]}” is "
        f"compared in {len(table)} ways that the config declares, over {table['n'].min()} seeds; p is corrected for "
        "their number (Holm)."
    )
