from pathlib import Path

import pytest
import yaml

from bilateral.runs.results import write_result_all
from bilateral.training.run_record import RecordedData, RunRecord


def test_the_summary_has_the_documented_names(tmp_path):
    two = [{"test_acc_fine": 0.1, "test_acc_coarse": 0.2}, {"test_acc_fine": 0.3, "test_acc_coarse": 0.2}]
    written = yaml.safe_load(write_result_all(recorded(tmp_path / "two", two)).read_text())
    assert written["summary"]["mean_fine"] == pytest.approx(0.2)
    assert written["summary"]["stddev_fine"] == pytest.approx(0.02**0.5)
    assert written["summary"]["mean_coarse"] == pytest.approx(0.2)
    assert written["summary"]["stddev_coarse"] == 0
    assert [(run["seed"], run["result"]) for run in written["runs"]] == [(0, [two[0]]), (1, [two[1]])]
    written = yaml.safe_load(write_result_all(recorded(tmp_path / "one", [{"test_acc": 0.5}])).read_text())
    assert (written["summary"]["mean"], written["summary"]["stddev"], written["summary"]["n"]) == (0.5, None, 1)


def test_what_was_not_tested_has_no_summary(tmp_path):
    assert write_result_all(recorded(tmp_path, [{}])) is None


def recorded(tmp_path: Path, metrics: list[dict[str, float]]) -> list[Path]:
    folders = []
    for seed, values in enumerate(metrics):
        data = RecordedData(name="d", fingerprint="f")
        folders.append(tmp_path / "group" / str(seed))
        RunRecord(id="i", kind="k", role="r", seed=seed, data=data, metrics=values).write(folders[-1])
    return folders
