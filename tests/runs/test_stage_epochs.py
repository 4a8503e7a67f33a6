"""Which trainings `training.epochs` does not change."""

import logging

import pytest

from bilateral.runs.config import read_config
from bilateral.runs.stage_epochs import tell_stage_epochs
from bilateral.sweeps.run import plan_sweep
from conftest import QUICK, TINY_EXPERIMENT

LEFT = {"pretraining": {"left": {"epochs": 5}}}


@pytest.mark.parametrize(
    ("arguments", "swept", "kept"),
    [
        (["training.epochs=2"], [], "pretraining.left.epochs=5"),
        (["training.epochs=2", "pretraining.left.epochs=5"], [], None),
        (["training.epochs=5"], [], None),
        (["training.epochs=[5, 6]"], ["training.epochs"], "pretraining.left.epochs=5, pretraining.right.epochs=5"),
        (["training.lr=0.1"], [], None),
    ],
)
def test_trainings_that_keep_their_epochs_are_told(arguments, swept, kept, caplog):
    caplog.set_level(logging.INFO)
    config = read_config(LEFT, ["training.epochs=5"] if swept else arguments)
    tell_stage_epochs(config, arguments, swept)
    said = [record.getMessage() for record in caplog.records]
    whole = f"training.epochs is of the joined network; these stay unless you give them too: {kept}"
    assert said == ([whole] if kept else [])


def test_a_sweep_tells_them(caplog):
    caplog.set_level(logging.INFO)
    brief = [each for each in TINY_EXPERIMENT if "epochs" not in each]
    plan_sweep(QUICK, [*brief, "training.epochs=[1, 2]"])
    (said,) = [record.getMessage() for record in caplog.records if "these stay" in record.getMessage()]
    assert "pretraining.left.epochs=" in said and "pretraining.right.epochs=" in said
