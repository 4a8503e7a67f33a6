"""Robustness: what is left of every row's accuracy when the test images are corrupted, or changed to mislead it.

The attack is the fast gradient sign method (Goodfellow et al. 2015, arXiv 1412.6572), on all networks of a row at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..base.memory import memory_errors
from ..base.statistics import Summary, paired_difference, summarise
from ..data.augment import Normalisation
from ..data.corruptions import CORRUPTIONS, corrupt
from ..data.hierarchy import LabelHierarchy
from ..data.images import HierarchicalImages
from ..models.network import Network
from ..runs.predictions import LEVELS, Combination, Predictions
from ..training.evaluation import EVALUATION_BATCH, evaluate
from .activations import native_precision, spread
from .study import Study
from .style import COLOURS, INK, own_rows, panels, row_style

IMAGES = 2000
"""Test images, at most, at even distances."""
CLEAN, ATTACK = "clean", "fgsm"
ATTACK_STEPS, STEP_UNIT = (1, 2), "of 255 (step)"
"""How far the attack moves each channel of each pixel."""
COMPARED = ("unilateral", "unilateral_long", "unilateral_wide", "nonspecialised", "two_left")
"""The published rows with which the subject is compared, beside a config's own."""
_ACROSS = 2
_KEYS = ["corruption", "severity", "unit"]
_Condition = tuple[str, float, str]
_PIXELS = 128 * 32 * 32
"""Of the images of one batch, for which all activations of all networks are kept."""


def compute(study: Study) -> pd.DataFrame:
    """Accuracy (%) by row, seed, corruption with its severity, and level, all in the machine's native precision.

    The corruptions are those of CORRUPTIONS, then the attack `fgsm`, which knows all networks of a row and how they
    are combined. images: how many there were. subject: 1 for the row that the study looks into, else 0.
    """
    lines = []
    for seed in sorted({seed for row in study.rows.values() for seed in row.runs}):
        with native_precision(study.systems[0]):
            answers = sorted(_answers(study, seed), key=lambda answer: list(study.rows).index(answer[0]))
        for name, condition, said in answers:
            images = len(said.labels["fine"])
            begin = (name, study.rows[name].title, int(name == study.subject), seed, images, *condition)
            lines += [(*begin, level, said.accuracy_pct(level)) for level in LEVELS if level in said.logits]
    columns = ["row", "title", "subject", "seed", "images", *_KEYS, "level", "accuracy_pct"]
    return pd.DataFrame(lines, columns=columns)


def _answers(study: Study, seed: int) -> Iterator[tuple[str, _Condition, Predictions]]:
    """What every row says under every condition. Each network is asked once for all rows that it stands in."""
    numbers = spread(len(study.images), IMAGES)
    images, device = study.images.select(numbers), study.systems[0].device
    rows = {name: row for name, row in study.rows.items() if seed in row.runs}
    networks = {
        run.folder: (run.network().to(device).requires_grad_(False).eval(), run.description.normalise)
        for run in {run.folder: run for row in rows.values() for run in row.runs[seed]}.values()
    }
    for condition, changed in _corrupted(images, numbers):
        found = {folder: evaluate(network, changed, normalise) for folder, (network, normalise) in networks.items()}
        said = {folder: Predictions(each.logits, each.labels) for folder, each in found.items()}
        for name, row in rows.items():
            yield name, condition, row.combine([said[run.folder] for run in row.runs[seed]], study.hierarchy)
    labels = {"fine": images.fine, "coarse": images.coarse}
    for name, row in rows.items():
        attacked = Attacked([networks[run.folder] for run in row.runs[seed]], row.combine, study.hierarchy)
        steps = [step / 255 for step in ATTACK_STEPS]
        for step, misled in zip(ATTACK_STEPS, fgsm(attacked, images.images, labels, steps, device)):
            yield name, (ATTACK, step, STEP_UNIT), misled


def _corrupted(images: HierarchicalImages, numbers: Tensor) -> Iterator[tuple[_Condition, HierarchicalImages]]:
    yield (CLEAN, 0, "no change"), images
    for name, corruption in CORRUPTIONS.items():
        for severity in corruption.severities:
            batches = zip(images.images.split(EVALUATION_BATCH), numbers.split(EVALUATION_BATCH))
            changed = torch.cat([corrupt(name, batch, severity, which) for batch, which in batches])
            yield (name, severity, corruption.unit), HierarchicalImages(changed, images.fine, images.coarse)


@dataclass(frozen=True)
class Attacked:
    """The networks of a row in evaluation mode, each with its normalisation, and how their answers are combined."""

    networks: Sequence[tuple[Network, Normalisation]]
    combine: Combination
    hierarchy: LabelHierarchy

    def predict(self, pixels: Tensor, labels: Mapping[str, Tensor]) -> Predictions:
        """What the row says of pixels (B, 3, H, W), 0 to 1; gradients pass through."""
        outputs = [network(normalise_floats(normalise, pixels)) for network, normalise in self.networks]
        logits = [{level: values.float() for level, values in output.logits.items()} for output in outputs]
        return self.combine([Predictions(each, dict(labels)) for each in logits], self.hierarchy)


def normalise_floats(normalise: Normalisation, pixels: Tensor) -> Tensor:
    """Do what `normalise` does with uint8 images to floats (B, 3, H, W) from 0 to 1, so that gradients pass through."""
    mean, std = (pixels.new_tensor(values).view(1, -1, 1, 1) for values in (normalise.mean, normalise.std))
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)


def ascent(attacked: Attacked, pixels: Tensor, labels: Mapping[str, Tensor]) -> Tensor:
    """The sign of the gradient of the row's loss by each pixel of (B, 3, H, W): the same shape.

    The loss is the sum of the cross-entropies of the levels that the row predicts.
    """
    pixels = pixels.detach().requires_grad_()
    with torch.enable_grad():
        said = attacked.predict(pixels, labels)
        loss = torch.stack(
            [cross_entropy(logits, labels[level], reduction="sum") for level, logits in said.logits.items()]
        ).sum()
    (gradient,) = torch.autograd.grad(loss, pixels)
    return gradient.sign()


def fgsm(
    attacked: Attacked, images: Tensor, labels: Mapping[str, Tensor], epsilons: Sequence[float], device: torch.device
) -> list[Predictions]:
    """What a row says of uint8 images (N, 3, H, W) after one step up its loss, for each size of the step.

    epsilons: on the pixel scale 0 to 1. labels: int64 (N,) by level. Raises OutOfMemoryError.
    """
    size = max(1, min(EVALUATION_BATCH, _PIXELS // (images.shape[2] * images.shape[3])))
    parts: list[list[dict[str, Tensor]]] = [[] for _ in epsilons]
    with memory_errors("attacking networks"):
        for indices in torch.arange(len(images)).split(size):
            pixels = images[indices].to(device).float() / 255
            own = {level: values[indices].to(device) for level, values in labels.items()}
            signs = ascent(attacked, pixels, own)
            for part, epsilon in zip(parts, epsilons):
                with torch.inference_mode():
                    said = attacked.predict((pixels + epsilon * signs).clamp(0, 1), own)
                part.append({level: logits.cpu() for level, logits in said.logits.items()})
    return [Predictions(_joined(part), dict(labels)) for part in parts]


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {level: torch.cat([part[level] for part in parts]) for level in parts[0]}


def by_condition(table: pd.DataFrame, level: str = "fine") -> dict[str, dict[str, Summary]]:
    """Accuracy (%) over seeds of each row that predicts `level`: by the row's title, then by condition in words."""
    own = table[table["level"] == level]
    return {
        title: {
            _words(*keys): summarise(values["accuracy_pct"].tolist())
            for keys, values in of_row.groupby(_KEYS, sort=False)
        }
        for title, of_row in own.groupby("title", sort=False)
    }


def _words(corruption: str, severity: float, unit: str) -> str:
    if corruption == CLEAN:
        return CLEAN
    name = "FGSM" if corruption == ATTACK else corruption.replace("_", " ").replace("gaussian", "Gaussian")
    return f"{name}, {severity:g} {unit}"


def draw(table: pd.DataFrame) -> Figure:
    """One panel a condition: accuracy of each row, fine labels filled and coarse ones open, deviation over seeds."""
    rows = table.drop_duplicates("row")
    titles = rows["title"].tolist()
    found = {level: by_condition(table, level) for level in LEVELS}
    conditions = [_words(*keys) for keys, _ in table.groupby(_KEYS, sort=False)]
    down = -(-len(conditions) // _ACROSS)
    figure, axes = panels(down, _ACROSS, 0.8 + 0.17 * len(rows), sharex=True, sharey=True, squeeze=False)
    marks = {"elinewidth": 0.8, "markeredgewidth": 0.8, "ecolor": INK, "capsize": 0, "markersize": 5}
    for panel, condition in zip(axes.flat, conditions):
        for place, (name, title) in enumerate(zip(rows["row"], titles)):
            colour, _, marker = row_style(name)
            for level, face in (("coarse", "none"), ("fine", colour)):
                summary = found[level].get(title, {}).get(condition)
                if summary is not None:
                    look = {"fmt": marker, "color": colour, "mfc": face, "xerr": summary["std"] or 0}
                    panel.errorbar(summary["mean"], place, **look, **marks)
        panel.set_title(condition.replace(", ", "\n", 1), fontsize=8)
    for panel in list(axes.flat)[len(conditions) :]:
        panel.set_visible(False)
    lowest = axes.flat[max(len(conditions) - _ACROSS, 0) : len(conditions)]
    axes[0, 0].set(yticks=range(len(rows)), ylim=(len(rows) - 0.5, -0.5), yticklabels=titles)
    for panel in axes[:, 0]:
        panel.tick_params(axis="y", labelsize=7)
    for panel in lowest:
        panel.tick_params(axis="x", labelbottom=True)
        panel.set_xlabel("accuracy, % (± deviation)")
    for face, level in ((COLOURS["other"], "fine labels"), ("none", "coarse labels")):
        axes[0, 0].plot([], [], "o", color=COLOURS["other"], mfc=face, label=level)
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def drops(table: pd.DataFrame, level: str) -> pd.DataFrame:
    """Points of accuracy that each row (line) loses with each seed (column): clean, minus the mean of all others."""
    own = table[table["level"] == level]
    clean = own[own["corruption"] == CLEAN].pivot(index="row", columns="seed", values="accuracy_pct")
    changed = own[own["corruption"] != CLEAN].groupby(["row", "seed"])["accuracy_pct"].mean().unstack()
    return clean - changed


def tell(table: pd.DataFrame) -> str:
    """Say what the subject loses on average, and by how much that differs from what the controls lose."""
    subject = table[table["subject"] == 1]
    name, title, images = (subject[column].iloc[0] for column in ("row", "title", "images"))
    level = next(level for level in LEVELS if level in set(subject["level"]))
    lost = drops(table, level)
    titles = table.drop_duplicates("row").set_index("row")["title"]
    count = table.groupby(_KEYS).ngroups - 1
    others = [row for row in [*COMPARED, *own_rows(lost.index)] if row in lost.index and row != name]
    compared = [_compared(lost, name, row, titles[row]) for row in others]
    begin = (
        f"“{title}” loses {lost.loc[name].mean():.1f} points of {level} accuracy on average over {count} corruptions "
        f"and attacks of {images:,} test images."
    )
    if not compared:
        return f"{begin} There is no control to compare that with."
    return f"{begin} Compared with it, {'; '.join(compared)}."


def _compared(lost: pd.DataFrame, subject: str, row: str, title: str) -> str:
    pairs = lost.loc[[subject, row]].dropna(axis=1)
    if pairs.empty:
        return f"“{title}” has no seed in common"
    found = paired_difference(pairs.loc[row].tolist(), pairs.loc[subject].tolist())
    if found.ci95 is None:
        return f"“{title}” loses {pairs.loc[row].mean():.1f} (one seed)"
    low, high = found.ci95
    interval = f"{found.mean:+.2f}, 95 % interval {low:.2f} to {high:.2f}"
    if low <= 0 <= high:
        return f"“{title}” is too close to call ({interval})"
    return f"“{title}” loses {'more' if low > 0 else 'less'} ({interval})"
