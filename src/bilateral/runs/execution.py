"""What a run computes: the network that it trains, on what, and how that is tested. Where it is written: `runner`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..base.errors import ConfigError
from ..data.augment import Normalisation
from ..data.images import HierarchicalDataset, HierarchicalImages
from ..data.splits import hold_out
from ..models.backbones import find_backbone
from ..models.build import build_network
from ..training import checkpoint
from ..training.calibration import CALIBRATION_IMAGES, calibrate_batch_norm
from ..training.checkpoint import Description
from ..training.device import choose_device, resolve_precision
from ..training.evaluation import Evaluation, evaluate
from ..training.loop import TrainingJob, train
from ..training.progress import ProgressDisplay
from ..training.tracker import Tracking
from .checks import check_labels
from .config import Config
from .plan import Run, named_weights


def resolve(run: Run) -> Run:
    """Settle what depends on the machine or the recipe, so that the run's config says exactly what is done."""
    config = run.config
    for key, epochs in config.model.schedules.items() if config.train else ():
        if epochs > config.training.epochs:
            raise ConfigError(
                f"model.{key}: {epochs} is past the end of {run.title}, which is trained for {config.training.epochs} "
                "epochs; shorten it, or train longer"
            )
    batch_norm, hemispheres = True, {}
    for side, hemisphere in config.model.hemispheres.items():
        try:
            batch_norm &= "batch_norm_momentum" in find_backbone(hemisphere.arch).reads
        except ConfigError as error:
            raise ConfigError(f"model.{side}.{error}") from error
        settled: dict[str, Any] = {"freeze": hemisphere.freeze or False}
        if hemisphere.batch_norm_momentum is None and config.training.recipe == "original":
            settled["batch_norm_momentum"] = "original"
        hemispheres[side] = hemisphere.model_copy(update=settled)
    model = config.model.model_copy(update=hemispheres)
    precision = resolve_precision(config.training.precision, choose_device(config.training.device))
    training = config.training.model_copy(update={"precision": precision}).with_rates(batch_norm)
    parents = {prefix: resolve(parent) for prefix, parent in run.parents.items()}
    return Run(config.model_copy(update={"training": training, "model": model}), run.seed, run.role, parents)


def split(config: Config, dataset: HierarchicalDataset) -> tuple[HierarchicalImages, HierarchicalImages]:
    """Give the images to train on and those to validate on, as the protocol says."""
    if config.protocol == "original":
        training, validation = dataset.train, dataset.test
    elif dataset.validation is not None:
        training, validation = dataset.train, dataset.validation
    else:
        fraction, seed = config.data.validation_fraction, config.data.split_seed
        training, validation = hold_out(dataset.train, dataset.hierarchy, fraction, seed)
    if config.training.data_share < 1:
        unused = 1 - config.training.data_share
        training, _ = hold_out(training, dataset.hierarchy, unused, config.data.split_seed)
    return training, validation


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


def train_run(
    run: Run,
    dataset: HierarchicalDataset,
    parents: Mapping[str, Path],
    folder: Path,
    progress: ProgressDisplay,
) -> None:
    """Train a (resolved) run's network in its folder, or go on with it.

    parents: the checkpoints of what it comes from, by the prefix of the state that each gives.
    """
    config, hierarchy = run.config, dataset.hierarchy
    description = describe(config, dataset)
    # The other lesions are for the test alone, not for validation.
    whole = config.model.model_copy(update={"lesions": config.model.lesions_in_training})
    network = build_network(whole, hierarchy.fine_count, hierarchy.coarse_count, run.seed, description.image_size)
    for prefix, path in (named_weights(config.model) | {**parents}).items():
        checkpoint.load_weights(network, prefix, path)
    training, validation = split(config, dataset)
    untrained = [side for side, hemisphere in config.model.hemispheres.items() if hemisphere.freeze == "untrained"]
    if untrained:
        # Over all of the set, which may be sorted by class.
        chosen = training.images[:: max(1, len(training) // CALIBRATION_IMAGES)][:CALIBRATION_IMAGES]
        calibrate_batch_norm(network, untrained, description.normalise(chosen))
    train(
        TrainingJob(
            network,
            description,
            training,
            validation,
            config.training,
            config.checkpoints,
            run.seed,
            folder,
            run.title,
            progress,
            Tracking(config.tracker, config.name, config.model_dump(mode="json") | {"seed": run.seed}),
        )
    )


def evaluate_run(run: Run, dataset: HierarchicalDataset, tested: Path | None, held_out: bool = False) -> Evaluation:
    """Test the network in the checkpoint `tested`, or the run's ensemble where it is None.

    held_out: on the images that validate, not on those of the test. It may need the backbones that the run's config
    names, and no other own code: a file alone decides nothing.
    """
    model = run.config.model
    images = split(run.config, dataset)[1] if held_out else dataset.test
    device = choose_device(run.config.training.device)
    own_code = {*model.kinds, *run.config.own_code}
    if tested is None:
        ensemble, description = checkpoint.load_ensemble(model.members or [], model.average, own_code)
        check_labels(description, dataset, "the ensemble")
        return evaluate(ensemble.to(device), images, description.normalise)
    read = checkpoint.read(tested)
    network = checkpoint.build(read, tested, own_code=own_code, lesions=model.lesions or None).to(device)
    return evaluate(network, images, read.description.normalise)
