from dataclasses import replace
from functools import partialmethod
from pathlib import Path

import pytest
import torch

from bilateral.base.errors import ConfigError, TrainingDivergedError
from bilateral.data.images import HierarchicalDataset
from bilateral.data.splits import hold_out
from bilateral.models.build import build_network
from bilateral.runs.config import check_config
from bilateral.runs.execution import describe
from bilateral.training import checkpoint
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
def test_stopping_after_each_epoch_changes_nothing(tiny, tmp_path, monkeypatch, optimizer, frozen):
    model = {side: {"width": 0.0625, "freeze": frozen} for side in ("left", "right")}
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


def test_a_compiled_network_learns_as_the_eager_one(tiny, tmp_path, monkeypatch):
    # All of the capture, but not the C++ compiler, which takes half a minute.
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend="aot_eager"))
    for name, compiled in (("eager", False), ("compiled", True)):
        train(make_job(tiny, tmp_path / name, compile=compiled, epochs=2))
    lines = [[eval(line) for line in (tmp_path / name / "metrics.jsonl").open()] for name in ("eager", "compiled")]
    for eager, compiled in zip(*lines):
        assert compiled["train_loss"] == pytest.approx(eager["train_loss"], rel=1e-3)
    assert weights(tmp_path / "eager").keys() == weights(tmp_path / "compiled").keys()


def test_a_network_that_does_not_compile_is_an_error_that_names_the_setting(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(torch._inductor.config, "force_disable_caches", True)
    torch._dynamo.reset()
    with pytest.raises(ConfigError, match=r"training\.compile: this network does not compile"):
        train(make_job(tiny, tmp_path, compile=True, epochs=1))
