"""The command that measures."""

import json
from importlib.resources import files
from pathlib import Path

from rich.console import Console

from ..base.errors import BilateralError
from ..benchmark.report import measure
from ..benchmark.table import report_table
from ..runs.config import read_config

BENCH = Path(str(files("bilateral.cli") / "bench.yaml"))


def bench(path: Path | None, overrides: list[str], images: int, only: list[str], as_json: bool) -> None:
    """Do `bilateral bench`. Raises BilateralError, after printing the others, if a measurement failed."""
    report = measure(read_config(path or BENCH, overrides), images, only)
    if as_json:
        print(json.dumps(report, indent=1))
    else:
        Console(width=None if Console().is_terminal else 120).print(report_table(report))
    for name, reason in report["failures"].items():
        raise BilateralError(f"the measurement {name} failed: {reason}")
