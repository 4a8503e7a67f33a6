import hashlib
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
import torch
import yaml

from bilateral.base.errors import BilateralError, CheckpointError, ConfigError, DataError, OutputError
from bilateral.base.files import sole_writer
from bilateral.data.augment import Normalisation
from bilateral.experiments.measures import measure
from bilateral.models.build import build_network
from bilateral.runs.config import Config, check_config, read_config
from bilateral.runs.execution import resolve, split
from bilateral.runs.plan import Run
from bilateral.runs.predictions import Predictions
from bilateral.runs.results import write_result_all
from bilateral.runs.runner import Runner, RunResult
from bilateral.training.calibration import calibrate_batch_norm
from bilateral.training.checkpoint import find, read
from bilateral.training.evaluation import evaluate
from bilateral.training.run_record import read_record
from conftest import system_runs

TRAINING = {"epochs": 2, "batch_size": 32, "precision": "float32", "device": "cpu", "lr": 0.02}
SMALL = {"left": {"width": 0.0625}, "right": {"width": 0.0625}}


def config(tmp_path: Path, model: dict | None = None, **values: object) -> Config:
    return check_config({"save_dir": str(tmp_path), "model": model or SMALL, "training": TRAINING} | values, "test")


def unilateral(heads: str = "both") -> dict:
    return {"mode_hemis": "unilateral", "mode_heads": heads, "left": {"width": 0.0625}}


def test_a_run_leaves_what_a_person_can_read(tiny, tmp_path):
    result = Runner(tiny).run(Run(config(tmp_path), 3))
    names = {path.name for path in result.folder.iterdir()}
    assert names == {
        "config.yaml",
        "run.yaml",
        "result.yaml",
        "predictions.npz",
        "held_out_predictions.npz",
        "metrics.jsonl",
        "timing.jsonl",
        "tensorboard",
        "checkpoints",
    }
    assert yaml.safe_load((result.folder / "result.yaml").read_text()) == [result.metrics]
    again = read_config(result.folder / "config.yaml")
    assert again.seeds == [3] and again.training.precision == "float32"
    record = yaml.safe_load((result.folder / "run.yaml").read_text())
    assert record["seed"] == 3 and record["data"]["fingerprint"] == tiny.fingerprint
    assert result.folder.parent.name == "bilateral-bilateral-resnet9-resnet9-both"


def test_a_run_is_named_by_its_row_and_found_by_its_id_under_any_name(tiny, tmp_path):
    run = Run(config(tmp_path, unilateral()), 3, "mine: left, intact")
    folder = Runner(tiny).run(run).folder
    time, _, rest = folder.name.partition("-")
    assert rest == f"mine.left.intact-seed3-{Runner(tiny).identity(run)}"
    # Another row, and what an earlier version has left, which did not name the row.
    for name in (folder.name, f"{time}-{rest.partition('-')[2]}"):
        folder = folder.rename(folder.with_name(name))
        assert Runner(tiny).run(replace(run, role="other")).folder == folder
    assert len(list(folder.parent.glob("*/run.yaml"))) == 1


def test_a_finished_run_is_reused_and_a_changed_one_is_new(tiny, tmp_path):
    first = Runner(tiny).run(Run(config(tmp_path), 0))
    stamp = (first.folder / "run.yaml").stat().st_mtime_ns
    assert Runner(tiny).run(Run(config(tmp_path), 0)).folder == first.folder
    assert (first.folder / "run.yaml").stat().st_mtime_ns == stamp
    changed = config(tmp_path, training=TRAINING | {"epochs": 3})
    assert Runner(tiny).run(Run(changed, 0)).folder != first.folder


def test_a_finished_run_without_its_predictions_is_tested_again_and_not_trained(tiny, tmp_path):
    first = Runner(tiny).run(Run(config(tmp_path), 0))
    kept, timing = (first.folder / "predictions.npz").read_bytes(), (first.folder / "timing.jsonl").read_bytes()
    record = (first.folder / "run.yaml").read_text()
    (first.folder / "run.yaml").write_text(record.replace("threads: ", "threads: 9"))
    (first.folder / "predictions.npz").unlink()
    assert Runner(tiny).run(Run(config(tmp_path), 0)).metrics == first.metrics
    assert (first.folder / "predictions.npz").read_bytes() == kept
    assert (first.folder / "timing.jsonl").read_bytes() == timing
    assert "threads: 9" in (first.folder / "run.yaml").read_text(), "the machine that trained it"


def test_the_predictions_are_those_that_the_result_measures(tiny, tmp_path):
    result = Runner(tiny).run(Run(config(tmp_path), 0))
    found = measure(Predictions.load(result.folder / "predictions.npz"), tiny.hierarchy)
    for name, metric in (("fine_pct", "acc_fine"), ("coarse_pct", "acc_coarse"), ("rollup_pct", "acc_rollup")):
        assert found[name] == pytest.approx(100 * result.metrics[f"test_{metric}"])


def test_a_run_goes_on_from_its_parent_s_whole_network(tiny, tmp_path):
    first = Run(config(tmp_path), 0)
    barely = TRAINING | {"epochs": 1, "lr": 1e-9, "muon_lr": 1e-9, "warmup_epochs": 0}
    second = Run(config(tmp_path, training=barely), 0, "second", {"": first})
    runner = Runner(tiny)
    states = [read(runner.run(run).folder).network_state for run in (first, second)]
    for name, tensor in states[0].items():
        if "running" not in name and "num_batches" not in name:
            assert tensor.allclose(states[1][name], atol=1e-6), name
    written = read_config(runner.run(second).folder / "config.yaml")
    assert written.model.checkpoint == runner.run(first).checkpoint


def test_untrained_hemispheres_are_frozen_as_initialised_with_statistics_of_the_training_images(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr("bilateral.runs.execution.CALIBRATION_IMAGES", 36)
    untrained = {side: {"width": 0.0625, "freeze": "untrained"} for side in ("left", "right")}
    run = Run(config(tmp_path, untrained), 3)
    state = read(Runner(tiny).run(run).folder).network_state
    expected = build_network(resolve(run).config.model, 6, 3, seed=3)
    heads = {name: tensor.clone() for name, tensor in expected.state_dict().items() if name.startswith("heads")}
    chosen = split(run.config, tiny)[0].images[::3][:36]  # of 108
    calibrate_batch_norm(expected, ["left", "right"], Normalisation(tiny.mean, tiny.std)(chosen))
    for name, tensor in expected.state_dict().items():
        if name.startswith("hemispheres"):
            assert state[name].equal(tensor), name
    assert not state["heads.fine.1.weight"].equal(heads["heads.fine.1.weight"])


@pytest.mark.parametrize(("protocol", "tested"), [("clean", "best"), ("original", "last")])
def test_the_test_is_of_the_chosen_checkpoint_on_the_test_images(tiny, tmp_path, protocol, tested):
    # By the largest training loss, the best is the first epoch's.
    chosen = {"monitor": "train_loss", "mode": "max"}
    run = Run(config(tmp_path, unilateral(), protocol=protocol, checkpoints=chosen), 0)
    result = Runner(tiny).run(run)
    losses = {}
    for name in ("best", "last"):
        network = build_network(resolve(run).config.model, 6, 3)
        network.load_state_dict(read(result.folder / "checkpoints" / f"{name}.safetensors").network_state)
        found = evaluate(network, tiny.test, Normalisation(tiny.mean, tiny.std)).metrics("test", tiny.hierarchy)
        losses[name] = found["test_loss"]
    assert result.metrics["test_loss"] == pytest.approx(losses[tested], rel=1e-5)
    assert abs(losses["best"] - losses["last"]) > 1e-3


def test_the_seed_reaches_training_where_the_weights_are_given(tiny, tmp_path):
    first = Runner(tiny).run(Run(config(tmp_path, unilateral()), 0))
    model = unilateral() | {"checkpoint": str(first.folder), "dropout": 0}
    states = [read(Runner(tiny).run(Run(config(tmp_path, model), seed)).folder).network_state for seed in (1, 2)]
    assert not states[0]["heads.fine.1.weight"].equal(states[1]["heads.fine.1.weight"])


def test_a_failed_run_leaves_its_traceback_until_it_succeeds(tiny, tmp_path):
    run = Run(config(tmp_path), 0)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr("bilateral.runs.runner.train_run", fail)
        Runner(tiny).run(run)
    (log,) = tmp_path.rglob("failure.log")
    assert "RuntimeError: no luck" in log.read_text()
    with pytest.raises(CheckpointError, match=r"its training failed, .*failure\.log says why$"):
        read(log.parent)
    assert Runner(tiny).run(run).folder == log.parent and not log.exists()


def fail(*_: object) -> None:
    raise RuntimeError("no luck")


def test_a_run_that_another_process_holds_is_refused(tiny, tmp_path):
    run = resolve(Run(config(tmp_path), 0))
    lock = tmp_path / run.group / f".{run.identity(tiny.fingerprint)}.lock"
    with sole_writer(lock, "x"), pytest.raises(OutputError, match="another process"):
        Runner(tiny).run(run)


def test_who_waits_takes_the_result_of_the_process_that_was_at_it(tiny, tmp_path):
    run = Run(config(tmp_path), 0)
    waiting = Thread(target=lambda: found.append(Runner(tiny, waits=True).run(run)))
    found: list[RunResult] = []
    resolved = resolve(run)
    with sole_writer(tmp_path / resolved.group / f".{resolved.identity(tiny.fingerprint)}.lock", "x"):
        waiting.start()
        waiting.join(timeout=0.5)
        assert waiting.is_alive() and not list(tmp_path.rglob("*-seed0-*"))
    waiting.join(timeout=60)
    assert found[0].metrics


def test_protocols(tiny, tmp_path):
    clean = split(config(tmp_path), tiny)
    assert [len(part) for part in clean] == [108, 12]
    train, validation = split(config(tmp_path, protocol="original"), tiny)
    assert (len(train), validation) == (120, tiny.test)
    original = Runner(tiny).run(Run(config(tmp_path, protocol="original"), 0))
    assert original.checkpoint is not None and original.checkpoint.name == "last.safetensors"
    chosen = Runner(tiny).run(Run(config(tmp_path), 0)).checkpoint
    assert chosen is not None and chosen.name == "best.safetensors"


def test_last_is_dropped_where_it_is_not_wanted(tiny, tmp_path):
    result = Runner(tiny).run(Run(config(tmp_path, checkpoints={"save_last": False}), 0))
    assert [path.name for path in (result.folder / "checkpoints").iterdir()] == ["best.safetensors"]


def test_without_evaluation_nothing_is_tested(tiny, tmp_path):
    result = Runner(tiny).run(Run(config(tmp_path, evaluate=False), 0))
    assert result.metrics == {} and not (result.folder / "result.yaml").exists()
    assert write_result_all([result.folder]) is None


def test_a_bilateral_network_takes_its_parents_hemispheres(tiny, tmp_path):
    from bilateral.training.checkpoint import hemisphere_state

    frozen = {side: {"width": 0.0625, "freeze": True} for side in ("left", "right")}
    runner = Runner(tiny)
    plan = system_runs(config(tmp_path, frozen), 0)
    joined = runner.run(plan["specialised"])
    state = read(joined.folder).network_state
    for side in ("left", "right"):
        alone = runner.run(plan[side])
        source = hemisphere_state(read(alone.folder).network_state, side, "")
        for name, tensor in source.items():
            assert tensor.equal(state[f"hemispheres.{side}.{name}"])


def test_ensembles_are_tested_only(tiny, tmp_path):
    runner = Runner(tiny)
    members = [str(runner.run(Run(config(tmp_path, unilateral()), seed)).folder) for seed in (0, 1)]
    for average in ("logits", "probabilities"):
        model = {"mode_hemis": "ensemble", "members": members, "average": average}
        result = runner.run(Run(config(tmp_path, model), 0))
        assert result.checkpoint is None and 0 <= result.metrics["test_acc_fine"] <= 1
        assert (result.folder / "result.yaml").exists()


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        ({"left": {"width": 0.0625, "freeze": True}}, {}, r"model\.left: it is frozen but has no trained weights"),
        ({"mode_out": "feature"}, {}, r"model\.mode_out"),
        (
            {"right": {"arch": "resnet7"}},
            {},
            r"model\.right\.arch: unknown backbone 'resnet7'; did you mean resnet9\? allowed: resnet9",
        ),
        ({"right": {"sparsity": {"k": 0.5, "per_k": 0.5}}}, {}, r"model\.right\.sparsity: .*use sparse_resnet9"),
        ({}, {"checkpoints": {"monitor": "val_accuracy"}}, r"no metric 'val_accuracy'; it has .*val_acc_fine"),
        ({}, {"training": TRAINING | {"crop_padding": 16}}, r"crop_padding: .* 16x16"),
        ({"left": {"arch": "vgg11"}}, {}, r"model\.left: vgg11 cannot take images of .* 16x16 pixels"),
        ({"left": {"checkpoint": "nothing"}}, {}, "there is no checkpoint nothing"),
        (
            {"mode_hemis": "ensemble", "members": ["a", "b"], "left": None, "right": None},
            {},
            "there is no checkpoint a",
        ),
    ],
)
def test_what_cannot_be_is_found_before_anything_starts(tiny, tmp_path, model, values, message):
    with pytest.raises(BilateralError, match=message):
        Runner(tiny).run(Run(config(tmp_path, SMALL | model, **values), 0))
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_does_not_fit_is_found_before_anything_starts(tiny, tmp_path):
    folder = Runner(tiny).run(Run(config(tmp_path / "first", unilateral("fine")), 0)).folder
    given = {"checkpoint": str(folder)}
    for model, error, message in (
        (SMALL | {"left": given | {"width": 0.125}}, ConfigError, r"^model\.left\.width: 0.125 is not"),
        (SMALL | {"left": given | {"arch": "resnet18"}}, ConfigError, r"^model\.left\.arch: resnet18 is not"),
        (unilateral() | {"checkpoint": str(folder)}, CheckpointError, "does not fit the network"),
    ):
        with pytest.raises(error, match=message):
            Runner(tiny).run(Run(config(tmp_path / "second", model), 0))
    assert not (tmp_path / "second").exists()
    wrong_side = SMALL | {"right": {"width": 0.0625, "checkpoint": str(folder)}}
    with pytest.raises(ConfigError, match=r"model\.right\.checkpoint: .* on fine labels, .* swap the two"):
        Runner(tiny).check([Run(config(tmp_path, wrong_side), 0)])


def test_an_ensembles_folder_says_that_it_has_no_weights(tiny, tmp_path):
    members = [str(Runner(tiny).run(Run(config(tmp_path, unilateral()), seed)).folder) for seed in (0, 1)]
    result = Runner(tiny).run(Run(config(tmp_path, {"mode_hemis": "ensemble", "members": members}), 0))
    with pytest.raises(CheckpointError, match="it tested given ones, such as an ensemble's; give these"):
        find(result.folder)


def test_a_finished_run_that_lacks_its_test_gets_it_without_training(tiny, tmp_path):
    first = Runner(tiny).run(Run(config(tmp_path, evaluate=False), 0))
    stamp = (first.folder / "checkpoints" / "best.safetensors").stat().st_mtime_ns
    second = Runner(tiny).run(Run(config(tmp_path), 0))
    assert second.folder == first.folder and second.metrics
    assert (first.folder / "checkpoints" / "best.safetensors").stat().st_mtime_ns == stamp


def test_a_finished_folder_stands_for_the_checkpoint_that_was_tested(tiny, tmp_path):
    for protocol, name in (("clean", "best"), ("original", "last")):
        result = Runner(tiny).run(Run(config(tmp_path, protocol=protocol), 0))
        assert find(result.folder).stem == name


def test_a_bilateral_runs_config_names_its_hemispheres_and_can_be_done_again(tiny, tmp_path):
    result = Runner(tiny).run(system_runs(config(tmp_path), 0)["specialised"])
    again = read_config(result.folder / "config.yaml", [f"save_dir={tmp_path / 'again'}"])
    assert all(hemisphere.freeze for hemisphere in again.model.hemispheres.values())
    assert Runner(tiny).run(Run(again, 0)).metrics == result.metrics


def test_other_labels_under_the_same_numbers_are_refused(tiny, tmp_path):
    first = Runner(tiny).run(Run(config(tmp_path, unilateral()), 0))
    renamed = replace(tiny, hierarchy=replace(tiny.hierarchy, fine_names=tuple("uvwxyz")))
    with pytest.raises(CheckpointError, match="other label names or another hierarchy"):
        Runner(renamed).run(Run(config(tmp_path, unilateral() | {"checkpoint": str(first.folder)}), 0))


def test_the_summary_covers_seeds_of_several_commands(tiny, tmp_path):
    for seed in (0, 1):
        path = write_result_all([Runner(tiny).run(Run(config(tmp_path), seed)).folder])
    other = config(tmp_path, training=TRAINING | {"epochs": 1, "warmup_epochs": 0})
    Runner(tiny).run(Run(other, 2))
    assert path is not None
    written = yaml.safe_load(path.read_text())
    assert written["summary"]["n"] == 2 and [run["seed"] for run in written["runs"]] == [0, 1]


def test_the_record_of_a_run_tells_what_came_of_it_and_of_which_code(tiny, tmp_path):
    result = Runner(tiny).run(Run(config(tmp_path), 0))
    record = read_record(result.folder)
    assert record.digests == {
        name: hashlib.sha256((result.folder / name).read_bytes()).hexdigest()
        for name in ("checkpoints/best.safetensors", "predictions.npz", "held_out_predictions.npz")
    }
    assert record.code == result.run.code and record.metrics == result.metrics


def test_a_whole_checkpoint_is_where_training_starts(tiny, tmp_path):
    first = Runner(tiny).run(Run(config(tmp_path, unilateral()), 0))
    slow = TRAINING | {"lr": 1e-12, "epochs": 1, "weight_decay": 0, "batch_size": 200}
    model = unilateral() | {"checkpoint": str(first.folder)}
    again = Runner(tiny).run(Run(config(tmp_path, model, training=slow), 0))
    assert again.metrics["test_acc_fine"] == pytest.approx(first.metrics["test_acc_fine"], abs=0.2)
    other = unilateral() | {"checkpoint": str(first.folder), "mode_heads": "fine"}
    with pytest.raises(CheckpointError, match=r"heads\.coarse"):
        Runner(tiny).run(Run(config(tmp_path, other), 0))


@pytest.mark.parametrize(("recipe", "momentum"), [("original", 0.9), ("fast", 0.1)])
def test_the_recipe_sets_batch_norms_momentum(recipe, momentum, tmp_path):
    run = resolve(Run(config(tmp_path, training={"recipe": recipe, "device": "cpu"}), 0))
    network = build_network(run.config.model, 6, 3)
    assert network.hemispheres["left"].conv1.norm.momentum == momentum


OWN = """
from bilateral.models.backbones.resnet9 import ResNet9

class Mine(ResNet9):
    pass
"""


def test_own_code_counts_where_the_user_named_it_and_not_where_a_file_does(tiny, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_for_the_runner.py").write_text(OWN)
    arch = "mine_for_the_runner:Mine"
    runs = tmp_path / "runs"
    mine = unilateral() | {"left": {"width": 0.0625, "arch": arch}}
    folders = [str(Runner(tiny).run(Run(config(runs, mine), seed)).folder) for seed in (0, 1)]
    ensemble = {"mode_hemis": "ensemble", "members": folders}
    with pytest.raises(CheckpointError, match="--own mine_for_the_runner:Mine"):
        Runner(tiny).run(Run(config(runs, ensemble), 0))
    assert Runner(tiny).run(Run(config(runs, ensemble, own_code=[arch]), 0)).metrics


def test_images_that_no_checkpoint_could_describe_are_refused(tiny, tmp_path):
    wide = [
        replace(part, images=torch.zeros(len(part), 3, 8, 2049, dtype=torch.uint8)) for part in (tiny.train, tiny.test)
    ]
    large = replace(tiny, train=wide[0], test=wide[1])
    with pytest.raises(DataError, match=r"2049x8 pixels, and 2048 a side are the most .* data.image_size=N"):
        Runner(large).run(Run(config(tmp_path, unilateral()), 0))
