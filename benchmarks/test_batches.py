"""What every batch goes through before the network."""

import torch

from bilateral.benchmark.plain import PlainImages
from bilateral.benchmark.subject import random_dataset
from bilateral.data.augment import Crops, Normalisation, crop_and_flip
from bilateral.data.cifar100 import source as cifar100


def test_draw_crops(benchmark):
    benchmark(Crops.draw, 50_000, torch.Generator())


def test_crop_and_flip(benchmark, waited, batch, device):
    crops = Crops.draw(len(batch), torch.Generator()).to(device)
    benchmark(waited(crop_and_flip), batch.images, crops)


def test_normalise(benchmark, waited, batch, device):
    benchmark(waited(Normalisation(cifar100.MEAN, cifar100.STD)), batch.images)


def test_a_batch_of_the_plain_baseline(benchmark, batch, tmp_path):
    """All images of a batch in one process: what `crop_and_flip` and `normalise` stand against."""
    dataset = PlainImages(random_dataset(len(batch)).train, tmp_path)
    benchmark.pedantic(lambda: [dataset[index] for index in range(len(dataset))], rounds=3)
