"""The command that measures."""

from importlib.resources import files
from pathlib import Path

from ..base.errors import BilateralError
from ..base.files import to_json
from ..benchmark.report import measure
from ..benchmark.table import report_table
from ..runs.config import read_config
from .arguments import config_and_overrides
from .terminal import echo, wide

BENCH = Path(str(files("bilateral.cli") / "bench.yaml"))


def bench(*arguments: str, images: int, only: list[str] | None, json: bool) -> None:
    """Do `bilateral bench`. Raises BilateralError, after printing the others, if a measurement failed."""
    path, overrides = config_and_overrides(arguments)
    report = measure(read_config(path or BENCH, overrides), images, only or [])
    if json:
        echo(to_json(report, indent=1))
    else:
        wide().print(report_table(report))
    for name, reason in report["failures"].items():
        raise BilateralError(f"the measurement {name} failed: {reason}")
