"""An experiment's tables as people read them: plain text, Markdown, LaTeX."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from ..base.statistics import Summary, summarise
from .experiment import RowResult, Table
from .measures import MEASURES

COSTS = {
    "parameters": "parameters",
    "trainable_parameters": "trainable",
    "multiply_adds": "multiply-adds",
    "training_pflops": "PFLOPs of training",
}
_ACCURACIES = ("fine_pct", "coarse_pct", "rollup_pct", "restricted_pct", "both_pct", "agreement_pct")
_QUALITIES = tuple(name for name in MEASURES if name not in _ACCURACIES)
FORMATS = {"txt": "simple", "md": "pipe", "tex": "latex_booktabs"}


@dataclass(frozen=True)
class Block:
    """One table to print: a title, what a reader must know, headings, cells. The first `words` columns are words."""

    title: str
    note: str
    headings: Sequence[str]
    cells: Sequence[Sequence[str]]
    words: int = 1


def blocks(table: Table) -> list[Block]:
    """The tables that people read, the most important first; without reference rows there are no comparisons."""
    compared = [_differences(table), _mcnemar(table)] if table.comparisons else []
    return [_accuracies(table), _quality_and_cost(table), *compared, _intervals(table)]


def _accuracies(table: Table) -> Block:
    return Block(
        "Accuracy on the test images, %",
        "Mean ± sample deviation over n seeds. Roll-up: the superclass of the fine prediction. Restriction: the best "
        "fine class within the predicted superclass.",
        ["network", "n", *(MEASURES[name] for name in _ACCURACIES)],
        [[*_name(row), *(_cell(row, name) for name in _ACCURACIES)] for row in table.rows],
    )


def _quality_and_cost(table: Table) -> Block:
    return Block(
        "Mistakes, calibration and cost",
        "Severity: height of the lowest common ancestor over wrong fine predictions (1 to 2). NLL in nats. ECE: "
        "expected calibration error over 15 bins, %. Cost: of all networks of the row together; training with all that "
        "it builds on.",
        ["network", "n", *(MEASURES[name] for name in _QUALITIES), *COSTS.values()],
        [
            [
                *_name(row),
                *(_cell(row, name) for name in _QUALITIES),
                *(_cost(name, row.costs[name]) for name in COSTS),
            ]
            for row in table.rows
        ],
    )


def _differences(table: Table) -> Block:
    titles = {row.row.name: row.row.title for row in table.rows}
    cells = []
    for each in table.comparisons:
        found = each.difference
        pair = [titles[each.row], titles[each.reference], MEASURES[each.measure]]
        p = f"– ({found.note})" if found.p is None else _p(found.p)
        cells.append([*pair, str(found.n), f"{found.mean:+.2f}", interval_text(found.ci95), p, _p(each.p_holm)])
    return Block(
        "Differences from the reference, paired by seed, points",
        "p: paired two-sided t-test; Holm: corrected over this table.",
        ["network", "reference", "measure", "n", "difference", "95 % interval", "p", "p (Holm)"],
        cells,
        words=3,
    )


def _mcnemar(table: Table) -> Block:
    titles = {row.row.name: row.row.title for row in table.rows}
    cells = []
    for each in table.image_comparisons:
        pair = [titles[each.row], titles[each.reference], each.level, str(each.seed)]
        counts = [f"{each.test.first_only:,}", f"{each.test.second_only:,}"]
        cells.append([*pair, *counts, _p(each.test.p), _p(each.p_holm)])
    return Block(
        "McNemar's test on the test images, within each seed",
        "Images that only the network, or only the reference, gets right. p: exact; Holm: corrected over this table.",
        ["network", "reference", "level", "seed", "network only", "reference only", "p", "p (Holm)"],
        cells,
        words=3,
    )


def _intervals(table: Table) -> Block:
    return Block(
        "95 % intervals of the mean accuracy (Student's t), %",
        "",
        ["network", "n", *(MEASURES[name] for name in _ACCURACIES)],
        [[*_name(row), *(_interval(row_summary(row, name)) for name in _ACCURACIES)] for row in table.rows],
    )


def render(block: Block, form: str) -> str:
    """Give a block as `txt`, `md` or `tex`."""
    align = ["left" if number < block.words else "right" for number in range(len(block.headings))]
    body = tabulate(block.cells, block.headings, FORMATS[form], colalign=align, disable_numparse=True)
    if form == "tex":
        caption = f"{block.title}. {block.note}".replace("%", "\\%")
        return f"\\begin{{table}}\n\\caption{{{caption}}}\n{body}\n\\end{{table}}\n"
    if form == "md":
        return f"### {block.title}\n\n{body}\n" + (f"\n{block.note}\n" if block.note else "")
    return f"{block.title}\n{body}\n" + (f"\n{textwrap.fill(block.note, 120)}\n" if block.note else "")


def row_summary(result: RowResult, name: str) -> Summary | None:
    """Summarise a measure over the seeds of a row; None where the row does not have it."""
    values = [measures[name] for measures in result.measures.values() if name in measures]
    return summarise(values) if values else None


def _name(result: RowResult) -> list[str]:
    return [result.row.title, str(len(result.measures))]


def _cell(result: RowResult, name: str) -> str:
    return summary_text(name, row_summary(result, name))


def summary_text(name: str, summary: Summary | None) -> str:
    """Mean ± sample deviation of a measure, with as many digits as it deserves."""
    if summary is None:
        return "–"
    deviation = "" if summary["std"] is None else f" ± {summary['std']:.{_digits(name)}f}"
    return f"{summary['mean']:.{_digits(name)}f}{deviation}"


def _digits(name: str) -> int:
    return 2 if name.endswith("_pct") else 3


def _interval(summary: Summary | None) -> str:
    return "–" if summary is None else interval_text(summary["ci95"])


def interval_text(interval: tuple[float, float] | None) -> str:
    """An interval's ends, as in a table."""
    return "–" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"


def _cost(name: str, value: float) -> str:
    return f"{value:.3g}" if name == "training_pflops" else f"{value:,.0f}"


def _p(p: float | None) -> str:
    return "–" if p is None else f"{p:.2g}"


def timing(rows: Iterable[RowResult]) -> Block:
    """How long each row's trainings took, which is of this machine and of what else it did."""
    cells = []
    for result in rows:
        summary = summarise(list(result.training_s.values())) if result.training_s else None
        cells.append([*_name(result), f"{summary['mean']:.0f}" if summary else "–"])
    return Block("Training, with all that it builds on, s", "", ["network", "n", "seconds"], cells)
