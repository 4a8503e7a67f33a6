"""Specialisation: which hemisphere knows which labels, and which one each head needs.

Readouts are trained anew on each frozen hemisphere, for fine and for coarse labels (Bena and Goodman 2025, Nature
Communications, 10.1038/s41467-024-55188-9). The laterality index of two values is (left - right) / (left + right), from
-1, all on the right, to 1; beyond 0.2 either way one usually speaks of lateralisation (PMC5508809). Specialisation is
half of what the indices of fine and of coarse labels differ by; theirs is its absolute value. A network in which
nothing tells the sides to differ is the yardstick (`asymmetries`).
"""

import math

import pandas as pd
from matplotlib.figure import Figure

from ..base.statistics import side_of_zero, summarise
from ..models.config import SIDES
from ..models.lesions.silence import Silence
from ..runs.predictions import LEVELS
from ..training.evaluation import Evaluation
from .heads import SILENCED, accuracies
from .probes import learnable, probe
from .study import Study
from .style import COLOURS, INK, panels, seed_points, sentence, told

LATERALISED = 0.2
FORM = "+.2f"
MEASURES = {"readout": "readout above chance", "silencing": "loss when silenced"}


def compute(study: Study, readouts_only: bool = False) -> pd.DataFrame:
    """What each side is worth, in points of accuracy on the test images, for every seed and level of labels.

    measure: `readout`, the accuracy above chance of a linear readout of the side's features, trained on at most
    TRAINING_IMAGES training images; `silencing`, what the head of the network loses with the side's features replaced
    by their mean. Neither is below 0. What a bridge brings from the other side counts for the side that hears it;
    `crosstalk` is how much of the readout's accuracy this is: what is lost, and may be gained, by a readout that is
    trained with all bridges silenced. chance_pct: the accuracy of guessing at random. readouts_only: leave out the
    other two.

    Raises NotApplicableError where no level can be learnt.
    """
    chosen, levels = learnable(study)
    lines = []
    for system in study.systems:
        network, learnt, tested = system.network, system.evaluate(chosen), study.evaluation(system)
        apart, heard = [], {}
        if not readouts_only:
            with network.lesioned(dict.fromkeys(network.bridges, Silence())):
                apart = [system.evaluate(images) for images in (chosen, study.images) if network.bridges]
            heard = {silenced: accuracies(network, tested, lesions) for silenced, lesions in SILENCED.items()}
        for level in levels:
            chance = 1 / len(getattr(chosen, level).unique())
            for side in SIDES:
                known = _readout(side, level, learnt, tested)
                lines.append((system.seed, level, "readout", side, max(0.0, 100 * (known - chance)), 100 * chance))
                if apart:
                    brought = 100 * (known - _readout(side, level, *apart))
                    lines.append((system.seed, level, "crosstalk", side, brought, 100 * chance))
                if heard and level in tested.logits:
                    lost = 100 * (heard["none"][level] - heard[side][level])
                    lines.append((system.seed, level, "silencing", side, max(0.0, lost), 100 * chance))
    return pd.DataFrame(lines, columns=["seed", "level", "measure", "side", "points", "chance_pct"])


def _readout(side: str, level: str, learnt: Evaluation, tested: Evaluation) -> float:
    train, test = ((said.features[side].numpy(), said.labels[level].numpy()) for said in (learnt, tested))
    return probe(*train, *test)


def readouts(table: pd.DataFrame) -> dict[str, float]:
    """Accuracy (%) by level of a readout, of the side for which that is higher; mean over seeds."""
    own = table[table["measure"] == "readout"]
    means = (own["points"] + own["chance_pct"]).groupby([own["level"], own["side"]], sort=False).mean()
    return means.groupby("level", sort=False).max().to_dict()


def laterality(table: pd.DataFrame, measure: str, level: str) -> pd.Series:
    """The laterality index by seed; NaN where neither side is worth anything."""
    own = table[(table["measure"] == measure) & (table["level"] == level)]
    points = own.pivot(index="seed", columns="side", values="points").reindex(columns=list(SIDES))
    both = points["left"] + points["right"]
    return ((points["left"] - points["right"]) / both.where(both > 0, math.nan)).rename("index")


def specialisation(table: pd.DataFrame, measure: str) -> pd.Series:
    """By seed, half of the laterality of fine labels less that of coarse ones; above 0 left is for fine labels.

    From -1 to 1, where each side knows the labels of one level alone.
    """
    return ((laterality(table, measure, "fine") - laterality(table, measure, "coarse")) / 2).dropna()


def draw(table: pd.DataFrame) -> Figure:
    """The laterality index of each level, a point a seed, the mean and its 95 % interval."""
    figure, axes = panels(2, height=1.6, sharex=True)
    levels = [level for level in LEVELS if level in set(table["level"])]
    for panel, (measure, title) in zip(axes, MEASURES.items()):
        panel.axvspan(-LATERALISED, LATERALISED, color=COLOURS["other"], alpha=0.15, linewidth=0)
        panel.axvline(0, color=INK, linewidth=0.6)
        for place, level in enumerate(levels):
            seed_points(panel, place, laterality(table, measure, level).dropna().tolist(), COLOURS[level])
        panel.set(title=title, xlim=(-1.05, 1.05), ylim=(len(levels) - 0.5, -0.5))
        panel.set_yticks(range(len(levels)), [f"{level} labels" for level in levels])
    axes[-1].set_xlabel("right ← laterality → left")
    return figure


def _led(level: str, indices: list[float]) -> str:
    """Which hemisphere knows a level better, by readouts, if that is shown; or that neither is lateralised."""
    found = summarise(indices)
    index, seeds = f"laterality {found['mean']:{FORM}}", "in this one seed " if len(indices) == 1 else ""
    low, high = found["ci95"] or (found["mean"],) * 2
    if low > -LATERALISED and high < LATERALISED:
        return f"{seeds}both hemispheres know the {level} labels about equally well ({index})"
    if not seeds and not side_of_zero(indices):
        return f"neither hemisphere is shown to know the {level} labels better ({index})"
    return f"{seeds}{'left' if found['mean'] > 0 else 'right'} knows the {level} labels better ({index})"


def tell(table: pd.DataFrame) -> str:
    """Say how lateralised each level is, and whether the sides differ in what they are for."""
    texts = []
    for measure, title in MEASURES.items():
        indices = {level: found for level in LEVELS if len(found := laterality(table, measure, level).dropna())}
        if indices:
            parts = [f"{level} labels {told(found, FORM)}" for level, found in indices.items()]
            text = f"by {title}, {' and '.join(parts)}"
            if len(indices) == len(LEVELS) and len(differing := specialisation(table, measure)):
                text += f"; specialisation is {told(differing, FORM)}"
            texts.append(text)
    if not texts:
        return "Neither side is worth anything above chance."
    known = {level: laterality(table, "readout", level).dropna().tolist() for level in LEVELS}
    begin = "; ".join(_led(level, found) for level, found in known.items() if found)
    text = f"{sentence(begin)} " if begin else ""
    text += f"Laterality (1: all in left, -1: all in right), {'. And '.join(texts)}."
    heard = table[table["measure"] == "crosstalk"].groupby(["side", "level"], sort=False)["points"]
    said = [f"{side} {told(points)} points on {level} labels" for (side, level), points in heard]
    return text + (f" Bridges bring {', '.join(said)}." if said else "")
