import pytest

from bilateral.experiment.statistics import summarise


def test_by_hand():
    # Mean 3, sample variance 2.5; t(0.975, 4) = 2.776445.
    summary = summarise([1, 2, 3, 4, 5])
    half = 2.776445 * (2.5 / 5) ** 0.5
    assert (summary["n"], summary["mean"]) == (5, 3)
    assert summary["std"] == pytest.approx(2.5**0.5)
    assert summary["ci95"] == pytest.approx((3 - half, 3 + half), abs=1e-5)


def test_one_value_has_no_deviation():
    assert summarise([4.0]) == {"n": 1, "mean": 4.0, "std": None, "ci95": None}
