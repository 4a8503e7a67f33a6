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
from ..runs.config import Config
from .experiment import Table
from .measures import MEASURES
from .tables import FORMATS, blocks, render, row_summary


def write(folder: Path, config: Config, data: str, table: Table, provenance: Mapping[str, Any]) -> None:
    """Write all tables: table.{txt,md,tex,json}, and as CSV rows, per_seed, comparisons, mcnemar and timing."""
    title = f"{config.name} on {data}, seeds {', '.join(map(str, config.seeds))}, protocol {config.protocol}"
    for form in FORMATS:
        comment = "% " if form == "tex" else ""
        parts = [f"{comment}{title}\n", *(render(block, form) for block in blocks(table))]
        parts += [f"{comment}{failure.run.title} failed\n" for failure in table.failures]
        write_text(folder / f"table.{form}", "\n".join(parts))
    write_text(folder / "table.json", to_json({"title": title, **as_json(table)}, indent=1))
    for name, records in _records(table).items():
        if records:
            write_text(folder / f"{name}.csv", _csv(records))
        else:  # none is compared, and what an earlier execution compared is not of this table
            (folder / f"{name}.csv").unlink(missing_ok=True)
    folders = {result.row.name: result.folders for result in table.rows}
    write_text(folder / "provenance.json", to_json({**provenance, "runs": folders}, indent=1))


def as_json(table: Table) -> dict[str, Any]:
    """The whole table as plain values; percent in keys that end in _pct."""
    return {
        "rows": [
            {
                "name": result.row.name,
                "title": result.row.title,
                **{name: summary for name in MEASURES if (summary := row_summary(result, name))},
                **result.costs,
                "by_seed": {str(seed): values for seed, values in result.measures.items()},
            }
            for result in table.rows
        ],
        "comparisons": [asdict(each) for each in table.comparisons],
        "mcnemar": [asdict(each) for each in table.image_comparisons],
        "failures": [failure.run.title for failure in table.failures],
    }


def _records(table: Table) -> dict[str, list[dict[str, Any]]]:
    """The CSV files by name, each a list of records with the same keys."""
    rows, per_seed, timing = [], [], []
    for result in table.rows:
        own = {"row": result.row.name, "title": result.row.title}
        for name in MEASURES:
            if summary := row_summary(result, name):
                low, high = summary["ci95"] or (None, None)
                values = {"n": summary["n"], "mean": summary["mean"], "std": summary["std"]}
                rows.append({**own, "column": name, **values, "ci95_low": low, "ci95_high": high})
        for name, value in result.costs.items():
            rows.append(
                {**own, "column": name, "n": None, "mean": value, "std": None, "ci95_low": None, "ci95_high": None}
            )
        for seed, measures in result.measures.items():
            per_seed.append({**own, "seed": seed, **{name: measures.get(name) for name in MEASURES}})
            timing.append({**own, "seed": seed, "training_s": round(result.training_s[seed], 1)})
    comparisons = [
        {
            "row": each.row,
            "reference": each.reference,
            "measure": each.measure,
            "n": each.difference.n,
            "difference": each.difference.mean,
            "ci95_low": each.difference.ci95[0] if each.difference.ci95 else None,
            "ci95_high": each.difference.ci95[1] if each.difference.ci95 else None,
            "p": each.difference.p,
            "p_holm": each.p_holm,
            "note": each.difference.note,
        }
        for each in table.comparisons
    ]
    mcnemar = [
        {
            "row": each.row,
            "reference": each.reference,
            "seed": each.seed,
            "level": each.level,
            "row_only": each.test.first_only,
            "reference_only": each.test.second_only,
            "p": each.test.p,
            "p_holm": each.p_holm,
        }
        for each in table.image_comparisons
    ]
    return {"table": rows, "per_seed": per_seed, "comparisons": comparisons, "mcnemar": mcnemar, "timing": timing}


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
