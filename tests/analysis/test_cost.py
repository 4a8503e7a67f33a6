from pathlib import Path
from statistics import fmean

import pandas as pd
import pytest

from bilateral.analysis import cost
from bilateral.analysis.opening import open_study
from bilateral.base.statistics import paired_difference
from bilateral.runs.estimate import training_seconds


@pytest.fixture(scope="module")
def computed(tiny_experiment):
    study = open_study([tiny_experiment / "runs" / "quick-experiment"], [])
    return study, cost.compute(study)


def test_costs_and_accuracies_are_those_of_the_experiments_table(computed):
    study, table = computed
    assert list(table["row"]) == list(study.rows)
    for line in table.to_dict("records"):
        recorded = next(row for row in study.table["rows"] if row["name"] == line["row"])
        for name in ("parameters", "trainable_parameters", "multiply_adds", "training_pflops"):
            assert line[name] == pytest.approx(recorded[name]), name
        for level in ("fine", "coarse"):
            values = [each.get(f"{level}_pct") for each in recorded["by_seed"].values()]
            if None in values:
                assert pd.isna(line[f"{level}_pct"])
            else:
                assert line[f"{level}_pct"] == pytest.approx(sum(values) / 2)
                assert line[f"{level}_low"] <= line[f"{level}_pct"] <= line[f"{level}_high"]


def test_seconds_are_of_all_trainings_each_once(computed):
    study, table = computed
    seconds = table.set_index("row")["training_s"]
    by_row = {
        name: [sum(training_seconds(run.folder) for run in runs) for runs in row.runs.values()]
        for name, row in study.rows.items()
    }
    for name in ("left", "right", "unilateral_wide"):
        assert seconds[name] == pytest.approx(sum(by_row[name]) / 2)
    assert seconds["side_by_side"] == pytest.approx(seconds["left"] + seconds["right"])
    own = sum(by_row["specialised"]) / 2
    assert seconds["specialised"] == pytest.approx(own + seconds["left"] + seconds["right"])
    left, (joined,) = study.rows["left"].runs[0][0], study.rows["specialised"].runs[0]
    assert cost._seconds([left, joined, joined]) == pytest.approx(cost._seconds([joined]))


def test_without_a_table_training_has_no_flops_and_the_pass_counts(tiny_experiment):
    folder: Path = next((tiny_experiment / "runs").glob("quick-bilateral-*/*-seed0-*"))
    table = cost.compute(open_study([folder], []))
    assert table["training_pflops"].isna().all() and table["fine_low"].isna().all()
    assert "no more in an image's pass: " in cost.tell(table)
    assert len(cost.draw(table).axes) == 2


def made(fine: dict[str, list[float]], coarse: dict[str, list[float]] | None = None, **flops: float) -> pd.DataFrame:
    """Rows of these costs, with accuracies by row and seed."""
    lines = [
        {"row": row, "title": row, "seeds": len(fine[row]), "training_pflops": spent, "multiply_adds": 1}
        | {f"{level}_pct": fmean(own[row]) if row in own else None for level, own in levels(fine, coarse)}
        for row, spent in flops.items()
    ]
    table = pd.DataFrame(lines)
    reached = {
        level: {(row, seed): value for row, values in own.items() for seed, value in enumerate(values)}
        for level, own in levels(fine, coarse)
    }
    return table.join([cost.ahead(table, level, own) for level, own in reached.items()])


def levels(fine, coarse):
    return (("fine", fine), ("coarse", coarse or {}))


FLOPS = {"slow": 9.0, "poor": 2.0, "cheap": 1.0, "good": 3.0, "worse": 3.0, "same": 10.0}
FINE = {
    "slow": [70.0, 73.0, 70.0],
    "poor": [50.0, 51.0, 50.0],
    "cheap": [60.0, 61.0, 60.0],
    "good": [69.0, 70.2, 72.0],
    "worse": [65.0, 66.0, 65.0],
    "same": [70.0, 73.0, 70.0],
}


def test_each_row_is_compared_with_the_nearest_of_those_that_cost_no_more():
    table = made(FINE, **FLOPS).set_index("row")
    assert table["fine_nearest"].fillna("").to_dict() == {
        "slow": "good",
        "poor": "cheap",
        "cheap": "",
        "good": "worse",
        "worse": "good",
        "same": "slow",
    }
    compared = paired_difference(FINE["slow"], FINE["good"])
    assert table.loc["slow", ["fine_ahead", "fine_ahead_low", "fine_ahead_high"]].tolist() == pytest.approx(
        [compared.mean, *compared.ci95]
    )
    assert table["coarse_ahead"].isna().all() and pd.isna(table.loc["cheap", "fine_ahead"])


def test_more_accurate_than_all_that_cost_no_more_is_said_only_if_it_is_shown():
    coarse = {"cheap": [40.0, 41.0, 40.0], "good": [45.0, 46.1, 45.0]}
    text = cost.tell(made(FINE, coarse, **FLOPS))
    assert text.startswith(
        "Shown to be more accurate than all networks that cost no more in training: on fine labels “good”; on "
        "coarse labels “good”. From the cheapest, each more accurate on average than all before it: on fine labels "
        "“cheap” (60.3 %), then “good” +5.1 (+0.9 to +9.2) beyond “worse”, then “slow” +0.6 (-5.4 to +6.6) beyond "
    )


def test_a_level_of_which_nothing_is_shown_says_so():
    coarse = {"cheap": [40.0, 41.0, 40.0], "good": [45.0, 36.0, 45.0]}
    text = cost.tell(made(FINE, coarse, **FLOPS))
    assert ": on fine labels “good”; on coarse labels no network. From" in text


def test_where_nothing_beats_the_cheapest_no_points_are_spoken_of():
    text = cost.tell(made({"cheap": [60.0, 61.0, 60.0], "good": [50.0, 51.0, 50.0]}, cheap=1.0, good=2.0))
    assert "No network is more accurate on average than the cheapest one: on fine labels “cheap” (60.3 %)." in text
    assert "points" not in text


def test_of_one_seed_and_of_seeds_that_nobody_shares():
    text = cost.tell(made({row: values[:1] for row, values in FINE.items()}, **FLOPS))
    assert text.startswith(
        "In this one seed more accurate than all networks that cost no more in training: on fine labels “good”, "
        "“slow”. From"
    )
    assert "“good” +4.0 (one seed) beyond “worse”, then “slow” +1.0 (one seed) beyond “good” (points" in text
    table = made({"cheap": [1.0, 2.0], "good": [3.0, 4.0]}, cheap=1.0, good=2.0).drop(columns=list_ahead())
    table = table.join(cost.ahead(table, "fine", {("cheap", 0): 1.0, ("cheap", 1): 2.0, ("good", 2): 3.5}))
    text = cost.tell(table)
    assert text.startswith("No network is shown to be more accurate than all networks that cost no more in training. ")
    assert "“good” (no seed in common with “cheap”)" in text and "nan" not in text


def list_ahead():
    return [f"fine_{part}" for part in ("nearest", "ahead", "ahead_low", "ahead_high")]
