"""What each row costs, beside what it reaches."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from ..base.statistics import summarise
from ..models.cost import network_cost
from ..runs.estimate import training_seconds
from ..runs.predictions import LEVELS
from ..runs.stored import StoredRun
from .study import Study
from .style import panels, row_style


def compute(study: Study) -> pd.DataFrame:
    """One line a row: cost of all its networks together, and accuracies (%) with their 95 % intervals over seeds.

    training_pflops: 10^15 FLOPs of all trainings that it builds on, from the experiment's table; absent without one.
    training_s: of the same trainings, as they were timed, mean over seeds.
    """
    recorded = {row["name"]: row for row in (study.table or {"rows": []})["rows"]}
    lines = []
    for name, row in study.rows.items():
        first = next(iter(row.runs.values()))
        costs = [
            network_cost(each.model, each.fine_count, each.coarse_count, each.image_size)
            for each in (run.description for run in first)
        ]
        line: dict[str, object] = {
            "row": name,
            "title": row.title,
            "seeds": len(row.runs),
            "parameters": sum(cost.parameters for cost in costs),
            "trainable_parameters": sum(cost.trainable_parameters for cost in costs),
            "multiply_adds": sum(cost.forward_flops // 2 for cost in costs),
            "training_pflops": recorded.get(name, {}).get("training_pflops"),
            "training_s": summarise([_seconds(runs) for runs in row.runs.values()])["mean"],
        }
        predictions = study.predictions(name)
        for level in LEVELS:
            values = [each.accuracy_pct(level) for each in predictions.values() if level in each.logits]
            summary = summarise(values) if values else None
            low, high = (summary and summary["ci95"]) or (None, None)
            line |= {f"{level}_pct": summary and summary["mean"], f"{level}_low": low, f"{level}_high": high}
        lines.append(line)
    return pd.DataFrame(lines)


def _seconds(runs: Sequence[StoredRun]) -> float:
    every: dict[str, StoredRun] = {}

    def collect(run: StoredRun) -> None:
        every[str(run.folder.resolve())] = run
        for parent in run.parents().values():
            collect(parent)

    for run in runs:
        collect(run)
    return sum(training_seconds(run.folder) for run in every.values())


def draw(table: pd.DataFrame) -> Figure:
    """Accuracy against the arithmetic of an image's pass, and of training, where that is known."""
    by = {"multiply_adds": "multiply-adds of an image"}
    if table["training_pflops"].notna().any():
        by["training_pflops"] = "PFLOPs of training"
    figure, axes = panels(2 * len(by), height=2.4, squeeze=False)
    for row, level in zip(axes.reshape(2, len(by)), LEVELS):
        for panel, (cost, label) in zip(row, by.items()):
            for _, each in table.dropna(subset=[f"{level}_pct", cost]).iterrows():
                colour, _, marker = row_style(each["row"])
                mean, low, high = (each[f"{level}_{part}"] for part in ("pct", "low", "high"))
                ends = None if pd.isna(low) else [[mean - max(low, 0)], [min(high, 100) - mean]]
                panel.errorbar(each[cost], mean, ends, fmt=marker, color=colour, elinewidth=0.8, label=each["title"])
            panel.set(xlabel=label, xscale="log" if cost == "training_pflops" else "linear")
            panel.set_ylabel(f"{level}, % (95 % interval)")
    handles = {label: line for panel in axes.flat for line, label in zip(*panel.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, fontsize=7)
    return figure


def tell(table: pd.DataFrame) -> str:
    """Name the best row for its cost at each level: no other is both cheaper and better."""
    cost = "training_pflops" if table["training_pflops"].notna().any() else "multiply_adds"
    texts = []
    for level in LEVELS:
        own = table.dropna(subset=[f"{level}_pct"]).sort_values([cost, f"{level}_pct"], ascending=[True, False])
        best = own[own[f"{level}_pct"] > own[f"{level}_pct"].cummax().shift(fill_value=-1)]
        if len(best):
            texts.append(f"on {level} labels {', '.join(f'“{title}”' for title in best['title'])}")
    what = "training" if cost == "training_pflops" else "an image's pass"
    return f"Best for their cost are {'; '.join(texts)}. No network that costs less in {what} is as accurate as these."
