import shutil
from pathlib import Path

import pytest
import torch
import yaml

from bilateral.base.errors import CheckpointError, OutputError
from bilateral.runs.stored import StoredRun, beside


@pytest.fixture
def runs(tiny_experiment, tmp_path) -> Path:
    return shutil.copytree(tiny_experiment / "runs", tmp_path / "moved")


def find(runs: Path, pattern: str) -> Path:
    return next(runs.glob(pattern))


def test_all_of_a_run_is_there(runs):
    folder = find(runs, "quick-bilateral-*/*-seed1-*")
    run = StoredRun.open(folder)
    assert run.seed == 1 and run.config.seeds == [1] and run.record["id"] == folder.name.split("-")[-1]
    assert run.description.fine_count == 40 and run.description.coarse_count == 8
    assert [epoch["epoch"] for epoch in run.epochs()] == [1, 2]
    metrics = run.record["metrics"]
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
    assert {side: parent.folder.parent.name for side, parent in parents.items()} == {
        "left": "quick-unilateral-resnet9-fine",
        "right": "quick-unilateral-resnet9-coarse",
    }
    assert all(parent.seed == 1 and parent.folder.is_relative_to(runs) for parent in parents.values())
    assert parents["left"].parents() == {}
    joined, alone = run.network(), parents["right"].network()
    for name, value in alone.hemispheres["right"].state_dict().items():
        assert value.equal(joined.hemispheres["right"].state_dict()[name])


def test_a_run_that_is_not_there_or_not_finished_or_damaged(runs, tmp_path):
    with pytest.raises(OutputError, match="nothing is no finished run"):
        StoredRun.open(tmp_path / "nothing")
    folder = find(runs, "quick-bilateral-*/*-seed0-*")
    run = StoredRun.open(folder)
    (folder / "predictions.npz").unlink()
    with pytest.raises(OutputError, match="cannot read the predictions"):
        run.predictions  # noqa: B018
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(CheckpointError):
        run.network()
    (folder / "metrics.jsonl").unlink()
    assert run.epochs() == []
    left = run.parents()["left"].folder
    (left / "run.yaml").unlink()
    with pytest.raises(OutputError, match=str(left)):
        run.parents()
    (folder / "run.yaml").write_text(yaml.safe_dump({"seed": 0}))
    with pytest.raises(OutputError, match="no record of a run"):
        StoredRun.open(folder)


def test_where_a_recorded_run_is_now(tmp_path):
    recorded = tmp_path / "old" / "kind" / "run"
    here = tmp_path / "new"
    # Neither is there: the place where it is looked for is named.
    assert beside(here, recorded) == here / "kind" / "run"
    recorded.mkdir(parents=True)
    assert beside(here, recorded) == recorded
    (here / "kind" / "run").mkdir(parents=True)
    assert beside(here, recorded) == here / "kind" / "run"


def test_a_checkpoint_with_a_backbone_of_ones_own_needs_its_name(runs):
    run = StoredRun.open(find(runs, "quick-unilateral-*-fine/*-seed0-*"), ("my_module:Mine",))
    assert run.own_backbones == ("my_module:Mine",)
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    assert run.network()(run.description.normalise(images)).fine.shape == (2, 40)
    bilateral = StoredRun.open(find(runs, "quick-bilateral-*/*-seed0-*"), ("my_module:Mine",))
    assert all(parent.own_backbones == ("my_module:Mine",) for parent in bilateral.parents().values())
