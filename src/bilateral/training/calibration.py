"""Statistics for hemispheres that are not trained."""

import torch
from torch import Tensor, nn

CALIBRATION_IMAGES, CALIBRATION_BATCH = 2000, 500


@torch.no_grad()
def calibrate_batch_norm(hemisphere: nn.Module, images: Tensor) -> None:
    """Set batch norm's running statistics to the mean of those over batches of `images` (N, C, H, W), normalised.

    As it is initialised, a network with batch norm in evaluation mode normalises nothing, and its activations fade.
    """
    layers = [module for module in hemisphere.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
        layer.train()
    for batch in images.split(CALIBRATION_BATCH):
        hemisphere(batch)
    for layer, momentum in zip(layers, momenta):
        layer.momentum = momentum
        layer.eval()
