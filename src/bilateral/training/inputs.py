"""What the loop feeds a network: images, or the features of hemispheres that are frozen anyway."""

import logging
import time
from pathlib import Path

import torch
from torch import Tensor

from ..base.streams import derive_seed
from ..data.augment import Crops, Normalisation, crop_and_flip
from ..data.images import HierarchicalImages
from ..models.network import Network
from ..models.output import Output
from .config import TrainingConfig
from .device import autocast, free_bytes
from .evaluation import EVALUATION_BATCH
from .kept_tensors import KeptTensors

log = logging.getLogger(__name__)


class LiveImages:
    """Every batch is augmented and passes through the whole network.

    An epoch's crops are drawn and brought to the device at once: no step waits for that, and an image is cropped
    alike in whatever batch it stands.
    """

    def __init__(
        self,
        network: Network,
        train: HierarchicalImages,
        validation: HierarchicalImages,
        normalise: Normalisation,
        config: TrainingConfig,
        seed: int,
    ) -> None:
        self.network, self.normalise, self.config, self.seed = network, normalise, config, seed
        self.train, self.validation = train.images, validation.images
        self.device = train.images.device
        self._crops: dict[int, Crops] = {}

    def training_output(self, indices: Tensor, epoch: int) -> Output:
        """Output on augmented training images."""
        if epoch not in self._crops:
            self._crops = {epoch: self.draw_crops("augment", epoch)}
        return self._run(crop_and_flip(self.train[indices], self._crops[epoch][indices]))

    def validation_output(self, indices: Tensor) -> Output:
        """Output on validation images."""
        return self._run(self.validation[indices])

    def draw_crops(self, *purpose: str | int) -> Crops:
        """One crop of every training image, by the stream of (seed, purpose)."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, *purpose))
        return Crops.draw(len(self.train), generator, self.config.crop_padding, self.config.flip).to(self.device)

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """The hemispheres' features of uint8 images (B, C, H, W): by side, (B, D), in the precision of training."""
        with torch.no_grad(), autocast(self.config.precision, self.device):
            return self.network.features(self.normalise(images))

    def _run(self, images: Tensor) -> Output:
        with autocast(self.config.precision, self.device):
            return self.network(self.normalise(images))


class FrozenFeatures:
    """The hemispheres run once over `config.feature_views` views of every image; the heads train on their features.

    The first view is the images as they are, the others are augmented; epoch e uses view e modulo their number.
    Memory: views x images x features, in the precision of training; past `config.feature_memory_gb`, or half of what is
    free, they lie in a file in `folder`. Only for networks that are fixed until the join.
    """

    def __init__(self, live: LiveImages, folder: Path) -> None:
        assert live.network.fixed_until_join, "the features change in training"
        self.network = live.network
        count, views = len(live.train), live.config.feature_views
        budget = min(live.config.feature_memory_gb * 1e9, free_bytes(live.device) / 2)
        self.train = KeptTensors(views * count, budget, folder)
        started = time.perf_counter()
        for view in range(views):
            crops = live.draw_crops("view", view) if view else None
            for start in range(0, count, EVALUATION_BATCH):
                chosen = slice(start, start + EVALUATION_BATCH)
                images = live.train[chosen]
                self.train.append(live.features(images if crops is None else crop_and_flip(images, crops[chosen])))
        left = budget - self.train.size if self.train.in_memory else budget
        self.validation = KeptTensors(len(live.validation), left, folder)
        for images in live.validation.split(EVALUATION_BATCH):
            self.validation.append(live.features(images))
        self.count, self.views = count, views
        log.info(
            "kept the hemispheres' features of %d view%s of %d images, %.0f MB %s: %.1f s",
            views,
            "s" * (views > 1),
            count,
            self.train.size / 1e6,
            "in memory" if self.train.in_memory else "in a file",
            time.perf_counter() - started,
        )

    def training_output(self, indices: Tensor, epoch: int) -> Output:
        """Output of the heads on the kept features of this epoch's view."""
        return self.network.classify(self.train.rows(indices + epoch % self.views * self.count))

    def validation_output(self, indices: Tensor) -> Output:
        """Output of the heads on the validation images' features."""
        return self.network.classify(self.validation.rows(indices))


Inputs = LiveImages | FrozenFeatures
"""Runs the network on chosen images, for training (augmented as an epoch has it) or for validation (as they are)."""


def build_inputs(live: LiveImages, folder: Path) -> Inputs:
    """Keep features where the config asks for views and the network is fixed until the join; else run live."""
    return FrozenFeatures(live, folder) if live.config.feature_views and live.network.fixed_until_join else live
