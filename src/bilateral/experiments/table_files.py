"""An experiment's tables as files.

All but timing.csv and provenance.json hold only what the same experiment always gives, to the last byte.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..base.files import to_json, write_text
from ..base.run_folders import PROVENANCE
from ..base.statistics import Summary
from ..runs.config import Config
from .contrasts import by_row
from .measures import MEASURES
from .results import Table
from .tables import FORMATS, blocks, render, row_summary


def write(folder: Path, config: Config, data: str, table: Table, provenance: Mapping[str, Any]) -> None:
    """Write all tables: table.{txt,md,tex,json}, and as CSV rows, per_seed, contrasts and timing."""
    title = f"{config.name} on {data}, seeds {', '.join(map(str, config.seeds))}, protocol {config.protocol}"
    for form in FORMATS:
        comment = "% " if form == "tex" else ""
        verdict = [f"{comment}{table.answer}\n"] if table.answer else []
        parts = [f"{comment}{title}\n", *verdict, *(render(block, form) for block in blocks(table))]
        parts += [f"{comment}{failure.run.title} failed\n" for failure in table.failures]
        write_text(folder / f"table.{form}", "\n".join(parts))
    write_text(folder / "table.json", to_json({"title": title, **as_json(table)}, indent=1))
    for name, records in _records(table).items():
        if records:
            write_text(folder / f"{name}.csv", _csv(records))
        else:  # none is compared, and what an earlier execution compared is not of this table
            (folder / f"{name}.csv").unlink(missing_ok=True)
    folders = {
        row.name: {seed: found.folders for seed, found in row.seeds.items() if found.folders} for row in table.rows
    }
    write_text(folder / PROVENANCE, to_json({**provenance, "runs": folders}, indent=1))


def as_json(table: Table) -> dict[str, Any]:
    """The whole table as plain values; percent in keys that end in _pct.

    `rows` are flat, a line of the table each: a measure's mean by its name, and _n, _std and _ci95_low, _ci95_high
    after that. by_seed, rise: by row and seed.
    """
    return {
        "answer": table.answer,
        "by_row": by_row(table.contrasts, table.titles),
        "doubts": table.doubts,
        "rows": [
            {
                "name": row.name,
                "title": row.title,
                **{key: value for name in MEASURES for key, value in _flat(name, row_summary(row, name)).items()},
                **row.costs,
            }
            for row in table.rows
        ],
        "by_seed": {
            row.name: {str(seed): dict(found.measures) for seed, found in row.seeds.items()} for row in table.rows
        },
        "rise": {row.name: {str(seed): found.rise for seed, found in row.seeds.items()} for row in table.rows},
        "contrasts": [asdict(each) for each in table.contrasts],
        "gains": [asdict(each) for each in table.gains],
        "failures": [failure.run.title for failure in table.failures],
    }


def _records(table: Table) -> dict[str, list[dict[str, Any]]]:
    """The CSV files by name, each a list of records with the same keys."""
    rows, per_seed, timing = [], [], []
    for row in table.rows:
        own = {"row": row.name, "title": row.title}
        for name in MEASURES:
            if summary := row_summary(row, name):
                values = {"n": summary["n"], "mean": summary["mean"], "std": summary["std"]}
                rows.append({**own, "column": name, **values, **_ends("ci95", summary["ci95"])})
        for name, value in row.costs.items():
            rows.append({**own, "column": name, "n": None, "mean": value, "std": None, **_ends("ci95", None)})
        for seed, found in row.seeds.items():
            per_seed.append({**own, "seed": seed, **{name: found.measures.get(name) for name in MEASURES}})
            timing.append({**own, "seed": seed, "training_s": round(found.training_s, 1)})
    contrasts = []
    for each in table.contrasts:
        told = asdict(each)
        values = told.pop("difference")
        ends = [_ends(name, values.pop(name)) for name in ("ci95_seeds", "ci95")]
        who = {name: told.pop(name) for name in ("row", "other", "measure")}
        contrasts.append({**who, **values, **ends[0], **ends[1], **told})
    gains = []
    for gain in table.gains:
        for level, once in gain.once_pct.items():
            levels = {"level": level, "once_pct": once, "twice_pct": gain.twice_pct[level]}
            gains.append({"row": gain.row, "title": gain.title, "seed": gain.seed, **levels})
    return {"table": rows, "per_seed": per_seed, "contrasts": contrasts, "twice": gains, "timing": timing}


def _flat(name: str, summary: Summary | None) -> dict[str, float | None]:
    if summary is None:
        return {}
    ends = _ends(f"{name}_ci95", summary["ci95"])
    return {name: summary["mean"], f"{name}_n": summary["n"], f"{name}_std": summary["std"], **ends}


def _ends(name: str, interval: tuple[float, float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
