"""What the loop feeds a network: images, or the features of hemispheres that are frozen anyway."""

from typing import Protocol

import torch
from torch import Tensor

from ..base.streams import derive_seed
from ..data.augment import Normalisation, crop_and_flip
from ..data.images import HierarchicalImages
from ..models.macro import HemisphericNetwork
from ..models.output import Output
from .config import TrainingConfig
from .device import autocast
from .evaluation import EVALUATION_BATCH

Features = dict[str, Tensor]


class Inputs(Protocol):
    """Runs the network on chosen images, for training (augmented) or for validation (as they are)."""

    def training_output(self, indices: Tensor, epoch: int, step: int) -> Output:
        """Output on training images `indices` (B,), augmented as (seed, epoch, step) says."""

    def validation_output(self, indices: Tensor) -> Output:
        """Output on validation images `indices` (B,)."""


class LiveImages:
    """Every batch is augmented and passes through the whole network."""

    def __init__(
        self,
        network: HemisphericNetwork,
        train: HierarchicalImages,
        validation: HierarchicalImages,
        normalise: Normalisation,
        config: TrainingConfig,
        seed: int,
    ) -> None:
        self.network, self.normalise, self.config, self.seed = network, normalise, config, seed
        self.train, self.validation = train.images, validation.images
        self.device = train.images.device

    def training_output(self, indices: Tensor, epoch: int, step: int) -> Output:
        """Output on augmented training images."""
        images = augment(self.train[indices], self.config, self.seed, "augment", epoch, step)
        with autocast(self.config.precision, self.device):
            return self.network(self.normalise(images))

    def validation_output(self, indices: Tensor) -> Output:
        """Output on validation images."""
        with autocast(self.config.precision, self.device):
            return self.network(self.normalise(self.validation[indices]))


class FrozenFeatures:
    """The hemispheres run once over `config.feature_views` augmented views of every image; the heads train on these.

    Epoch e uses view e modulo their number. Memory: views x images x features x 4 bytes. Only for networks whose
    hemispheres are all frozen.
    """

    def __init__(self, live: LiveImages) -> None:
        assert live.network.frozen == set(live.network.hemispheres), "a hemisphere is not frozen"
        self.network = live.network
        self.views = [_features(live, live.train, "view", view) for view in range(live.config.feature_views)]
        self.validation = _features(live, live.validation)

    def training_output(self, indices: Tensor, epoch: int, step: int) -> Output:
        """Output of the heads on the kept features of this epoch's view."""
        view = self.views[epoch % len(self.views)]
        return self.network.classify({side: values[indices] for side, values in view.items()})

    def validation_output(self, indices: Tensor) -> Output:
        """Output of the heads on the validation images' features."""
        return self.network.classify({side: values[indices] for side, values in self.validation.items()})


def build_inputs(live: LiveImages) -> Inputs:
    """Keep features where the config asks for views and every hemisphere is frozen; else run live."""
    wholly_frozen = live.network.frozen == set(live.network.hemispheres)
    return FrozenFeatures(live) if wholly_frozen and live.config.feature_views else live


def augment(images: Tensor, config: TrainingConfig, seed: int, *purpose: str | int) -> Tensor:
    """Crop and flip uint8 images (B, C, H, W) by the stream of (seed, purpose)."""
    generator = torch.Generator().manual_seed(derive_seed(seed, *purpose))
    return crop_and_flip(images, generator, config.crop_padding, config.flip)


@torch.no_grad()
def _features(live: LiveImages, images: Tensor, *view: str | int) -> Features:
    parts = []
    for number, batch in enumerate(images.split(EVALUATION_BATCH)):
        if view:
            batch = augment(batch, live.config, live.seed, *view, number)
        with autocast(live.config.precision, live.device):
            parts.append(live.network.features(live.normalise(batch)))
    return {side: torch.cat([part[side].float() for part in parts]) for side in parts[0]}
