import json
import math
import os
import shutil
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from bilateral.base.errors import ConfigError, OutputError, TrainingDivergedError
from bilateral.data.images import HierarchicalDataset
from bilateral.data.splits import hold_out
from bilateral.models.build import build_network
from bilateral.runs.config import check_config
from bilateral.runs.execution import describe
from bilateral.training import checkpoint, header
from bilateral.training.config import CheckpointConfig, TrainingConfig
from bilateral.training.loop import TrainingJob, train

FAST = {"epochs": 3, "batch_size": 16, "lr": 0.05, "precision": "float32", "device": "cpu"}


def make_job(dataset: HierarchicalDataset, folder: Path, model: dict | None = None, **training: object) -> TrainingJob:
    values = {"model": model or {"left": {"width": 0.0625}, "right": {"width": 0.0625}}, "training": FAST | training}
    config = check_config(values, "test")
    network = build_network(config.model, dataset.hierarchy.fine_count, dataset.hierarchy.coarse_count, seed=1)
    kept, held_out = hold_out(dataset.train, dataset.hierarchy, 0.2)
    description = describe(config, dataset)
    settings = config.training.with_rates(batch_norm=True)
    return TrainingJob(network, description, kept, held_out, settings, CheckpointConfig(), 1, folder)


def weights(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return checkpoint.read(folder / "checkpoints" / f"{name}.safetensors").network_state


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_training_is_the_same_twice_and_another_with_another_seed(tiny, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(replace(make_job(tiny, tmp_path / name), seed=seed))
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))
    assert (tmp_path / "a/metrics.jsonl").read_bytes() == (tmp_path / "b/metrics.jsonl").read_bytes()


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "muon"])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("parts", [False, True])
def test_stopping_after_each_epoch_changes_nothing(tiny, tmp_path, monkeypatch, optimizer, frozen, parts):
    model = {side: {"width": 0.0625, "freeze": frozen} for side in ("left", "right")}
    if parts:
        noise = {"after": "conv2", "std": 0.2, "evaluation": True}
        model["left"]["parts"] = {"noise": noise, "dropout": {"after": "input", "p": 0.1}}
        model["bridges"] = {"callosum": {"kind": "additive", "between": {"left": "res1", "right": "conv2"}}}
    options = {"model": model, "optimizer": optimizer, "feature_views": 2, "lr": 0.01}
    train(make_job(tiny, tmp_path / "whole", **options))

    class Stop(Exception):
        pass

    save = checkpoint.save

    def save_and_stop(path, *arguments):
        save(path, *arguments)
        if path.name == "last.safetensors":
            raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", save_and_stop)
        for _ in range(3):
            with pytest.raises(Stop):
                train(make_job(tiny, tmp_path / "stopped", **options))
    train(make_job(tiny, tmp_path / "stopped", **options))
    for name in ("last", "best"):
        assert same(weights(tmp_path / "whole", name), weights(tmp_path / "stopped", name))
    assert (tmp_path / "whole/metrics.jsonl").read_bytes() == (tmp_path / "stopped/metrics.jsonl").read_bytes()


def test_frozen_hemispheres_end_bit_identical(tiny, tmp_path):
    for views in (0, 2):
        model = {"left": {"width": 0.0625, "freeze": True}, "right": {"width": 0.0625, "freeze": True}}
        job = make_job(tiny, tmp_path / str(views), model, feature_views=views)
        before = {name: tensor.clone() for name, tensor in job.network.state_dict().items()}
        train(job)
        after = job.network.state_dict()
        changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
        assert changed == {"heads"}


def test_one_frozen_hemisphere_leaves_the_other_to_learn(tiny, tmp_path):
    job = make_job(tiny, tmp_path, {"left": {"width": 0.0625, "freeze": True}, "right": {"width": 0.0625}})
    before = {name: tensor.clone() for name, tensor in job.network.state_dict().items()}
    train(job)
    after = job.network.state_dict()
    changed = {".".join(name.split(".")[:2]) for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"hemispheres.right", "heads.fine", "heads.coarse"}


def test_features_go_to_a_file_in_a_folder_that_is_not_there_yet(tiny, tmp_path):
    model = {side: {"width": 0.0625, "freeze": True} for side in ("left", "right")}
    for name, gigabytes in (("memory", 4), ("file", 0)):
        train(make_job(tiny, tmp_path / name, model, feature_views=2, feature_memory_gb=gigabytes))
    assert same(weights(tmp_path / "memory"), weights(tmp_path / "file"))


def test_it_learns(tiny, tmp_path):
    train(make_job(tiny, tmp_path, epochs=12, lr=0.05, flip=False, crop_padding=0))
    last = (tmp_path / "metrics.jsonl").read_text().splitlines()[-1]
    assert eval(last)["val_acc_fine"] > 0.8  # a line of JSON without null is a Python literal


def test_a_loss_that_is_no_number_stops_at_once_and_says_where(tiny, tmp_path):
    with pytest.raises(TrainingDivergedError, match=r"epoch 1.*training\.lr \(now 1e\+20\)"):
        train(make_job(tiny, tmp_path, lr=1e20, log_every_steps=2, warmup_epochs=0))
    assert not (tmp_path / "checkpoints" / "last.safetensors").exists()


def test_an_unknown_metric_to_monitor_is_named(tiny, tmp_path):
    job = replace(make_job(tiny, tmp_path), checkpoints=CheckpointConfig(monitor="val_accuracy"))
    with pytest.raises(ConfigError, match=r"no metric 'val_accuracy'; there are: .*val_acc"):
        train(job)


def test_accumulated_batches_make_the_step_of_one_large_batch(tiny, tmp_path):
    # vgg has no batch norm, so two half batches are one whole in all but rounding; lr 0 in warm-up would hide it.
    model = {side: {"arch": "vgg11_pool", "width": 0.0625} for side in ("left", "right")}
    options = {"model": model | {"dropout": 0}, "warmup_epochs": 0, "schedule": "constant", "epochs": 1}
    options |= {"crop_padding": 0, "flip": False, "optimizer": "sgd"}
    tiny = replace(tiny, train=replace_size(tiny.train), test=replace_size(tiny.test))
    train(make_job(tiny, tmp_path / "one", batch_size=32, **options))
    train(make_job(tiny, tmp_path / "two", batch_size=16, accumulate_batches=2, **options))
    first, second = weights(tmp_path / "one"), weights(tmp_path / "two")
    start = make_job(tiny, tmp_path, **options).network.state_dict()
    moved = max((first[name] - start[name]).abs().max().item() for name in first)
    apart = max((first[name] - second[name]).abs().max().item() for name in first)
    assert moved > 1e-3 and apart < 1e-5


def replace_size(images):
    return replace(images, images=torch.nn.functional.interpolate(images.images, size=32))


def test_only_validated_epochs_have_validation_metrics(tiny, tmp_path):
    train(make_job(tiny, tmp_path, epochs=5, validate_every_epochs=2))
    lines = [eval(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if "val_acc" in line] == [2, 4, 5]
    assert TrainingConfig(epochs=5).validate_every_epochs == 1


@pytest.mark.slow
def test_a_compiled_network_learns_as_the_eager_one(tiny, tmp_path, monkeypatch):
    # All of the capture, but not the C++ compiler, which takes half a minute.
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend="aot_eager"))
    for name, compiled in (("eager", False), ("compiled", True)):
        train(make_job(tiny, tmp_path / name, compile=compiled, epochs=2))
    lines = [[eval(line) for line in (tmp_path / name / "metrics.jsonl").open()] for name in ("eager", "compiled")]
    for eager, compiled in zip(*lines):
        assert compiled["train_loss"] == pytest.approx(eager["train_loss"], rel=1e-3)
    assert weights(tmp_path / "eager").keys() == weights(tmp_path / "compiled").keys()


@pytest.mark.slow
def test_a_network_that_does_not_compile_is_an_error_that_names_the_setting(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(torch._inductor.config, "force_disable_caches", True)
    torch._dynamo.reset()
    with pytest.raises(ConfigError, match=r"training\.compile: this network does not compile"):
        train(make_job(tiny, tmp_path, compile=True, epochs=1))


@pytest.fixture
def stopped(tiny, tmp_path, monkeypatch):
    """A training that was killed after its second of three epochs, beside the same one uninterrupted."""

    def stop(**options: object) -> Path:
        train(make_job(tiny, tmp_path / "whole", **options))

        class Stop(Exception):
            pass

        save = checkpoint.save

        def save_and_stop(path, *arguments):
            save(path, *arguments)
            if path.name == "last.safetensors" and arguments[-1].epochs_done == 2:
                raise Stop

        with monkeypatch.context() as patched, pytest.raises(Stop):
            patched.setattr(checkpoint, "save", save_and_stop)
            train(make_job(tiny, tmp_path / "stopped", **options))
        return tmp_path / "stopped"

    return stop


def edit(path: Path, change) -> None:
    """Change the training's state in a checkpoint, which then has no digest, as those of older versions."""
    read = checkpoint.read(path)
    training, optimizer = SimpleNamespace(**vars(read.training)), read.optimizer_state
    change(training, optimizer)
    tensors = {f"network.{name}": value for name, value in read.network_state.items()}
    tensors |= {f"optimizer.{n}.{name}": v.clone() for n, values in optimizer.items() for name, v in values.items()}
    values = json.loads(header.write(read.description, read.training, {}))
    del values["sha256"]
    save_file(tensors, path, {"bilateral": json.dumps(values | {"training": vars(training)})})


def victim(training, optimizer):
    training.kept = {"../../victim.txt": -5.0}


NAME = "epoch=001-val_acc=0.500.safetensors"
DAMAGE = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "flipped": lambda path: path.write_bytes(path.read_bytes()[:-5] + b"\x01" + path.read_bytes()[-4:]),
    "best only": lambda path: path.with_name("best.safetensors").write_bytes(b"nothing"),
    "no best": lambda path: path.with_name("best.safetensors").unlink(),
    "no training state": lambda path: path.write_bytes(path.with_name("best.safetensors").read_bytes()),
    "a name that leads out": lambda path: edit(path, victim),
    "more epochs than there are": lambda path: edit(path, lambda training, _: setattr(training, "epochs_done", 9)),
    "a negative epoch": lambda path: edit(path, lambda training, _: setattr(training, "epochs_done", -1)),
    "a score that is none": lambda path: edit(path, lambda training, _: setattr(training, "kept", {NAME: math.nan})),
    "another optimizer": lambda path: edit(path, lambda _, state: state[0].update(exp_avg=state[0]["momentum_buffer"])),
    "a state of no parameter": lambda path: edit(path, lambda _, state: state.update({999: state[0]})),
    "an infinite momentum": lambda path: edit(path, lambda _, state: state[0]["momentum_buffer"].fill_(math.inf)),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
}


def test_what_cannot_be_gone_on_from_is_done_anew_and_ends_as_if_nothing_had_been(stopped, tiny, caplog):
    folder = stopped()
    begun = folder.with_name("begun")
    shutil.move(folder, begun)
    (folder.parent / "victim.txt").touch()
    for what, damage in DAMAGE.items():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(begun, folder)
        (folder / "checkpoints" / NAME).touch()
        damage(folder / "checkpoints" / "last.safetensors")
        caplog.clear()
        train(make_job(tiny, folder))
        assert [record.levelname for record in caplog.records if "starts anew" in record.message] == ["WARNING"], what
        for name in ("last", "best"):
            written, expected = (f / "checkpoints" / f"{name}.safetensors" for f in (folder, folder.with_name("whole")))
            assert written.read_bytes() == expected.read_bytes(), what
        assert len(list((folder / "checkpoints").iterdir())) == 2, what
        assert (folder / "metrics.jsonl").read_bytes() == (folder.with_name("whole") / "metrics.jsonl").read_bytes()
        assert (folder.parent / "victim.txt").exists()


@pytest.mark.parametrize("options", [{"epochs": 1}, {"epochs": 1, "batch_size": 96}, {"optimizer": "adam"}])
def test_nothing_that_is_no_number_gets_into_a_checkpoint(tiny, tmp_path, options):
    rates = {"lr": 1e30} if "optimizer" in options else {"lr": 1e30, "muon_lr": 1e30}
    with pytest.raises(TrainingDivergedError, match=r"epoch 1.*training\.lr \(now 1e\+30\)"):
        train(make_job(tiny, tmp_path, warmup_epochs=0, **rates, **options))
    assert not list(tmp_path.rglob("*.safetensors")) and not (tmp_path / "metrics.jsonl").exists()


def test_a_training_that_diverges_later_leaves_its_last_good_checkpoint(stopped, tiny):
    folder = stopped()
    before = {path.name: path.read_bytes() for path in (folder / "checkpoints").iterdir()}
    with pytest.raises(TrainingDivergedError, match="epoch 3"):
        train(make_job(tiny, folder, lr=1e30, muon_lr=1e30))
    assert {path.name: path.read_bytes() for path in (folder / "checkpoints").iterdir()} == before
    assert "NaN" not in (folder / "metrics.jsonl").read_text()


def test_weights_alone_that_are_no_numbers_are_a_divergence(tiny, tmp_path):
    job = make_job(tiny, tmp_path, epochs=1)
    statistics = job.network.hemispheres["left"].conv1.norm
    statistics.register_buffer("unused", torch.tensor(math.inf))
    with pytest.raises(TrainingDivergedError, match=r"left\.conv1\.norm\.unused holds NaN or infinity after epoch 1"):
        train(job)


def test_own_code_is_suspected_of_a_divergence(tiny, tmp_path):
    job = make_job(tiny, tmp_path, epochs=1)
    job.network.hemispheres["left"].conv1.norm.register_buffer("unused", torch.tensor(math.inf))
    side = job.description.model.left.model_copy(update={"arch": "mine:Net"})
    named = replace(job.description, model=job.description.model.model_copy(update={"left": side}))
    with pytest.raises(TrainingDivergedError, match=r"may help; see, too, that mine:Net gives no NaN$"):
        train(replace(job, description=named))


def test_a_folder_removed_in_mid_run_is_a_sentence(tiny, tmp_path, monkeypatch):
    job = make_job(tiny, tmp_path / "run")
    monkeypatch.setattr(job.progress, "advance", lambda *_: shutil.rmtree(tmp_path / "run", ignore_errors=True))
    with pytest.raises(OutputError, match=r"cannot write .*run"):
        train(job)
    assert not (tmp_path / "run").exists()
