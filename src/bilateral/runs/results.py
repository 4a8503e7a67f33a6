"""Results over seeds: the original's result_all.yaml, and the system's table."""

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..base.errors import OutputError
from ..base.files import to_json, write_text
from ..base.statistics import Summary, summarise
from ..base.yaml_files import to_yaml
from ..training.run_record import FILE, RunRecord, read_record
from .runner import RunResult

COLUMNS = {"fine_pct": "fine", "coarse_pct": "coarse", "rollup_pct": "coarse by roll-up"}
"""The table's columns: accuracies on the test set in percent."""


@dataclass(frozen=True)
class SystemRow:
    """One kind of network: its accuracies over seeds, by column of COLUMNS; a column that it lacks is absent."""

    name: str
    columns: dict[str, Summary]


def accuracies_pct(metrics: dict[str, float], mode_heads: str) -> dict[str, float]:
    """Name one run's test accuracies by COLUMNS, in percent."""
    found = {}
    for level in ("fine", "coarse"):
        key = f"test_acc_{level}" if mode_heads == "both" else "test_acc"
        if mode_heads in ("both", level):
            found[f"{level}_pct"] = 100 * metrics[key]
    if "test_acc_rollup" in metrics:
        found["rollup_pct"] = 100 * metrics["test_acc_rollup"]
    return found


def tabulate(results: dict[str, list[RunResult]]) -> list[SystemRow]:
    """Make one row for every kind of network, from its runs of all seeds."""
    rows = []
    for name, runs in results.items():
        by_run = [accuracies_pct(result.metrics, result.run.config.model.mode_heads) for result in runs]
        columns = {
            column: summarise([accuracies[column] for accuracies in by_run])
            for column in COLUMNS
            if by_run and all(column in accuracies for accuracies in by_run)
        }
        rows.append(SystemRow(name, columns))
    return rows


def write_result_all(results: list[RunResult]) -> Path | None:
    """Write the original's summary of one network's runs, result_all.yaml, into their group's folder; give its path.

    It covers every tested run of the same kind in that folder, whatever command it was done by. Accuracies are shares
    (0 to 1); `stddev` is the sample deviation (None for one seed). Nothing is written where nothing was tested.
    """
    if not results or not all(result.metrics for result in results):
        return None
    group = results[0].folder.parent
    kinds = {record.kind for result in results if (record := _record(result.folder))}
    runs: dict[int, dict[str, Any]] = {}
    for folder in sorted(path.parent for path in group.glob(f"*/{FILE}")):
        record = _record(folder)
        if record and record.kind in kinds and results[0].metrics.keys() <= record.metrics.keys():
            runs[record.seed] = {"seed": record.seed, "folder": folder.name, "result": [record.metrics]}
    if not runs:
        return None
    summary: dict[str, Any] = {"n": len(runs)}
    two_heads = results[0].run.config.model.mode_heads == "both"
    for suffix in ("_fine", "_coarse") if two_heads else ("",):
        values = summarise([run["result"][0][f"test_acc{suffix}"] for run in runs.values()])
        summary[f"mean{suffix}"] = values["mean"]
        summary[f"stddev{suffix}"] = values["std"]
        summary[f"ci95{suffix}"] = list(values["ci95"]) if values["ci95"] else None
    text = to_yaml({"summary": summary, "runs": [runs[seed] for seed in sorted(runs)]})
    write_text(group / "result_all.yaml", text)
    return group / "result_all.yaml"


def _record(folder: Path) -> RunRecord | None:
    """The record of a run; None too where it is damaged, which is told when that run is used."""
    with suppress(OutputError):
        return read_record(folder)
    return None


@dataclass(frozen=True)
class SystemTable:
    """A system's table: what it is of, its rows, and the runs behind each, by the row's name; where it is written."""

    title: str
    results: dict[str, list[RunResult]]
    folder: Path

    @cached_property
    def rows(self) -> list[SystemRow]:
        """One row for every kind of network that was tested."""
        return tabulate(self.results)

    @property
    def json(self) -> str:
        """The table with every run behind it."""
        values = {
            "title": self.title,
            "unit": "percent of the test set",
            "rows": [{"name": row.name, **row.columns} for row in self.rows],
            "runs": [
                {"row": name, "seed": result.run.seed, "folder": str(result.folder), **result.metrics}
                for name, runs in self.results.items()
                for result in runs
            ],
        }
        return to_json(values, indent=1)

    def write(self) -> None:
        """Write table.json and table.md, and the summary of each kind of network beside its runs."""
        for runs in self.results.values():
            write_result_all([result for result in runs if not result.given])
        write_text(self.folder / "table.json", self.json)
        write_text(self.folder / "table.md", f"{self.title}\n\n{markdown(self.rows)}")


def markdown(rows: list[SystemRow]) -> str:
    """The table in Markdown."""
    lines = ["| network | n | " + " | ".join(f"{title} %" for title in COLUMNS.values()) + " |"]
    lines.append("|---|---|" + "---|" * len(COLUMNS))
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def cells(row: SystemRow) -> list[str]:
    """A row as text: name, n, and mean ± sample deviation of each column."""
    count = next((summary["n"] for summary in row.columns.values()), 0)
    return [row.name, str(count), *(_cell(row.columns.get(column)) for column in COLUMNS)]


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return "–"
    deviation = "" if summary["std"] is None else f" ± {summary['std']:.2f}"
    return f"{summary['mean']:.2f}{deviation}"
