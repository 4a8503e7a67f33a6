"""What each row costs, beside what it reaches."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from ..base.statistics import first_place, summarise
from ..models.cost import network_cost
from ..runs.estimate import training_seconds
from ..runs.predictions import LEVELS
from ..runs.stored import StoredRun
from .study import Study
from .style import panels, row_style, sentence


def compute(study: Study) -> pd.DataFrame:
    """One line a row: cost of all its networks together, and accuracies (%) with their 95 % intervals over seeds.

    training_pflops: 10^15 FLOPs of all trainings that it builds on, from the experiment's table; absent without one.
    training_s: of the same trainings, as they were timed, mean over seeds. fine_ahead, ...: see `ahead`.
    """
    recorded = {row["name"]: row for row in (study.table or {"rows": []})["rows"]}
    lines = []
    reached: dict[str, dict[tuple[str, int], float]] = {level: {} for level in LEVELS}
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
            by_seed = {s: each.accuracy_pct(level) for s, each in predictions.items() if level in each.logits}
            reached[level] |= {(name, seed): value for seed, value in by_seed.items()}
            summary = summarise([*by_seed.values()]) if by_seed else None
            low, high = (summary and summary["ci95"]) or (None, None)
            line |= {f"{level}_pct": summary and summary["mean"], f"{level}_low": low, f"{level}_high": high}
        lines.append(line)
    table = pd.DataFrame(lines)
    return table.join([ahead(table, level, reached[level]) for level in LEVELS])


def ahead(table: pd.DataFrame, level: str, reached: Mapping[tuple[str, int], float]) -> pd.DataFrame:
    """By how many points each row is more accurate than the nearest of those that cost no more.

    reached: accuracy (%) by row and seed. nearest: that one's title, absent of the cheapest (which it is:
    see `base.statistics.first_place`). ahead: the points, paired by seed, with low and high, their 95 % interval,
    absent for one seed.
    """
    spent = table.set_index("row")[_cost(table)]
    spent = spent[spent.index.isin([row for row, _ in reached])]
    titles = table.set_index("row")["title"]
    lines = []
    for row in table["row"]:
        rivals = set(spent.index[spent <= spent[row]]) if row in spent else set()
        line: dict[str, object] = dict.fromkeys(("nearest", "ahead", "ahead_low", "ahead_high"))
        if len(rivals) > 1:
            found = first_place({key: value for key, value in reached.items() if key[0] in rivals}, first=row)
            line["nearest"] = titles[found.second]
            if found.differences:
                summary = summarise(found.differences)
                line["ahead"] = summary["mean"]
                line["ahead_low"], line["ahead_high"] = summary["ci95"] or (None, None)
        lines.append({f"{level}_{part}": value for part, value in line.items()})
    return pd.DataFrame(lines, index=table.index)


def _cost(table: pd.DataFrame) -> str:
    """The column of costs by which rows are compared."""
    return "training_pflops" if table["training_pflops"].notna().any() else "multiply_adds"


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
    """Name the rows that are shown to be more accurate than all that cost no more, then all that are on average."""
    one_seed = table["seeds"].max() == 1
    clauses, details, named = [], [], False
    for level in LEVELS:
        front = _front(table, level)
        if front.empty:
            continue
        dearer = front.iloc[1:]
        best = dearer if one_seed else front[front[f"{level}_ahead_low"] > 0]
        titles = ", ".join(f"“{title}”" for title in best["title"])
        named = named or bool(titles)
        clauses.append(f"on {level} labels {titles or 'no network'}")
        cheapest = front.iloc[0]
        told_ahead = [f"then “{each['title']}” {_told_ahead(each, level)}" for _, each in dearer.iterrows()]
        begin = f"on {level} labels “{cheapest['title']}” ({cheapest[f'{level}_pct']:.1f} %)"
        details.append(", ".join([begin, *told_ahead]))
    what = "training" if _cost(table) == "training_pflops" else "an image's pass"
    rivals = f"more accurate than all networks that cost no more in {what}"
    conclusion = f"{'in this one seed' if one_seed else 'shown to be'} {rivals}: {'; '.join(clauses)}"
    concluded = sentence(conclusion if named else f"no network is shown to be {rivals}")
    if not any(", then " in detail for detail in details):
        return f"{concluded} No network is more accurate on average than the cheapest one: {'; '.join(details)}."
    return (
        f"{concluded} From the cheapest, each more accurate on average than all before it: {'; '.join(details)} "
        "(points beyond the nearest of those; 95 % intervals, paired by seed, not corrected for their number)."
    )


def _front(table: pd.DataFrame, level: str) -> pd.DataFrame:
    """The rows that are more accurate on average than all that cost no more, in order of cost."""
    cost = _cost(table)
    own = table.dropna(subset=[f"{level}_pct", cost]).sort_values([cost, f"{level}_pct"], ascending=[True, False])
    return own[own[f"{level}_pct"] > own[f"{level}_pct"].cummax().shift(fill_value=-1)]


def _told_ahead(line: pd.Series, level: str) -> str:
    points, low, high = (line[f"{level}_{part}"] for part in ("ahead", "ahead_low", "ahead_high"))
    if pd.isna(points):
        return f"(no seed in common with “{line[f'{level}_nearest']}”)"
    ends = "one seed" if pd.isna(low) else f"{low:+.1f} to {high:+.1f}"
    return f"{points:+.1f} ({ends}) beyond “{line[f'{level}_nearest']}”"
