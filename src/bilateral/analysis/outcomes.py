"""Outcome groups, as in the original code: who was right, of left, right, and the bilateral network's two heads."""

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from ..base.statistics import Summary, summarise
from ..models.config import SIDES
from ..runs.predictions import LEVELS, Predictions
from .study import Study, System
from .style import COLOURS, INK, SEQUENTIAL, annotate_cells, panels

RESTS_ON = (*LEVELS, *SIDES)

JUDGES = ("left", "right", "fine", "coarse")
"""Left alone (on fine labels), right alone (on coarse ones), the bilateral network's fine and coarse head."""
_RATES = {
    # name: (head, whether the head's own hemisphere was right, the other hemisphere, what the head then does)
    "fine rescued": ("fine", "left", 0, "right", 1),
    "fine spoilt": ("fine", "left", 1, "right", 0),
    "coarse rescued": ("coarse", "right", 0, "left", 1),
    "coarse spoilt": ("coarse", "right", 1, "left", 0),
}


def sayings(system: System) -> dict[str, tuple[Predictions, str]]:
    """What each of JUDGES said of the test images, and at which level. It needs no network.

    Raises NotApplicableError where left and right were trained on other labels, or the network lacks a head.
    """
    system.check_specialised()
    system.check_heads()
    return {
        "left": (system.left.predictions, "fine"),
        "right": (system.right.predictions, "coarse"),
        "fine": (system.bilateral.predictions, "fine"),
        "coarse": (system.bilateral.predictions, "coarse"),
    }


def judgements(system: System) -> dict[str, Tensor]:
    """Whether each of JUDGES was right on each test image: bool (N,). Raises as `sayings` does."""
    return {judge: predictions.correct(level) for judge, (predictions, level) in sayings(system).items()}


def compute(study: Study) -> pd.DataFrame:
    """Count the test images in each of the 16 cells, for each seed: JUDGES as 0 or 1, `count`, `share_pct`."""
    frames = []
    for system in study.systems:
        right = pd.DataFrame({judge: values.int().numpy() for judge, values in judgements(system).items()})
        every = pd.MultiIndex.from_product([(0, 1)] * len(JUDGES), names=JUDGES)
        counts = right.groupby(list(JUDGES)).size().reindex(every, fill_value=0)
        frame = counts.rename("count").reset_index()
        frames.append(frame.assign(seed=system.seed, share_pct=100 * frame["count"] / len(right)))
    return pd.concat(frames)[["seed", *JUDGES, "count", "share_pct"]]


def rates(table: pd.DataFrame) -> pd.DataFrame:
    """Of the images that a head's own hemisphere got wrong (right), the share that the head gets right (wrong), %.

    One line a seed, rate ("fine rescued", ...) and `other`: whether the other hemisphere was right (1), wrong (0), or
    either (-1).
    """
    lines = []
    for seed, own in table.groupby("seed"):
        for rate, (head, side, was_right, other, becomes) in _RATES.items():
            for condition in (-1, 0, 1):
                among = own[(own[side] == was_right) & ((own[other] == condition) | (condition == -1))]
                turned = among.loc[among[head] == becomes, "count"].sum()
                total = among["count"].sum()
                lines.append((seed, rate, condition, 100 * turned / total if total else float("nan")))
    return pd.DataFrame(lines, columns=["seed", "rate", "other", "pct"])


def rate_summary(table: pd.DataFrame, rate: str, other: int) -> Summary | None:
    """Summarise one of `rates` over the seeds that have such images; None where none has."""
    found = rates(table)
    values = found.loc[(found["rate"] == rate) & (found["other"] == other), "pct"].dropna().tolist()
    return summarise(values) if values else None


def draw(table: pd.DataFrame) -> Figure:
    """The 16 cells, mean share over seeds; and the rates of rescue and spoiling."""
    figure, (cells, bars) = panels(2, height=3.2)
    shares = table.groupby(list(JUDGES))["share_pct"].mean().unstack(["fine", "coarse"])
    order = [(1, 1), (1, 0), (0, 1), (0, 0)]
    values = shares.reindex(index=order, columns=order).to_numpy()
    cells.imshow(values, cmap=SEQUENTIAL, aspect="auto")
    annotate_cells(cells, values, threshold=values.max() / 2)
    words = ["both", "{0} only", "{1} only", "neither"]
    cells.set_xticks(range(4), [word.format("fine", "coarse") for word in words])
    cells.set_yticks(range(4), [word.format("left", "right") for word in words])
    title = "share of the test images, %"
    cells.set(xlabel="correct in the bilateral network", ylabel="correct alone", title=title)
    cells.grid(False)
    found = rates(table)
    for offset, (condition, label, colour) in enumerate(
        ((1, "other hemisphere correct", COLOURS["bilateral"]), (0, "other hemisphere wrong", COLOURS["other"]))
    ):
        chosen = found[found["other"] == condition].groupby("rate")["pct"]
        means, spread = chosen.mean().reindex(list(_RATES)), chosen.std().reindex(list(_RATES)).fillna(0)
        places = [place + 0.4 * offset - 0.2 for place in range(len(_RATES))]
        bars.bar(places, means, 0.38, yerr=spread, ecolor=INK, color=colour, label=label)
        for place in [place for place, mean in zip(places, means) if pd.isna(mean)]:
            bars.text(place, 2, "no image", rotation=90, ha="center", fontsize=6)
    bars.set_xticks(range(len(_RATES)), [rate.replace(" ", "\n") for rate in _RATES])
    title = "what the heads change (± deviation over seeds)"
    bars.set(ylabel="% of such images", title=title, ylim=(0, 118), yticks=range(0, 101, 20))
    figure.legend(*bars.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    return figure


def tell(table: pd.DataFrame) -> str:
    """Say how much is corrected and spoilt, and whether the other hemisphere makes the difference."""
    heads = (("fine", "left", "right", "superclass"), ("coarse", "right", "left", "fine class"))
    clauses, details = zip(*(_told(table, *head) for head in heads))
    return " ".join([f"The {'; the '.join(clauses)}.", *filter(None, details)])


def _told(table: pd.DataFrame, head: str, own: str, other: str, label: str) -> tuple[str, str]:
    def share(what: str, known: int = -1) -> str | None:
        found = rate_summary(table, f"{head} {what}", known)
        return f"{found['mean']:.1f} %" if found else None

    corrected, spoilt = share("rescued"), share("spoilt")
    mends = (
        f"corrects {corrected} of the mistakes that {own} alone makes"
        if corrected
        else f"has no mistake of {own} to correct"
    )
    spoils = f"spoils {spoilt} of its right answers" if spoilt else f"has no right answer of {own} to spoil"
    known, unknown = share("rescued", 1), share("rescued", 0)
    details = f"The {head} head corrects {known} where {other} knew the {label}, and {unknown} where it did not."
    return f"{head} head {mends}, and {spoils}", details if known and unknown else ""
