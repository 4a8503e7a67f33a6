"""Does a run: finds its folder, trains or goes on, tests, writes the result. A finished run is not done again."""

import logging
import subprocess
import time
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from ..base.errors import CheckpointError, ConfigError
from ..base.files import sole_writer, write_text, writing
from ..data.augment import Normalisation
from ..data.images import HierarchicalDataset, HierarchicalImages
from ..data.splits import hold_out
from ..models.build import build_network, load_state
from ..training import checkpoint
from ..training.checkpoint import Description
from ..training.device import choose_device, describe_machine, resolve_precision
from ..training.evaluation import evaluate
from ..training.loop import TrainingJob, train
from .config import Config, dump_config
from .plan import Run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder, its chosen checkpoint (None for an ensemble), and its test metrics (0 to 1).

    metrics is empty where the config says `evaluate: false`.
    """

    run: Run
    folder: Path
    checkpoint: Path | None
    metrics: dict[str, float]


class Runner:
    """Does runs on one data set, each at most once, parents first."""

    def __init__(self, dataset: HierarchicalDataset) -> None:
        self.dataset = dataset
        self._results: dict[str, RunResult] = {}

    def run(self, run: Run) -> RunResult:
        """Give a run's result: the stored one if it is finished, else after training and testing it.

        Raises OutputError if another process is at this run, and what training raises.
        """
        run = resolve(run)
        identity = run.identity(self.dataset.fingerprint)
        if identity not in self._results:
            parents = {side: self.run(parent) for side, parent in run.parents.items()}
            self._results[identity] = self._reuse(run, identity) or self._run_alone(run, identity, parents)
        return self._results[identity]

    def evaluate_hemisphere(self, run: Run, path: Path) -> RunResult:
        """Test the network in a given checkpoint in place of `run`, which would have trained such a one."""
        read = checkpoint.read(path)
        check_classes(read.description, self.dataset, str(path))
        model = read.description.model
        alone = Run(run.config.model_copy(update={"model": model}), run.seed, run.role)
        return RunResult(alone, path.parent, path, self._test(run.config, path))

    def _reuse(self, run: Run, identity: str) -> RunResult | None:
        folder = _find_folder(run, identity)
        record = _read_record(folder) if folder else None
        if folder is None or record is None:
            return None
        log.info("%s: finished before, reused: %s", run.title, folder)
        return RunResult(run, folder, _chosen(run.config, folder), record["metrics"])

    def _run_alone(self, run: Run, identity: str, parents: dict[str, RunResult]) -> RunResult:
        group = run.config.save_dir / run.group
        with sole_writer(group / f".{identity}.lock", f"the run {run.title} in {group}"):
            # Another process may have finished it between our look and our lock.
            finished = self._reuse(run, identity)
            if finished is not None:
                return finished
            folder = _find_folder(run, identity) or _new_folder(run, identity)
            log.info("%s: %s", run.title, folder)
            metrics = self._do(run, folder, identity, parents)
        return RunResult(run, folder, _chosen(run.config, folder), metrics)

    def _do(self, run: Run, folder: Path, identity: str, parents: dict[str, RunResult]) -> dict[str, float]:
        started = time.perf_counter()
        write_text(folder / "config.yaml", dump_config(run.config.model_copy(update={"seeds": [run.seed]})))
        metrics: dict[str, float] = {}
        if run.config.model.mode_hemis == "ensemble":
            network, description = checkpoint.load_ensemble(run.config.model.members or [], run.config.model.average)
            check_classes(description, self.dataset, "the ensemble")
            device = choose_device(run.config.training.device)
            metrics = evaluate(network.to(device), self.dataset.test, description.normalise).metrics(
                "test", self.dataset.hierarchy
            )
        else:
            self._train(run, folder, parents)
            chosen = _chosen(run.config, folder)
            assert chosen is not None
            if run.config.evaluate:
                metrics = self._test(run.config, chosen)
        _finish(run, folder, identity, parents, self.dataset, metrics, time.perf_counter() - started)
        return metrics

    def _train(self, run: Run, folder: Path, parents: dict[str, RunResult]) -> None:
        config, dataset = run.config, self.dataset
        network = build_network(config.model, dataset.hierarchy.fine_count, dataset.hierarchy.coarse_count, run.seed)
        if config.model.mode_out == "feature":
            raise ConfigError(
                "model.mode_out: a network that gives features has no output to train; "
                "train with pred, and load it with bilateral.load(path, mode_out='feature')"
            )
        if config.model.checkpoint is not None:
            state = checkpoint.read(config.model.checkpoint).network_state
            load_state(network, state, str(config.model.checkpoint))
        for side, hemisphere in config.model.hemispheres.items():
            path = parents[side].checkpoint if side in parents else hemisphere.checkpoint
            if path is not None:
                checkpoint.load_hemisphere(network, side, path)
            elif hemisphere.freeze and config.model.checkpoint is None:
                warnings.warn(f"model.{side} is frozen and has no checkpoint: its weights stay random", stacklevel=2)
        training, validation = split(config, dataset)
        train(
            TrainingJob(
                network,
                describe(config, dataset),
                training,
                validation,
                config.training,
                config.checkpoints,
                run.seed,
                folder,
                run.title,
            )
        )

    def _test(self, config: Config, chosen: Path) -> dict[str, float]:
        network = checkpoint.load(chosen).to(choose_device(config.training.device))
        normalise = Normalisation(self.dataset.mean, self.dataset.std)
        return evaluate(network, self.dataset.test, normalise).metrics("test", self.dataset.hierarchy)


def resolve(run: Run) -> Run:
    """Settle what depends on the machine or the recipe, so that the run's config says exactly what is done."""
    config = run.config
    precision = resolve_precision(config.training.precision, choose_device(config.training.device))
    training = config.training.model_copy(update={"precision": precision})
    hemispheres = {}
    for side, hemisphere in config.model.hemispheres.items():
        if hemisphere.batch_norm_momentum is None and training.recipe == "original":
            hemisphere = hemisphere.model_copy(update={"batch_norm_momentum": "original"})
        hemispheres[side] = hemisphere
    model = config.model.model_copy(update=hemispheres)
    parents = {side: resolve(parent) for side, parent in run.parents.items()}
    return Run(config.model_copy(update={"training": training, "model": model}), run.seed, run.role, parents)


def split(config: Config, dataset: HierarchicalDataset) -> tuple[HierarchicalImages, HierarchicalImages]:
    """Give the images to train on and those to validate on, as the protocol says."""
    if config.protocol == "original":
        return dataset.train, dataset.test
    if dataset.validation is not None:
        return dataset.train, dataset.validation
    return hold_out(dataset.train, config.data.validation_fraction, config.data.split_seed)


def describe(config: Config, dataset: HierarchicalDataset) -> Description:
    """What a checkpoint of this config on this data set says of itself."""
    height, width = dataset.train.images.shape[2:]
    return Description(
        config.model,
        dataset.hierarchy.fine_count,
        dataset.hierarchy.coarse_count,
        dataset.hierarchy,
        Normalisation(dataset.mean, dataset.std),
        (height, width),
    )


def check_classes(description: Description, dataset: HierarchicalDataset, what: str) -> None:
    """Raise CheckpointError if a network's label counts are not the data set's."""
    counts = (description.fine_count, description.coarse_count)
    wanted = (dataset.hierarchy.fine_count, dataset.hierarchy.coarse_count)
    if counts != wanted:
        raise CheckpointError(
            f"{what} tells {counts[0]} fine and {counts[1]} coarse labels apart, "
            f"the data set {dataset.name} has {wanted[0]} and {wanted[1]}"
        )


def _chosen(config: Config, folder: Path) -> Path | None:
    if config.model.mode_hemis == "ensemble":
        return None
    name = "last" if config.protocol == "original" else "best"
    return folder / "checkpoints" / f"{name}.safetensors"


def _find_folder(run: Run, identity: str) -> Path | None:
    found = sorted((run.config.save_dir / run.group).glob(f"*-seed{run.seed}-{identity}"))
    return found[-1] if found else None


def _new_folder(run: Run, identity: str) -> Path:
    now = datetime.now().strftime("%Y%m%d%H%M%S")
    folder = run.config.save_dir / run.group / f"{now}-seed{run.seed}-{identity}"
    with writing(folder):
        folder.mkdir(parents=True)
    return folder


def _read_record(folder: Path) -> dict[str, Any] | None:
    path = folder / "run.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


def _finish(
    run: Run,
    folder: Path,
    identity: str,
    parents: dict[str, RunResult],
    dataset: HierarchicalDataset,
    metrics: dict[str, float],
    seconds: float,
) -> None:
    """Write result.yaml, then run.yaml, whose presence says that the run is finished."""
    if metrics:
        write_text(folder / "result.yaml", yaml.safe_dump([metrics], sort_keys=False))
    last = folder / "checkpoints" / "last.safetensors"
    if not run.config.checkpoints.save_last and run.config.protocol == "clean":
        last.unlink(missing_ok=True)
    record = {
        "id": identity,
        "role": run.role,
        "seed": run.seed,
        "parents": {side: str(parent.folder) for side, parent in parents.items()},
        "data": {"name": dataset.name, "fingerprint": dataset.fingerprint},
        "metrics": metrics,
        "seconds": round(seconds, 1),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": describe_machine(choose_device(run.config.training.device)),
    }
    write_text(folder / "run.yaml", yaml.safe_dump(record, sort_keys=False))


def commit() -> str | None:
    """The commit of this code, with a + if files differ from it; None outside a checkout."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
