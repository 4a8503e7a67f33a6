"""The baseline: a training step as it is commonly written, and as the research code has it."""

import time
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..base.temporary import temporary_folder
from ..data.cifar100 import source as cifar100
from ..data.images import HierarchicalImages
from ..models.build import build_network
from ..runs.config import Config
from ..training.config import RECIPES
from ..training.device import choose_device
from ..training.objective import losses
from .subject import HIERARCHY, random_dataset

PADDING = 4


class PlainImages(Dataset[tuple[Tensor, int, int]]):
    """PNG files, each opened, cropped, flipped and normalised by itself whenever it is asked for.

    An item is a float32 image (3, H, W) with its fine and its coarse label.
    """

    def __init__(self, images: HierarchicalImages, folder: Path) -> None:
        self.files = [folder / f"{index}.png" for index in range(len(images))]
        self.fine, self.coarse = images.fine.tolist(), images.coarse.tolist()
        self.mean, self.std = (torch.tensor(values).view(3, 1, 1) for values in (cifar100.MEAN, cifar100.STD))
        for file, pixels in zip(self.files, images.images):
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        with Image.open(self.files[index]) as file:
            image = plain_crop_and_flip(file.convert("RGB"))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return (pixels - self.mean) / self.std, self.fine[index], self.coarse[index]


def measure_plain(config: Config, count: int) -> dict[str, float]:
    """Train the network of a `measured_config` on `count` PNG files, in float32, with the published Adam.

    `data.num_workers` processes decode. The epoch that counts comes after one that only loads, and after one step, so
    that neither the start of the workers nor anything else that happens once is in it. To be called in a process of
    its own (`in_child`), which has none of the settings that `train` makes.
    Keys: `plain_training_images_per_s`, `plain_loading_images_per_s` (the same without training),
    `plain_workers_start_s`.
    """
    # Whether so many workers pay on this machine is the config's business.
    warnings.filterwarnings("ignore", message="This DataLoader will create")
    device, workers = choose_device(config.training.device), config.data.num_workers
    network = build_network(config.model, HIERARCHY.fine_count, HIERARCHY.coarse_count).to(device)
    published = RECIPES["original"]
    optimizer = torch.optim.Adam(network.parameters(), published["lr"], weight_decay=published["weight_decay"])

    def step(images: Tensor, fine: Tensor, coarse: Tensor) -> None:
        output = network(images.to(device))
        loss_by_level = losses(output, {"fine": fine.to(device), "coarse": coarse.to(device)})
        optimizer.zero_grad()
        torch.stack(list(loss_by_level.values())).sum().backward()
        optimizer.step()

    with temporary_folder() as folder:
        dataset = PlainImages(random_dataset(count).train, folder)
        loader = DataLoader(
            dataset, config.training.batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0
        )
        started = time.perf_counter()
        first, *_ = loader
        first_pass = time.perf_counter() - started
        started = time.perf_counter()
        for _ in loader:
            pass
        loading = time.perf_counter() - started
        step(*first)
        started = time.perf_counter()
        for batch in loader:
            step(*batch)
        if device.type != "cpu":
            torch.accelerator.synchronize()
        training = time.perf_counter() - started
    return {
        "plain_training_images_per_s": count / training,
        "plain_loading_images_per_s": count / loading,
        "plain_workers_start_s": max(0.0, first_pass - loading),
    }


def plain_crop_and_flip(image: Image.Image) -> Image.Image:
    """Give a random crop, of the image's size, of the image reflected by 4 pixels at its edges; half are mirrored."""
    padded = np.pad(np.asarray(image), ((PADDING, PADDING), (PADDING, PADDING), (0, 0)), mode="reflect")
    top, left = torch.randint(0, 2 * PADDING + 1, (2,)).tolist()
    cropped = Image.fromarray(padded).crop((left, top, left + image.width, top + image.height))
    mirrored = torch.rand(1).item() < 0.5
    return cropped.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else cropped
