import json
from pathlib import Path

import pytest

from bilateral.base.errors import CheckpointError, OutputError
from bilateral.base.run_folders import named_run, only_run, runs_in


def make_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "run.yaml").touch()
    return folder


def record(folder: Path, rows: dict[str, dict[str, list[str]]]) -> Path:
    folder.mkdir()
    (folder / "provenance.json").write_text(json.dumps({"config": {}, "runs": rows}))
    return folder


def test_a_run_and_a_file_name_themselves_and_a_parent_its_only_run(tmp_path):
    run = make_run(tmp_path / "group" / "1-seed0-a")
    (tmp_path / "group" / "begun-seed1-b").mkdir()
    assert named_run(run) == run and named_run(run / "run.yaml") == run / "run.yaml"
    assert named_run(tmp_path / "group") == run
    assert named_run(tmp_path / "nothing") == tmp_path / "nothing"
    (tmp_path / "begun" / "checkpoints").mkdir(parents=True)
    assert named_run(tmp_path / "begun") == tmp_path / "begun"


def test_of_several_runs_the_newest_is_taken_and_named(tmp_path, caplog):
    # By their times, whatever rows they are of.
    make_run(tmp_path / "group" / "1-wide-seed0-a")
    newest = make_run(tmp_path / "group" / "2-narrow-seed1-b")
    (tmp_path / "group" / "3-narrow-seed2-begun").mkdir()
    assert named_run(tmp_path / "group") == newest
    (told,) = caplog.messages
    assert "has 2 runs" in told and str(newest) in told


def test_what_needs_one_run_alone_is_told_all_that_there_are(tmp_path):
    runs = [make_run(tmp_path / "group" / name) for name in ("1-seed0-a", "2-seed1-b")]
    with pytest.raises(CheckpointError, match="several runs") as told:
        only_run(tmp_path / "group")
    assert all(str(run) in str(told.value) for run in runs)
    assert only_run(runs[0]) == runs[0]


def test_a_system_names_its_network_of_both_and_without_it_all(tmp_path):
    left, both = make_run(tmp_path / "l" / "1-seed0-a"), make_run(tmp_path / "b" / "2-seed0-c")
    rows = {"left": {"0": ["elsewhere/runs/l/1-seed0-a"]}, "specialised": {"0": ["runs/b/2-seed0-c"]}}
    assert named_run(record(tmp_path / "my-system", rows)) == both
    assert runs_in(record(tmp_path / "apart-system", {"left": rows["left"], "right": rows["left"]})) == [left, left]


def test_a_row_of_an_experiment_is_taken_by_its_name(tmp_path, caplog):
    plain, mine = make_run(tmp_path / "g" / "1-seed0-a"), make_run(tmp_path / "g" / "1-mine-seed0-b")
    rows = {"nonspecialised": {"0": ["runs/g/1-seed0-a"]}, "mine": {"0": ["runs/g/1-mine-seed0-b"]}}
    folder = record(tmp_path / "my-experiment", rows)
    assert (named_run(folder, "nonspecialised"), named_run(folder, "mine")) == (plain, mine) and not caplog.messages
    assert named_run(folder) == plain and "give --row, or the folder of another one, to take that" in caplog.text
    with pytest.raises(OutputError, match="has no row 'mien'; it has: nonspecialised, mine"):
        named_run(folder, "mien")
    with pytest.raises(OutputError, match=r"--row mine: .*g is not the folder of an experiment"):
        named_run(tmp_path / "g", "mine")


def test_a_record_that_leads_elsewhere_is_refused(tmp_path):
    with pytest.raises(OutputError, match="names a run wrongly"):
        named_run(record(tmp_path / "my-system", {"left": {"0": ["../.."]}}))
