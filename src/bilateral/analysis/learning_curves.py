"""Learning curves over epochs, with bands over seeds."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..base.statistics import first_place
from .study import NotApplicableError, Study
from .style import claim, panels, row_style, sentence, told_first_place


def compute(study: Study) -> pd.DataFrame:
    """Loss and accuracy (0 to 1) of every epoch, for each row that is one network: row, seed, epoch, metric, value.

    subject: 1 for the row that the study looks into, else 0. level: of a network of one head; "both" of one of two.
    metric: by the original's names (`val_acc`, with two heads `val_acc_fine`, ...). Training metrics are of augmented
    images, while the network changes; validation metrics of held-out images, or of the test images under
    `protocol: original`. `damage` is 1 in the epoch in which a lesion begins.
    """
    lines = []
    for name, row in study.rows.items():
        for seed, runs in row.runs.items():
            for run in runs if len(runs) == 1 else []:
                levels = list(run.predictions.logits)
                begin = (name, row.title, int(name == study.subject), levels[0] if len(levels) == 1 else "both", seed)
                for epoch in run.epochs():
                    number = int(epoch.pop("epoch"))
                    lines += [(*begin, number, metric, value) for metric, value in epoch.items()]
                starts = [lesion.from_epoch for lesion in run.config.model.lesions.values() if lesion.from_epoch]
                lines += [(*begin, start, "damage", 1.0) for start in starts]
    columns = ["row", "title", "subject", "level", "seed", "epoch", "metric", "value"]
    table = pd.DataFrame(lines, columns=columns)
    if all(accuracies(table, level).empty for level in ("fine", "coarse")):
        raise NotApplicableError("the runs have no validation accuracies in their metrics.jsonl")
    return table


def accuracies(table: pd.DataFrame, level: str, head: str = "val") -> pd.DataFrame:
    """Accuracy at a level, %, of the rows that have it: columns as in `compute`."""
    one_head = (table["metric"] == f"{head}_acc") & (table["level"] == level)
    found = table[one_head | (table["metric"] == f"{head}_acc_{level}")]
    return found.assign(value=100 * found["value"])


def draw(table: pd.DataFrame) -> Figure:
    """Validation accuracy, mean and lowest to highest seed; dotted: a lesion begins."""
    figure, axes = panels(2, height=3.0)
    for panel, level in zip(axes, ("fine", "coarse")):
        for (row, title), own in accuracies(table, level).groupby(["row", "title"], sort=False):
            curve = own.groupby("epoch")["value"].agg(["mean", "min", "max"])
            colour, line, _ = row_style(str(row))
            panel.plot(curve.index, curve["mean"], line, color=colour, label=title)
            panel.fill_between(curve.index, curve["min"], curve["max"], color=colour, alpha=0.15, linewidth=0)
            for begin in _damage(table, str(row)):
                panel.axvline(begin, color=colour, linewidth=0.8, linestyle=":")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        title = f"{level} labels (band: lowest to highest seed)"
        panel.set(title=title, xlabel="epoch", ylabel="validation accuracy, %")
    handles = {label: line for panel in axes for line, label in zip(*panel.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, fontsize=7)
    return figure


def _damage(table: pd.DataFrame, row: str) -> list[int]:
    """The epochs in which a row's lesions begin."""
    return sorted(set(table.loc[(table["row"] == row) & (table["metric"] == "damage"), "epoch"]))


def _recovery(table: pd.DataFrame, row: str) -> list[str]:
    """What each level loses when a row's lesions begin, and how much of it comes back; as sentences."""
    texts = []
    for begin in _damage(table, row):
        for level in ("fine", "coarse"):
            curve = accuracies(table, level).query("row == @row").groupby("epoch")["value"].mean()
            before, after = curve[curve.index < begin], curve[curve.index >= begin]
            if len(before) and len(after):
                steps = f"{before.iloc[-1]:.1f} to {after.iloc[0]:.1f} %, and ends at {after.iloc[-1]:.1f} %"
                texts.append(f"When it is damaged in epoch {begin}, its accuracy on {level} labels goes from {steps}.")
    return texts


def tell(table: pd.DataFrame) -> str:
    """Say when the subject's fine head was nearly at its best, and which network ends best, if that is shown."""
    texts = []
    own = accuracies(table, "fine").query("subject == 1")
    heads = own.groupby("epoch")["value"].mean()
    if not heads.empty:
        near, title = heads.index[heads >= heads.max() - 1][0], own["title"].iloc[0]
        best = f"its best accuracy on fine labels ({heads.max():.1f} %)"
        texts.append(f"After epoch {near} of {heads.index[-1]}, “{title}” is within a point of {best}.")
        texts += _recovery(table, own["row"].iloc[0])
    for level in ("fine", "coarse"):
        last = accuracies(table, level).sort_values("epoch").groupby(["title", "seed"])["value"].last()
        last = last.rename(lambda title: f"“{title}”", level="title")
        texts += [_ended(last, level)] if len(last) else []
    return " ".join(texts)


def _ended(last: pd.Series, level: str) -> str:
    """Which network is the most accurate at the end; last: by title and seed."""
    means = last.groupby("title").mean()
    if len(means) == 1:
        return f"On {level} labels {means.index[0]} ends at {means.iloc[0]:.1f} %."
    found = first_place(last.to_dict())
    most = f"{found.first} is the most accurate at the end on {level} labels"
    none = f"no network is shown to be the most accurate at the end on {level} labels"
    return f"{sentence(claim(found, most, none))} {sentence(told_first_place(found, unit=' %'))}"
