from copy import deepcopy

import torch

from bilateral.models.build import build_network
from bilateral.runs.config import check_config
from bilateral.runs.execution import describe, resolve, split, train_run
from bilateral.runs.plan import Run
from bilateral.training.calibration import calibrate_batch_norm
from bilateral.training.checkpoint import read
from bilateral.training.progress import TerminalProgress


def test_an_untrained_hemisphere_is_calibrated_on_the_images_to_train_on(tiny, tmp_path):
    left = {"width": 0.0625, "freeze": "untrained"}
    training = {"epochs": 1, "batch_size": 48, "precision": "float32", "device": "cpu"}
    values = {"model": {"left": left, "right": {"width": 0.0625}}, "training": training}
    run = resolve(Run(check_config(values, "test"), 3))
    network = build_network(run.config.model, tiny.hierarchy.fine_count, tiny.hierarchy.coarse_count, 3)
    expected = deepcopy(network)
    images = split(run.config, tiny)[0].images
    calibrate_batch_norm(expected, ["left"], describe(run.config, tiny).normalise(images))
    train_run(run, tiny, {}, tmp_path, TerminalProgress())
    found = read(tmp_path / "checkpoints" / "last.safetensors").network_state
    for name, value in expected.hemispheres["left"].state_dict().items():
        assert torch.allclose(found[f"hemispheres.left.{name}"], value, rtol=1e-4, atol=1e-5), name
