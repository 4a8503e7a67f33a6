import pytest
from pydantic import ValidationError

from bilateral.training.config import TrainingConfig


def test_the_original_recipe_is_the_published_one():
    config = TrainingConfig(recipe="original")
    published = {
        "epochs": 180,
        "batch_size": 256,
        "optimizer": "adam",
        "lr": 1e-4,
        "weight_decay": 1e-5,
        "schedule": "constant",
        "warmup_epochs": 0,
        "validate_every_epochs": 2,
        "precision": "float32",
    }
    assert {key: getattr(config, key) for key in published} == published


def test_a_given_setting_beats_the_recipe():
    assert TrainingConfig(recipe="original", lr=1e-3).lr == 1e-3


def test_another_optimizer_drops_the_recipe_s_setting_for_muon():
    assert TrainingConfig().with_rates(True).muon_lr == 0.05
    sgd = TrainingConfig(optimizer="sgd").with_rates(True)
    assert sgd.lr == 0.2 and sgd.muon_lr is None


def test_networks_without_batch_norm_get_lower_rates_and_given_ones_stay():
    assert TrainingConfig().with_rates(False).muon_lr == 0.01
    given = TrainingConfig(lr=0.3).with_rates(False)
    assert (given.lr, given.muon_lr) == (0.3, 0.01)
    assert TrainingConfig(recipe="original").with_rates(False) == TrainingConfig(recipe="original")


def test_a_resolved_config_reads_back_to_itself():
    for recipe in ("fast", "original"):
        config = TrainingConfig(recipe=recipe, epochs=7)
        assert TrainingConfig.model_validate(config.model_dump()) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 3, "warmup_epochs": 3}, "warmup_epochs"),
        ({"epochs": 0}, "epochs"),
        ({"lr": -1}, "lr"),
        ({"recipe": "slow"}, "recipe"),
        ({"momentum": 0.9}, "momentum"),
        ({"optimizer": "sgd", "muon_lr": 0.1}, "muon_lr belongs to optimizer: muon"),
        ({"recipe": "original", "optimizer": "muon"}, "muon needs muon_lr"),
        ({"optimizer": "adam"}, "adam needs lr"),
    ],
)
def test_contradictions_and_unknown_settings_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        TrainingConfig(**settings)
