from pathlib import Path

import pandas as pd
import pytest

from bilateral.analysis import cost
from bilateral.analysis.opening import open_study
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
    assert "less in an image's pass" in cost.tell(table)
    assert len(cost.draw(table).axes) == 2


def line(title, flops, fine, coarse=None):
    return {"title": title, "training_pflops": flops, "multiply_adds": 1, "fine_pct": fine, "coarse_pct": coarse}


def test_what_is_not_beaten_by_anything_cheaper():
    rows = [line("slow", 9.0, 70.0), line("poor", 2.0, 50.0), line("cheap", 1.0, 60.0, 40.0)]
    rows += [line("good", 3.0, 69.0, 45.0), line("worse", 3.0, 65.0, 45.0), line("same", 10.0, 70.0)]
    text = cost.tell(pd.DataFrame(rows))
    assert text.startswith(
        "Best for their cost are on fine labels “cheap”, “good”, “slow”; on coarse labels “cheap”, “go"
    )
