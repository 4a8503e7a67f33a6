"""What is said of the data before anything is trained."""

import dataclasses
import logging

import pytest

from bilateral.data import sources
from bilateral.runs.config import Config
from bilateral.runs.train import load_data

TINY = {"shapes": {"train_per_class": 10, "test_per_class": 2}}


@pytest.mark.parametrize(
    ("protocol", "given", "said"),
    [
        ("clean", False, "400 training images (10% of each class are held out for validation) and 80 test images"),
        ("clean", True, "400 training images, 80 validation images and 80 test images"),
        ("original", True, "400 training images and 80 test images"),
    ],
)
def test_the_images_that_validate_are_named(caplog, monkeypatch, protocol, given, said):
    config = Config(data=TINY, protocol=protocol)
    dataset = sources.load(config.data)
    if given:
        dataset = dataclasses.replace(dataset, validation=dataset.test)
    monkeypatch.setattr(sources, "load", lambda _: dataset)
    with caplog.at_level(logging.INFO, logger="bilateral"):
        load_data(config)
    assert said in caplog.text
