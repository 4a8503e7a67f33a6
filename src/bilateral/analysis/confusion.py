"""What is taken for what: confusion within and between superclasses, of left alone and of the bilateral network."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .study import NotApplicableError, Study
from .style import DIVERGING, LONGEST_CLASS, SEQUENTIAL, panels, short

RESTS_ON = ("fine",)


def compute(study: Study) -> pd.DataFrame:
    """Count test images by true and predicted fine class, over all seeds together; only pairs that occur.

    network: `left` (alone) or `bilateral` (its fine head). true, predicted: names, with their superclasses. share_pct:
    of the images of the true class. seeds: how many.
    """
    hierarchy, frames = study.hierarchy, []
    study.systems[0].check_specialised()
    study.systems[0].check_heads(["fine"])
    if hierarchy.fine_count < 2:
        raise NotApplicableError("there is one class alone, so that nothing can be taken for another")
    for name in ("left", "bilateral"):
        every = [getattr(system, name).predictions for system in study.systems]
        pairs = pd.concat(
            pd.DataFrame({"true": each.labels["fine"].numpy(), "predicted": each.logits["fine"].argmax(1).numpy()})
            for each in every
        )
        counts = pairs.groupby(["true", "predicted"]).size().rename("count").reset_index()
        totals = counts.groupby("true")["count"].transform("sum")
        frames.append(counts.assign(network=name, share_pct=100 * counts["count"] / totals, seeds=len(every)))
    table = pd.concat(frames, ignore_index=True)
    for column in ("true", "predicted"):
        table[f"{column}_superclass"] = [hierarchy.coarse_names[hierarchy.coarse_of_fine[k]] for k in table[column]]
        table[column] = [hierarchy.fine_names[k] for k in table[column]]
    columns = ["network", "true", "predicted", "true_superclass", "predicted_superclass", "count", "share_pct", "seeds"]
    return table[columns]


def superclass_matrix(table: pd.DataFrame, network: str) -> pd.DataFrame:
    """Of the images of a superclass (lines), the share whose fine prediction lies in each superclass (columns), %.

    A superclass that no image is of has NaN.
    """
    own = table[table["network"] == network]
    names = sorted(set(table["true_superclass"]) | set(table["predicted_superclass"]))
    counts = own.pivot_table(
        index="true_superclass", columns="predicted_superclass", values="count", aggfunc="sum", fill_value=0
    ).reindex(index=names, columns=names, fill_value=0)
    return 100 * counts.div(counts.sum(axis=1), axis=0)


def within_share(table: pd.DataFrame, network: str) -> float | None:
    """Of a network's wrong fine predictions, the share within the right superclass, %; None where none is wrong."""
    wrong = table[(table["network"] == network) & (table["true"] != table["predicted"])]
    within = wrong.loc[wrong["true_superclass"] == wrong["predicted_superclass"], "count"].sum()
    return float(100 * within / wrong["count"].sum()) if len(wrong) else None


def draw(table: pd.DataFrame) -> Figure:
    """Superclasses against superclasses: the bilateral network, and what it does more or less often than left alone."""
    bilateral, left = superclass_matrix(table, "bilateral"), superclass_matrix(table, "left")
    names = [short(name, LONGEST_CLASS) for name in bilateral.index]
    figure, (own, change) = panels(2, height=max(3.6, 1.6 + 0.12 * len(names)))
    off_diagonal = bilateral.to_numpy().copy()
    np.fill_diagonal(off_diagonal, np.nan)
    shown = own.imshow(off_diagonal, cmap=SEQUENTIAL, vmin=0)
    figure.colorbar(shown, ax=own, shrink=0.6, label="% of the true superclass")
    difference = (bilateral - left).to_numpy()
    limit = max(np.nanmax(np.abs(difference)), 0.1)
    shown = change.imshow(difference, cmap=DIVERGING, vmin=-limit, vmax=limit)
    figure.colorbar(shown, ax=change, shrink=0.6, label="points")
    own.set(title="mistakes of the bilateral fine head", ylabel="true superclass")
    change.set(title="bilateral minus left alone", ylabel="true superclass")
    for axes in (own, change):
        axes.grid(False)
        axes.set_xlabel("superclass of the prediction")
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
        axes.set_yticks(range(len(names)), names, fontsize=6)
    return figure


def tell(table: pd.DataFrame) -> str:
    """Say how many mistakes stay within the superclass, and which two classes are confused most."""
    wrong = table[(table["network"] == "bilateral") & (table["true"] != table["predicted"])]
    classes = table.groupby("true_superclass")["true"].nunique()
    others = classes.sum() * (classes.sum() - 1)
    own, alone = within_share(table, "bilateral"), within_share(table, "left")
    known = [] if alone is None else [f"left alone {alone:.1f} %"]
    if others:
        known.append(f"a wrong class drawn at random {100 * float(((classes - 1) * classes).sum() / others):.1f} %")
    compared = f" ({'; '.join(known)})" if known else ""
    if own is None:
        return "The fine head makes no mistake on the test images."
    worst = wrong.loc[wrong["share_pct"].idxmax()]
    return (
        f"{own:.1f} % of the fine head's mistakes stay within the right superclass{compared}. Most often confused "
        f"on these images, which is not tested: {worst['true']}, taken for {worst['predicted']} "
        f"({worst['share_pct']:.0f} %)."
    )
