"""What came of a sweep: its table, the best setting in a sentence, its files."""

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..base.files import whole_file, write_text
from ..base.statistics import Summary, first_place, summarise
from ..experiments.measures import MEASURES
from ..experiments.tables import COSTS, Block, interval_text, render, summary_text
from .search import Search

HELD_OUT = "held_out_"
"""Begins the names of measures of held-out images."""


@dataclass(frozen=True)
class SweepOutcome:
    """What came of a sweep of a row. measures: the columns to show. folder: where its files are.

    lines: one a setting and seed: `setting`, the swept keys, `seed`, the measures of the test images (by the names of
    the experiment's table), those of the held-out images ("held_out_" before the same names), and the row's costs.
    """

    search: Search
    row: str
    measures: list[str]
    folder: Path
    lines: pd.DataFrame

    def summary(self, measure: str) -> dict[Hashable, Summary]:
        """Summarise a measure over the seeds of each setting, by the name of the setting."""
        values = self.lines.dropna(subset=[measure]) if measure in self.lines else self.lines[:0]
        return {name: summarise(group[measure].tolist()) for name, group in values.groupby("setting", sort=False)}

    def values(self, setting: Hashable) -> dict[str, str]:
        """The values of a setting, by key."""
        return self.search.settings[int(str(setting).rpartition("_")[2]) - 1]

    def records(self) -> list[dict[str, Any]]:
        """A record for each measure that is shown and each setting: n, mean, sample deviation, 95 % interval."""
        return [
            {"measure": measure, "setting": name, **self.values(name), **summary, "ci95_low": low, "ci95_high": high}
            for measure in self.measures
            for name, summary in self.summary(measure).items()
            for low, high in [summary["ci95"] or (None, None)]
        ]


def label(measure: str) -> str:
    """What a measure is called, with its unit: "fine, held-out images, %"."""
    return f"{_called(measure)}{', %' if measure.endswith('_pct') else ''}"


def _called(measure: str) -> str:
    name = measure.removeprefix(HELD_OUT)
    return f"{MEASURES.get(name) or COSTS[name]}{', held-out images' if name != measure else ''}"


def block(found: SweepOutcome, measure: str) -> Block:
    """The table that people read: a line a setting."""
    cells = [
        [*found.values(name).values(), str(each["n"]), summary_text(measure, each), interval_text(each["ci95"])]
        for name, each in found.summary(measure).items()
    ]
    keys = found.search.keys
    headings = [*keys, "n", "mean ± sample deviation", "95 % interval"]
    return Block(f"{found.row}: {label(measure)}", "", headings, cells, words=len(keys))


def tell(found: SweepOutcome, measure: str) -> str:
    """Say which setting has the best mean of a measure, by which images, and whether it is shown to be ahead."""
    told, held_out = found.summary(measure), found.summary(HELD_OUT + measure)
    by = held_out or told
    name = measure.removeprefix(HELD_OUT)
    is_high = name.endswith("_pct") and not name.startswith("ece_")
    first, *others = sorted(by, key=lambda setting: by[setting]["mean"], reverse=is_high)
    best = told[first]
    interval = f", 95 % interval {interval_text(best['ci95'])}" if best["ci95"] else ""
    sentences = [
        f"{'Chosen by the held-out images, the' if held_out else 'The'} best of {len(by)} settings by its mean is "
        f"{_named(found, first)}: {_called(measure)} {_valued(measure, best)} (n = {best['n']}{interval})."
    ]
    if others:
        sentences.append(_ahead(found, measure, str(first), 1 if is_high else -1))
    if held_out:
        top = (max if is_high else min)(told, key=lambda setting: told[setting]["mean"])
        same = "the same one" if top == first else f"{_named(found, top)}, {_valued(measure, told[top])}"
        sentences.append(f"The test images would choose {same}; a figure of the images that chose it is biased.")
    elif name not in COSTS:
        sentences.append(
            "It was chosen by the same images, so its figure is biased: it looks better than it is. "
            + (
                "Report that of the test images."
                if name != measure
                else "`protocol: clean` holds out images to choose by."
            )
        )
    return " ".join(sentences)


def _ahead(found: SweepOutcome, measure: str, first: str, sign: int) -> str:
    """Whether a setting is shown to be ahead of all others, and its difference from the nearest one, paired by seed."""
    told = found.lines.dropna(subset=[measure])
    place = first_place(dict(zip(zip(told["setting"], told["seed"]), told[measure])), sign, first)
    second = _named(found, place.second)
    if not place.differences:
        return f"The next one is {second}; no seed has both."
    difference = summarise(place.differences)
    by = f"difference {difference['mean'] + 0.0:+.2f}"
    if difference["ci95"] is None:
        return f"The next one is {second} ({by}); one seed shows no order."
    shown = "is ahead of every other one; the nearest is" if place.told_apart else "is not shown to be ahead of"
    return f"It {shown} {second} ({by}, 95 % interval {interval_text(difference['ci95'])}, paired by seed)."


def _valued(measure: str, summary: Summary) -> str:
    return f"{summary_text(measure, summary)}{' %' if measure.endswith('_pct') else ''}"


def _named(found: SweepOutcome, setting: Hashable) -> str:
    return ", ".join(f"{key}={value}" for key, value in found.values(setting).items())


def write(found: SweepOutcome) -> None:
    """Write the lines (sweep.csv), the table (settings.csv, settings.md) and a figure for each measure (SVG, PNG)."""
    from .figure import save  # with matplotlib, which takes a second to import

    settings = pd.DataFrame(found.records()).drop(columns="ci95", errors="ignore")
    for name, table in (("sweep", found.lines), ("settings", settings)):
        with whole_file(found.folder / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
    parts = [f"{render(block(found, measure), 'md')}\n{tell(found, measure)}\n" for measure in found.measures]
    write_text(found.folder / "settings.md", "\n".join(parts))
    for measure in found.measures:
        save(found, measure)
