"""Exported networks: one is written in the form that model hubs take (weights, config, card), or tested as a run."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ..base.errors import CheckpointError, OutputError
from ..base.files import check_place, write_text
from ..base.statistics import summarise
from ..base.yaml_files import to_yaml
from ..models.build import not_finite
from ..models.config import SIDES
from ..models.network import Network
from ..networks import WEIGHTS, companions
from ..training import checkpoint
from ..training.run_record import read_record
from .plan import Run, prefix_of
from .runner import Runner
from .stored import StoredRun, read_stored_config
from .train import load_data

CONFIG, CARD = "config.yaml", "README.md"
_FILES = {WEIGHTS, CONFIG, CARD}
_OF_THIS_MACHINE: dict[str, Any] = {
    **dict.fromkeys(("save_dir", "workers", "own_code", "train", "evaluate", "checkpoints", "experiment"), True),
    "tracker": True,
    "data": dict.fromkeys(
        ("root", "download", "train_dir", "val_dir", "test_dir", "raw_data_dir", "num_workers"), True
    ),
    "model": {"checkpoint": True, "left": {"checkpoint"}, "right": {"checkpoint"}},
}
"""Of a config, what says nothing of the network."""


def export(run: StoredRun, folder: Path) -> Path:
    """Write a run's tested network, in half precision, its config and its card into `folder`; give the card.

    The weights are rounded to 11 significant bits, and computed with in float32 once they are loaded. An earlier export
    is replaced. Raises CheckpointError for weights that half precision cannot hold; OutputError for a place that cannot
    be written, and for a folder in which other files lie.
    """
    if folder.is_dir() and (other := {path.name for path in folder.iterdir() if path.is_file()} - _FILES):
        raise OutputError(f"{folder} holds {min(other)}, which is no part of an export; give a new folder")
    check_place(folder / WEIGHTS)
    network = run.network().half()
    odd = not_finite(network.state_dict())
    if odd is not None:
        raise CheckpointError(f"the network of {run.folder} has numbers in {odd} that half precision cannot hold")
    checkpoint.save(folder / WEIGHTS, network, run.description)
    config = run.config.model_dump(mode="json", exclude_none=True, exclude=_OF_THIS_MACHINE)
    write_text(folder / CONFIG, to_yaml(config))
    write_text(folder / CARD, _card(run, folder.name, network))
    return folder / CARD


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


def _card(run: StoredRun, name: str, network: Network) -> str:
    """The card, with what hubs read at its head."""
    record, config = run.record, run.config
    hub = {
        "library_name": "bilateral",
        "pipeline_tag": "image-classification",
        "tags": ["bilateral", "hemispheres"],
        "datasets": [record.data.name],
        "metrics": ["accuracy"],
    }
    sides = [f"{side}: {each.arch}, width {each.width:g}" for side, each in config.model.hemispheres.items()]
    counts = run.description.fine_count, run.description.coarse_count
    parameters = sum(tensor.numel() for tensor in network.parameters())
    return f"""---
{to_yaml(hub)}---

# {name}

{config.model.mode_hemis.capitalize()} network of the project `bilateral`. {"; ".join(sides)}; \
heads for {" and ".join(config.model.levels)} labels; {parameters:,} parameters, in half precision.

Use it by `bilateral explore FOLDER`, `bilateral predict FOLDER IMAGE ...`, and in Python `bilateral.load("FOLDER")`.
FOLDER is this folder, or the network's name if it comes with the package.

| | |
|---|---|
| trained on | {record.data.name}, fingerprint `{record.data.fingerprint}` |
| recipe | {config.training.recipe}, protocol {config.protocol}; all settings are in [{CONFIG}]({CONFIG}) |
| accuracy on the test images | {_accuracies(run)} |
| run | {config.name}: {record.role}, seed {record.seed}, `{run.folder.name}` |
| trained | {record.finished}, commit `{record.commit}`, {record.machine.get("device")} |

**Use**: to look at, to compare with, to teach with; made for research, not for decisions about people.

**Limits**: it names one of its {counts[0]} fine or {counts[1]} coarse labels for any image, and its probabilities are
not calibrated.
"""


def _accuracies(run: StoredRun) -> str:
    """Of the run as it was trained, and of all runs beside it that differ in the seed alone."""
    beside = [read_record(path.parent) for path in run.folder.parent.glob("*/run.yaml")]
    peers = [record.metrics for record in beside if record is not None and record.kind == run.record.kind]
    told = []
    for level in run.config.model.levels:
        key = f"test_acc_{level}" if len(run.config.model.levels) > 1 else "test_acc"
        if key not in run.metrics:
            return "not tested"
        over = summarise([100 * metrics[key] for metrics in peers if key in metrics])
        deviation = (
            f", {over['mean']:.2f} ± {over['std']:.2f} % over n = {over['n']} seeds" if over["n"] > 1 else " (n = 1)"
        )
        told.append(f"{level} {100 * run.metrics[key]:.2f} %{deviation}")
    return "; ".join(told)
