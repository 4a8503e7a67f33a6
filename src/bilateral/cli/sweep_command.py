"""The command that tries many settings."""

from pathlib import Path

from ..base.files import to_json
from ..experiments.tables import narrow, render
from ..sweeps.outcome import SweepOutcome, block, tell
from ..sweeps.run import plan_sweep
from ..sweeps.run import sweep as run_sweep
from .arguments import RunOptions
from .terminal import echo, echo_filled
from .train_commands import elsewhere_of, print_plan


def sweep(
    *arguments: str,
    samples: int | None,
    search_seed: int | None,
    row: str | None,
    measure: list[str] | None,
    options: RunOptions,
    output: Path | None,
    json: bool,
) -> None:
    """Do `bilateral sweep`."""
    path, given = options.config_and_overrides(arguments, "sweep")
    elsewhere = elsewhere_of(options)
    if options.plan:
        print_plan(lambda: plan_sweep(path, given, samples, search_seed, row, measure or []).work, json)
    else:
        show = _print_json if json else _print
        run_sweep(path, given, samples, search_seed, row, measure or [], elsewhere, output, show)


def _print(found: SweepOutcome) -> None:
    for measure in found.measures:
        echo(render(narrow(block(found, measure)), "txt"))
        echo_filled(tell(found, measure))
        echo(f"Figure: {found.folder / measure}.svg (and .png)\n")


def _print_json(found: SweepOutcome) -> None:
    told = {measure: tell(found, measure) for measure in found.measures}
    echo(to_json({"sentences": told, "settings": found.records()}, indent=1))
