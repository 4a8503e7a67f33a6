"""Linear probes (Alain and Bengio 2016, arXiv 1610.01644): what can be read from each stage of each hemisphere.

Linear discriminant analysis of the stage's maps averaged over their positions, its covariance shrunk after Ledoit and
Wolf (2004): a linear classifier in closed form, without a setting to choose.
"""

from statistics import fmean
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from ..base.statistics import first_place
from ..data.images import HierarchicalImages
from ..models.config import SIDES
from ..runs.predictions import LEVELS
from .activations import spread, stage_means
from .study import NotApplicableError, Study
from .style import COLOURS, claim, panels, sentence, told_first_place

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESTS_ON: tuple[str, ...] = ()  # beside its own readouts
TRAINING_IMAGES = 5000
"""Training images, at most, that a probe learns from; at even distances, not augmented."""


def compute(study: Study) -> pd.DataFrame:
    """Accuracy on the test images, %, of a probe for every seed, side, stage and level. channels: its inputs.

    A level is left out where the training images have one of its labels alone.
    """
    (chosen, levels), test = learnable(study), study.images
    lines = []
    for system in study.systems:
        learnt, tested = (stage_means(system, images.images) for images in (chosen, test))
        for (side, stage), values in learnt.items():
            for level in levels:
                labels = [getattr(images, level).numpy() for images in (chosen, test)]
                accuracy = probe(values.numpy(), labels[0], tested[side, stage].numpy(), labels[1])
                lines.append((system.seed, side, stage, level, values.shape[1], 100 * accuracy))
    return pd.DataFrame(lines, columns=["seed", "side", "stage", "level", "channels", "accuracy_pct"])


def learnable(study: Study) -> tuple[HierarchicalImages, list[str]]:
    """The training images that are learnt from, and the levels for which that can be."""
    chosen = study.dataset.train.select(spread(len(study.dataset.train), TRAINING_IMAGES))
    levels = [level for level in LEVELS if 1 < len(getattr(chosen, level).unique()) < len(chosen)]
    if not levels:
        raise NotApplicableError("the training images have one label alone, or one image for each label")
    return chosen, levels


def probe(train: "NDArray", train_labels: "NDArray", test: "NDArray", test_labels: "NDArray") -> float:
    """Fit a probe to `train` (N, D) with labels (N,), and give its accuracy (0 to 1) on `test` (M, D)."""
    return float((readout(train, train_labels, test) == test_labels).mean())


def readout(train: "NDArray", train_labels: "NDArray", test: "NDArray") -> "NDArray":
    """Fit a probe to `train` (N, D) with labels (N,), and give the labels that it names for `test` (M, D): (M,)."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis  # takes a second to import

    fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(train, train_labels)
    named: NDArray = fitted.predict(test)
    return named


def readouts(table: pd.DataFrame) -> dict[str, float]:
    """Accuracy (%) by level of a probe of the last stage, on the side where that is higher; mean over seeds."""
    means = table.groupby(["level", "side", "stage"], sort=False)["accuracy_pct"].mean()
    return means.groupby(["level", "side"], sort=False).last().groupby("level", sort=False).max().to_dict()


def draw(table: pd.DataFrame) -> Figure:
    """Accuracy over the stages: left and right, fine and coarse; band: lowest to highest seed."""
    levels = list(table["level"].unique())
    figure, axes = panels(len(levels), height=2.8, squeeze=False)
    for panel, level in zip(axes[:, 0], levels):
        for side in SIDES:
            own = table[(table["side"] == side) & (table["level"] == level)]
            by_stage = own.groupby("stage", sort=False)["accuracy_pct"].agg(["mean", "min", "max"])
            panel.plot(by_stage.index, by_stage["mean"], marker="o", color=COLOURS[side], label=side)
            band = {"color": COLOURS[side], "alpha": 0.2, "linewidth": 0}
            panel.fill_between(by_stage.index, by_stage["min"], by_stage["max"], **band)
        panel.set(
            title=f"{level} labels (band: lowest to highest seed)", ylabel="accuracy of a probe, %", ylim=(0, None)
        )
        panel.tick_params(axis="x", rotation=60)
    axes[0, 0].legend()
    return figure


def tell(table: pd.DataFrame) -> str:
    """Say what can be read from each hemisphere's last stage, and where the other one's labels are read best."""
    means = table.groupby(["side", "level", "stage"])["accuracy_pct"].agg(fmean)
    last = {side: table.loc[table["side"] == side, "stage"].iloc[-1] for side in SIDES}
    texts: list[str] = []
    for level in table["level"].unique():
        left, right = (means[side, level, last[side]] for side in SIDES)
        texts.append(
            f"{left:.1f} % and {right:.1f} % of coarse ones"
            if texts
            else f"{left:.1f} % of {level} labels from left and {right:.1f} % from right"
        )
    text = f"A linear classifier on the last stage names {', '.join(texts)} correctly."
    in_right = table[(table["side"] == "right") & (table["level"] == "fine")]
    if in_right["stage"].nunique() > 1:
        found = first_place(in_right.set_index(["stage", "seed"])["accuracy_pct"].to_dict())
        best = f"fine labels are read best in right at {found.first}"
        first = claim(found, best, "no stage of right is shown to be the best to read fine labels from")
        text += f" {sentence(first)} The stages {told_first_place(found, unit=' %')}."
    return text
