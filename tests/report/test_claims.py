import numpy as np
import pandas as pd
import pytest

from bilateral.analysis.differences import BETTER, OPEN, WORSE
from bilateral.base.statistics import summarise
from bilateral.report import claims
from bilateral.report.claims import FAILS, HOLDS, PARTLY, UNSHOWN, complementary, findings, weighted_attention
from bilateral.report.claims import OPEN as UNDECIDED


def difference(row, level, mean, verdict, seeds=3):
    half = 0.4 * abs(mean) if verdict != OPEN else 2 * abs(mean) + 1
    low, high = (mean - half, mean + half) if seeds > 1 else (None, None)
    line = {"level": level, "row": row, "title": f"the {row}", "n": seeds, "difference": mean}
    return line | {"ci95_low": low, "ci95_high": high, "verdict": verdict}


PLANTED = {row: {"fine": BETTER, "coarse": BETTER} for row in ("two_left", "two_right")}
"""Hemispheres that are specialised: joined, they are better than two of either kind."""


def differences(fine=BETTER, coarse=BETTER, sized=(), seeds=3, pairs=PLANTED):
    means = {BETTER: 4.0, WORSE: -4.0, OPEN: 0.5}
    lines = [
        difference("left", "fine", means[fine], fine, seeds),
        difference("right", "coarse", means[coarse], coarse, seeds),
    ]
    for row, others in pairs.items():
        lines += [difference(row, level, means[verdict], verdict, seeds) for level, verdict in others.items()]
    # Differences on the other labels, which are not those that count.
    lines += [difference("side_by_side", "fine", -9.0, WORSE, seeds), difference("left", "coarse", -9.0, WORSE, seeds)]
    lines += [difference("unilateral_wide", "fine", means[verdict], verdict, seeds) for verdict in sized]
    return pd.DataFrame(lines)


def silenced(fine=(-5, -6, -7), coarse=(-2, -3, -4)):
    """Changes (points, by seed) of the fine head without right, and of the coarse one without left."""
    lines = []
    for seed, (first, second) in enumerate(zip(fine, coarse)):
        for level, side, value in (("fine", "right", first), ("coarse", "left", second)):
            lines.append((seed, level, side, "mean", 50, -value))
            # Neither of these is what counts.
            lines.append((seed, level, side, "zeros", 50, -40))
            lines.append((seed, level, {"left": "right", "right": "left"}[side], "mean", 50, -40))
    return pd.DataFrame(lines, columns=["seed", "level", "at", "lesion", "accuracy_pct", "points_lost"])


def outcomes(seeds=3):
    """Left wrong on 4 + 2 images where right was right, of which fine got 3 right; and on 10, of which 1."""
    lines = []
    for seed in range(seeds):
        for cell, count in {"0110": 3, "0100": 3, "0010": 1, "0000": 9, "1111": 20, "1001": 5, "1000": 5}.items():
            lines.append((seed, *map(int, cell), count, 0.0))
    return pd.DataFrame(lines, columns=["seed", "left", "right", "fine", "coarse", "count", "share_pct"])


def judge(**changed):
    given = {"differences": differences(), "silenced": silenced(), "cells": outcomes()}
    return complementary(**(given | changed))


@pytest.mark.parametrize(
    ("gains", "fine", "coarse", "verdict"),
    [
        ((BETTER, BETTER), (-5, -6, -7), (-2, -3, -4), HOLDS),
        ((BETTER, OPEN), (-5, -6, -7), (-2, -3, -4), PARTLY),
        ((WORSE, BETTER), (-5, -6, -7), (-2, -3, -4), PARTLY),
        ((OPEN, WORSE), (-5, -6, -7), (-2, -3, -4), UNSHOWN),
        ((WORSE, WORSE), (-5, -6, -7), (-2, -3, -4), FAILS),
        ((BETTER, BETTER), (5, 6, 7), (2, 3, 4), FAILS),
        # A gain without a loss when the other hemisphere is silent is none, nor is a loss that may be none.
        ((BETTER, BETTER), (5, 6, 7), (-2, -3, -4), PARTLY),
        ((BETTER, BETTER), (-5, -6, -7), (-1, 2, -9), PARTLY),
        ((BETTER, BETTER), (1, -1, 0), (0, 0.5, -2), UNSHOWN),
        ((BETTER, OPEN), (1, -1, 0), (-2, -3, -4), UNSHOWN),
    ],
)
def test_complementary_by_both_heads(gains, fine, coarse, verdict):
    assert judge(differences=differences(*gains), silenced=silenced(fine, coarse)).verdict == verdict


def pairs(**changed):
    """Pairs of one kind that the specialised one beats, but for what is changed, by row_level."""
    return {row: {level: changed.get(f"{row}_{level}", BETTER) for level in ("fine", "coarse")} for row in PLANTED}


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, HOLDS),
        # Two left hemispheres gain as much, or more, on fine labels: what is seen there is no specialisation.
        ({"two_left_fine": OPEN}, PARTLY),
        ({"two_left_fine": WORSE}, PARTLY),
        ({"two_left_fine": WORSE, "two_right_coarse": WORSE}, FAILS),
        ({"two_left_fine": OPEN, "two_right_coarse": OPEN}, UNSHOWN),
        # Nor is it where the other kind does so.
        ({"two_left_coarse": WORSE, "two_right_fine": WORSE}, FAILS),
        ({"two_left_fine": WORSE, "two_left_coarse": WORSE}, FAILS),
    ],
)
def test_specialised_pairs_are_told_from_pairs_of_one_kind(changed, verdict):
    assert judge(differences=differences(pairs=pairs(**changed))).verdict == verdict


@pytest.mark.parametrize("row", ["two_left", "two_right"])
def test_without_pairs_of_one_kind_it_is_not_decided(row):
    found = judge(differences=differences(pairs={row: PLANTED[row]}))
    (missing,) = set(PLANTED) - {row}
    assert found.verdict == UNDECIDED
    (told,) = [each for each in found.evidence if "may be due to size" in each]
    assert f"({missing}): what the heads gain" in told


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_decide_nothing(seeds):
    verdict = OPEN if seeds == 1 else BETTER
    same = {row: {"fine": verdict, "coarse": verdict} for row in PLANTED}
    given = {
        "differences": differences(verdict, verdict, seeds=seeds, pairs=same),
        "silenced": silenced((-5, -5.1)[:seeds], (-2, -2.1)[:seeds]),
    }
    found = judge(**given, cells=outcomes(seeds))
    assert found.verdict == UNDECIDED and ("one seed, no interval" in found.evidence[1]) == (seeds == 1)
    assert "nan" not in " ".join(found.evidence)


def test_the_evidence_has_the_figures():
    text = " ".join(judge().evidence)
    loss = summarise([-5, -6, -7])["ci95"]
    assert "The fine head is 4.00 points better than left alone (95 % interval 2.40 to 5.60)" in text
    assert f"changes by -6.00 points (95 % interval {loss[0]:.2f} to {loss[1]:.2f}) when right's features" in text
    assert "the fine head gets 50.0 % right where right was correct, else 10.0 %" in text
    assert "networks of its size:" not in text
    assert "The coarse head is 4.00 points better than on two left hemispheres (95 % interval 2.40" in text


def test_networks_of_the_same_size_are_another_question():
    found = judge(differences=differences(sized=(WORSE, OPEN)))
    assert found.verdict == HOLDS and "minus other networks of its size" in found.evidence[-1]
    text = "the unilateral_wide, -4.00 points on fine labels (95 % interval -5.60 to -2.40), +0.50 points"
    assert text in found.evidence[-1]


def shares(level, seed, follows, kept, count=200, permuted=None):
    """A head whose share tells who is right (AUC 1, or 1/2), and that a constant share leaves what is `kept`.

    permuted: what another image's share leaves; the same if not given.
    """
    other = kept if permuted is None else permuted
    generator = np.random.default_rng(seed)
    left = np.arange(count) % 2
    share = np.where(left, 0.8, 0.3) if follows else np.full(count, 0.5)
    return pd.DataFrame(
        {
            "seed": seed,
            "level": level,
            "label": 0,
            "right": (np.arange(count) < min(1, 2 - other) * count).astype(int),
            "left_logit": 1.0,
            "right_logit": 1.0,
            "left_weight_norm": 1.0,
            "right_weight_norm": 1.0,
            "share": share + (0.01 * generator.random(count) if follows else 0),
            "constant_right": np.nan if kept is None else (np.arange(count) < kept * count).astype(float),
            "permuted_right": (np.arange(count) < other * count).astype(float),
            "left_right": left,
            "right_right": 1 - left,
        }
    )


def heads(fine, coarse, seeds=(0, 1, 2)):
    tables = []
    for level, (follows, kept, *permuted) in (("fine", fine), ("coarse", coarse)):
        for place, seed in enumerate(seeds):
            tables.append(shares(level, seed, follows, kept[place], permuted=permuted[0][place] if permuted else None))
    return pd.concat(tables, ignore_index=True)


LOSES, LOSES_NOT, UNSURE = (0.9, 0.91, 0.92), (1, 1, 1), (1, 0.8, 1)
GAINS = (1.1, 1.11, 1.12)
"""Which stands for a head that is right on more images than without (see `heads`)."""


@pytest.mark.parametrize(
    ("fine", "coarse", "verdict"),
    [
        ((True, LOSES), (True, LOSES), HOLDS),
        ((True, LOSES), (True, LOSES_NOT), PARTLY),
        ((True, LOSES), (True, UNSURE), PARTLY),
        ((False, LOSES), (False, LOSES_NOT), UNSHOWN),
        ((True, UNSURE), (True, LOSES_NOT), UNSHOWN),
        ((True, LOSES), (False, LOSES), PARTLY),
        ((True, GAINS), (True, GAINS), FAILS),
        # A gate that is constant, or that does not depend on the image: another image's share costs nothing.
        ((True, LOSES, LOSES_NOT), (True, LOSES, LOSES_NOT), UNSHOWN),
        # One that a better constant share beats.
        ((True, LOSES_NOT, LOSES), (True, GAINS, LOSES), UNSHOWN),
    ],
)
def test_weighted_attention_needs_both_signs_of_both_heads(fine, coarse, verdict):
    found = weighted_attention(heads(fine, coarse))
    assert found.verdict == verdict and len(found.evidence) == 4


@pytest.mark.parametrize(
    ("fine", "coarse", "conclusion"),
    [
        (
            (True, LOSES),
            (True, LOSES),
            "For both heads the mix of the sides matters, image by image: this is attention.",
        ),
        ((True, LOSES), (True, UNSURE), "For one head the mix of the sides matters, image by image."),
        ((True, UNSURE), (True, LOSES_NOT), "Attention is not shown."),
        (
            (False, LOSES_NOT),
            (False, LOSES_NOT),
            "Using the same mix for every image costs almost nothing, so this is not attention.",
        ),
    ],
)
def test_attention_is_concluded_in_a_sentence(fine, coarse, conclusion):
    assert weighted_attention(heads(fine, coarse)).evidence[0] == conclusion


def test_a_share_that_follows_the_wrong_hemisphere_is_no_attention():
    table = heads((True, LOSES), (True, LOSES))
    table[["left_right", "right_right"]] = table[["right_right", "left_right"]].to_numpy()
    found = weighted_attention(table)
    assert found.verdict == FAILS and "is correct: 0.00" in found.evidence[1]
    assert found.evidence[0] == "This is not attention: for both heads a measure below says the contrary."


def test_one_seed_of_shares_decides_nothing():
    found = weighted_attention(heads((True, LOSES), (True, LOSES), (0,)))
    assert found.verdict == UNDECIDED
    assert "is correct: 1.00 (one seed, no interval; 0.5: not at all)" in found.evidence[1]
    assert "The best constant share costs +10.00 points of accuracy" in found.evidence[1]
    assert "another image's share costs +10.00 points (one seed" in found.evidence[1]


def test_without_held_out_images_attention_is_not_decided():
    nothing = (None, None, None)
    found = weighted_attention(heads((True, nothing, LOSES), (True, nothing, LOSES)))
    assert found.verdict == UNDECIDED and "No images were held out" in found.evidence[1]


def test_findings_are_made_of_the_tables_that_are_there():
    tables = {"differences": differences(), "lesions": silenced(), "outcomes": outcomes()}
    there = {}
    for name, table in tables.items():
        assert findings(there) == []
        there[name] = table
    (found,) = findings(there)
    assert found.verdict == HOLDS and found.evidence == judge().evidence
    there["head_shares"] = heads((True, LOSES), (True, LOSES))
    assert [finding.verdict for finding in findings(there)] == [HOLDS, HOLDS]
    # Networks at chance decide nothing, whatever their tables show.
    first, second = findings(there, ["lesions", "cka"])
    assert (first.verdict, first.evidence) == (UNDECIDED, ["At chance: no conclusion."]) and second.verdict == HOLDS


def test_a_claim_that_cannot_be_judged_is_not_decided_and_the_other_one_is():
    tables = {"differences": differences(), "lesions": silenced(), "outcomes": outcomes()}
    shares = heads((True, LOSES), (True, LOSES))
    first, second = findings({**tables, "lesions": silenced().iloc[:0], "head_shares": shares})
    assert first.verdict == UNDECIDED and "cannot be judged" in first.evidence[0] and second.verdict == HOLDS
    first, second = findings({**tables, "head_shares": shares.drop(columns="share")})
    assert first.verdict == HOLDS and second.verdict == UNDECIDED and "KeyError" in second.evidence[0]


def test_where_left_makes_no_mistake_that_is_said():
    cells = outcomes()
    none = cells[cells["left"] == 1]
    evidence = " ".join(judge(cells=none).evidence)
    assert "There is no image that left alone gets wrong." in evidence and "nan" not in evidence
    some = cells[(cells["left"] == 1) | (cells["right"] == 0)]
    assert "right; right was correct on none of them." in " ".join(judge(cells=some).evidence)


@pytest.mark.slow
def test_of_real_runs(tiny_analysed):
    folder = tiny_analysed / "analysis"
    first, second = findings({path.stem: pd.read_csv(path) for path in folder.glob("*.csv")})
    text = " ".join([*first.evidence, *second.evidence])
    assert first.claim != second.claim and "nan" not in text and "None" not in text
    assert {first.verdict, second.verdict} <= {HOLDS, PARTLY, FAILS, UNSHOWN, UNDECIDED}


def test_words_for_intervals():
    one_seed = claims._difference(differences(seeds=1), "fine", "left")
    assert one_seed["n"] == 1 and claims.bounds(one_seed) == "one seed, no interval"
    assert claims.bounds(summarise([1.0])) == "one seed, no interval" and claims.points(-0.456) == "-0.46 points"
    assert claims.better(one_seed, "than left") == "4.00 points better than left (one seed, no interval)"
    worse = claims.better(summarise([-2.0, -2.1, -2.0]), "than left")
    assert worse.startswith("2.03 points worse than left (95 % interval -2.18 to -1.89)")
    open_ = claims.better(summarise([2.0, -2.1, 1.0]), "than left")
    assert open_.startswith("not shown to be better or worse than left (+0.30 points; 95 % interval -5.0")


def test_without_a_hemisphere_alone_nothing_is_decided():
    table = differences()
    found = complementary(table[table["row"] != "left"], silenced(), outcomes())
    assert found.verdict == UNDECIDED and found.evidence == ["There is no row of left alone to compare with."]
