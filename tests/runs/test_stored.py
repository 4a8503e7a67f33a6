import shutil
from pathlib import Path

import pytest
import torch
import yaml

from bilateral.base.errors import CheckpointError, ConfigError, OutputError
from bilateral.base.run_folders import beside
from bilateral.runs.stored import StoredRun, read_stored_config


@pytest.fixture
def runs(tiny_experiment, tmp_path) -> Path:
    return shutil.copytree(tiny_experiment / "runs", tmp_path / "moved")


def find(runs: Path, pattern: str) -> Path:
    return next(runs.glob(pattern))


def test_all_of_a_run_is_there(runs):
    folder = find(runs, "quick-bilateral-*/*-seed1-*")
    run = StoredRun.open(folder)
    assert run.seed == 1 and run.config.seeds == [1] and run.record.id == folder.name.split("-")[-1]
    assert run.description.fine_count == 40 and run.description.coarse_count == 8
    assert [epoch["epoch"] for epoch in run.epochs()] == [1, 2]
    metrics = run.record.metrics
    predictions = run.predictions
    for level in ("fine", "coarse"):
        share = (predictions.logits[level].argmax(1) == predictions.labels[level]).double().mean().item()
        assert share == pytest.approx(metrics[f"test_acc_{level}"])
    network = run.network()
    assert not network.training and set(network.heads) == {"fine", "coarse"}
    assert "val_acc_fine" in run.epochs()[0]


def test_parents_are_found_beside_it_after_a_move(runs):
    run = StoredRun.open(find(runs, "quick-bilateral-*/*-seed1-*"))
    parents = run.parents()
    assert {prefix: parent.folder.parent.name for prefix, parent in parents.items()} == {
        "hemispheres.left": "quick-unilateral-resnet9-fine",
        "hemispheres.right": "quick-unilateral-resnet9-coarse",
    }
    assert all(parent.seed == 1 and parent.folder.is_relative_to(runs) for parent in parents.values())
    assert parents["hemispheres.left"].parents() == {}
    joined, alone = run.network(), parents["hemispheres.right"].network()
    for name, value in alone.hemispheres["right"].state_dict().items():
        assert value.equal(joined.hemispheres["right"].state_dict()[name])


def test_parents_of_older_records_which_went_by_side_are_found_too(runs):
    run = StoredRun.open(find(runs, "quick-bilateral-*/*-seed1-*"))
    record = yaml.safe_load((run.folder / "run.yaml").read_text())
    record["parents"] = {prefix.removeprefix("hemispheres."): each for prefix, each in record["parents"].items()}
    assert set(record["parents"]) == {"left", "right"}
    (run.folder / "run.yaml").write_text(yaml.safe_dump(record))
    assert StoredRun.open(run.folder).record.parents == run.record.parents
    (run.folder / "run.yaml").write_text(yaml.safe_dump(record | {"parents": {"network": record["parents"]["left"]}}))
    assert list(StoredRun.open(run.folder).record.parents) == [""]


def test_a_run_that_is_not_there_or_not_finished_or_damaged(runs, tmp_path):
    with pytest.raises(OutputError, match="nothing is no finished run"):
        StoredRun.open(tmp_path / "nothing")
    folder = find(runs, "quick-bilateral-*/*-seed0-*")
    run = StoredRun.open(folder)
    (folder / "predictions.npz").unlink()
    with pytest.raises(OutputError, match=r"predictions.npz is gone; the command that made the run"):
        run.predictions  # noqa: B018
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(CheckpointError):
        run.network()
    (folder / "metrics.jsonl").unlink()
    assert run.epochs() == []
    left = run.parents()["hemispheres.left"].folder
    (left / "run.yaml").unlink()
    with pytest.raises(OutputError, match=str(left)):
        run.parents()
    (folder / "run.yaml").write_text(yaml.safe_dump({"seed": 0}))
    with pytest.raises(OutputError, match="no record of a run"):
        StoredRun.open(folder)


def test_a_recorded_run_is_looked_for_beside_the_others_and_nowhere_else(tmp_path):
    assert beside(tmp_path, "/old/place/kind/run", tmp_path) == tmp_path / "kind" / "run"
    assert beside(tmp_path, "runs/kind/run", tmp_path) == tmp_path / "kind" / "run"


@pytest.mark.parametrize("name", ["", "run", "/run", "..", "a/..", "../run", "/a/../../etc", "kind/r\0n"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, runs, name):
    with pytest.raises(OutputError, match="is no folder of a run"):
        beside(tmp_path, name, tmp_path)
    folder = find(runs, "quick-bilateral-*/*-seed0-*")
    record = yaml.safe_load((folder / "run.yaml").read_text())
    record["parents"]["hemispheres.left"] = name
    (folder / "run.yaml").write_text(yaml.safe_dump(record))
    with pytest.raises(OutputError, match="no record of a run"):
        StoredRun.open(folder)


def test_code_that_only_a_file_names_is_not_followed(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil_source.py").write_text("raise SystemExit('executed')\n")
    folder = find(runs, "quick-bilateral-*/*-seed0-*")
    for change in ({"data": {"name": "evil_source:load"}}, {"model": {"left": {"arch": "evil_source:Net"}}}):
        (folder / "config.yaml").write_text(yaml.safe_dump(change))
        with pytest.raises(ConfigError, match=r"config.yaml names code .* 'evil_source:.*--own evil_source:"):
            StoredRun.open(folder).config  # noqa: B018
    assert StoredRun.open(folder, ["evil_source:Net"]).config.model.left.arch == "evil_source:Net"
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"data": {"name": "cifar100", "root": "x", "download": True}}))
    assert not read_stored_config(path, [], []).data.download
    assert read_stored_config(path, ["data.download=true"], []).data.download
    assert read_stored_config(path, ["data.name=mine:load", "data.root="], []).data.name == "mine:load"


def test_changed_predictions_are_refused(runs):
    folder = find(runs, "quick-bilateral-*/*-seed0-*")
    other = find(runs, "quick-bilateral-*/*-seed1-*")
    shutil.copy(other / "predictions.npz", folder / "predictions.npz")
    with pytest.raises(OutputError, match=r"predictions.npz is not as its run left it"):
        StoredRun.open(folder).predictions  # noqa: B018


def test_own_code_is_passed_on(runs):
    bilateral = StoredRun.open(find(runs, "quick-bilateral-*/*-seed0-*"), ("my_module:Mine",))
    assert all(parent.own_code == ("my_module:Mine",) for parent in bilateral.parents().values())
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    assert bilateral.network()(bilateral.description.normalise(images)).fine.shape == (2, 40)
