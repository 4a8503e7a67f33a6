"""What holds of every registered backbone and every macro-architecture."""

import pytest
import safetensors.torch
import torch

from bilateral.models.backbones import BACKBONES
from bilateral.models.bridges import BRIDGES
from bilateral.models.build import build_network, load_state
from bilateral.models.config import ModelConfig
from bilateral.models.ensemble import Ensemble
from bilateral.models.joins import JOINS
from bilateral.models.lesions import LESIONS
from bilateral.models.parts import PARTS

FINE, COARSE, BATCH = 7, 3, 4
TINY = {"width": 1 / 16}
FROZEN = {**TINY, "freeze": True}
SPARSE = {**TINY, "sparsity": {"k": 0.3, "per_k": 0.7}}


PARTS_OPTIONS, BRIDGES_OPTIONS, JOINS_OPTIONS, LESIONS_OPTIONS = (
    {name: registry.find(name, "kind").example for name in registry.names}
    for registry in (PARTS, BRIDGES, JOINS, LESIONS)
)
OWN_HEAD = {**TINY, "own_head": {"weight": 0.5}}
CALLOSUM = {"kind": "additive", "between": {"left": "res1", "right": "res1"}}


def unilateral(**given):
    return {"mode_hemis": "unilateral", "left": TINY, **given}


def bilateral(left, right, **given):
    return {"mode_hemis": "bilateral", "left": left, "right": right, **given}


CONFIGS = {
    **{f"backbone {arch}": unilateral(left={**TINY, "arch": arch}) for arch in BACKBONES.names},
    **{
        f"sparse {arch}": unilateral(left={**SPARSE, "arch": arch})
        for arch in BACKBONES.names
        if arch.endswith("_resnet9")
    },
    "fine head": unilateral(mode_heads="fine"),
    "coarse head": unilateral(mode_heads="coarse"),
    "right alone": {"mode_hemis": "unilateral", "right": TINY, "mode_heads": "coarse"},
    "frozen alone": unilateral(left=FROZEN),
    "original momentum": unilateral(left={**TINY, "batch_norm_momentum": "original"}),
    "bilateral": bilateral(TINY, TINY),
    "both frozen": bilateral(FROZEN, FROZEN),
    "left frozen": bilateral(FROZEN, TINY),
    "right frozen": bilateral(TINY, FROZEN, mode_heads="fine"),
    "mixed": bilateral({**TINY, "arch": "vgg11"}, {**SPARSE, "arch": "inverted_resnet9"}),
    "mixed, one frozen": bilateral({**FROZEN, "arch": "vgg11"}, {"width": 1 / 8, "arch": "resnet18"}),
    **{
        f"part {kind} after {after}": unilateral(left={**TINY, "parts": {kind: {"after": after, **options}}})
        for kind, options in PARTS_OPTIONS.items()
        for after in ("input", "conv2", "res2")
    },
    "noise in evaluation": unilateral(
        left={**TINY, "parts": {"noise": {"after": "res1", "std": 0.5, "evaluation": True}}}
    ),
    "parts of a frozen side": bilateral(
        {
            **FROZEN,
            "parts": {
                "noise": {"after": "conv2", "std": 0.5},
                "late": {"kind": "kwta", "after": "res2", "k": 0.5, "per_k": 1.0},
            },
        },
        TINY,
    ),
    **{
        f"bridge {kind}{where}": bilateral(
            left, right, bridges={"callosum": {"kind": kind, "between": between, **options}}
        )
        for kind, options in BRIDGES_OPTIONS.items()
        for where, left, right, between in (
            ("", TINY, TINY, {"left": "res1", "right": "res1"}),
            (" between the features", TINY, {"width": 1 / 8}, {"left": "pool", "right": "pool"}),
            (" between frozen ones", FROZEN, FROZEN, {"left": "conv2", "right": "res1"}),
            (" of two architectures", TINY, {**TINY, "arch": "resnet18"}, {"left": "conv3", "right": "group1"}),
        )
        if not (between["left"] == "pool" and BRIDGES.find(kind, "kind").needs_positions)
    },
    **{
        f"join {kind}{where}": bilateral(
            *({**OWN_HEAD, **side} if JOINS.find(kind, "kind").needs_own_heads else side for side in (left, right)),
            join={"kind": kind, **options},
        )
        for kind, options in JOINS_OPTIONS.items()
        for where, left, right in (("", TINY, TINY), (" of a frozen side", FROZEN, {**TINY, "arch": "resnet18"}))
    },
    **{
        f"lesion {kind} of {at}": bilateral(
            {**TINY, "parts": {"noise": {"after": "res1", "std": 0.5}}},
            TINY,
            bridges={"callosum": CALLOSUM},
            lesions={"cut": {"kind": kind, "at": at, **options}},
        )
        for kind, options in LESIONS_OPTIONS.items()
        for at in ("left", "callosum", "left.noise")
    },
    "connections": bilateral(
        {"width": 1 / 8, "connections": {"kernel": 5, "groups": 2, "share": 0.3}},
        {**TINY, "arch": "vgg11_pool", "connections": {"dilation": 2, "share": 0.5}},
    ),
    "own heads": bilateral(OWN_HEAD, {**OWN_HEAD, "level": "both"}),
    "schedules": bilateral(
        {**TINY, "parts": {"noise": {"after": "res1", "std": {"start": 1, "end": 0, "epochs": 5}}}},
        {**TINY, "parts": {"filter": {"after": "input", "below": {"start": 2, "end": 16, "epochs": 5}}}},
        join={"kind": "gate", "right": {"start": 0.95, "end": 0.05, "epochs": 5}},
    ),
    "lesion from an epoch on": bilateral(
        TINY, TINY, lesions={"cut": {"kind": "units", "at": "left", "share": 0.5, "from_epoch": 2}}
    ),
    "two bridges": bilateral(
        TINY,
        TINY,
        bridges={"late": {"kind": "additive", "between": {"left": "conv4", "right": "res2"}}, "early": CALLOSUM},
    ),
    "ensemble": [unilateral(), unilateral(left={**TINY, "arch": "vgg11_pool"})],
    "ensemble of bilateral": [bilateral(TINY, TINY), bilateral(FROZEN, {**TINY, "arch": "resnet18"}), unilateral()],
}


def build(configs, seed):
    if isinstance(configs, dict):
        return build_network(ModelConfig(**configs), FINE, COARSE, seed)
    return Ensemble(build(config, seed + number) for number, config in enumerate(configs))


@pytest.fixture(scope="module")
def images():
    return torch.randn(BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(4))


@pytest.fixture(params=CONFIGS, scope="module")
def configs(request):
    return CONFIGS[request.param]


@pytest.fixture
def network(configs):
    torch.manual_seed(6)  # For dropout.
    return build(configs, seed=1)


def tensors_of(output):
    return {**output.logits, **output.features}


def hemispheres_of(network):
    """Hemispheres by the name that their features have, and the frozen ones among these names."""
    if isinstance(network, Ensemble):
        named = {f"{n}.{side}": part for n, m in enumerate(network.members) for side, part in m.hemispheres.items()}
        return named, set(named)
    return dict(network.hemispheres), set(network.frozen)


def silenced(network):
    """The sides whose features a lesion changes after the last stage."""
    return {lesion.at for lesion in getattr(network, "lesions", {}).values()} & {"left", "right"}


def test_output_shapes(network, configs, images):
    output = network(images)
    heads = "both" if isinstance(configs, list) else ModelConfig(**configs).mode_heads
    expected = {"fine": (BATCH, FINE), "coarse": (BATCH, COARSE)}
    expected = {level: shape for level, shape in expected.items() if heads in (level, "both")}
    expected |= {name: (BATCH, part.num_features) for name, part in hemispheres_of(network)[0].items()}
    assert {name: tuple(values.shape) for name, values in tensors_of(output).items()} == expected
    assert all(values.dtype == torch.float32 and values.isfinite().all() for values in tensors_of(output).values())
    assert output.joined.shape[1] == sum(part.num_features for part in hemispheres_of(network)[0].values())


def test_gradients_reach_every_trainable_tensor_and_no_frozen_one(network, images):
    with torch.no_grad():  # a layer that is zero at the start stops the gradients of those before it
        for parameter in network.parameters():
            parameter += 1e-3 * torch.randn_like(parameter) * parameter.requires_grad
    output = network(images)
    logits = [*output.logits.values(), *(each for own in output.own.values() for each in own.values())]
    loss = sum((each * torch.randn_like(each)).sum() for each in logits)
    if isinstance(network, Ensemble):
        assert not loss.requires_grad
        return
    loss.backward()
    for name, parameter in network.named_parameters():
        frozen = any(name.startswith(f"hemispheres.{side}.") for side in network.frozen)
        assert parameter.requires_grad is not frozen, name
        assert (parameter.grad is None) if frozen else parameter.grad.any(), name


def test_evaluation_is_deterministic_and_independent_of_the_batch(network, images):
    network(images)  # In training mode: the batch norms' statistics move away from their start.
    network.eval()
    if any(getattr(module, "draws", False) or getattr(module, "mixes_images", False) for module in network.modules()):
        return  # as it declares
    with torch.no_grad():
        first, again = tensors_of(network(images)), tensors_of(network(images))
        alone = [tensors_of(network(images[number : number + 1])) for number in range(BATCH)]
        shuffled = tensors_of(network(images.flip(0)))
    for name, values in first.items():
        assert torch.equal(again[name], values)
        tolerance = {"rtol": 1e-4, "atol": 1e-5 * float(values.abs().max())}
        torch.testing.assert_close(torch.cat([one[name] for one in alone]), values, **tolerance)
        torch.testing.assert_close(shuffled[name].flip(0), values, **tolerance)
        if name not in silenced(network):
            assert not torch.allclose(values[0], values[1]), "the output does not depend on the image"


def test_evaluation_changes_no_tensor(network, images):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.eval()(images)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_saved_and_loaded_state_gives_identical_outputs(network, configs, images, tmp_path):
    network(images)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "network.safetensors")
    loaded = build(configs, seed=50)
    load_state(loaded, safetensors.torch.load_file(tmp_path / "network.safetensors"), "network.safetensors")
    with torch.no_grad():
        torch.manual_seed(1)
        expected = tensors_of(network.eval()(images))
        torch.manual_seed(1)
        outputs = tensors_of(loaded.eval()(images))
    assert all(torch.equal(outputs[name], values) for name, values in expected.items())


def test_frozen_parts_stay_in_evaluation_mode(network):
    parts, frozen = hemispheres_of(network)
    for mode in (True, False, True):
        network.train(mode)
        for name, part in parts.items():
            assert {module.training for module in part.modules()} == {mode and name not in frozen}, name


def test_a_walk_in_two_halves_and_kept_features_give_what_the_pass_gives(network, images):
    if isinstance(network, Ensemble):
        return
    network.eval()
    with torch.no_grad():
        torch.manual_seed(1)
        expected = tensors_of(network(images))
        for half in range(len(network.steps) + 1):
            torch.manual_seed(1)
            values = network.walk(dict.fromkeys(network.hemispheres, images), stop=half)
            assert all(
                torch.equal(each, expected[name])
                for name, each in tensors_of(network.classify(network.walk(values, start=half))).items()
            )
        torch.manual_seed(1)
        activations = network.activations(images)
    for side in network.hemispheres:
        if side not in silenced(network):
            assert torch.equal(activations[side, network.stages(side)[-1]], expected[side])


def test_a_network_is_fixed_until_the_join_if_nothing_before_it_is_trained_or_draws(network, configs, images):
    if isinstance(network, Ensemble):
        return
    network.train()
    first, optimizer = network.features(images), torch.optim.SGD(network.parameters(), lr=0.5)
    for _ in range(2):  # a bridge of zeros hears nothing of its own weights in the first step
        sum((logits * torch.randn_like(logits)).sum() for logits in network(images).logits.values()).backward()
        optimizer.step()
    again = network.features(images)
    assert network.fixed_until_join == all(torch.equal(first[side], again[side]) for side in first)


def neutral_kinds(registry):
    """The kinds that have a setting at which they change nothing."""
    return [name for name in registry.names if registry.find(name, "kind").neutral is not None]


@pytest.mark.parametrize("kind", neutral_kinds(PARTS))
def test_a_part_at_its_neutral_setting_changes_nothing(kind, images):
    neutral = PARTS.find(kind, "kind").neutral
    plain = build(unilateral(), 1).train()
    network = build(unilateral(left={**TINY, "parts": {kind: {"after": "conv2", **neutral}}}), 1).train()
    torch.manual_seed(1)
    expected = tensors_of(plain(images))
    torch.manual_seed(1)
    assert all(torch.equal(values, expected[name]) for name, values in tensors_of(network(images)).items())


@pytest.mark.parametrize("kind", neutral_kinds(BRIDGES))
def test_a_fresh_bridge_at_its_neutral_setting_changes_nothing(kind, images):
    neutral = BRIDGES.find(kind, "kind").neutral
    plain, bridge = build(bilateral(TINY, TINY), 1).eval(), {**CALLOSUM, "kind": kind, **neutral}
    network = build(bilateral(TINY, TINY, bridges={"callosum": bridge}), 1).eval()
    expected = tensors_of(plain(images))
    assert all(torch.equal(values, expected[name]) for name, values in tensors_of(network(images)).items())
