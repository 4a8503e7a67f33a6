"""Exported networks, tested as runs, so that all that looks into finished runs can look into them."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from ..models.config import SIDES
from ..networks import WEIGHTS, companions
from .export import CONFIG
from .plan import Run, prefix_of
from .runner import Runner
from .stored import StoredRun, read_stored_config
from .train import load_data


def runs_of(folder: Path, overrides: Sequence[str], own_code: Collection[str]) -> dict[str, StoredRun]:
    """Test the network in an exported folder, and its companions, each once; give the runs, its own by the name "".

    The companions `left` and `right` are the hemispheres that it was made of. overrides: `data.KEY=VALUE`,
    `save_dir=FOLDER` and `training.device=NAME`. Raises ConfigError and DataError for data that are not there.
    """

    def run(of: Path, role: str, **parents: Run) -> Run:
        config = read_stored_config(of / CONFIG, overrides, own_code)
        model = config.model.model_copy(update={"checkpoint": of / WEIGHTS})
        name = re.sub(r"[^\w.+-]", "_", folder.name)  # as names of configs may be
        config = config.model_copy(update={"name": name, "model": model, "train": False})
        return Run(config, config.seeds[0], role, {prefix_of(side): parent for side, parent in parents.items()})

    beside = {name: run(path, name) for name, path in companions(folder).items()}
    whole = run(folder, folder.name, **{side: beside[side] for side in SIDES if side in beside})
    runner = Runner(load_data(whole.config))
    return {name: StoredRun.open(runner.run(each).folder, own_code) for name, each in {**beside, "": whole}.items()}
