"""Does a run: finds its folder, trains or goes on, tests, writes the result. A finished run is not done again."""

import logging
import re
import shutil
import subprocess
import time
import traceback
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ..base.errors import CheckpointError, OutputError
from ..base.files import file_digest, remove_partial_files, sole_writer, write_text, writing
from ..base.run_folders import FAILURE
from ..base.yaml_files import to_yaml
from ..data.images import HierarchicalDataset
from ..training import checkpoint, distributed
from ..training.device import choose_device, describe_machine
from ..training.progress import ProgressDisplay, TerminalProgress
from ..training.run_record import (
    CHECKPOINTS,
    FILE,
    HELD_OUT,
    PREDICTIONS,
    RecordedData,
    RunRecord,
    damage,
    read_record,
)
from .checks import check_network
from .config import Config, dump_config
from .execution import evaluate_run, resolve, train_run
from .plan import Run, with_weights
from .predictions import Predictions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder, its tested checkpoint (None for an ensemble), and its test metrics (0 to 1).

    metrics is empty where the config says `evaluate: false`.
    """

    run: Run
    folder: Path
    checkpoint: Path | None
    metrics: dict[str, float]


class Runner:
    """Does runs on one data set, each at most once, parents first.

    waits: for a run that another process is at, and then takes its result; otherwise that is an error.
    """

    def __init__(
        self, dataset: HierarchicalDataset, progress: ProgressDisplay | None = None, waits: bool = False
    ) -> None:
        self.dataset, self.waits = dataset, waits
        self.progress = progress or TerminalProgress()
        self._results: dict[str, RunResult] = {}
        self._told: set[tuple[str, str]] = set()
        self._sound: set[tuple[Config, frozenset[str]]] = set()

    def check(self, runs: Iterable[Run]) -> None:
        """Find what would stop any of `runs`, or of their parents, before the first one starts.

        Raises ConfigError for a setting that its backbone, its heads, the images or this machine cannot take;
        CheckpointError for a checkpoint that is not there or does not fit.
        """
        for run in runs:
            run = resolve(run)
            self.check(run.parents.values())
            if run.config.model.mode_hemis == "ensemble":
                checkpoint.load_ensemble(run.config.model.members or [], own_code=run.config.own_code)
            elif (kind := (run.config, frozenset(run.parents))) not in self._sound:
                check_network(run, self.dataset)
                self._sound.add(kind)  # of whatever seed
            run.identity(self.dataset.fingerprint)  # which looks for the checkpoints that the run starts from

    def identity(self, run: Run) -> str:
        """The identity that a run has on this data set and machine."""
        return resolve(run).identity(self.dataset.fingerprint)

    def find(self, run: Run) -> RunResult | None:
        """Give the stored result of a run that is finished."""
        return distributed.from_first(lambda: self._reuse(resolve(run), self.identity(run)))

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
            parents = {part: self.run(parent, check) for part, parent in run.parents.items()}
            finished = distributed.from_first(lambda: self._reuse(run, identity))
            self._results[identity] = finished or self._run_alone(run, identity, parents)
        return self._results[identity]

    def _reuse(self, run: Run, identity: str) -> RunResult | None:
        """The result of a run that is finished, and whose files are as they were made."""
        folder = find_folder(run, identity)
        if folder is None:
            return None
        try:
            record = read_record(folder)
            wrong = None if record is None else _checkpoint_damage(run.config, folder, record)
        except OutputError as error:
            record, wrong = None, str(error)
        if record and not wrong and run.config.evaluate:
            if not record.metrics:
                return None  # trained by a command that was not to test
            wrong = _test_damage(run.config, folder, record)
        if wrong and (run.title, wrong) not in self._told:
            self._told.add((run.title, wrong))
            log.warning("%s: %s; so this is made again", run.title, wrong)
        if record is None or wrong:
            return None
        return RunResult(run, folder, _tested(run.config, folder), record.metrics)

    def _run_alone(self, run: Run, identity: str, parents: dict[str, RunResult]) -> RunResult:
        group = run.config.save_dir / run.group
        lock = sole_writer(group / f".{identity}.lock", f"the run {run.title} in {group}", self.waits)
        with ExitStack() as held:
            distributed.from_first(lambda: held.enter_context(lock))
            # Another process may have finished it between our look and our lock.
            finished = distributed.from_first(lambda: self._reuse(run, identity))
            if finished is not None:
                return finished
            folder = distributed.from_first(lambda: find_folder(run, identity) or _new_folder(run, identity))
            try:
                return self._do(run, folder, identity, parents)
            except Exception:  # kept beside the run for whoever looks there, then told as any other
                if distributed.is_first():
                    with suppress(OutputError):
                        write_text(folder / FAILURE, traceback.format_exc())
                raise

    def _do(self, run: Run, folder: Path, identity: str, parents: dict[str, RunResult]) -> RunResult:
        started = time.perf_counter()
        tested = parents[""].checkpoint if "" in parents and not run.config.train else _tested(run.config, folder)
        if distributed.is_first():
            remove_partial_files(folder)
            (folder / FAILURE).unlink(missing_ok=True)
            # With its seed and its parents' checkpoints in it: enough to do it again by `train`.
            weights = {part: parent.checkpoint for part, parent in parents.items() if run.config.train or not part}
            model = with_weights(run.config.model, weights)
            alone = run.config.model_copy(update={"seeds": [run.seed], "model": model})
            write_text(folder / "config.yaml", dump_config(alone))
            log.info("%s: %s", run.title, folder)
        # A finished run that only lacks its test is not trained again.
        if run.config.train and tested is not None and not distributed.from_first(lambda: _is_trained(run, folder)):
            given = {part: parent.checkpoint for part, parent in parents.items() if parent.checkpoint is not None}
            train_run(run, self.dataset, given, folder, self.progress)
        return distributed.from_first(lambda: self._finish(run, folder, identity, parents, tested, started))

    def _finish(
        self,
        run: Run,
        folder: Path,
        identity: str,
        parents: dict[str, RunResult],
        tested: Path | None,
        started: float,
    ) -> RunResult:
        """Test the network, and write result.yaml, then run.yaml, whose presence says that the run is finished.

        Where only the test was missing, the record of the training stays.
        """
        metrics = {}
        if run.config.evaluate:
            for name in _predicted(run.config):
                evaluation = evaluate_run(run, self.dataset, tested, held_out=name == HELD_OUT)
                Predictions(evaluation.logits, evaluation.labels).save(folder / name)
                if name == PREDICTIONS:
                    metrics = evaluation.metrics("test", self.dataset.hierarchy)
            write_text(folder / "result.yaml", to_yaml([metrics]))
        trained = read_record(folder)
        weights = [f"{CHECKPOINTS}/{tested.name}"] if tested is not None and run.config.train else []
        files = [PREDICTIONS, HELD_OUT, *weights]
        record = RunRecord(
            id=identity,
            kind=run.kind(self.dataset.fingerprint),
            role=run.role,
            seed=run.seed,
            parents={part: str(parent.folder) for part, parent in parents.items()},
            data=RecordedData(name=self.dataset.name, fingerprint=self.dataset.fingerprint),
            metrics=metrics,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds_since_last_start=trained.seconds_since_last_start
            if trained
            else round(time.perf_counter() - started, 1),
            commit=trained.commit if trained else commit(),
            code=trained.code if trained else run.code,
            machine=trained.machine if trained else dict(describe_machine(choose_device(run.config.training.device))),
            processes=trained.processes if trained else distributed.world_size(),
            checkpoint=_name(run.config) if weights else None,
            digests={name: file_digest(folder / name) for name in files if (folder / name).is_file()},
        )
        record.write(folder)
        last = folder / "checkpoints" / "last.safetensors"
        if not run.config.checkpoints.save_last and tested != last:
            with writing(last):
                last.unlink(missing_ok=True)
        return RunResult(run, folder, tested, metrics)


def commit() -> str | None:
    """The commit of this code, with a + if files differ from it; None outside a checkout."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _name(config: Config) -> Literal["best", "last"]:
    """Which checkpoint the protocol tests."""
    return "last" if config.protocol == "original" else "best"


def _tested(config: Config, folder: Path) -> Path | None:
    """The checkpoint that is tested; None for an ensemble, and where it is a parent's."""
    if config.model.mode_hemis == "ensemble":
        return None
    if not config.train:
        return config.model.checkpoint and checkpoint.find(config.model.checkpoint)
    return folder / CHECKPOINTS / f"{_name(config)}.safetensors"


def _predicted(config: Config) -> list[str]:
    """The files of predictions: of the test, and of images that neither train nor test, if the protocol has any."""
    return [PREDICTIONS, HELD_OUT] if config.protocol == "clean" else [PREDICTIONS]


def _checkpoint_damage(config: Config, folder: Path, record: RunRecord) -> str | None:
    """What is wrong with the tested checkpoint of a finished run, in a clause."""
    tested = _tested(config, folder)
    if tested is None or not config.train:
        return None
    name = f"{CHECKPOINTS}/{tested.name}"
    wrong = damage(folder, record, name)
    if wrong is None and name not in record.digests:
        try:
            checkpoint.read(tested)
        except CheckpointError as error:
            return str(error)
    return wrong


def _test_damage(config: Config, folder: Path, record: RunRecord) -> str | None:
    """What is wrong with the stored predictions of a finished run, or with the metrics made of them, in a clause."""
    files = _predicted(config)
    if HELD_OUT in files and HELD_OUT not in record.digests:
        return f"{folder} has no predictions of the images that were held out, which earlier versions did not keep"
    for name in files:
        wrong = damage(folder, record, name)
        if wrong is not None:
            return wrong
    try:
        predictions = Predictions.load(folder / PREDICTIONS)
    except OutputError as error:
        return str(error)
    levels = config.model.levels
    names = {level: f"test_acc_{level}" if len(levels) > 1 else "test_acc" for level in levels}
    fits = set(predictions.logits) == set(levels) and all(
        abs(record.metrics.get(name, -1) - predictions.accuracy_pct(level) / 100) < 1e-6
        for level, name in names.items()
    )
    return None if fits else f"the metrics in {folder / FILE} are not those of its predictions"


def _is_trained(run: Run, folder: Path) -> bool:
    """Whether a run is finished but for its test. Checkpoints that are damaged are removed first, to be made anew."""
    with suppress(OutputError):
        record = read_record(folder)
        if record is not None and _checkpoint_damage(run.config, folder, record) is None:
            return True
    is_damaged, last = (folder / FILE).exists(), folder / CHECKPOINTS / "last.safetensors"
    if not is_damaged and last.exists():  # a training that goes on
        try:
            training = checkpoint.read(last).training
            if training is not None and training.kept:
                checkpoint.read(folder / CHECKPOINTS / "best.safetensors")
        except CheckpointError as error:
            log.warning("%s: %s; so its training starts anew", run.title, error)
            is_damaged = True
    if is_damaged:
        with writing(folder):
            # The record goes last, so that a kill in between leaves a run that is known to be damaged.
            for name in (CHECKPOINTS, "tensorboard"):
                if (folder / name).exists():
                    shutil.rmtree(folder / name)
            (folder / FILE).unlink(missing_ok=True)
    return False


def find_folder(run: Run, identity: str) -> Path | None:
    """The folder of a run that has been begun."""
    found = sorted((run.config.save_dir / run.group).glob(f"*-seed{run.seed}-{identity}"))
    return found[-1] if found else None


def _new_folder(run: Run, identity: str) -> Path:
    now = datetime.now().strftime("%Y%m%d%H%M%S")
    # `find_folder` does not look at the role, which is of the row that needed the run first.
    role = re.sub(r"\W+", ".", run.role)[:80]
    folder = run.config.save_dir / run.group / f"{now}-{role}-seed{run.seed}-{identity}"
    with writing(folder):
        folder.mkdir(parents=True)
    return folder
