"""The training loop."""

import logging
import math
import time
import warnings
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from ..base import own_code
from ..base.errors import CheckpointError, ConfigError, TrainingDivergedError
from ..base.memory import memory_errors
from ..base.streams import derive_seed
from ..data.batches import shuffled_batches
from ..data.images import HierarchicalImages
from ..models.build import check_state, load_state, not_finite
from ..models.network import Network
from ..models.output import Output
from . import checkpoint, distributed
from .checkpoint import Description, TrainingState
from .config import CheckpointConfig, TrainingConfig
from .device import choose_device, prepare, seed_everything
from .evaluation import EVALUATION_BATCH, EVALUATION_SEED
from .inputs import Inputs, LiveImages, build_inputs
from .keeping import KeptCheckpoints
from .objective import correct, losses, named_metrics, objective
from .optimisation import Optimisation
from .progress import ProgressDisplay, TerminalProgress
from .records import RunRecords
from .tracker import Tracking

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingJob:
    """One network to train, on what, how, and where its records go.

    config.precision must be resolved (not `auto`). title: of its bar on the progress display.
    """

    network: Network
    description: Description
    train: HierarchicalImages
    validation: HierarchicalImages
    config: TrainingConfig
    checkpoints: CheckpointConfig
    seed: int
    folder: Path
    title: str = "training"
    progress: ProgressDisplay = field(default_factory=TerminalProgress)
    tracking: Tracking = field(default_factory=Tracking)


@dataclass
class Tally:
    """Running sums over the images of a pass; on the device, so that adding does not wait for it."""

    count: int = 0
    loss: dict[str, Tensor] = field(default_factory=dict)
    correct: dict[str, Tensor] = field(default_factory=dict)

    def add(self, output: Output, labels: dict[str, Tensor], loss_by_level: dict[str, Tensor]) -> None:
        """Add a batch."""
        size = len(labels["fine"])
        self.count += size
        for level, right in correct(output, labels).items():
            self.loss[level] = self.loss.get(level, 0) + loss_by_level[level].detach() * size
            self.correct[level] = self.correct.get(level, 0) + right

    def over_all_processes(self) -> "Tally":
        """The sums over the images of all processes that train together."""
        count = distributed.add_up(torch.tensor(self.count, device=next(iter(self.loss.values())).device))
        sums = [{level: distributed.add_up(each) for level, each in own.items()} for own in (self.loss, self.correct)]
        return Tally(int(count), *sums)

    def mean_loss(self) -> float:
        """The loss of all heads together, per image."""
        return sum(value.item() for value in self.loss.values()) / self.count

    def accuracies(self) -> dict[str, float]:
        """The share of right predictions by level."""
        return {level: value.item() / self.count for level, value in self.correct.items()}

    def metrics(self, split: str) -> dict[str, float]:
        """The original's names for this split's losses and accuracies."""
        loss_by_level = {level: value.item() / self.count for level, value in self.loss.items()}
        return named_metrics(split, loss_by_level, self.accuracies())


def train(job: TrainingJob) -> None:
    """Train the job's network, from its last checkpoint if its folder has one that can be used.

    Leaves in the folder checkpoints/, metrics.jsonl, timing.jsonl and what `tracking` says. Every random draw is a
    function of (seed, purpose, epoch, step), so a resumed run ends as an uninterrupted one: on the CPU, with the same
    number of threads, to the last bit. Started by torchrun, all processes call it with one job (see `distributed`).
    Raises TrainingDivergedError for what is no finite number, before a checkpoint has it; OutputError where the folder
    cannot be written; OutOfMemoryError.
    """
    strange = ", ".join(kind for kind in job.description.model.kinds if own_code.is_own(kind))
    if strange:
        own_code.call(lambda: _train(job), f"training with {strange}")
    else:
        _train(job)


def _train(job: TrainingJob) -> None:
    with memory_errors(f"{job.title} in {job.folder}"):
        try:
            _do_epochs(job)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(f"training.compile: this network does not compile on this machine: {reason}") from error


def _do_epochs(job: TrainingJob) -> None:
    network, config = job.network, job.config
    device = choose_device(config.device)
    prepare(device, config.precision)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    distributed.synchronise_batch_norm(network)
    training, validation = job.train.to(device), job.validation.to(device)
    sizes = [len(batch) for batch in shuffled_batches(len(training), config.batch_size, job.seed, 0)]
    batches = len(sizes)
    if min(sizes) < distributed.world_size():
        raise ConfigError(
            f"training.batch_size: {config.batch_size} leaves a batch of {min(sizes)} of the {len(training)} images, "
            f"which {distributed.world_size()} processes cannot share"
        )
    optimisation = Optimisation(network, config, math.ceil(batches / config.accumulate_batches))
    kept = KeptCheckpoints(job.folder / "checkpoints", job.checkpoints)
    epochs_done = _resume(job, optimisation, kept)
    live = LiveImages(network, training, validation, job.description.normalise, config, job.seed)
    records = None
    if distributed.is_first():
        records = RunRecords(job.folder, epochs_done, epochs_done * batches, job.tracking)
    started = time.perf_counter()
    inputs = build_inputs(live, job.folder) if epochs_done < config.epochs else live
    step = distributed.parallel(_Step(network, inputs))
    preparation = {"preparation_s": time.perf_counter() - started}
    if config.compile and inputs is live:
        network.compile()
    with ExitStack() as at_the_end:
        if records is not None:
            key = str(job.folder)
            job.progress.start(key, job.title, config.epochs, epochs_done, len(training))
            at_the_end.callback(job.progress.stop, key)
            at_the_end.callback(records.tracker.close)
        for epoch in range(epochs_done, config.epochs):
            started = time.perf_counter()
            network.enter_epoch(epoch)
            metrics = _train_epoch(job, step, training, optimisation, epoch, records).metrics("train")
            seconds = time.perf_counter() - started
            validated = (epoch + 1) % config.validate_every_epochs == 0 or epoch + 1 == config.epochs
            if validated:
                metrics |= _validate(network, inputs, validation).metrics("val")
            _refuse_divergence(job, optimisation, epoch, metrics)
            if records is None:
                continue
            timing = {"train_s": seconds, "train_images_per_s": len(training) / seconds, "ended_unix_s": time.time()}
            records.epoch(epoch + 1, (epoch + 1) * batches, metrics, timing | preparation)
            preparation = {}
            if validated:
                kept.offer(epoch + 1, metrics, network, job.description)
            state = TrainingState(epoch + 1, kept.scores, torch.get_num_threads())
            checkpoint.save(kept.last_path, network, job.description, optimisation.state, state)


class _Step(nn.Module):
    """The forward pass on chosen training images, as one module, which is what torch runs in parallel."""

    def __init__(self, network: Network, inputs: Inputs) -> None:
        super().__init__()
        self.network, self.inputs = network, inputs

    def forward(self, indices: Tensor, epoch: int) -> Output:
        return self.inputs.training_output(indices, epoch)


def _train_epoch(
    job: TrainingJob,
    forward: nn.Module,
    images: HierarchicalImages,
    optimisation: Optimisation,
    epoch: int,
    records: RunRecords | None,
) -> Tally:
    config, at_once, rank = job.config, job.config.accumulate_batches, distributed.rank()
    own = {side: each.own_head for side, each in job.description.model.hemispheres.items() if each.own_head}
    job.network.train()
    batches = shuffled_batches(len(images), config.batch_size, job.seed, epoch, images.fine.device)
    tally, since, reported = Tally(), time.perf_counter(), 0
    for step, batch in enumerate(batches):
        indices = distributed.own_share(batch)
        labels = {"fine": images.fine[indices], "coarse": images.coarse[indices]}
        # Dropout draws from torch's own generator: its state too is a function of the step alone.
        seed_everything(images.fine.device, derive_seed(job.seed, "dropout", epoch, step) + rank)
        output = forward(indices, epoch)
        loss_by_level = losses(output, labels, config.label_smoothing)
        group = min(at_once, len(batches) - step // at_once * at_once)
        factor = distributed.loss_factor(len(indices), len(batch)) / group
        (objective(output, loss_by_level, config.loss_weights, own) * factor).backward()
        if (step + 1) % at_once == 0 or step + 1 == len(batches):
            optimisation.step(epoch * optimisation.steps_per_epoch + step // at_once)
        tally.add(output, labels, loss_by_level)
        if (step + 1) % config.log_every_steps == 0 or step + 1 == len(batches):
            loss = tally.mean_loss()
            if not math.isfinite(loss):
                raise _diverged(job, optimisation, f"the loss is {loss} in epoch {epoch + 1}, by step {step + 1}")
            if records is not None:
                done = (tally.count - reported) * distributed.world_size()
                speed = done / (time.perf_counter() - since)
                job.progress.advance(str(job.folder), done, epoch + 1, loss, tally.accuracies(), speed)
                records.tracker.step(epoch * len(batches) + step + 1, {"step_loss": loss, "lr": optimisation.lr})
                since, reported = time.perf_counter(), tally.count
    return tally.over_all_processes()


@torch.no_grad()
def _validate(network: Network, inputs: Inputs, images: HierarchicalImages) -> Tally:
    network.eval()
    seed_everything(images.fine.device, EVALUATION_SEED)
    tally = Tally()
    everyone = torch.arange(len(images), device=images.fine.device)
    for indices in distributed.own_share(everyone).split(EVALUATION_BATCH):
        labels = {"fine": images.fine[indices], "coarse": images.coarse[indices]}
        output = inputs.validation_output(indices)
        tally.add(output, labels, losses(output, labels))
    return tally.over_all_processes()


def _refuse_divergence(job: TrainingJob, optimisation: Optimisation, epoch: int, metrics: dict[str, float]) -> None:
    """Raise TrainingDivergedError if anything that an epoch leaves is no finite number."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise _diverged(job, optimisation, f"{name} is {value} after epoch {epoch + 1}")
    tensors = job.network.state_dict() | {
        f"{name} of parameter {number}": value
        for number, values in optimisation.state.items()
        for name, value in values.items()
        if value is not None
    }
    odd = not_finite(tensors)
    if odd is not None:
        raise _diverged(job, optimisation, f"{odd} holds NaN or infinity after epoch {epoch + 1}")


def _diverged(job: TrainingJob, optimisation: Optimisation, what: str) -> TrainingDivergedError:
    own = [kind for kind in job.description.model.kinds if own_code.is_own(kind)]
    remedy = f"a lower training.lr (now {optimisation.peak_lr:g}) or precision=float32 may help"
    suspect = f"; see, too, that {' and '.join(own)} gives no NaN" if own else ""
    return TrainingDivergedError(f"{job.folder}: {what}; {remedy}{suspect}")


def _resume(job: TrainingJob, optimisation: Optimisation, kept: KeptCheckpoints) -> int:
    """Go on from the last checkpoint, and give its number of epochs; 0 where there is none that can be used."""
    if kept.last_path.exists():
        try:
            return _take_up(job, optimisation, kept)
        except CheckpointError as error:
            log.warning("%s starts anew, because it cannot go on from what it left: %s", job.title, error)
    if distributed.is_first():
        kept.start_anew()
    return 0


def _take_up(job: TrainingJob, optimisation: Optimisation, kept: KeptCheckpoints) -> int:
    """Load the last checkpoint. Raises CheckpointError, before anything is changed, if it is not of this training."""
    source = str(kept.last_path)
    last = checkpoint.read(kept.last_path)
    if last.training is None or last.optimizer_state is None:
        raise CheckpointError(f"{source} holds no training state to go on from")
    done, threads = last.training.epochs_done, last.training.threads
    if not 1 <= done <= job.config.epochs:
        raise CheckpointError(f"{source} counts {done} epochs of {job.config.epochs} as done")
    given = {name: (tensor.shape, tensor.dtype) for name, tensor in last.network_state.items()}
    check_state(job.network, given, source)
    optimisation.check(last.optimizer_state, source)
    kept.take_up(last.training.kept)
    if threads != torch.get_num_threads():
        warnings.warn(
            f"{job.title} goes on with {torch.get_num_threads()} threads after {threads}: "
            "it will not be bit-identical to an uninterrupted run",
            stacklevel=2,
        )
    load_state(job.network, last.network_state, source)
    optimisation.load(last.optimizer_state)
    if done < job.config.epochs:
        log.info("%s: goes on after epoch %d", job.title, done)
    return done
