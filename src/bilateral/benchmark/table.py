"""A report for people to read."""

from collections.abc import Callable
from typing import Any

from rich.table import Column, Table

from .report import MEASUREMENTS

UNITS: dict[str, Callable[[float], str]] = {
    "images_per_s": lambda value: f"{value:,.0f} images/s",
    "flops_per_s": lambda value: f"{value / 1e9:,.0f} GFLOP/s",
    "flops": lambda value: f"{value / 1e9:.3g} GFLOP",
    "bytes": lambda value: f"{value / 1e6:,.1f} MB",
    "share": lambda value: f"{100 * value:.1f} %",
    "ratio": lambda value: f"{value:.2f}",
    "count": lambda value: f"{value:.0f}",
    "s": lambda value: f"{value:,.2f} s",
}
"""By the end of a key, what its figure looks like; the first that fits counts."""


def report_table(report: dict[str, Any]) -> Table:
    """Lay out a report of `report.measure`: a row a figure, grouped by measurement, failures with their reasons."""
    settings = report["settings"]
    what = " and ".join(f"{arch} of width {settings['width'][side]:g}" for side, arch in settings["arch"].items())
    title = f"{what}, batches of {settings['batch_size']}, {settings['precision']}"
    columns = ("measurement", "of", Column("figure", justify="right"))
    table = Table(*columns, title=title, title_justify="left")
    for measurement in MEASUREMENTS:
        shown = measurement.replace("_", " ")
        for key, value in report["measurements"].items():
            if key.startswith(f"{measurement}_"):
                table.add_row(shown, *_cells(key.removeprefix(f"{measurement}_"), value))
                shown = ""
        if measurement in report["failures"]:
            table.add_row(shown, "failed", report["failures"][measurement])
        table.add_section()
    return table


def _cells(key: str, value: float | str | None) -> tuple[str, str]:
    """What is measured, without its unit, and the figure with it."""
    name = key.replace("_", " ")
    unit = next((unit for unit in UNITS if key == unit or key.endswith(f"_{unit}")), None)
    if unit is None or isinstance(value, str):
        return name, str(value)
    if unit not in ("share", "ratio"):
        name = name.removesuffix(unit.replace("_", " ")).rstrip()
    return name, "none" if value is None else UNITS[unit](value)
