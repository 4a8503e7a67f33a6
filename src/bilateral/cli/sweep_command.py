"""The command that tries many settings."""

from pathlib import Path

from ..base.errors import ConfigError
from ..base.files import to_json
from ..experiments.tables import render
from ..sweeps.outcome import SweepOutcome, block, tell
from ..sweeps.run import plan_sweep
from ..sweeps.run import sweep as run_sweep
from ..training import distributed
from .arguments import config_and_overrides
from .experiment_command import elsewhere_of, print_plan
from .terminal import echo


def sweep(
    *arguments: str,
    samples: int | None,
    search_seed: int | None,
    row: str | None,
    measure: list[str] | None,
    plan: bool,
    workers: int | None,
    executor: str,
    address: str | None,
    demand: list[str] | None,
    output: Path | None,
    json: bool,
) -> None:
    """Do `bilateral sweep`."""
    path, given = config_and_overrides(arguments)
    if path is None:
        raise ConfigError("sweep needs a config file, such as configs/experiment/quick.yaml")
    if workers is not None:
        given = [*given, f"workers={workers}"]
    elsewhere = elsewhere_of(executor, address, demand or [], workers)
    if plan:
        with distributed.process_group():
            work = plan_sweep(path, given, samples, search_seed, row, measure or []).work
            planned = distributed.from_first(work.preview)
            if distributed.is_first():
                print_plan(planned, json)
    else:
        show = _print_json if json else _print
        run_sweep(path, given, samples, search_seed, row, measure or [], elsewhere, output, show)


def _print(found: SweepOutcome) -> None:
    for measure in found.measures:
        echo(render(block(found, measure), "txt"))
        echo(tell(found, measure))
        echo(f"Figure: {found.folder / measure}.svg (and .png)\n")


def _print_json(found: SweepOutcome) -> None:
    told = {measure: tell(found, measure) for measure in found.measures}
    echo(to_json({"sentences": told, "settings": found.records()}, indent=1))
