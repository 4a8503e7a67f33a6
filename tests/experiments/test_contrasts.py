import re

import numpy as np
import pytest

from bilateral.experiments.contrasts import (
    BETTER,
    EQUAL,
    OPEN,
    UNDECIDED,
    WORSE,
    answer,
    by_row,
    contrast_rows,
    whether_better,
)
from bilateral.runs.experiment_config import ContrastsConfig

IMAGES = 4000
TITLES = {"specialised": "the pair", "wide": "a wide one", "long": "a long one"}


def row(share, seeds=(0, 1, 2), base=0, noise=0.02, measures=("joint_fine_pct", "joint_coarse_pct")):
    """A row that gets a share of the images right: the same ones with each seed, but for a share of noise."""
    found = {}
    for seed in seeds:
        generator = np.random.default_rng([base, seed])
        right = np.arange(IMAGES) < share * IMAGES
        found[seed] = {name: right ^ (generator.random(IMAGES) < noise) for name in measures}
    return found


def family(**values):
    return ContrastsConfig(**{"against": ["wide", "long"], **values})


def verdicts(correct, **values):
    return {(each.other, each.measure): each.verdict for each in contrast_rows(correct, family(**values))}


def test_better_worse_equal_and_not_told_apart():
    rows = {"specialised": row(0.6), "wide": row(0.5, base=1), "long": row(0.7, base=2)}
    assert set(verdicts(rows).values()) == {BETTER, WORSE}
    assert verdicts(rows)["wide", "joint_fine_pct"] == BETTER and verdicts(rows)["long", "joint_fine_pct"] == WORSE
    same = {"specialised": row(0.6, noise=0.001), "wide": row(0.6, base=1, noise=0.001)}
    assert set(verdicts(same).values()) == {EQUAL}
    assert set(verdicts(same, margin=0.001).values()) == {OPEN}


def test_what_is_not_told_apart_is_not_as_good():
    # Another 45 % of the images, each seed: no difference is seen, and none within half a point is excluded.
    rows = {"specialised": row(0.5, noise=0.45), "wide": row(0.5, base=1, noise=0.45)}
    assert set(verdicts(rows).values()) == {OPEN}


def test_fewer_than_three_seeds_give_no_verdict():
    rows = {"specialised": row(0.9, seeds=(0, 1)), "wide": row(0.1, seeds=(0, 1), base=1)}
    found = contrast_rows(rows, family())
    assert {each.verdict for each in found} == {UNDECIDED} and all(each.p_holm is None for each in found)
    assert answer(found, TITLES) == "No verdict from 2 seeds: it takes at least 3."
    one = contrast_rows({name: {0: seeds[0]} for name, seeds in rows.items()}, family())
    assert answer(one, TITLES) == "No verdict from 1 seed: it takes at least 3."


def test_seeds_are_paired_and_only_those_that_both_have_count():
    rows = {"specialised": row(0.6, seeds=(0, 1, 2, 3)), "wide": row(0.5, seeds=(3, 2, 1, 9), base=1)}
    fine, _ = contrast_rows(rows, family())
    assert fine.difference.n == 3
    expected = [
        100 * (rows["specialised"][s]["joint_fine_pct"].mean() - rows["wide"][s]["joint_fine_pct"].mean())
        for s in (1, 2, 3)
    ]
    assert fine.difference.mean == pytest.approx(np.mean(expected))


def test_holm_counts_this_family_alone_and_each_kind_of_p_by_itself():
    rows = {"specialised": row(0.605), "wide": row(0.6, base=1), "long": row(0.59, base=2), "other": row(0.1, base=3)}
    found = contrast_rows(rows, family())
    assert [(each.other, each.measure) for each in found] == [
        (other, name) for other in ("wide", "long") for name in ("joint_fine_pct", "joint_coarse_pct")
    ]
    smallest = min(found, key=lambda each: each.difference.p)
    assert smallest.p_holm == pytest.approx(min(1, 4 * smallest.difference.p))
    closest = min(found, key=lambda each: each.difference.p_equivalent)
    assert closest.p_equivalent_holm == pytest.approx(min(1, 4 * closest.difference.p_equivalent))


def test_a_row_that_is_missing_leaves_its_contrasts_out():
    rows = {"specialised": row(0.6), "wide": row(0.5, base=1, measures=("joint_fine_pct",))}
    assert [(each.other, each.measure) for each in contrast_rows(rows, family())] == [("wide", "joint_fine_pct")]
    assert contrast_rows({"wide": row(0.5)}, family()) == []


@pytest.mark.parametrize(
    ("shares", "begin"),
    [
        ((0.6, 0.5, 0.5), "Yes against “a wide one” (joint fine +, joint coarse + points), “a long one” (joint fine +"),
        ((0.6, 0.7, 0.7), "No against “a wide one” (joint fine -, joint coarse - points), “a long one” (joint fine -"),
        ((0.6, 0.7, 0.5), "Yes against “a long one” (joint fine +, joint coarse + points); no against “a wide one” ("),
        (
            (0.6, 0.5, 0.6),
            "Yes against “a wide one” (joint fine +, joint coarse + points); as good as “a long one” (95 ",
        ),
        ((0.6, 0.6, 0.6), "As good as “a wide one”, “a long one” (95 % intervals within -0."),
    ],
)
def test_the_answer_in_a_sentence(shares, begin):
    names = ("specialised", "wide", "long")
    rows = {name: row(share, base=place, noise=0.0005) for place, (name, share) in enumerate(zip(names, shares))}
    found = contrast_rows(rows, family())
    assert re.sub(r"(?:9\.[89]|10\.[01])\b", "", answer(found, TITLES)).startswith(f"Is “the pair” better? {begin}")


def test_the_verdicts_of_one_network_in_a_word():
    given = [(BETTER, BETTER), (BETTER, OPEN), (BETTER, WORSE), (WORSE, OPEN), (EQUAL, EQUAL), (EQUAL, OPEN)]
    words = ["yes", "in part", "mixed", "no", "as good", "not shown"]
    assert [whether_better(each) for each in given] == words


def test_the_answer_of_nothing_and_of_what_is_open():
    assert answer([], TITLES).startswith("No verdict: the table lacks the rows")
    rows = {"specialised": row(0.5, noise=0.45), "wide": row(0.5, base=1, noise=0.45)}
    found = contrast_rows(rows, family())
    lows, highs = zip(*(each.difference.ci95 for each in found))
    within = f"95 % intervals within {min(lows):.1f} to {max(highs):.1f} points"
    assert min(lows) < -0.5 and max(highs) > 0.5
    told = answer(found, TITLES)
    assert told == f"Is “the pair” better? Not shown against “a wide one” ({within}). 3 seeds, Holm-corrected."
    told = answer(contrast_rows(rows, family(measures=["joint_fine_pct"])), TITLES)
    assert re.search(r"“a wide one” \(95 % interval -?\d\.\d to \d\.\d points\)\. 3 seeds", told)


def test_each_row_in_a_sentence():
    rows = {"specialised": row(0.6), "wide": row(0.5, base=1), "long": row(0.7, base=2)}
    wide, long = by_row(contrast_rows(rows, family()), TITLES)
    assert wide.startswith("Against “a wide one”: joint fine +") and "better" in wide and "worse" in long
