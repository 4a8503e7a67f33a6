import math

import numpy as np
import pytest
from scipy import stats

from bilateral.base.statistics import crossed_difference, first_place, holm, paired_difference, side_of_zero, summarise


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


def planted(seeds, images, of_seed, of_image, rest, mean=0.0, generator=None):
    """Differences with a part of each seed, a part of each image, and a part of both, normally distributed."""
    parts = [of_seed * generator.standard_normal((seeds, 1)), of_image * generator.standard_normal((1, images))]
    return mean + sum(parts) + rest * generator.standard_normal((seeds, images))


def test_the_interval_over_seeds_and_images_covers_the_truth_where_that_over_seeds_does_not():
    generator = np.random.default_rng(3)
    inside = {"seeds": 0, "both": 0}
    for _ in range(400):
        found = crossed_difference(planted(4, 300, 0.02, 1.0, 0.5, 2.0, generator), 0.5)
        inside["seeds"] += found.ci95_seeds[0] < 2 < found.ci95_seeds[1]
        inside["both"] += found.ci95[0] < 2 < found.ci95[1]
    assert inside["both"] >= 0.93 * 400 and inside["seeds"] < 0.85 * 400


def test_where_images_do_not_differ_it_is_the_interval_over_seeds():
    generator = np.random.default_rng(4)
    differences = planted(5, 400, 1.0, 0.0, 0.1, 0.3, generator)
    found, alone = crossed_difference(differences, 0.5), paired_difference(differences.mean(1), np.zeros(5))
    assert found.ci95_seeds == pytest.approx(alone.ci95)
    assert found.ci95 == pytest.approx(alone.ci95, rel=0.02) and found.p == pytest.approx(alone.p, rel=0.02)


def test_the_variance_of_a_two_way_layout_by_hand():
    # By seed 1 and 3, by image 0, 2 and 4: no rest. Mean squares 3 * 2 / 1 = 6 and 2 * 8 / 2 = 8, over 6 values.
    found = crossed_difference(np.array([[-1.0, 1.0, 3.0], [1.0, 3.0, 5.0]]), 0.5)
    freedom = 14**2 / (6**2 / 1 + 8**2 / 2)
    half = stats.t.ppf(0.975, freedom) * (14 / 6) ** 0.5
    assert (found.n, found.images, found.mean) == (2, 3, 2.0)
    assert found.ci95 == pytest.approx((2 - half, 2 + half))
    assert found.p is None and found.p_equivalent is None


def test_one_seed_has_the_interval_over_images_alone():
    differences = np.array([[1.0, 0.0, -1.0, 1.0, 1.0, 0.0]])
    found = crossed_difference(differences, 0.5)
    expected = stats.ttest_1samp(differences[0], 0).confidence_interval()
    assert found.ci95_seeds is None and found.ci95 == pytest.approx((expected.low, expected.high))
    assert (found.p, found.p_equivalent) == (None, None)


def test_equivalence_is_two_one_sided_tests():
    generator = np.random.default_rng(5)
    differences = planted(6, 300, 0.1, 0.5, 0.5, 0.2, generator)
    # Where the narrower interval of 90 % lies within the margin, and only there, p is below 0.05.
    for margin in (0.05, 0.2, 0.3, 0.35, 0.4, 0.5, 1.0):
        found = crossed_difference(differences, margin)
        error, freedom = _error_and_freedom(found)
        half = stats.t.ppf(0.95, freedom) * error
        assert (found.p_equivalent < 0.05) == (abs(found.mean) + half < margin)
    assert crossed_difference(differences, 1.0).p_equivalent < 0.05 < crossed_difference(differences, 0.2).p_equivalent


def _error_and_freedom(found):
    """Standard error and degrees of freedom that give this interval and this p."""
    low = stats.t.ppf(0.975, np.arange(2, 400, 0.01))
    errors = (found.ci95[1] - found.mean) / low
    p_values = 2 * stats.t.sf(abs(found.mean) / errors, np.arange(2, 400, 0.01))
    place = int(np.argmin(abs(p_values - found.p)))
    return errors[place], np.arange(2, 400, 0.01)[place]


def test_rows_that_never_differ_are_equal_for_certain():
    found = crossed_difference(np.zeros((3, 10)), 0.5)
    assert (found.mean, found.ci95, found.p, found.p_equivalent) == (0.0, (0.0, 0.0), 1.0, 0.0)
    sure = crossed_difference(np.full((3, 10), 100.0), 0.5)
    assert (sure.p, sure.p_equivalent) == (0.0, 1.0)


def by_seed(**values):
    return {(name, seed): value for name, own in values.items() for seed, value in enumerate(own) if value is not None}


def test_the_first_is_told_apart_only_if_it_is_from_every_other():
    high, near, wild = [9.0, 8.0, 9.0], [5.0, 3.0, 5.0], [12.0, 0.0, 1.0]
    found = first_place(by_seed(near=near, high=high))
    assert (found.first, found.second, found.differences, found.told_apart) == ("high", "near", [4, 5, 4], True)
    assert found.means == pytest.approx((26 / 3, 13 / 3))
    # The mean of `wild` is lower than that of `near`, yet it may be first.
    found = first_place(by_seed(near=near, wild=[11.0, 0.0, 1.0], high=high))
    assert (found.first, found.second, found.told_apart) == ("high", "wild", False)
    found = first_place(by_seed(near=near, wild=wild, high=high), sign=-1)
    assert (found.first, found.second, found.told_apart) == ("near", "wild", False)
    found = first_place(by_seed(near=near, high=high), sign=-1)
    assert (found.first, found.differences, found.told_apart) == ("near", [-4, -5, -4], True)
    assert not first_place(by_seed(near=near, high=high), first="near").told_apart


def test_seeds_are_paired_and_one_seed_tells_nothing_apart():
    # 20 points between seeds, 1 between the two.
    assert first_place(by_seed(a=[50.0, 60.0, 70.0], b=[49.1, 59.0, 68.9])).told_apart
    one = first_place(by_seed(a=[2.0], b=[1.0]))
    assert (one.told_apart, one.one_seed, one.differences) == (False, True, [1.0])
    assert not first_place(by_seed(a=[2.0], b=[2.0])).one_seed
    # In the seed that both have, a is behind.
    behind = first_place(by_seed(a=[1.0, 9.0], b=[2.0]))
    assert (behind.first, behind.differences, behind.told_apart, behind.one_seed) == ("a", [-1.0], False, False)
    apart = first_place(by_seed(a=[2.0, None], b=[None, 1.0]))
    assert (apart.differences, apart.told_apart, apart.one_seed) == ([], False, False)


@pytest.mark.parametrize(
    ("values", "side"),
    [([], 0), ([3.0], 0), ([1.0, 2.0, 1.5], 1), ([-1.0, -2.0, -1.5], -1), ([-1.0, 3.0, 1.0], 0), ([0.0, 0.0], 0)],
)
def test_the_side_of_zero(values, side):
    assert side_of_zero(values) == side
