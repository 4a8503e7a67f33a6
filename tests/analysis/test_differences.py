import pandas as pd
import pytest
import torch
from scipy.stats import ttest_rel

from bilateral.analysis import differences
from bilateral.analysis.differences import BETTER, OPEN, WORSE
from bilateral.analysis.study import NotApplicableError

from . import handmade

LABELS = torch.arange(6).repeat(100)


def scored(fine: float | None, coarse: float | None):
    """Predictions of 600 images of which these shares (%) are right."""
    given = {}
    for level, share in (("fine", fine), ("coarse", coarse)):
        if share is not None:
            given[level] = [int(index < share * 6) for index in range(600)]
    return handmade.judged(LABELS.tolist(), **given)


FINE = {"left": [60, 61, 62], "bilateral": [70, 72, 71], "wide": [70, 71, 72], "large": [80, 81, 80.5]}
COARSE = {"right": [80, 81, 80], "bilateral": [75, 76, 77], "wide": [75, 70, 79]}


@pytest.fixture
def study():
    said = {
        seed: {
            "left": scored(FINE["left"][seed], None),
            "right": scored(None, COARSE["right"][seed]),
            "bilateral": scored(FINE["bilateral"][seed], COARSE["bilateral"][seed]),
        }
        for seed in range(3)
    }
    others = {
        "unilateral_wide": {seed: scored(FINE["wide"][seed], COARSE["wide"][seed]) for seed in range(3)},
        # Two of the seeds.
        "unilateral": {seed: scored(FINE["large"][seed], None) for seed in (2, 1)},
    }
    return handmade.study(said, others=others)


def test_differences_are_paired_by_seed_with_scipys_interval(study):
    table = differences.compute(study).set_index(["row", "level"])
    assert len(table) == 5 and "specialised" not in table.index.get_level_values("row")
    pairs = {
        ("left", "fine"): (FINE["bilateral"], FINE["left"]),
        ("right", "coarse"): (COARSE["bilateral"], COARSE["right"]),
        ("unilateral_wide", "fine"): (FINE["bilateral"], FINE["wide"]),
        ("unilateral_wide", "coarse"): (COARSE["bilateral"], COARSE["wide"]),
        ("unilateral", "fine"): (FINE["bilateral"][1:], FINE["large"][1:]),
    }
    for key, (own, other) in pairs.items():
        interval = ttest_rel(own, other).confidence_interval(0.95)
        line = table.loc[key]
        assert line["n"] == len(own)
        assert line["difference"] == pytest.approx(sum(own) / len(own) - sum(other) / len(other))
        assert (line["ci95_low"], line["ci95_high"]) == pytest.approx((interval.low, interval.high), abs=1e-6)
    verdicts = {key: line["verdict"] for key, line in table.iterrows()}
    assert verdicts == {
        ("left", "fine"): BETTER,
        ("right", "coarse"): WORSE,
        ("unilateral_wide", "fine"): OPEN,
        ("unilateral_wide", "coarse"): OPEN,
        ("unilateral", "fine"): WORSE,
    }


def test_one_seed_has_no_verdict():
    said = {0: {"left": scored(10, None), "right": scored(None, 10), "bilateral": scored(90, 90)}}
    table = differences.compute(handmade.study(said))
    assert (table["verdict"] == OPEN).all() and table["ci95_low"].isna().all() and (table["difference"] == 80).all()
    text = differences.tell(table)
    assert "+80.00 points on fine labels (one seed)" in text and "nan" not in text
    differences.draw(table)


def test_one_seed_is_too_few_for_a_verdict_and_is_not_called_close():
    own = pd.DataFrame(sized(OPEN, OPEN)).assign(difference=[-0.3, 1.2], ci95_low=None, ci95_high=None, n=1)
    text = differences.tell(own)
    assert text.endswith(
        "Its differences from networks of about its own size lie between -0.3 and +1.2 points; "
        "one seed has no interval, so no difference is decided."
    )
    # Beside rows of several seeds, those of one are left out of the count.
    both = differences.tell(pd.concat([own, pd.DataFrame(sized(BETTER))], ignore_index=True))
    assert "In 1 comparison with networks of about its own size it is better" in both


def test_with_no_other_row_there_is_nothing_to_compare():
    study = handmade.study({0: {"bilateral": scored(50, 50)}})
    rows = {"specialised": study.rows["specialised"]}
    object.__setattr__(study, "rows", rows)
    with pytest.raises(NotApplicableError):
        differences.compute(study)


def line(row, level, difference, verdict):
    ends = {BETTER: (0.1, 9), WORSE: (-9, -0.1), OPEN: (-9, 9)}[verdict]
    difference = -difference if verdict == WORSE else difference
    return {
        "level": level,
        "row": row,
        "title": f"the {row}",
        "n": 3,
        "difference": difference,
        "ci95_low": ends[0],
        "ci95_high": ends[1],
        "verdict": verdict,
    }


LEFT, RIGHT = line("left", "fine", 3.0, BETTER), line("right", "coarse", 2.5, OPEN)
ALONE = line("unilateral", "fine", 2.0, BETTER)


def sized(*verdicts):
    return [line("nonspecialised", "fine", 0.5, verdict) for verdict in verdicts]


@pytest.mark.parametrize(
    ("lines", "begins"),
    [
        (
            [ALONE, *sized(BETTER, BETTER)],
            "Yes against one hemisphere of the same architecture (fine labels +2.0 points); yes against networks of",
        ),
        (
            [ALONE, *sized(BETTER, OPEN)],
            "Yes against one hemisphere of the same architecture (fine labels +2.0 points); in p",
        ),
        (
            [ALONE, *sized(OPEN, WORSE)],
            "Yes against one hemisphere of the same architecture (fine labels +2.0 points); no a",
        ),
        (
            [line("unilateral", "fine", 0.1, OPEN), *sized(OPEN)],
            "Not shown against one hemisphere of the same architecture (fine labels +0.1 points); not s",
        ),
        (
            [ALONE, *sized(BETTER, WORSE)],
            "Yes against one hemisphere of the same architecture (fine labels +2.0 points); mixed ",
        ),
        (
            [LEFT, RIGHT, *sized(WORSE)],
            "In part against each hemisphere alone (fine labels +3.0, coarse labels +2.5 points); no ",
        ),
        (
            [LEFT, RIGHT],
            "In part against each hemisphere alone (fine labels +3.0, coarse labels +2.5 points). Against “the left”",
        ),
        (sized(BETTER, OPEN), "In part against networks of about its own size. In 2 comparisons"),
    ],
)
def test_the_verdict_in_words(lines, begins):
    table = pd.DataFrame(lines)
    text = differences.tell(table)
    assert text.startswith(begins)
    counts = [
        sum(each["row"] == "nonspecialised" and each["verdict"] == v for each in lines) for v in (BETTER, WORSE, OPEN)
    ]
    if any(counts):
        better, worse, unclear = counts
        assert f"better in {better}, worse in {worse}, and too close to call in {unclear}" in text
    else:
        assert "no network of its size" in text
    differences.draw(table)


def test_variants_of_the_config_are_compared_too():
    text = differences.tell(
        pd.DataFrame([line("divisive", "fine", 1.0, OPEN), line("divisive", "coarse", 2.0, BETTER)])
    )
    assert text.startswith("In part against the variants in this config. In 2 comparisons with the variants in this")
    assert "better in 1, worse in 0, and too close to call in 1" in text and "no network" not in text


def test_a_study_of_rows_that_are_no_controls_is_told_without_gaps():
    table = pd.DataFrame([line("fine_tuned", "fine", 1.0, OPEN)])
    text = differences.tell(table)
    assert text == "There is no network of its size to compare it with."
