"""Does a run: finds its folder, trains or goes on, tests, writes the result. A finished run is not done again."""

import logging
import subprocess
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import yaml

from ..base.errors import ConfigError, OutputError
from ..base.files import remove_partial_files, sole_writer, write_text, writing
from ..data.augment import Normalisation
from ..data.images import HierarchicalDataset, HierarchicalImages
from ..data.splits import hold_out
from ..models.backbones import has_batch_norm
from ..models.build import build_network, load_state
from ..training import checkpoint
from ..training.checkpoint import Description
from ..training.device import choose_device, describe_machine, resolve_precision
from ..training.evaluation import evaluate
from ..training.loop import TrainingJob, train
from ..training.progress import ProgressDisplay, TerminalProgress
from .checks import check_labels, check_network
from .config import Config, dump_config
from .plan import Run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder, its tested checkpoint (None for an ensemble), and its test metrics (0 to 1).

    metrics is empty where the config says `evaluate: false`. given: the checkpoint came from elsewhere, not from us.
    """

    run: Run
    folder: Path
    checkpoint: Path | None
    metrics: dict[str, float]
    given: bool = False


class Runner:
    """Does runs on one data set, each at most once, parents first."""

    def __init__(self, dataset: HierarchicalDataset, progress: ProgressDisplay | None = None) -> None:
        self.dataset = dataset
        self.progress = progress or TerminalProgress()
        self._results: dict[str, RunResult] = {}

    def check(self, runs: Iterable[Run]) -> None:
        """Find what would stop any of `runs` before the first one starts.

        Raises ConfigError for a setting that its backbone, its heads, the images or this machine cannot take;
        CheckpointError for a checkpoint that is not there or does not fit.
        """
        for run in runs:
            run = resolve(run)
            if run.config.model.mode_hemis == "ensemble":
                checkpoint.load_ensemble(run.config.model.members or [])
            else:
                check_network(run, self.dataset)
            run.identity(self.dataset.fingerprint)  # which looks for the checkpoints that the run starts from

    def identity(self, run: Run) -> str:
        """The identity that a run has on this data set and machine."""
        return resolve(run).identity(self.dataset.fingerprint)

    def find(self, run: Run) -> RunResult | None:
        """Give the stored result of a run that is finished."""
        return self._reuse(resolve(run), self.identity(run))

    def run(self, run: Run, check: bool = True) -> RunResult:
        """Give a run's result: the stored one if it is finished, else after training and testing it.

        check: False where `check` has seen the run. Raises OutputError if another process is at this run, and what
        training raises.
        """
        if check:
            self.check([run])
        run = resolve(run)
        identity = run.identity(self.dataset.fingerprint)
        if identity not in self._results:
            parents = {side: self.run(parent, check) for side, parent in run.parents.items()}
            self._results[identity] = self._reuse(run, identity) or self._run_alone(run, identity, parents)
        return self._results[identity]

    def evaluate_hemisphere(self, run: Run, path: Path) -> RunResult | None:
        """Test the network in a given checkpoint in place of `run`, which would have trained such a one.

        None, with a warning, where the file holds no network of one hemisphere under the head that `run` has.
        """
        read = checkpoint.read(path)
        check_labels(read.description, self.dataset, str(path))
        model, level = read.description.model, run.config.model.levels[0]
        if model.mode_hemis != "unilateral" or level not in model.levels:
            warnings.warn(
                f"{path}, given as the {run.role} hemisphere, is no network of one hemisphere under a {level} head: "
                f"the table has no row for {run.role} alone",
                stacklevel=2,
            )
            return None
        alone = Run(run.config.model_copy(update={"model": model}), run.seed, run.role)
        return RunResult(alone, path.parent, path, self._test(alone, path), given=True)

    def _reuse(self, run: Run, identity: str) -> RunResult | None:
        folder = _find_folder(run, identity)
        record = read_record(folder) if folder else None
        if folder is None or record is None or (run.config.evaluate and not record["metrics"]):
            return None
        return RunResult(run, folder, _chosen(run.config, folder), record["metrics"])

    def _run_alone(self, run: Run, identity: str, parents: dict[str, RunResult]) -> RunResult:
        group = run.config.save_dir / run.group
        with sole_writer(group / f".{identity}.lock", f"the run {run.title} in {group}"):
            # Another process may have finished it between our look and our lock.
            finished = self._reuse(run, identity)
            if finished is not None:
                return finished
            folder = _find_folder(run, identity) or _new_folder(run, identity)
            remove_partial_files(folder)
            log.info("%s: %s", run.title, folder)
            metrics = self._do(run, folder, identity, parents)
        return RunResult(run, folder, _chosen(run.config, folder), metrics)

    def _do(self, run: Run, folder: Path, identity: str, parents: dict[str, RunResult]) -> dict[str, float]:
        started = time.perf_counter()
        write_text(folder / "config.yaml", dump_config(_with_parents(run, parents)))
        chosen = _chosen(run.config, folder)
        # A finished run that only lacks its test is not trained again.
        if chosen is not None and read_record(folder) is None:
            self._train(run, folder, parents)
        metrics = self._test(run, chosen) if run.config.evaluate else {}
        record = {
            "id": identity,
            "kind": run.kind(self.dataset.fingerprint),
            "role": run.role,
            "seed": run.seed,
            "parents": {side: str(parent.folder) for side, parent in parents.items()},
            "data": {"name": self.dataset.name, "fingerprint": self.dataset.fingerprint},
            "metrics": metrics,
            "seconds_since_last_start": round(time.perf_counter() - started, 1),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": commit(),
            "machine": describe_machine(choose_device(run.config.training.device)),
        }
        _finish(run.config, folder, record, chosen)
        return metrics

    def _train(self, run: Run, folder: Path, parents: dict[str, RunResult]) -> None:
        config, hierarchy = run.config, self.dataset.hierarchy
        network = build_network(config.model, hierarchy.fine_count, hierarchy.coarse_count, run.seed)
        if config.model.checkpoint is not None:
            state = checkpoint.read(config.model.checkpoint).network_state
            load_state(network, state, str(config.model.checkpoint))
        for side, hemisphere in config.model.hemispheres.items():
            path = parents[side].checkpoint if side in parents else hemisphere.checkpoint
            if path is not None:
                checkpoint.load_hemisphere(network, side, path)
        training, validation = split(config, self.dataset)
        train(
            TrainingJob(
                network,
                describe(config, self.dataset),
                training,
                validation,
                config.training,
                config.checkpoints,
                run.seed,
                folder,
                run.title,
                self.progress,
            )
        )

    def _test(self, run: Run, chosen: Path | None) -> dict[str, float]:
        """Test the network in the checkpoint `chosen`, or the run's ensemble where it is None."""
        model = run.config.model
        device = choose_device(run.config.training.device)
        if chosen is None:
            ensemble, description = checkpoint.load_ensemble(model.members or [], model.average)
            check_labels(description, self.dataset, "the ensemble")
            return self._metrics(ensemble.to(device), description)
        read = checkpoint.read(chosen)
        own = {hemisphere.arch for hemisphere in model.hemispheres.values()}
        return self._metrics(checkpoint.build(read, chosen, own_backbones=own).to(device), read.description)

    def _metrics(self, network: torch.nn.Module, description: Description) -> dict[str, float]:
        return evaluate(network, self.dataset.test, description.normalise).metrics("test", self.dataset.hierarchy)


def resolve(run: Run) -> Run:
    """Settle what depends on the machine or the recipe, so that the run's config says exactly what is done."""
    config = run.config
    precision = resolve_precision(config.training.precision, choose_device(config.training.device))
    batch_norm = True
    for side, hemisphere in config.model.hemispheres.items():
        try:
            batch_norm &= has_batch_norm(hemisphere.arch)
        except ConfigError as error:
            raise ConfigError(f"model.{side}.{error}") from error
    training = config.training.model_copy(update={"precision": precision}).with_rates(batch_norm)
    hemispheres = {}
    for side, hemisphere in config.model.hemispheres.items():
        settled: dict[str, Any] = {"freeze": bool(hemisphere.freeze)}
        if hemisphere.batch_norm_momentum is None and training.recipe == "original":
            settled["batch_norm_momentum"] = "original"
        hemispheres[side] = hemisphere.model_copy(update=settled)
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


def commit() -> str | None:
    """The commit of this code, with a + if files differ from it; None outside a checkout."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def read_record(folder: Path) -> dict[str, Any] | None:
    """Give a finished run's record, None for an unfinished one. Raises OutputError if it is damaged."""
    path = folder / "run.yaml"
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(record, dict) and isinstance(record.get("metrics"), dict):
            return record
    except FileNotFoundError:
        return None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise OutputError(f"cannot read {path}: {error}; delete the folder to do the run again") from error
    raise OutputError(f"{path} is no record of a run; delete the folder to do the run again")


def _with_parents(run: Run, parents: dict[str, RunResult]) -> Config:
    """The run's config with its seed and its parents' checkpoints in it: enough to do it again by `train`."""
    hemispheres = {
        side: run.config.model.hemispheres[side].model_copy(update={"checkpoint": parent.checkpoint})
        for side, parent in parents.items()
    }
    model = run.config.model.model_copy(update=hemispheres)
    return run.config.model_copy(update={"seeds": [run.seed], "model": model})


def _chosen(config: Config, folder: Path) -> Path | None:
    """The checkpoint that the protocol tests; None for an ensemble, which has none of its own."""
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


def _finish(config: Config, folder: Path, record: dict[str, Any], chosen: Path | None) -> None:
    """Write result.yaml, then run.yaml, whose presence says that the run is finished; then drop what is not kept."""
    if record["metrics"]:
        write_text(folder / "result.yaml", yaml.safe_dump([record["metrics"]], sort_keys=False))
    if chosen is not None:
        record["checkpoint"] = chosen.stem
    write_text(folder / "run.yaml", yaml.safe_dump(record, sort_keys=False))
    last = folder / "checkpoints" / "last.safetensors"
    if not config.checkpoints.save_last and chosen != last:
        with writing(last):
            last.unlink(missing_ok=True)
