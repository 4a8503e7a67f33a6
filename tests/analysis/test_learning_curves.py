import json

import pandas as pd
import pytest

from bilateral.analysis import learning_curves
from bilateral.analysis.study import NotApplicableError, StudyRow
from bilateral.runs.config import check_config
from bilateral.runs.stored import StoredRun

from . import handmade


def add_run(folder, name, epochs, *levels):
    path = folder / name
    path.mkdir()
    lines = [json.dumps({"epoch": number, **metrics}) for number, metrics in enumerate(epochs, 1)]
    (path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    run = StoredRun(path, handmade.record(name, 0))
    lesion = {"lesions": {"units": {"at": "left", "share": 0.5, "from_epoch": 3}}} if name == "both0" else {}
    run.__dict__["config"] = check_config({"model": lesion}, "test")
    run.__dict__["predictions"] = handmade.answers([0], **{level: [0] for level in levels})
    return run


@pytest.fixture
def study(tmp_path):
    one = [{"val_acc": value, "train_loss": 3 - value} for value in (0.2, 0.4, 0.6)]
    two = [{"val_acc": value, "train_loss": 3 - value} for value in (0.3, 0.5, 0.8)]
    both = [{"val_acc_fine": value, "val_acc_coarse": value + 0.1} for value in (0.4, 0.695, 0.70, 0.69)]
    made = handmade.study({0: {}})
    rows = {
        "left": {0: [add_run(tmp_path, "left0", one, "fine")], 1: [add_run(tmp_path, "left1", two, "fine")]},
        "right": {0: [add_run(tmp_path, "right0", two, "coarse")]},
        "specialised": {0: [add_run(tmp_path, "both0", both, "fine", "coarse")]},
        "mine": {0: [add_run(tmp_path, "mine0", one, "fine")]},
    }
    rows["side_by_side"] = {0: [rows["left"][0][0], rows["right"][0][0]]}
    given = {name: StudyRow(name, f"the {name}", runs, None) for name, runs in rows.items()}
    object.__setattr__(made, "rows", given)
    return made


def test_every_epoch_of_rows_that_are_one_network(study):
    table = learning_curves.compute(study)
    assert set(table["row"]) == {"left", "right", "specialised", "mine"}
    assert len(table) == 2 * (3 + 3) + 6 + (2 * 4 + 1) + 6
    own = table.query("row == 'left' and seed == 1 and metric == 'val_acc'")
    assert own["epoch"].tolist() == [1, 2, 3] and own["value"].tolist() == [0.3, 0.5, 0.8]


def test_accuracies_are_of_the_level_that_a_head_has(study):
    table = learning_curves.compute(study)
    fine, coarse = (learning_curves.accuracies(table, level) for level in ("fine", "coarse"))
    assert fine.groupby("row")["value"].last().to_dict() == pytest.approx({"left": 80, "specialised": 69, "mine": 60})
    assert coarse.groupby("row")["value"].last().to_dict() == pytest.approx({"right": 80, "specialised": 79})
    assert learning_curves.accuracies(table, "fine", "train").empty


def test_the_sentence(study):
    text = learning_curves.tell(learning_curves.compute(study))
    assert text == (
        "After epoch 2 of 4, “the specialised” is within a point of its best accuracy on fine labels (70.0 %). "
        "When it is damaged in epoch 3, its accuracy on fine labels goes from 69.5 to 70.0 %, and ends at 69.0 %. "
        "When it is damaged in epoch 3, its accuracy on coarse labels goes from 79.5 to 80.0 %, and ends at 79.0 %. "
        "No network is shown to be the most accurate at the end on fine labels. “the left” (70.0 %) and “the "
        "specialised” (69.0 %) are not told apart, with a difference of -9.0 (one seed). In this one seed “the right” "
        "is the most accurate at the end on coarse labels. “the right” (80.0 %) and “the specialised” (79.0 %) differ "
        "by +1.0 (one seed)."
    )


def test_the_figure_has_a_line_where_a_lesion_begins(study):
    figure = learning_curves.draw(learning_curves.compute(study))
    begins = [[line.get_xdata() for line in axes.lines if line.get_linestyle() == ":"] for axes in figure.axes]
    assert begins == [[[3, 3]], [[3, 3]]]


def test_runs_without_records_have_no_curves(study):
    for row in study.rows.values():
        for runs in row.runs.values():
            for run in runs:
                (run.folder / "metrics.jsonl").unlink(missing_ok=True)
    with pytest.raises(NotApplicableError):
        learning_curves.compute(study)


def ends(**values):
    """Fine accuracies at the end, by row and seed."""
    lines = [
        (row, f"the {row}", 0, "fine", seed, 1, "val_acc", value / 100)
        for row, own in values.items()
        for seed, value in enumerate(own)
    ]
    columns = ["row", "title", "subject", "level", "seed", "epoch", "metric", "value"]
    return pd.DataFrame(lines, columns=columns)


def test_the_most_accurate_at_the_end_is_named_only_if_it_is_shown():
    told = learning_curves.tell(ends(other=[60.0, 61.0, 60.0], one=[70.0, 71.2, 70.0]))
    assert told.startswith("“the one” is the most accurate at the end on fine labels. “the one” (70.4 %) and ")
    assert told.endswith("“the other” (60.3 %) differ by +10.1 (n = 3, 95 % interval +9.8 to +10.4).")
    same = learning_curves.tell(ends(other=[60.0, 71.0, 60.0], one=[70.0, 61.2, 70.0]))
    assert same.startswith("No network is shown to be the most accurate at the end on fine labels. “the one” (67.1 %)")
    assert "are not told apart, with a difference of +3.4 (n = 3, 95 % interval -" in same
    assert learning_curves.tell(ends(one=[60.0, 62.0])) == "On fine labels “the one” ends at 61.0 %."
