import pytest

from bilateral.data.hierarchy import LabelHierarchy
from bilateral.experiment.results import Gain, RowResult, SeedResult
from bilateral.experiment.sufficiency import doubts, late_rise

HIERARCHY = LabelHierarchy(tuple("abcdefghij"), ("x", "y"), (0,) * 5 + (1,) * 5)


def curve(*values, heads=1):
    keys = {"val_acc_fine": 0.0} if heads == 2 else {}
    return [{"epoch": number, "val_acc": heads * value, **keys} for number, value in enumerate(values, 1)]


def test_the_rise_is_that_of_the_last_tenth_at_least_one_epoch():
    values = [0.1 + 0.01 * number for number in range(20)]
    assert late_rise(curve(*values)) == pytest.approx(2)
    assert late_rise(curve(*values, heads=2)) == pytest.approx(2)
    assert late_rise(curve(*values[:5])) == pytest.approx(1)
    assert late_rise(curve(0.5, 0.4)) == pytest.approx(-10)
    assert late_rise(curve(0.5)) == late_rise([]) == 0


def test_only_validated_epochs_count():
    assert late_rise([*curve(0.1, 0.2), {"epoch": 3, "train_acc": 0.9}, *curve(0.25)]) == pytest.approx(5)


def row(name="wide", rise=0.0, **measures):
    seeds = {seed: SeedResult(measures, {}, 1.0, rise) for seed in (0, 1)}
    return RowResult(name, f"{name} network", {}, ["kind"], seeds)


def gain(once, twice, name="wide"):
    return Gain(name, f"{name} network", 0, ["kind"], once, twice)


def test_rows_that_are_trained_leave_no_doubt():
    good = row(fine_pct=60.0, coarse_pct=80.0, rise=0.9)
    assert doubts([good], [], HIERARCHY) == []
    assert doubts([good], [gain({"fine": 60.0, "coarse": 80.0}, {"fine": 60.9, "coarse": 81.0})], HIERARCHY) == []


def test_a_row_that_still_rises_is_named_unless_twice_the_epochs_were_tried():
    (told,) = doubts([row(fine_pct=60.0, rise=3.0)], [], HIERARCHY)
    assert told.startswith("“wide network” may not be fully trained: its held-out accuracy still rose by 3.0 points")
    assert doubts([row(fine_pct=60.0, rise=3.0)], [gain({"fine": 60.0}, {"fine": 60.5})], HIERARCHY) == []
    (told,) = doubts(
        [row(fine_pct=60.0)], [gain({"fine": 60.0, "coarse": 7.0}, {"fine": 60.5, "coarse": 9.0})], HIERARCHY
    )
    assert told.startswith("“wide network” is not fully trained: twice the epochs bring 2.0 points")


@pytest.mark.parametrize(
    ("fine", "coarse", "count"), [(20.0, 60.0, 1), (30.0, 55.0, 1), (12.0, 52.0, 2), (24.0, 58.0, 0)]
)
def test_a_row_near_chance_is_named(fine, coarse, count):
    told = doubts([row(fine_pct=fine, coarse_pct=coarse)], [], HIERARCHY)
    assert len(told) == count and all("has hardly learnt its" in each for each in told)


def test_what_is_meant_to_be_untrained_and_what_has_no_seed_is_not_named():
    assert doubts([row("untrained", rise=9.0, fine_pct=11.0)], [], HIERARCHY) == []
    assert doubts([RowResult("wide", "wide", {}, [], {})], [], HIERARCHY) == []
