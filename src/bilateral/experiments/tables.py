"""An experiment's tables as people read them: plain text, Markdown, LaTeX."""

import textwrap
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from tabulate import tabulate

from ..base.statistics import Summary, summarise
from ..runs.predictions import LEVELS
from .measures import ACCURACIES, MEASURES
from .results import Gain, RowResult, Table

COSTS = {
    "parameters": "parameters",
    "trainable_parameters": "trainable",
    "multiply_adds": "multiply-adds",
    "training_pflops": "PFLOPs of training",
}
_QUALITIES = [name for name in MEASURES if name not in ACCURACIES]
CONTRAST_HEADINGS = (
    *("against", "measure", "n", "difference", "95 % over seeds", "over seeds and images"),
    *("p", "p of equality", "verdict"),
)
ACCURACY_NOTE = (
    "Mean ± sample deviation over n seeds. Fine, coarse: each head by itself. Joint: both answers read from one "
    "distribution, in which each fine class is weighted by its superclass, with an exponent that is fitted on held-out "
    "images."
)
_ROLL_UP = "Roll-up: the coarse label to which the fine answer belongs"
FURTHER_NOTE = f"{_ROLL_UP}. Restriction: the best fine class within the predicted superclass."
"""Of accuracies that the report's first table does not have."""
QUALITY_NOTE = (
    "Severity: height of the lowest common ancestor over wrong fine predictions (1 to 2). Distance at k: the same over "
    "all images and the k best classes (0 to 2). CRM: of the class that the joint distribution expects to be nearest. "
    "Exponent: of the coarse prediction in the joint one. NLL in nats. ECE: expected calibration error over 15 bins, %."
)
CONTRASTS_NOTE = (
    "The family that the config declares, paired by seed. The second interval, and p, count seeds and images as "
    "samples. p: of a difference, two-sided; p of equality: of a difference beyond the margin, by two one-sided tests; "
    "each Holm-corrected over this table. Better or worse: p below 0.05; else as good as: p of equality below 0.05."
)
GAINS_NOTE = (
    "Every training with twice its epochs, for one seed. Held-out images validate, and are not those of the test."
)
_WORDS_WIDTH, _HEADING_WIDTH = 34, 9
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
    """The tables that people read, the most important first."""
    costs = [[row.title, *(_cost(name, row.costs[name]) for name in COSTS)] for row in table.rows]
    note = "Of all networks of the row together; training with all that it builds on."
    ends = "95 % intervals of the mean accuracy (Student's t), %"
    return [
        _measured(table, "Accuracy on the test images, %", f"{ACCURACY_NOTE} {FURTHER_NOTE}", ACCURACIES),
        *([_contrasts(table)] if table.contrasts else []),
        _measured(table, "Mistakes and calibration", QUALITY_NOTE, _QUALITIES),
        Block("Cost", note, ["network", *COSTS.values()], costs),
        *([gains_block(table.gains)] if table.gains else []),
        _measured(table, ends, "", ACCURACIES, lambda _, summary: interval_text(summary and summary["ci95"])),
    ]


def short_block(table: Table, name: str) -> Block:
    """What a command prints of a table, in 80 columns: accuracies alone, without the joint ones where nothing is asked.

    name: of the experiment.
    """
    joint = ("joint_fine_pct", "joint_coarse_pct") if table.asks else ("rollup_pct",)
    digits = 1 if table.asks else 2
    measured = _measured(
        table,
        f"{name}: accuracy on the test images, % (mean±deviation over n seeds)",
        "Joint: both labels are read from one distribution." if table.asks else f"{_ROLL_UP}.",
        ("fine_pct", "coarse_pct", *joint),
        lambda name, summary: summary_text(name, summary, digits).replace(" ± ", "±"),
    )
    return narrow(measured)


def narrow(block: Block) -> Block:
    """Give the same table for 80 columns: headings and words are broken into lines."""
    headings = [
        textwrap.fill(each.replace(".", ". "), _HEADING_WIDTH, break_long_words=False).replace(". ", ".")
        for each in block.headings
    ]
    width = _WORDS_WIDTH // block.words
    cells = [
        [*(textwrap.fill(each, width) for each in cells[: block.words]), *cells[block.words :]] for cells in block.cells
    ]
    return replace(block, headings=headings, cells=cells)


def _contrasts(table: Table) -> Block:
    titles, cells = table.titles, []
    for each in table.contrasts:
        found = each.difference
        who = [titles.get(each.other, each.other), MEASURES[each.measure], str(found.n)]
        ends = [interval_text(found.ci95_seeds), interval_text(found.ci95)]
        p_values = ["–" if p is None else f"{p:.2g}" for p in (each.p_holm, each.p_equivalent_holm)]
        cells.append([*who, f"{found.mean:+.2f}", *ends, *p_values, each.verdict])
    row = table.contrasts[0].row
    title = f"{titles.get(row, row)}, minus each of the networks that it is to be compared with, points"
    return Block(title, CONTRASTS_NOTE, list(CONTRAST_HEADINGS), cells, words=2)


def gains_block(gains: Sequence[Gain]) -> Block:
    """What twice the epochs bring each row."""
    cells = []
    for gain in gains:
        once, twice = gain.once_pct, gain.twice_pct
        levels = [f"{once[level]:.2f} → {twice[level]:.2f}" if level in once else "–" for level in LEVELS]
        cells.append([gain.title, str(gain.seed), *levels, f"{gain.points:+.2f}"])
    title = "What twice the epochs of every training bring, % of held-out images"
    return Block(title, GAINS_NOTE, ["network", "seed", *LEVELS, "gain"], cells)


def render(block: Block, form: str) -> str:
    """Give a block as `txt`, `md` or `tex`."""
    align = ["left" if number < block.words else "right" for number in range(len(block.headings))]
    body = tabulate(block.cells, block.headings, FORMATS[form], colalign=align, disable_numparse=True)
    if form == "tex":
        caption = f"{block.title}. {block.note}".replace("%", "\\%")
        return f"\\begin{{table}}\n\\caption{{{caption}}}\n{body}\n\\end{{table}}\n"
    if form == "md":
        return f"### {block.title}\n\n{body}\n" + (f"\n{block.note}\n" if block.note else "")
    return f"{block.title}\n{body}\n" + (f"\n{textwrap.fill(block.note, 80)}\n" if block.note else "")


def row_summary(result: RowResult, name: str) -> Summary | None:
    """Summarise a measure over the seeds of a row; None where the row does not have it."""
    values = [found.measures[name] for found in result.seeds.values() if name in found.measures]
    return summarise(values) if values else None


def summary_text(name: str, summary: Summary | None, percent_digits: int = 2) -> str:
    """Mean ± sample deviation of a measure, with as many digits as it deserves."""
    if summary is None:
        return "–"
    digits = percent_digits if name.endswith("_pct") else 3
    deviation = "" if summary["std"] is None else f" ± {summary['std']:.{digits}f}"
    return f"{summary['mean']:.{digits}f}{deviation}"


def interval_text(interval: tuple[float, float] | None) -> str:
    """An interval's ends, as in a table."""
    return "–" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"


def _cost(name: str, value: float) -> str:
    return f"{value:.3g}" if name == "training_pflops" else f"{value:,.0f}"


_Text = Callable[[str, Summary | None], str]


def _measured(table: Table, title: str, note: str, names: Collection[str], text: _Text = summary_text) -> Block:
    """A table of measures, each over the seeds of a row; text: writes one of them, by its name."""
    cells = [
        [row.title, str(len(row.seeds)), *(text(name, row_summary(row, name)) for name in names)] for row in table.rows
    ]
    return Block(title, note, ["network", "n", *(MEASURES[name] for name in names)], cells)
