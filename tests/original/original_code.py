"""Networks after the module structure of the original code, and files of them in its format."""

import math

import torch
from torch import nn

WIDTH = 1 / 16


def conv(inputs, outputs, pool=False):
    layers = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return layers + [nn.MaxPool2d(2)] * pool


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        for number in (1, 2):
            setattr(self, f"conv_res{number}", nn.Conv2d(channels, channels, 3, padding=1, bias=False))
            setattr(self, f"conv_res{number}_bn", nn.BatchNorm2d(channels))

    def forward(self, x):
        y = torch.relu(self.conv_res1_bn(self.conv_res1(x)))
        return torch.relu(self.conv_res2_bn(self.conv_res2(y))) + x


def widths(width):
    return [int(channels * width) for channels in (64, 128, 256, 512)]


class ResNet9(nn.Module):
    """Every tensor under two names: by stage, and under `net`."""

    def __init__(self, width=WIDTH, settings=None):
        super().__init__()
        a, b, c, d = widths(width)
        self.conv1 = nn.Sequential(*conv(3, a))
        self.conv2 = nn.Sequential(*conv(a, b, pool=True))
        self.res1 = Residual(b)
        self.conv3 = nn.Sequential(*conv(b, c, pool=True))
        self.conv4 = nn.Sequential(*conv(c, d, pool=True))
        self.res2 = nn.Sequential(Residual(d), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.net = nn.Sequential(self.conv1, self.conv2, self.res1, self.conv3, self.conv4, self.res2)
        self.length = d

    def forward(self, x):
        return self.net(x)


class FlatResNet9(nn.Module):
    """As older files have it: all layers in one sequence."""

    def __init__(self, width=WIDTH, settings=None):
        super().__init__()
        a, b, c, d = widths(width)
        layers = [*conv(3, a), *conv(a, b, pool=True), Residual(b), *conv(b, c, pool=True), *conv(c, d, pool=True)]
        self.conv = nn.Sequential(*layers, Residual(d), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.length = d

    def forward(self, x):
        return self.conv(x)


class Winners(nn.Module):
    def __init__(self, k, per_k):
        super().__init__()
        self.k, self.per_k = k, per_k

    @staticmethod
    def keep(rows, count):
        """The largest of each row; where several are equal, those that `topk` names."""
        mask = torch.zeros_like(rows)
        mask[torch.arange(len(rows))[:, None], rows.topk(count).indices] = 1
        return rows * mask

    def forward(self, x):
        count = math.ceil(self.k * x.shape[2] * x.shape[3])
        rows = self.keep(x.transpose(0, 1).flatten(2).flatten(0, 1), count).view(x.shape[1], -1)
        rows = self.keep(rows, math.ceil(self.per_k * count * len(x)))
        return rows.unflatten(1, (len(x), -1)).transpose(0, 1).reshape(x.shape)


def sparse_conv(inputs, outputs, settings, pool=False):
    sparse = Winners(*settings) if settings else nn.Identity()
    layers = [nn.Conv2d(inputs, outputs, 3, padding=1), sparse, nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, *[nn.MaxPool2d(2)] * pool)


class SparseResNet9(nn.Module):
    def __init__(self, width=WIDTH, settings=None):
        super().__init__()
        a, b, c, d = widths(width)
        self.conv1 = sparse_conv(3, a, settings)
        self.conv2 = sparse_conv(a, b, settings, pool=True)
        self.res1 = nn.Sequential(sparse_conv(b, b, settings), sparse_conv(b, b, settings))
        self.conv3 = sparse_conv(b, c, settings, pool=True)
        self.conv4 = sparse_conv(c, d, settings, pool=True)
        self.res2 = nn.Sequential(sparse_conv(d, d, settings), sparse_conv(d, d, settings))
        self.length = d

    def forward(self, x):
        x = self.conv2(self.conv1(x))
        x = self.conv4(self.conv3(self.res1(x) + x))
        return nn.functional.max_pool2d(self.res2(x) + x, 4).flatten(1)


class VGG11(nn.Module):
    def __init__(self, width=WIDTH, settings=None):
        super().__init__()
        features, inputs = [], 3
        for channels in (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0):
            outputs = int(channels * width)
            features += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()] if outputs else [nn.MaxPool2d(2)]
            inputs = outputs or inputs
        self.length = int(4096 * width)
        self.vgg = nn.Module()
        self.vgg.features = nn.Sequential(*features)
        linears = [(inputs * 49, self.length), (self.length, self.length)]
        classifier = [layer for sizes in linears for layer in (nn.Linear(*sizes), nn.ReLU(), nn.Dropout())]
        self.vgg.classifier = nn.Sequential(*classifier, nn.Identity())

    def forward(self, x):
        pooled = nn.functional.adaptive_avg_pool2d(self.vgg.features(x), 7)
        return self.vgg.classifier(pooled.flatten(1))


class Network(nn.Module):
    """Hemispheres and heads under the names of the original."""

    def __init__(self, hemispheres, levels=("fine", "coarse"), counts=(100, 20)):
        super().__init__()
        self.hemisphere_names = tuple(hemispheres)
        for name, hemisphere in hemispheres.items():
            setattr(self, name, hemisphere)
        length = sum(hemisphere.length for hemisphere in hemispheres.values())
        for level, count in zip(("fine", "coarse"), counts):
            if level in levels:
                setattr(self, f"{level}_head", nn.Sequential(nn.Dropout(0.6), nn.Linear(length, count)))
        generator = torch.Generator().manual_seed(5)
        for norm in self.modules():
            if isinstance(norm, nn.BatchNorm2d):
                for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
                    tensor.uniform_(0.2, 1.5, generator=generator)
                norm.num_batches_tracked.fill_(7)
        self.eval()

    def forward(self, images):
        joined = torch.cat([getattr(self, name)(images) for name in self.hemisphere_names], dim=1)
        return {
            level: getattr(self, f"{level}_head")(joined)
            for level in ("fine", "coarse")
            if hasattr(self, f"{level}_head")
        }


def unilateral(hemisphere=ResNet9, levels=("fine", "coarse"), **options):
    return Network({"hemisphere": hemisphere(**options)}, levels)


def bilateral(hemisphere=ResNet9, **options):
    return Network({"fine_hemi": hemisphere(**options), "coarse_hemi": hemisphere(**options)})


def save(path, network_or_state, hparams=None, prefix="model.", **options):
    state = network_or_state.state_dict() if isinstance(network_or_state, nn.Module) else network_or_state
    content = {"epoch": 3, "state_dict": {prefix + name: tensor for name, tensor in state.items()}}
    content["optimizer_states"] = [{"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-4}]}]
    if hparams is not None:
        content["hyper_parameters"] = {"config": {"seeds": [4], "hparams": hparams}}
    torch.save(content, path, **options)
    return path
