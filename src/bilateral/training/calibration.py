"""Statistics for hemispheres that are not trained."""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from ..models.network import Network

CALIBRATION_IMAGES, CALIBRATION_BATCH = 2000, 500


@torch.no_grad()
def calibrate_batch_norm(network: Network, sides: Collection[str], images: Tensor) -> None:
    """Set batch norm's running statistics on some sides to the mean over batches of `images` (N, C, H, W), normalised.

    As it is initialised, a network with batch norm in evaluation mode normalises nothing, and its activations fade.
    """
    modules = [module for side in sides for module in network.hemispheres[side].modules()]
    layers = [module for module in modules if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
        layer.train()
    for batch in images.split(CALIBRATION_BATCH):
        network.features(batch)
    for layer, momentum in zip(layers, momenta):
        layer.momentum = momentum
        layer.eval()
