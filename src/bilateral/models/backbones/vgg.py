"""VGG-11 (configuration A, Simonyan and Zisserman 2014, arXiv 1409.1556) as a feature extractor."""

from torch import Tensor, nn

from ..config import HemisphereConfig
from .base import Backbone, scaled

# Channels of the convolutions; None: max-pool 2.
_CONFIGURATION_A = (64, None, 128, None, 256, 256, None, 512, 512, None, 512, 512, None)


def initialise(module: nn.Module) -> None:
    """Draw a layer's weights as torchvision does."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0, 0.01)
    if isinstance(module, nn.Conv2d | nn.Linear) and isinstance(module.bias, Tensor):
        nn.init.zeros_(module.bias)


class VGG11(Backbone):
    """Eight convolutions with biases and no batch norm, 7x7 pool, two fully connected layers; 4096 features.

    Layers and initialisation are torchvision's, whose last linear layer is left out. `width` scales
    convolutions and fully connected layers alike. Images of 32x32 or more.
    """

    stages = ("features", "pool", "classifier")
    reads = frozenset({"width"})
    initialise = staticmethod(initialise)

    def __init__(self, config: HemisphereConfig) -> None:
        super().__init__()
        channels = scaled(512, config.width)
        self.num_features = scaled(4096, config.width)
        self.features = _convolutions(config.width)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(7), nn.Flatten())
        self.classifier = nn.Sequential(
            nn.Linear(channels * 7 * 7, self.num_features),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(self.num_features, self.num_features),
            nn.ReLU(),
            nn.Dropout(0.5),
        )
        self.apply(initialise)


class VGG11Pool(Backbone):
    """VGG-11's convolutions, then the mean over positions in place of its classifier; 512 features at width 1."""

    stages = ("features", "pool")
    reads = frozenset({"width"})
    initialise = staticmethod(initialise)

    def __init__(self, config: HemisphereConfig) -> None:
        super().__init__()
        self.num_features = scaled(512, config.width)
        self.features = _convolutions(config.width)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.apply(initialise)


def _convolutions(width: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = 3
    for channels in _CONFIGURATION_A:
        if channels is None:
            layers.append(nn.MaxPool2d(2))
        else:
            outputs = scaled(channels, width)
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            inputs = outputs
    return nn.Sequential(*layers)
