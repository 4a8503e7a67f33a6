import pytest

from bilateral.data.hierarchy import LabelHierarchy
from bilateral.experiments.results import Gain, RowResult, SeedResult
from bilateral.experiments.sufficiency import doubts, late_rise

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
    (told,) = doubts([row(fine_pct=60.0, rise=3.0), row("left", fine_pct=60.0, rise=2.0)], [], HIERARCHY)
    assert told.startswith("Perhaps not fully trained") and told.endswith(
        ": “wide network” (3.0), “left network” (2.0)."
    )
    assert doubts([row(fine_pct=60.0, rise=3.0)], [gain({"fine": 60.0}, {"fine": 60.5})], HIERARCHY) == []
    more = gain({"fine": 60.0, "coarse": 7.0}, {"fine": 60.5, "coarse": 9.0})
    (told,) = doubts([row(fine_pct=60.0)], [more], HIERARCHY)
    assert told.startswith("Not fully trained, since twice the epochs") and told.endswith(": “wide network” (2.0).")


@pytest.mark.parametrize(
    ("fine", "coarse", "told"),
    [
        (20.0, 60.0, "“wide network” (20.0 % of fine labels)"),
        (30.0, 55.0, "“wide network” (55.0 % of coarse labels)"),
        (12.0, 52.0, "“wide network” (12.0 % of fine labels, 52.0 % of coarse labels)"),
        (24.0, 58.0, ""),
    ],
)
def test_a_row_near_chance_is_named(fine, coarse, told):
    found = doubts([row(fine_pct=fine, coarse_pct=coarse)], [], HIERARCHY)
    expected = f"(guessing gets 10.0 % of fine labels and 50.0 % of coarse labels right): {told}."
    assert [each.endswith(expected) and each.startswith("Hardly trained") for each in found] == [True] * bool(told)


def test_what_has_no_seed_is_not_named():
    assert doubts([RowResult("wide", "wide", {}, [], {})], [], HIERARCHY) == []
