import math

import pytest
import torch
from scipy import stats

from bilateral.experiment.comparison import compare_images, compare_rows
from bilateral.runs.predictions import Predictions
from conftest import COARSE_OF_FINE


def measures(seeds, **by_name):
    return {seed: {name: values[place] for name, values in by_name.items()} for place, seed in enumerate(seeds)}


ROWS = {
    "left": measures([0, 1, 2, 3], fine_pct=[60.0, 62.0, 61.0, 64.0], rollup_pct=[70.0, 71.0, 75.0, 72.0]),
    "right": measures([0, 1, 2, 3], coarse_pct=[70.0, 70.5, 71.0, 73.0], nll_coarse=[1.0, 1.1, 1.2, 1.3]),
    "wide": measures([0, 1, 2], fine_pct=[63.0, 64.5, 66.0], coarse_pct=[72.0, 72.5, 73.6], nll_coarse=[1.0] * 3),
    "pair": measures(
        [3, 2, 1], fine_pct=[67.0, 66.5, 65.0], coarse_pct=[75.0, 74.0, 74.5], rollup_pct=[76.0, 77.0, 75.0]
    ),
}


def pairs(comparisons):
    return [(each.row, each.reference, each.measure) for each in comparisons]


def holm_by_definition(p, all_p):
    """The largest of the p values up to this one, each times the number of those that are not smaller."""
    return min(1.0, max(other * sum(third >= other for third in all_p) for other in all_p if other <= p))


def test_every_row_meets_every_reference_and_two_references_meet_once():
    found = pairs(compare_rows(ROWS, ["wide", "pair"]))
    expected = {
        *(("left", "wide", name) for name in ["fine_pct"]),
        *(("right", "wide", name) for name in ["coarse_pct"]),
        *(("pair", "wide", name) for name in ["fine_pct", "coarse_pct"]),
        *(("left", "pair", name) for name in ["fine_pct", "rollup_pct"]),
        *(("right", "pair", name) for name in ["coarse_pct"]),
    }
    assert set(found) == expected and len(found) == len(expected)
    turned = pairs(compare_rows(ROWS, ["pair", "wide"]))
    assert ("wide", "pair", "fine_pct") in turned and ("pair", "wide", "fine_pct") not in turned
    assert len(turned) == len(found)


def test_without_references_nothing_is_compared():
    assert compare_rows(ROWS, []) == [] and compare_rows({}, []) == []


def test_rows_are_paired_by_seed_over_the_seeds_that_both_have():
    found = {(each.row, each.reference, each.measure): each.difference for each in compare_rows(ROWS, ["wide", "pair"])}
    left = found["left", "wide", "fine_pct"]
    expected = stats.ttest_1samp([60 - 63.0, 62 - 64.5, 61 - 66.0], 0)
    assert (left.n, left.mean, left.p) == (3, pytest.approx(-3.5), pytest.approx(expected.pvalue))
    # Seeds 1 and 2: 65 - 64.5 and 66.5 - 66, which are listed the other way round.
    pair = found["pair", "wide", "fine_pct"]
    assert (pair.n, pair.mean, pair.p, pair.note) == (2, 0.5, None, "all differences are equal")
    pair = found["pair", "wide", "coarse_pct"]
    assert (pair.n, pair.mean, pair.p, pair.note) == (2, pytest.approx((2 + 0.4) / 2), None, "fewer than 3 pairs")
    left = found["left", "pair", "rollup_pct"]
    expected = stats.ttest_1samp([71 - 75.0, 75 - 77.0, 72 - 76.0], 0)
    assert (left.n, left.mean, left.p) == (3, pytest.approx(-10 / 3), pytest.approx(expected.pvalue))


def test_rows_without_a_common_seed_are_not_compared():
    rows = {"left": measures([0], fine_pct=[1.0]), "wide": measures([1], fine_pct=[2.0])}
    assert compare_rows(rows, ["wide"]) == []


def test_a_seed_of_which_a_row_lacks_the_measure_is_left_out():
    rows = {"left": {**ROWS["left"], 1: {"rollup_pct": 71.0}}, "wide": ROWS["wide"]}
    (found,) = compare_rows(rows, ["wide"])
    assert (found.measure, found.difference.n, found.difference.mean) == ("fine_pct", 2, -4.0)


def test_holm_counts_the_comparisons_that_have_a_p():
    found = compare_rows(ROWS, ["wide", "pair"])
    given = [each.difference.p for each in found if each.difference.p is not None]
    assert len(given) == 5
    for each in found:
        p = each.difference.p
        assert each.p_holm == (None if p is None else pytest.approx(holm_by_definition(p, given)))


def predictions(fine, answers, coarse_answers=None):
    fine = torch.tensor(fine)
    logits = {"fine": 5 * torch.eye(6)[torch.tensor(answers)]}
    if coarse_answers is not None:
        logits["coarse"] = torch.eye(3)[torch.tensor(coarse_answers)]
    return Predictions(logits, {"fine": fine, "coarse": torch.tensor(COARSE_OF_FINE)[fine]})


def test_images_that_one_row_alone_gets_right_are_counted():
    truth = [0, 1, 2, 3, 4, 5, 0, 1]
    own = predictions(truth, [0, 1, 2, 3, 4, 0, 1, 0], [0, 0, 1, 1, 0, 0, 0, 0])
    other = predictions(truth, [0, 0, 0, 0, 0, 5, 1, 1], [1, 0, 1, 1, 2, 2, 0, 0])
    fine, coarse = compare_images({"own": {7: own}, "other": {7: other}}, ["other"])
    assert (fine.row, fine.reference, fine.seed, fine.level, coarse.level) == ("own", "other", 7, "fine", "coarse")
    assert (fine.test.first_only, fine.test.second_only) == (4, 2)
    assert fine.test.p == pytest.approx(2 * (1 + 6 + 15) / 64)
    assert (coarse.test.first_only, coarse.test.second_only, coarse.test.p) == (1, 2, 1)


def test_the_counts_add_up_to_what_the_accuracies_say():
    generator = torch.Generator().manual_seed(2)
    truth = torch.randint(0, 6, (500,), generator=generator)

    def network(share):
        kept = torch.rand(500, generator=generator) < share
        guess = torch.randint(0, 6, (500,), generator=generator)
        fine = torch.where(kept, truth, guess)
        coarse = torch.where(kept, torch.tensor(COARSE_OF_FINE)[truth], guess // 2)
        return predictions(truth.tolist(), fine.tolist(), coarse.tolist())

    rows = {name: {seed: network(share) for seed in (0, 1)} for name, share in [("a", 0.6), ("b", 0.5), ("c", 0.7)]}
    found = compare_images(rows, ["c", "b"])
    assert [(each.row, each.reference, each.seed, each.level) for each in found] == [
        (row, reference, seed, level)
        for row, reference in [("a", "c"), ("b", "c"), ("a", "b")]
        for seed in (0, 1)
        for level in ("fine", "coarse")
    ]
    for each in found:
        own, other = (
            rows[name][each.seed].logits[each.level].argmax(1) == rows[name][each.seed].labels[each.level]
            for name in (each.row, each.reference)
        )
        first, second = each.test.first_only, each.test.second_only
        assert first - second == own.sum().item() - other.sum().item()
        assert first + second == (own != other).sum().item()
        smaller = sum(math.comb(first + second, count) for count in range(min(first, second) + 1))
        assert each.test.p == pytest.approx(min(1, 2 * smaller / 2 ** (first + second)))
    all_p = [each.test.p for each in found]
    assert [each.p_holm for each in found] == pytest.approx([holm_by_definition(p, all_p) for p in all_p])


def test_images_are_compared_in_seeds_and_at_levels_that_both_have():
    one, two = predictions([0, 1], [0, 0]), predictions([0, 1], [0, 1], [0, 0])
    rows = {"one": {0: one, 1: one}, "two": {1: two, 2: two}}
    assert [(each.seed, each.level) for each in compare_images(rows, ["two"])] == [(1, "fine")]
    assert compare_images(rows, []) == []
