"""The system: the experiment of three rows, whose hemispheres may be given."""

from pathlib import Path

import pytest

from bilateral.base.errors import CheckpointError, ConfigError
from bilateral.experiments.experiment import Experiment, system_config
from bilateral.experiments.rows import plan_rows
from bilateral.experiments.table_files import as_json
from bilateral.runs.config import check_config, read_config
from bilateral.runs.runner import Runner
from bilateral.runs.stored import StoredRun
from bilateral.runs.workers import local
from conftest import system_runs

SMALL = {side: {"width": 0.0625} for side in ("left", "right")}
OWN = """
from bilateral.models.backbones.resnet9 import ResNet9

class Mine(ResNet9):
    pass
"""


def config(folder, model=None, **values):
    training = {"epochs": 1, "batch_size": 32}
    given = {"save_dir": str(folder), "workers": 1, "model": model or SMALL, "training": training, **values}
    return check_config(given, "test")


def table(parts, tiny, join=True):
    seeds = [seed for part in parts for seed in part.seeds]
    work = Experiment(system_config(parts[0].model_copy(update={"seeds": seeds}), join), tiny, parts=parts)
    return work.run(local(work.runner, work.runs, 1), keep_going=False)


def given(folders):
    return {side: {"width": 0.0625, "checkpoint": str(folder)} for side, folder in folders.items()}


@pytest.fixture
def trained(tiny, tmp_path) -> dict[str, Path]:
    runs = system_runs(config(tmp_path), 0)
    return {side: Runner(tiny).run(runs[side]).folder for side in ("left", "right")}


def test_it_asks_nothing_and_measures_what_each_network_was_tested_with(tiny, tmp_path):
    found = table([config(tmp_path, seeds=[3])], tiny)
    assert found.titles == {"left": "left alone", "right": "right alone", "specialised": "bilateral"}
    assert (found.answer, found.doubts, found.contrasts) == ("", [], [])
    for row in found.rows:
        measures = row.seeds[3].measures
        metrics = StoredRun.open(Path(row.seeds[3].folders[0])).record.metrics
        assert {"left": {"fine_pct"}, "right": {"coarse_pct"}}.get(row.name, {"fine_pct", "coarse_pct"}) <= set(
            measures
        )
        for level in {"fine", "coarse"} & {name.removesuffix("_pct") for name in measures}:
            tested = metrics.get(f"test_acc_{level}", metrics["test_acc"])
            assert measures[f"{level}_pct"] == pytest.approx(100 * tested)


def test_without_joining_there_are_two_rows(tiny, tmp_path):
    assert list(table([config(tmp_path)], tiny, join=False).titles) == ["left", "right"]
    assert not list(tmp_path.glob("*bilateral*bilateral*"))


def test_where_nothing_is_tested_the_networks_are_trained_all_the_same(tiny, tmp_path):
    found = table([config(tmp_path, evaluate=False)], tiny)
    assert all(row.seeds == {} for row in found.rows)
    assert len(list(tmp_path.glob("*/*/checkpoints/best.safetensors"))) == 3


@pytest.mark.filterwarnings("ignore:model")
def test_given_hemispheres_are_tested_and_not_trained(tiny, tmp_path, trained):
    before = {side: StoredRun.open(folder) for side, folder in trained.items()}
    found = table([config(tmp_path, given(trained), name="joined")], tiny)
    assert list(found.titles) == ["left", "right", "specialised"]
    for row, side in zip(found.rows, before):
        (seed,) = row.seeds.values()
        (folder,) = seed.folders
        tested = StoredRun.open(Path(folder))
        assert "joined.given" in folder and not (Path(folder) / "checkpoints").exists()
        assert tested.record.metrics == before[side].record.metrics and tested.record.checkpoint is None
        assert row.costs["training_pflops"] == 0 and seed.training_s == 0
    (folder,) = found.rows[2].seeds[0].folders
    assert StoredRun.open(Path(folder)).record.parents == {}
    files = sorted(tmp_path.rglob("*"))
    assert as_json(table([config(tmp_path, given(trained), name="joined")], tiny)) == as_json(found)
    assert sorted(tmp_path.rglob("*")) == files


@pytest.mark.filterwarnings("ignore:model")
def test_given_hemispheres_have_a_row_only_if_they_are_what_they_stand_for(tiny, tmp_path, trained):
    swapped = given({"left": trained["right"], "right": trained["left"]})
    with pytest.raises(ConfigError, match=r"model\.left\.checkpoint: .* on coarse labels, .* swap the two"):
        table([config(tmp_path, swapped)], tiny)
    both = Runner(tiny).run(system_runs(config(tmp_path), 0)["specialised"]).folder
    with pytest.warns(UserWarning, match="no network of one hemisphere under a fine head"):
        assert list(table([config(tmp_path, SMALL | given({"left": both}))], tiny).titles) == ["right", "specialised"]


def test_a_given_hemisphere_has_the_width_of_its_checkpoint_unless_the_config_has_another(trained):
    model = {side: {"checkpoint": str(folder.parent)} for side, folder in trained.items()}
    read = read_config({"model": model | {"right": {**model["right"], "width": 0.5}}}).model
    assert read.left and read.right and (read.left.width, read.right.width) == (0.0625, 0.5)
    assert read.left.checkpoint == trained["left"]


@pytest.mark.filterwarnings("ignore:model")
def test_every_seed_may_have_hemispheres_of_its_own(tiny, tmp_path, trained):
    others = {side: Runner(tiny).run(system_runs(config(tmp_path), 1)[side]).folder for side in trained}
    parts = [config(tmp_path, given(each), seeds=[seed]) for seed, each in enumerate((trained, others))]
    found = table(parts, tiny)
    for row in found.rows[:2]:
        tested = [StoredRun.open(Path(row.seeds[seed].folders[0])).record.metrics for seed in (0, 1)]
        own = [StoredRun.open(each[row.name]).record.metrics for each in (trained, others)]
        assert tested == own and own[0] != own[1]


def test_it_is_checked_as_a_whole_before_its_first_run(tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"model\.right\.arch"):
        table([config(tmp_path, SMALL | {"right": {"arch": "resnet7"}})], tiny)
    assert list(tmp_path.iterdir()) == []


def test_own_code_counts_where_the_user_named_it_and_not_where_a_file_does(tiny, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_for_the_system.py").write_text(OWN)
    arch, runs = "mine_for_the_system:Mine", tmp_path / "runs"
    mine = SMALL | {"left": {"width": 0.0625, "arch": arch}}
    folder = Runner(tiny).run(system_runs(config(runs, mine), 0)["left"]).folder
    # Its tensors fit resnet9, but to be tested alone it would be built as the file says.
    model = SMALL | given({"left": folder})
    with pytest.raises(CheckpointError, match="--own mine_for_the_system:Mine"):
        table([config(runs, model)], tiny)
    assert table([config(runs, model, own_code=[arch])], tiny).rows


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"mode_hemis": "unilateral"}, "mode_hemis must be bilateral"),
        ({"checkpoint": "a"}, "trains all of its networks itself"),
        ({"left": {"freeze": "untrained"}}, r"model\.left\.freeze: has no effect"),
    ],
)
def test_what_is_no_system_is_refused(tiny, tmp_path, model, message):
    with pytest.raises(ConfigError, match=message):
        plan_rows(system_config(config(tmp_path, model)), tiny)


@pytest.mark.parametrize(("freeze", "frozen"), [(None, True), (True, True), (False, False)])
def test_joined_hemispheres_are_frozen_unless_the_config_says_otherwise(tiny, tmp_path, freeze, frozen):
    model = {side: {"width": 0.0625, "freeze": freeze} for side in SMALL}
    rows = {row.name: row.runs[0] for row in plan_rows(system_config(config(tmp_path, model)), tiny)}
    (run,) = rows["specialised"]
    assert [each.freeze for each in run.config.model.hemispheres.values()] == [frozen, frozen]
    assert list(run.parents.values()) == [*rows["left"], *rows["right"]]
