"""What the benchmarks share: a batch of the published size, and the device and width to measure at."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from bilateral.benchmark.subject import measured_config, random_dataset
from bilateral.data.images import HierarchicalImages
from bilateral.runs.config import Config, check_config
from bilateral.training.device import choose_device

BATCH = 256


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --width and --device."""
    parser.addoption("--width", type=float, default=0.25, help="factor on the channels of resnet9")
    parser.addoption("--device", default="auto", help="auto, cpu, cuda or mps")


@pytest.fixture(scope="session")
def config(request: pytest.FixtureRequest) -> Config:
    """One resnet9 under both heads, of --width, on --device."""
    model = {"mode_hemis": "unilateral", "left": {"width": request.config.getoption("width")}}
    training = {"batch_size": BATCH, "device": request.config.getoption("device")}
    return measured_config(check_config({"model": model, "training": training}, "benchmarks"), BATCH)


@pytest.fixture(scope="session")
def device(config: Config) -> torch.device:
    """Where everything is."""
    return choose_device(config.training.device)


@pytest.fixture(scope="session")
def batch(device: torch.device) -> HierarchicalImages:
    """A batch of random images."""
    return random_dataset(BATCH).train.to(device)


@pytest.fixture(scope="session")
def waited(device: torch.device) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Make of a function one that returns when the device is done with it."""

    def wrap(function: Callable[..., Any]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            function(*arguments)
            if device.type != "cpu":
                torch.accelerator.synchronize()

        return call

    return wrap
