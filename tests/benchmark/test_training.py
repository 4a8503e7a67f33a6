import pytest

from bilateral.base.errors import ConfigError
from bilateral.benchmark import training
from bilateral.benchmark.subject import training_flops
from bilateral.runs.config import check_config


def test_rates_are_of_the_median_and_the_fastest_epoch(small, monkeypatch, recorded):
    monkeypatch.setattr(training, "train", recorded)
    measured = training.measure_training(small, 100)
    flops = training_flops(small.model)
    assert measured == {
        "training_median_images_per_s": 50,
        "training_fastest_images_per_s": 100,
        "training_per_image_flops": flops,
        "training_median_flops_per_s": 50 * flops,
        "training_fastest_flops_per_s": 100 * flops,
    }
    (job,) = recorded.jobs
    assert not job.network.frozen and len(job.train) == 100


def test_a_real_training(small):
    measured = training.measure_training(small, 100, epochs=2)
    assert 10 < measured["training_median_images_per_s"] <= measured["training_fastest_images_per_s"]


@pytest.fixture
def here(monkeypatch):
    """Leave this process as it was."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "anywhere")


def test_warm_up_is_what_the_first_epoch_takes_more(small, monkeypatch, recorded, here):
    monkeypatch.setattr(training, "train", recorded)
    recorded.seconds = [9.0, 1.0, 2.0, 4.0]
    measured = training.measure_compiled(small, 100, epochs=4)
    assert measured["compiled_images_per_s"] == 50
    assert measured["compiled_warm_up_s"] == 7
    assert set(measured) == set(training.COMPILED_KEYS)
    assert recorded.jobs[0].config.compile


def test_where_nothing_compiles_the_reason_is_given(small, monkeypatch, here):
    def refuse(job):
        raise ConfigError("training.compile: no compiler")

    monkeypatch.setattr(training, "train", refuse)
    measured = training.measure_compiled(small, 100)
    assert measured == {**dict.fromkeys(training.COMPILED_KEYS), "compiled_failure": "training.compile: no compiler"}


@pytest.mark.parametrize(("views_given", "views"), [(0, 1), (3, 3)])
def test_heads_are_trained_live_for_a_few_epochs_and_kept_for_all(small, monkeypatch, recorded, views_given, views):
    monkeypatch.setattr(training, "train", recorded)
    given = small.training.model_copy(update={"feature_views": views_given})
    measured = training.measure_head_stage(small.model_copy(update={"training": given}), 100)
    live, kept = recorded.jobs
    assert (live.config.feature_views, live.config.epochs) == (0, 3)
    assert (kept.config.feature_views, kept.config.epochs) == (views, 20)
    for job in recorded.jobs:
        assert job.network.frozen == {"left", "right"} and set(job.network.heads) == {"fine", "coarse"}
    assert measured["head_stage_live_epoch_s"] == 1.5
    assert measured["head_stage_live_s"] == 30
    ratio = measured["head_stage_live_s"] / measured["head_stage_kept_s"]
    assert measured["head_stage_live_over_kept_ratio"] == pytest.approx(ratio)


def test_kept_features_are_faster_where_hemispheres_take_time(small):
    # A hemisphere wide enough to be seen beside what every training does.
    left = small.model.left.model_copy(update={"width": 0.25})
    wide = small.model_copy(update={"model": small.model.model_copy(update={"left": left})})
    measured = training.measure_head_stage(wide, 100, epochs=40)
    assert measured["head_stage_live_over_kept_ratio"] > 1.5


def test_two_hemispheres_keep_their_sides():
    model = {"left": {"width": 0.5}, "right": {"width": 0.25}, "mode_heads": "fine"}
    frozen = training.with_frozen_hemispheres(check_config({"model": model, "training": {}}, "test")).model
    assert (frozen.left.width, frozen.right.width) == (0.5, 0.25)
    assert frozen.left.freeze and frozen.right.freeze and frozen.levels == ("fine", "coarse")
