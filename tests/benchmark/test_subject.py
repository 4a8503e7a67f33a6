from pathlib import Path

import pytest
import torch

from bilateral.base.errors import ConfigError
from bilateral.benchmark.subject import epoch_seconds, measured_config, random_dataset, training_flops, training_job
from bilateral.models.config import ModelConfig
from bilateral.runs.config import check_config
from bilateral.training.loop import train


def test_the_whole_network_is_trained_from_fresh_weights():
    frozen = {"freeze": True, "checkpoint": "nowhere", "width": 0.0625}
    config = check_config({"model": {"left": frozen, "right": frozen}, "training": {}}, "test")
    measured = measured_config(config, 100)
    for hemisphere in measured.model.hemispheres.values():
        assert not hemisphere.freeze and hemisphere.checkpoint is None and hemisphere.width == 0.0625
    assert measured.training.precision in ("float32", "bfloat16")


def test_what_is_not_trained_or_does_not_fit_is_refused():
    ensemble = {"model": {"mode_hemis": "ensemble", "members": ["a", "b"]}, "training": {}}
    with pytest.raises(ConfigError, match="an ensemble is not"):
        measured_config(check_config(ensemble, "test"), 100)
    with pytest.raises(ConfigError, match="--images: must be 100 or more"):
        measured_config(check_config({"training": {}}, "test"), 99)
    with pytest.raises(ConfigError, match="unknown backbone"):
        measured_config(check_config({"model": {"left": {"arch": "resnet7"}}, "training": {}}, "test"), 100)


def test_images_are_like_cifar_100():
    dataset = random_dataset(250)
    assert dataset.train.images.shape == (250, 3, 32, 32) and dataset.train.images.dtype == torch.uint8
    assert (dataset.hierarchy.fine_count, dataset.hierarchy.coarse_count) == (100, 20)
    assert not torch.equal(dataset.train.images[:100], dataset.test.images)


def test_a_job_takes_settings_and_shows_no_bar(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    train(training_job(small, 100, tmp_path, epochs=2))
    assert len(epoch_seconds(Path(tmp_path))) == 2
    assert "epoch" not in capsys.readouterr().err


def test_training_resnet9_takes_2_27_gflop_an_image():
    assert training_flops(ModelConfig(mode_hemis="unilateral")) == pytest.approx(2.27e9, rel=0.005)
