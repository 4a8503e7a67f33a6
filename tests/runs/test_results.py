import json
from pathlib import Path

import pytest
import yaml

from bilateral.runs.config import check_config
from bilateral.runs.plan import Run
from bilateral.runs.results import SystemTable, accuracies_pct, cells, markdown, write_result_all
from bilateral.runs.runner import RunResult
from bilateral.training.run_record import RecordedData, RunRecord


def results(tmp_path: Path, heads: str, metrics: list[dict[str, float]]) -> list[RunResult]:
    model = {"mode_hemis": "unilateral", "mode_heads": heads}
    config = check_config({"save_dir": str(tmp_path), "model": model}, "test")
    return [
        RunResult(Run(config, seed), tmp_path / "group" / str(seed), None, values)
        for seed, values in enumerate(metrics)
    ]


def test_columns_of_each_kind_of_head():
    both = {"test_acc": 1.1, "test_acc_fine": 0.5, "test_acc_coarse": 0.6, "test_acc_rollup": 0.7}
    assert accuracies_pct(both, "both") == {"fine_pct": 50, "coarse_pct": 60, "rollup_pct": 70}
    assert accuracies_pct({"test_acc": 0.5, "test_acc_rollup": 0.7}, "fine") == {"fine_pct": 50, "rollup_pct": 70}
    assert accuracies_pct({"test_acc": 0.5}, "coarse") == {"coarse_pct": 50}


def test_the_summary_has_the_documented_names(tmp_path):
    two = [{"test_acc_fine": 0.1, "test_acc_coarse": 0.2}, {"test_acc_fine": 0.3, "test_acc_coarse": 0.2}]
    written = yaml.safe_load(write_result_all(recorded(tmp_path / "two", "both", two)).read_text())
    assert written["summary"]["mean_fine"] == pytest.approx(0.2)
    assert written["summary"]["stddev_fine"] == pytest.approx(0.02**0.5)
    assert written["summary"]["mean_coarse"] == pytest.approx(0.2)
    assert written["summary"]["stddev_coarse"] == 0
    assert [(run["seed"], run["result"]) for run in written["runs"]] == [(0, [two[0]]), (1, [two[1]])]
    written = yaml.safe_load(write_result_all(recorded(tmp_path / "one", "fine", [{"test_acc": 0.5}])).read_text())
    assert (written["summary"]["mean"], written["summary"]["stddev"], written["summary"]["n"]) == (0.5, None, 1)


def recorded(tmp_path: Path, heads: str, metrics: list[dict[str, float]]) -> list[RunResult]:
    found = results(tmp_path, heads, metrics)
    for result in found:
        data = RecordedData(name="d", fingerprint="f")
        RunRecord(id="i", kind="k", role="r", seed=result.run.seed, data=data, metrics=result.metrics).write(
            result.folder
        )
    return found


def test_the_table_in_all_its_forms(tmp_path):
    fine = results(
        tmp_path, "fine", [{"test_acc": 0.5, "test_acc_rollup": 0.6}, {"test_acc": 0.7, "test_acc_rollup": 0.6}]
    )
    coarse = results(tmp_path, "coarse", [{"test_acc": 0.8}])
    by_name = {"left alone": fine, "right alone": coarse}
    made = SystemTable("mine on shapes", by_name, tmp_path)
    rows = made.rows
    assert cells(rows[0]) == ["left alone", "2", "60.00 ± 14.14", "–", "60.00 ± 0.00"]
    assert cells(rows[1]) == ["right alone", "1", "–", "80.00", "–"]
    assert "| right alone | 1 | – | 80.00 | – |" in markdown(rows)
    made.write()
    assert (tmp_path / "table.md").read_text().startswith("mine on shapes\n\n| network |")
    table = json.loads((tmp_path / "table.json").read_text())
    assert table["rows"][0]["fine_pct"]["mean"] == pytest.approx(60)
    assert [run["seed"] for run in table["runs"]] == [0, 1, 0]
