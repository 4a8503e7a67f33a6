"""Weights: how much the heads hear of left, image by image, where the join weighs the sides (as gate does).

Goldberg and Costa (1981, Brain and Language 14:144) hold that the right hemisphere meets what is new and the left what
is routine. Whether a weight follows the image shows in its deviation, and in whether it is larger for a side that is
right on that image.
"""

import pandas as pd
from matplotlib.figure import Figure

from ..models.config import SIDES
from ..runs.predictions import LEVELS
from .study import NotApplicableError, Study
from .style import COLOURS, INK, LONGEST_CLASS, panels, seed_points, short, told

STEADY = 0.05
"""The deviation of a weight over images below which it is nearly the same."""
MOST_CLASSES = 30
"""Superclasses in the figure: those of the lowest and of the highest weights."""


def compute(study: Study) -> pd.DataFrame:
    """One line a seed and test image.

    superclass: its name. left: the weight of the left side, 0 to 1; that of the right side is the rest.
    fine_correct, coarse_correct: whether the network's answer is right (1) or not (0). left_fine_correct, ...: the
    same of the answer of each side's own head, for those that there are.
    """
    frames = []
    for system in study.systems:
        said = study.evaluation(system)
        if not said.weights:
            raise NotApplicableError(
                f"the join {system.bilateral.description.model.join.kind} does not weigh the sides"
            )
        device = next(system.network.parameters()).device
        own = system.network.classify({side: values.to(device) for side, values in said.features.items()}).own
        answers = {f"{level}_correct": (logits, level) for level, logits in said.logits.items()}
        answers |= {f"{side}_{level}_correct": (own[side][level], level) for side in own for level in own[side]}
        begin = {
            "seed": system.seed,
            "image": range(len(study.images)),
            "superclass": [study.hierarchy.coarse_names[label] for label in said.labels["coarse"]],
            "left": said.weights["left"].numpy(),
        }
        correct = {
            name: (logits.argmax(1).cpu() == said.labels[level]).int().numpy()
            for name, (logits, level) in answers.items()
        }
        frames.append(pd.DataFrame(begin | correct))
    return pd.concat(frames, ignore_index=True)


def difference(table: pd.DataFrame, level: str) -> list[float]:
    """By seed, left's mean weight where the head of `level` is right less that where it is wrong; if there is both."""
    means = table.groupby(["seed", f"{level}_correct"])["left"].mean().unstack().reindex(columns=[0, 1])
    return (means[1] - means[0]).dropna().tolist()


def correlation(table: pd.DataFrame, answer: str) -> list[float]:
    """By seed, the correlation of left's weight with whether an own answer ("left_fine") is right; where both vary."""
    columns = ["left", f"{answer}_correct"]
    return [own[columns].corr().iloc[0, 1] for _, own in table.groupby("seed") if (own[columns].nunique() > 1).all()]


def _own_answers(table: pd.DataFrame) -> list[str]:
    names = [f"{side}_{level}" for side in SIDES for level in LEVELS]
    return [name for name in names if f"{name}_correct" in table]


def _told_head(name: str) -> str:
    return name.replace("_", "'s ") + " head"


def draw(table: pd.DataFrame) -> Figure:
    """The weights of all images; by superclass; and what they have to do with right answers. A point is a seed."""
    by_class = table.groupby(["superclass", "seed"])["left"].mean().unstack()
    by_class = by_class.loc[by_class.mean(axis="columns").sort_values().index]
    if len(by_class) > MOST_CLASSES:
        by_class = pd.concat([by_class.iloc[: MOST_CLASSES // 2], by_class.iloc[-MOST_CLASSES // 2 :]])
    heights = [2.6, max(2.0, 0.8 + 0.16 * len(by_class)), 2.4]
    figure, (spread, classes, answers) = panels(3, height=sum(heights) / 3, gridspec_kw={"height_ratios": heights})
    for _, own in table.groupby("seed"):
        spread.hist(own["left"], bins=40, range=(0, 1), density=True, histtype="step", color=COLOURS["left"], alpha=0.7)
    spread.set(title="all images", xlabel="weight of left", ylabel="density", xlim=(0, 1))
    for place, means in enumerate(by_class.to_numpy()):
        seed_points(classes, place, means.tolist(), COLOURS["left"])
    classes.set(title="by superclass", xlabel="mean weight of left")
    classes.set_yticks(range(len(by_class)), [short(str(name), LONGEST_CLASS) for name in by_class.index], fontsize=7)
    lines = {
        f"{level} answer:\ncorrect minus wrong": difference(table, level)
        for level in LEVELS
        if f"{level}_correct" in table
    }
    lines |= {f"correlation with\n{_told_head(name)}": correlation(table, name) for name in _own_answers(table)}
    for place, values in enumerate(lines.values()):
        seed_points(answers, place, values, COLOURS["bilateral"])
    answers.axvline(0, color=INK, linewidth=0.6)
    answers.set(title="weight of left, and correct answers", ylim=(len(lines) - 0.5, -0.5))
    answers.set_yticks(range(len(lines)), list(lines), fontsize=7)
    return figure


def tell(table: pd.DataFrame) -> str:
    """Say how large left's weight is, how it varies, and what it has to do with right answers."""
    by_class = table.groupby("superclass")["left"].mean()
    deviation = table.groupby("seed")["left"].std(ddof=0).mean()
    mean = table["left"].mean()
    mix = "nearly the same mix for every image" if deviation < STEADY else "another mix for every image"
    text = f"The join uses {mix}. On average it weighs left by {mean:.2f} and right by {1 - mean:.2f}, "
    text += f"with a deviation of {deviation:.3f} over images"
    if len(by_class) > 1:
        low, high = by_class.idxmin(), by_class.idxmax()
        text += f", from {by_class[low]:.2f} for {low} to {by_class[high]:.2f} for {high}"
    sentences = [text]
    for level in LEVELS:
        if f"{level}_correct" in table and (found := difference(table, level)):
            means = told(found, "+.3f")
            sentences.append(f"Where the {level} answer is right it differs by {means} from where it is wrong")
    related = [
        f"{_told_head(name)} {told(found, '+.2f')}"
        for name in _own_answers(table)
        if (found := correlation(table, name))
    ]
    if related:
        sentences.append(f"Its correlation with right answers of own heads: {'; '.join(related)}")
    return f"{'. '.join(sentences)}."
