"""Asymmetries in trainings: what each changes and leaves, and that they go together, resumed and not."""

import json
import random

import pytest
import torch

from bilateral.base.errors import ConfigError
from bilateral.models.bridges import BRIDGES
from bilateral.models.config import LesionConfig
from bilateral.models.joins import JOINS
from bilateral.models.lesions import LESIONS
from bilateral.models.parts import PARTS
from bilateral.runs.config import read_config
from bilateral.runs.execution import resolve, split
from bilateral.runs.plan import Run
from bilateral.runs.train import load_data, train
from bilateral.training import checkpoint, loop

pytestmark = pytest.mark.slow

SMALL = {"width": 1 / 16}


def config(folder, left=None, right=None, epochs=2, train_per_class=3, **model):
    sides = {"left": {**SMALL, **(left or {})}, "right": {**SMALL, **(right or {})}}
    return {
        "data": {"name": "shapes", "shapes": {"train_per_class": train_per_class, "test_per_class": 1}},
        "training": {"epochs": epochs, "batch_size": 32, "device": "cpu", "warmup_epochs": 0, "log_every_steps": 1},
        "save_dir": str(folder),
        "workers": 1,
        "model": {"dropout": 0.0, **sides, **model},
    }


def trained(folder, *sides, **given):
    (run,) = train(config(folder, *sides, **given))
    return run


def state(run, file="last"):
    return checkpoint.read(run.folder / "checkpoints" / f"{file}.safetensors").network_state


def metrics(run):
    return [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


def kernels(state, side):
    return {
        name: tensor for name, tensor in state.items() if name.startswith(f"hemispheres.{side}") and tensor.ndim == 4
    }


def all_equal(first, second):
    return [torch.equal(tensor, second[name]) for name, tensor in first.items()]


def test_a_side_learns_at_the_rate_of_its_plasticity_and_no_longer_than_it_lasts(tmp_path, monkeypatch):
    untrained = state(trained(tmp_path / "fresh", {"freeze": "untrained"}, {"freeze": "untrained"}))
    fresh = kernels(untrained, "left")
    still = state(trained(tmp_path / "still", {"plasticity": {"rate": 0.0}}))
    assert all(all_equal(fresh, still)) and not any(all_equal(kernels(untrained, "right"), still))
    states = []
    saved = checkpoint.save

    def keep(path, network, *rest):
        states.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        saved(path, network, *rest)

    monkeypatch.setattr(loop.checkpoint, "save", keep)
    trained(tmp_path / "until", {"plasticity": {"until": 1}}, epochs=3)
    first, last = states[0], states[-1]
    assert not any(all_equal(kernels(first, "left"), fresh)), "it learned in the first epoch"
    assert all(all_equal(kernels(first, "left"), last)), "and not after it"
    assert not any(all_equal(kernels(first, "right"), last))


def test_two_sides_of_plasticity_one_learn_as_two_without(tmp_path):
    one = {"plasticity": {"rate": 1.0, "weight_decay": 1.0}}
    assert all(all_equal(state(trained(tmp_path / "plain")), state(trained(tmp_path / "plastic", one, one))))


def test_a_head_of_its_own_is_trained_with_the_network_and_teaches_its_side(tmp_path):
    plain, own = trained(tmp_path / "plain"), trained(tmp_path / "own", {"own_head": {"weight": 2.0}})
    assert metrics(own)[-1]["val_acc_left_fine"] >= 0 and "val_acc_left_fine" not in metrics(plain)[-1]
    assert metrics(own)[-1]["val_acc"] == pytest.approx(
        metrics(own)[-1]["val_acc_fine"] + metrics(own)[-1]["val_acc_coarse"]
    )
    heads = [name for name in state(own) if name.startswith("own_heads.left.fine")]
    assert heads and not any(name.startswith("own_heads") for name in state(plain))
    assert not any(all_equal(kernels(state(plain), "left"), state(own)))


def test_a_lesion_from_an_epoch_on_is_in_the_training_and_in_the_test(tmp_path):
    lesions = {"silence": {"at": "left", "from_epoch": 2}}
    run, intact = trained(tmp_path / "hurt", lesions=lesions), trained(tmp_path / "intact")
    joined = {name: run.network()(torch.randn(4, 3, 32, 32)).features[name] for name in ("left", "right")}
    assert not joined["left"].any() and joined["right"].any()
    assert metrics(run)[0]["train_loss"] == metrics(intact)[0]["train_loss"]
    assert metrics(run)[1]["train_loss"] != metrics(intact)[1]["train_loss"]


def test_training_goes_on_from_a_run_with_or_without_damage(tmp_path):
    frozen, run = {"freeze": True}, trained(tmp_path / "whole", epochs=1)
    silence, units = {"at": "left", "from_epoch": 1}, {"at": "right", "from_epoch": 1, "share": 1.0}
    for number, lesions in enumerate(({"silence": silence}, {"units": units}, {})):
        given = {"lesions": lesions, "checkpoint": str(run.folder)}
        before, run = run, trained(tmp_path / str(number), frozen, frozen, epochs=1, **given)
        assert all(all_equal(kernels(state(before), "left"), state(run)))
        found = [name for name in state(run) if name.startswith("lesions.")]
        assert found == [f"lesions.{name}.epoch" for name in lesions]
        heard = run.network()(torch.randn(4, 3, 32, 32)).features
        assert {side for side, features in heard.items() if not features.any()} == {at["at"] for at in lesions.values()}


def test_a_finished_run_is_tested_with_damage_as_it_would_be_trained_with(tmp_path):
    whole = trained(tmp_path / "whole", epochs=1)
    damage = {"silence": LesionConfig.model_validate({"kind": "silence", "at": "left", "from_epoch": 10})}
    network = checkpoint.build(checkpoint.read(whole.folder), whole.folder, lesions=damage)
    heard = network(torch.randn(4, 3, 32, 32)).features
    assert not heard["left"].any() and heard["right"].any()
    hurt = trained(tmp_path / "hurt", epochs=1, lesions={"silence": {"at": "left", "from_epoch": 1}})
    damage = {"silence": LesionConfig.model_validate({"kind": "silence", "at": "right"})}
    network = checkpoint.build(checkpoint.read(hurt.folder), hurt.folder, lesions=damage)
    heard = network(torch.randn(4, 3, 32, 32)).features
    assert heard["left"].any() and not heard["right"].any()


def test_weights_of_the_losses_say_which_labels_count(tmp_path):
    given = config(tmp_path)
    given["training"]["loss_weights"] = {"coarse": 0.0}
    (run,) = train(given)
    head = {name: tensor for name, tensor in state(run).items() if name.startswith("heads.coarse")}
    fresh = state(trained(tmp_path / "other", {"freeze": "untrained"}, {"freeze": "untrained"}, epochs=1))
    assert head and not all(all_equal(head, fresh))  # weight decay alone
    assert metrics(run)[-1]["train_loss_coarse"] > 0


def test_a_share_of_the_data_is_the_same_share_of_each_class_and_leaves_the_validation_as_it_is():
    whole = read_config({"data": {"shapes": {"train_per_class": 20, "test_per_class": 1}}})
    half = whole.model_copy(update={"training": whole.training.model_copy(update={"data_share": 0.5})})
    dataset = load_data(whole)
    (training, validation), (fewer, same) = (split(config, dataset) for config in (whole, half))
    counts = training.fine.bincount(), fewer.fine.bincount()
    assert counts[0].unique().tolist() == [18] and counts[1].unique().tolist() == [9]
    assert torch.equal(validation.images, same.images)
    everyone = {image.numpy().tobytes() for image in training.images}
    assert all(image.numpy().tobytes() in everyone for image in fewer.images)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"left": {"plasticity": {"until": 3}}}, r"model\.left\.plasticity\.until: 3 is past the end"),
        (
            {"left": {"parts": {"gain": {"after": "pool", "factor": {"start": 1.0, "end": 2.0, "epochs": 3}}}}},
            r"model\.left\.parts\.gain\.factor\.epochs: 3 is past the end of network, seed 0, .* 2 epochs",
        ),
        ({"lesions": {"silence": {"at": "left", "from_epoch": 3}}}, r"model\.lesions\.silence\.from_epoch: 3"),
    ],
)
def test_what_lasts_longer_than_the_training_is_refused(tmp_path, given, key):
    with pytest.raises(ConfigError, match=key):
        resolve(Run(read_config(config(tmp_path, **given)), 0))


def chosen(registry, rng, without=()):
    kind = rng.choice([name for name in registry.names if name not in without])
    return {"kind": kind, **registry.find(kind, "kind").example}


def combination(seed):
    """A network with an asymmetry at every place, drawn at random."""
    rng = random.Random(seed)
    places, rate = ("input", "conv2", "res1", "res2"), {"start": 1.0, "end": 0.5, "epochs": 2}
    sides = {}
    for side in ("left", "right"):
        sides[side] = {
            "width": rng.choice((1 / 16, 1 / 8)),
            "level": rng.choice(("fine", "coarse", "both")),
            "own_head": {"weight": rng.choice((0.5, 1.0))},
            "plasticity": {"rate": rng.choice((0.5, rate)), "weight_decay": rng.choice((0.0, 1.0))},
            "connections": {
                "kernel": rng.choice((None, 5)),
                "groups": rng.choice((1, 2)),
                "share": rng.choice((0.5, 1.0)),
            },
            "parts": {f"part{number}": {**chosen(PARTS, rng), "after": rng.choice(places)} for number in range(2)},
        }
    between = {"left": rng.choice(("conv2", "res1")), "right": rng.choice(("conv2", "res1"))}
    lesion = {**chosen(LESIONS, rng), "at": rng.choice(("left", "right.part0", "bridge", "bridge.to_left"))}
    return {
        **sides,
        "bridges": {"bridge": {**chosen(BRIDGES, rng), "between": between}},
        "join": chosen(JOINS, rng, without=("sum",) if sides["left"]["width"] != sides["right"]["width"] else ()),
        "lesions": {"lesion": {**lesion, "from_epoch": rng.choice((None, 2))}},
    }


@pytest.mark.parametrize("seed", range(4))
def test_any_of_them_go_together_and_an_interrupted_training_ends_alike(tmp_path, seed, monkeypatch):
    given = combination(seed)
    whole = trained(tmp_path / "whole", **given)
    network = whole.network()  # saved and loaded
    assert network(torch.randn(2, 3, 32, 32)).fine.isfinite().all()
    saved = checkpoint.save

    def stop(path, *what):
        saved(path, *what)
        if path.name == "last.safetensors":
            raise KeyboardInterrupt

    monkeypatch.setattr(loop.checkpoint, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "halves", **given)
    monkeypatch.setattr(loop.checkpoint, "save", saved)
    assert all(all_equal(state(whole), state(trained(tmp_path / "halves", **given))))
