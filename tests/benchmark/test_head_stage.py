import pytest

from bilateral.benchmark import head_stage
from bilateral.runs.config import check_config


@pytest.mark.parametrize(("views_given", "views"), [(0, 1), (3, 3)])
def test_heads_are_trained_live_for_a_few_epochs_and_kept_for_all(small, monkeypatch, recorded, views_given, views):
    monkeypatch.setattr(head_stage, "train", recorded)
    training = small.training.model_copy(update={"feature_views": views_given})
    measured = head_stage.measure_head_stage(small.model_copy(update={"training": training}), 100)
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
    measured = head_stage.measure_head_stage(wide, 100, epochs=40)
    assert measured["head_stage_live_over_kept_ratio"] > 1.5


def test_two_hemispheres_keep_their_sides():
    model = {"left": {"width": 0.5}, "right": {"width": 0.25}, "mode_heads": "fine"}
    frozen = head_stage.with_frozen_hemispheres(check_config({"model": model, "training": {}}, "test")).model
    assert (frozen.left.width, frozen.right.width) == (0.5, 0.25)
    assert frozen.left.freeze and frozen.right.freeze and frozen.levels == ("fine", "coarse")
