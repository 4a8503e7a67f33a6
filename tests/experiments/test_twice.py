import pytest

from bilateral.base.errors import ConfigError, OutputError
from bilateral.experiments.experiment import Experiment
from bilateral.experiments.results import Gain
from bilateral.experiments.twice import measure_gains, read_gains, twice_as_long, write_gains
from bilateral.runs.config import check_config
from bilateral.runs.predictions import Predictions

SMALL = {"left": {"width": 0.0625}, "right": {"width": 0.0625}}


def config(**values):
    return check_config(
        {"model": SMALL, "experiment": {"rows": ["left", "side_by_side", "unilateral"]}, **values}, "test"
    )


def test_every_training_is_twice_as_long_and_otherwise_the_same():
    given = config(
        seeds=[3, 4],
        training={"epochs": 5},
        pretraining={"left": {"epochs": 7}},
        experiment={
            "end_to_end": {"epochs": 9, "warmup_epochs": 2.5},
            "fine_tuning": {"epochs": 2, "warmup_epochs": 0},
        },
    )
    twice = twice_as_long(given)
    assert twice.seeds == [3] and twice.training.epochs == 10
    assert (twice.pretraining.left.epochs, twice.pretraining.right.epochs) == (14, 10)
    settings = twice.experiment
    assert (settings.end_to_end.epochs, settings.end_to_end.warmup_epochs) == (18, 5.0)
    assert settings.fine_tuning.epochs == 4
    longer = given.training.model_copy(update={"epochs": 10, "warmup_epochs": 2 * given.training.warmup_epochs})
    assert twice.training == longer and twice.model == given.model


def test_gains_are_those_of_held_out_images(tiny, tmp_path):
    given = config(save_dir=str(tmp_path), training={"epochs": 1, "batch_size": 32}, seeds=[0, 1], workers=1)
    left, both, unilateral = measure_gains(given, tiny)
    once = Experiment(given.model_copy(update={"seeds": [0]}), tiny)
    twice = Experiment(twice_as_long(given), tiny)
    assert {run.seed for each in (once, twice) for run in each.runs} == {0}
    for gain in (left, both, unilateral):
        assert gain.seed == 0 and set(gain.once_pct) == set(gain.twice_pct)
    for experiment, found in ((once, left.once_pct), (twice, left.twice_pct)):
        (run,) = experiment.rows[0].runs[0]
        folder = experiment.runner.find(run).folder
        held_out = Predictions.load(folder / "held_out_predictions.npz")
        assert found == {"fine": held_out.accuracy_pct("fine")}
        assert len(held_out.labels["fine"]) != len(tiny.test)
        assert len((folder / "metrics.jsonl").read_text().splitlines()) == {once: 1, twice: 2}[experiment]
    assert set(both.once_pct) == {"fine", "coarse"} and both.once_pct["fine"] == left.once_pct["fine"]
    write_gains(tmp_path, [left, both, unilateral])
    assert read_gains(tmp_path) == [left, both, unilateral]


def test_without_held_out_images_nothing_is_measured(tiny):
    with pytest.raises(ConfigError, match="--twice compares on held-out images"):
        measure_gains(config(protocol="original"), tiny)


def test_a_damaged_file_is_told_and_none_is_no_gain(tmp_path):
    assert read_gains(tmp_path) == []
    for text in ("", "{}", '[{"row": "left"}]'):
        (tmp_path / "twice.json").write_text(text)
        with pytest.raises(OutputError, match=f"cannot read {tmp_path / 'twice.json'}: .*--twice"):
            read_gains(tmp_path)


def test_the_gain_of_a_row_is_that_of_its_better_level():
    assert Gain("a", "a", 0, [], {"fine": 50.0, "coarse": 60.0}, {"fine": 49.0, "coarse": 60.5}).points == 0.5
