import math

import pytest
from scipy import stats

from bilateral.base.statistics import holm, mcnemar, paired_difference, summarise


def test_by_hand():
    # Mean 3, sample variance 2.5; t(0.975, 4) = 2.776445.
    summary = summarise([1, 2, 3, 4, 5])
    half = 2.776445 * (2.5 / 5) ** 0.5
    assert (summary["n"], summary["mean"]) == (5, 3)
    assert summary["std"] == pytest.approx(2.5**0.5)
    assert summary["ci95"] == pytest.approx((3 - half, 3 + half), abs=1e-5)


def test_one_value_has_no_deviation():
    assert summarise([4.0]) == {"n": 1, "mean": 4.0, "std": None, "ci95": None}


def test_a_difference_of_pairs_by_hand():
    # Differences 1, 3, 1, 4: mean 2.25, deviation 1.5, so t = 3; t(0.975, 3) = 3.182446.
    found = paired_difference([63, 65, 64, 67], [62, 62, 63, 63])
    assert (found.n, found.mean, found.note) == (4, 2.25, "")
    assert found.ci95 == pytest.approx((2.25 - 0.75 * 3.182446, 2.25 + 0.75 * 3.182446), abs=1e-5)
    assert found.p == pytest.approx(1 - 2 / math.pi * (3**0.5 / 4 + math.pi / 3))


def test_a_paired_test_is_a_test_of_the_differences():
    values, reference = [65.3, 64.9, 65.8, 66.1, 64.2], [63.4, 64.8, 65.9, 63.0, 64.0]
    found = paired_difference(values, reference)
    expected = stats.ttest_1samp([value - other for value, other in zip(values, reference)], 0.0)
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.ci95 == pytest.approx((interval.low, interval.high))
    other_way = paired_difference(reference, values)
    assert (other_way.mean, other_way.p) == pytest.approx((-found.mean, found.p))


def test_two_pairs_give_an_interval_but_no_p():
    found = paired_difference([5.0, 9.0], [4.0, 6.0])
    assert (found.n, found.mean, found.p, found.note) == (2, 2.0, None, "fewer than 3 pairs")
    assert found.ci95 == pytest.approx((2 - 12.7062, 2 + 12.7062), abs=1e-4)
    assert paired_difference([5.0, 9.0, 3.0], [4.0, 6.0, 1.0]).p is not None


def test_one_pair_gives_neither():
    found = paired_difference([5.0], [4.5])
    assert (found.n, found.mean, found.ci95, found.p, found.note) == (1, 0.5, None, None, "one pair only")


def test_equal_differences_give_no_p():
    found = paired_difference([5.0, 6.0, 8.0], [4.5, 5.5, 7.5])
    assert (found.n, found.mean, found.p, found.note) == (3, 0.5, None, "all differences are equal")


def test_differences_that_are_equal_but_for_rounding_give_no_p():
    # 57 - 56, 58 - 57 and 29 - 28 of 100 images.
    found = paired_difference([100 * 0.57, 100 * 0.58, 100 * 0.29], [100 * 0.56, 100 * 0.57, 100 * 0.28])
    assert found.mean == pytest.approx(1) and found.ci95 == pytest.approx((1, 1))
    assert (found.p, found.note) == (None, "all differences are equal")


def test_pairs_must_be_as_many():
    with pytest.raises(ValueError):
        paired_difference([1.0, 2.0], [1.0])


def test_holm_by_hand():
    # In order 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 * 1, which must not be less than the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.2, 0.5, 0.9]) == pytest.approx([0.6, 1, 1])
    assert holm([0.04]) == [0.04] and holm([]) == []


def test_holm_keeps_what_is_none_and_does_not_count_it():
    corrected = holm([None, 0.01, 0.04, None, 0.03, 0.005, None])
    assert [corrected[index] for index in (0, 3, 6)] == [None] * 3
    assert [corrected[index] for index in (1, 2, 4, 5)] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([None, None]) == [None, None]


def test_holm_keeps_the_order_and_never_lowers_a_p():
    p_values = [(37 * number % 101) / 150 for number in range(101)]
    corrected = holm(p_values)
    in_order = [corrected[index] for index in sorted(range(101), key=p_values.__getitem__)]
    assert in_order == sorted(in_order) and in_order[-1] <= 1
    assert all(after >= before for after, before in zip(corrected, p_values))


def test_mcnemar_by_hand():
    found = mcnemar(8, 2)
    assert (found.first_only, found.second_only) == (8, 2)
    assert found.p == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert mcnemar(5, 13).p == pytest.approx(2 * sum(math.comb(18, count) for count in range(6)) / 2**18)


def test_mcnemar_is_the_same_both_ways_and_1_where_nothing_differs():
    for first, second in [(8, 2), (0, 5), (120, 100)]:
        assert mcnemar(first, second).p == pytest.approx(mcnemar(second, first).p)
    assert mcnemar(0, 0).p == 1 and mcnemar(4, 4).p == 1
