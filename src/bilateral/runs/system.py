"""The system: left and right hemispheres trained, frozen, joined, for every seed; and the table of all three."""

from datetime import UTC, datetime
from pathlib import Path

from ..base.errors import ConfigError
from ..data.images import HierarchicalDataset
from ..models.config import SIDES
from .config import Config
from .plan import Run, hemisphere_config
from .results import SystemTable
from .runner import Runner, RunResult
from .workers import run_all

ROW_NAMES = {"left": "left alone", "right": "right alone", "bilateral": "bilateral"}


def plan_system(config: Config, seed: int) -> dict[str, Run]:
    """The runs of one seed by role: the left and the right hemisphere's, and the bilateral one that joins them.

    Joined hemispheres are frozen unless the config says `freeze: false`. One that the config gives a checkpoint for
    is no parent: it is not trained. Raises ConfigError for a network that is not bilateral or is given as a whole.
    """
    if config.model.mode_hemis != "bilateral" or config.model.checkpoint is not None:
        raise ConfigError(
            "the system trains and joins two hemispheres: model.mode_hemis must be bilateral, and "
            "model.checkpoint of a whole network does not apply; use `train` for others"
        )
    hemispheres = config.model.hemispheres
    frozen = {
        side: hemisphere.model_copy(update={"freeze": hemisphere.freeze is not False})
        for side, hemisphere in hemispheres.items()
    }
    joined = config.model_copy(update={"model": config.model.model_copy(update=frozen)})
    alone = {side: Run(hemisphere_config(config, side), seed, side) for side in SIDES}
    parents = {side: run for side, run in alone.items() if hemispheres[side].checkpoint is None}
    return {**alone, "bilateral": Run(joined, seed, "bilateral", parents)}


def run_system(configs: list[Config], dataset: HierarchicalDataset, join: bool = True) -> SystemTable:
    """Do every run, for every seed of every config, that is not finished.

    configs: more than one where each seed has hemispheres given as checkpoints. join: False trains the hemispheres
    only. Gives the table, which has no rows where nothing is tested, and is not written yet.
    """
    runner = Runner(dataset)
    plans = [(config, plan_system(config, seed)) for config in configs for seed in config.seeds]
    roles = [role for role in ROW_NAMES if join or role != "bilateral"]
    run_all(
        runner,
        [plan[role] for config, plan in plans for role in roles if _given(config, role) is None],
        configs[0].workers,
    )
    results: dict[str, list[RunResult]] = {}
    for config, plan in plans:
        for role in roles:
            given = _given(config, role)
            run = plan[role]
            result = runner.run(run, check=False) if given is None else runner.evaluate_hemisphere(run, given)
            if result is not None and result.metrics:
                results.setdefault(ROW_NAMES[role], []).append(result)
    seeds = ", ".join(str(seed) for config in configs for seed in config.seeds)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    title = f"{configs[0].name} on {dataset.name}, seeds {seeds}, protocol {configs[0].protocol}, {now}"
    return SystemTable(title, results, configs[0].save_dir / f"{configs[0].name}-system")


def _given(config: Config, role: str) -> Path | None:
    """The checkpoint that stands in for a hemisphere's run."""
    return None if role == "bilateral" else config.model.hemispheres[role].checkpoint
