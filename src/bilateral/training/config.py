"""How a network is trained. A recipe gives every setting that is not given itself."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ..base.section import Section, Text, Whole

RECIPES: dict[str, dict[str, Any]] = {
    # As published for the original code.
    "original": {
        "epochs": 180,
        "batch_size": 256,
        "optimizer": "adam",
        "lr": 1e-4,
        "weight_decay": 1e-5,
        "schedule": "constant",
        "warmup_epochs": 0,
        "validate_every_epochs": 2,
        "precision": "float32",
        "feature_views": 0,
    },
    # Few epochs: Muon and Nesterov momentum under learning rates that rise, then fall to zero.
    "fast": {
        "epochs": 10,
        "batch_size": 128,
        "optimizer": "muon",
        "weight_decay": 5e-4,
        "schedule": "linear",
        "validate_every_epochs": 1,
        "precision": "auto",
        "feature_views": 1,
    },
}
WARMUP_SHARE = 0.2
LARGEST_RATE = 1e30
"""Beyond it, float32 cannot hold what an optimizer makes of a rate."""
# Peak learning rates of `fast`, by whether a hemisphere has batch norm: without it the size of the weights counts.
FAST_RATES: dict[bool, dict[str, float]] = {True: {"lr": 0.2, "muon_lr": 0.05}, False: {"lr": 0.01, "muon_lr": 0.01}}
GIVEN_BY_RECIPES = frozenset({key for recipe in RECIPES.values() for key in recipe} | FAST_RATES[True].keys())


class LossWeights(Section):
    """Factors on the cross-entropies of the two levels in the loss; those that are reported have none."""

    fine: Annotated[float, Field(ge=0, le=1000)] = 1.0
    coarse: Annotated[float, Field(ge=0, le=1000)] = 1.0


class TrainingConfig(Section):
    """The training of one network."""

    recipe: Literal["fast", "original"] = "fast"
    epochs: Annotated[Whole, Field(ge=1)]
    batch_size: Annotated[Whole, Field(ge=2)]
    optimizer: Literal["adam", "sgd", "muon"]
    """adam: as published; sgd: with Nesterov momentum 0.9; muon: Muon on convolution kernels, sgd on all else."""
    lr: Annotated[float, Field(gt=0, le=LARGEST_RATE)] | None = None
    """Peak learning rate, of all but what Muon trains. None: by the recipe and the backbones (`with_rates`)."""
    muon_lr: Annotated[float, Field(gt=0, le=LARGEST_RATE)] | None = None
    """Peak learning rate of Muon. None: likewise."""
    weight_decay: Annotated[float, Field(ge=0, le=LARGEST_RATE)]
    """L2 penalty, on all that Muon does not train."""
    schedule: Literal["constant", "linear", "cosine"]
    """How the learning rate falls to zero after its warm-up."""
    warmup_epochs: Annotated[float, Field(ge=0)]
    """Epochs in which the learning rate rises from zero; `fast`: a fifth of all."""
    data_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of each class's training images that it is trained on; the same ones in every run of a data set."""
    loss_weights: LossWeights = LossWeights()
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    crop_padding: Annotated[Whole, Field(ge=0)] = 4
    """Pixels by which a random crop may shift the image."""
    flip: bool = True
    """Mirror half of the images."""
    accumulate_batches: Annotated[Whole, Field(ge=1)] = 1
    """Batches whose gradients make one optimizer step."""
    validate_every_epochs: Annotated[Whole, Field(ge=1)]
    """The last epoch is always validated."""
    log_every_steps: Annotated[Whole, Field(ge=1)] = 50
    """Steps between values in TensorBoard; how soon a loss that is no number is noticed."""
    precision: Literal["auto", "float32", "bfloat16"]
    """auto: bfloat16 where the processor computes it natively."""
    compile: bool = False
    """Compile the network by torch.compile, where images pass through it. On the CPUs measured it does not pay."""
    feature_views: Annotated[Whole, Field(ge=0)]
    """Views of every image whose features are kept when all hemispheres are frozen: the image as it is, then augmented
    ones. 0: none, the hemispheres run live."""
    feature_memory_gb: Annotated[float, Field(ge=0)] = 4.0
    """Gigabytes (10^9 bytes) that a run's kept features may take in memory; else they lie in a file in its folder."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _fill_from_recipe(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        recipe = given.get("recipe") or "fast"
        # An unknown recipe is refused for its name alone, not for all that it would have given.
        defaults = RECIPES[recipe] if recipe in tuple(RECIPES) else RECIPES["fast"]
        filled = {**defaults, **{key: value for key, value in given.items() if value is not None}}
        if "warmup_epochs" not in filled:
            epochs = filled["epochs"]
            filled["warmup_epochs"] = WARMUP_SHARE * epochs if isinstance(epochs, int) else 0
        return filled

    @model_validator(mode="after")
    def _check_consistency(self) -> "TrainingConfig":
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs ({self.warmup_epochs:g}) must be fewer than epochs ({self.epochs})")
        if self.muon_lr is not None and self.optimizer != "muon":
            raise ValueError(f"muon_lr belongs to optimizer: muon; optimizer is {self.optimizer}")
        if self.muon_lr is None and self.optimizer == "muon" and self.recipe != "fast":
            raise ValueError(f"optimizer: muon needs muon_lr, which recipe: {self.recipe} does not give")
        if self.lr is None and self.optimizer == "adam":
            raise ValueError(f"optimizer: adam needs lr, which recipe: {self.recipe} gives for others only")
        return self

    def with_rates(self, batch_norm: bool) -> "TrainingConfig":
        """Give this with the learning rates that it leaves open. batch_norm: whether every hemisphere has it."""
        rates = FAST_RATES[batch_norm] if self.optimizer == "muon" else {"lr": FAST_RATES[batch_norm]["lr"]}
        return self.model_copy(update={key: rate for key, rate in rates.items() if getattr(self, key) is None})


class CheckpointConfig(Section):
    """Which checkpoints are kept."""

    save_top_k: Annotated[Whole, Field(ge=-1)] = 1
    """How many of the best; -1: one of every validated epoch."""
    monitor: Text = "val_acc"
    """The metric that chooses the best."""
    mode: Literal["max", "min"] = "max"
    save_last: bool = True
    """Keep the last epoch's as well."""
