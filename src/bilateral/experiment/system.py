"""The system: left and right hemispheres trained, frozen, joined, for every seed; and the table of all three."""

from pathlib import Path

from ..base.errors import ConfigError
from ..data.images import HierarchicalDataset
from ..models.config import SIDES
from .config import Config
from .plan import Run, hemisphere_config
from .results import Row, tabulate, write_result_all, write_table
from .runner import Runner, RunResult

ROW_NAMES = {"left": "left alone", "right": "right alone", "bilateral": "bilateral"}


def plan_system(config: Config, seed: int) -> dict[str, Run]:
    """The runs of one seed by role: the left and the right hemisphere's, and the bilateral one that joins them.

    A hemisphere that the config gives a checkpoint for is no parent: it is not trained. Raises ConfigError for a
    network that is not bilateral or is given as a whole.
    """
    if config.model.mode_hemis != "bilateral" or config.model.checkpoint is not None:
        raise ConfigError(
            "the system trains and joins two hemispheres: model.mode_hemis must be bilateral, and "
            "model.checkpoint of a whole network does not apply; use `train` for others"
        )
    alone = {side: Run(hemisphere_config(config, side), seed, side) for side in SIDES}
    parents = {side: run for side, run in alone.items() if config.model.hemispheres[side].checkpoint is None}
    return {**alone, "bilateral": Run(config, seed, "bilateral", parents)}


def run_system(configs: list[Config], dataset: HierarchicalDataset, join: bool = True) -> tuple[list[Row], Path]:
    """Do every run, for every seed of every config, that is not finished.

    configs: more than one where each seed has hemispheres given as checkpoints. join: False trains the hemispheres
    only. Gives the table's rows, none where nothing is tested, and the folder that the table is written to.
    """
    runner = Runner(dataset)
    results: dict[str, list[RunResult]] = {}
    for config in configs:
        for seed in config.seeds:
            for role, result in _run_seed(runner, config, plan_system(config, seed), join).items():
                results.setdefault(ROW_NAMES[role], []).append(result)
    folder = configs[0].save_dir / f"{configs[0].name}-system"
    tested = {name: runs for name, runs in results.items() if all(result.metrics for result in runs)}
    for runs in tested.values():
        if runs[0].folder.parent.name == runs[0].run.group:
            write_result_all(runs)
    rows = tabulate(tested)
    write_table(folder, rows, tested)
    return rows, folder


def _run_seed(runner: Runner, config: Config, plan: dict[str, Run], join: bool) -> dict[str, RunResult]:
    results = {}
    for role, run in plan.items():
        given = None if role == "bilateral" else config.model.hemispheres[role].checkpoint
        if given is not None:
            results[role] = runner.evaluate_hemisphere(run, given)
        elif join or role != "bilateral":
            results[role] = runner.run(run)
    return results
