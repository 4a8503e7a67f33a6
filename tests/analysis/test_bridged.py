"""Every reader of a network with bridges and parts sees what the heads hear: each against the forward pass."""

import io
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from bilateral.analysis import activations, lesions, occlusion, parts, probes
from bilateral.analysis.activations import stage_activations, stage_means
from bilateral.analysis.gradcam import class_activation_maps
from bilateral.analysis.heads import contributions
from bilateral.explore.answering import Explorer
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.models.cost import network_cost

from . import handmade

MODEL = ModelConfig.model_validate(
    {
        "left": {"width": 1 / 16, "parts": {"kwta": {"after": "conv2", "k": 0.3, "per_k": 0.7}}},
        "right": {"width": 1 / 16, "arch": "resnet18"},
        "bridges": {
            "callosum": {"kind": "additive", "between": {"left": "res1", "right": "group2"}},
            "late": {"kind": "additive", "between": {"left": "pool", "right": "pool"}},
        },
    }
)


@pytest.fixture(autouse=True)
def in_float32(monkeypatch):
    for module in (activations, occlusion):
        monkeypatch.setattr(module, "native_precision", lambda system: nullcontext())


@pytest.fixture(scope="module")
def network():
    """Its bridges say a lot."""
    made = build_network(MODEL, 6, 3, seed=3).eval().requires_grad_(False)
    torch.manual_seed(3)
    for parameter in made.bridges.parameters():
        parameter.normal_()
    for head in made.heads.values():
        head[1].weight.mul_(10)
    return made


@pytest.fixture(scope="module")
def study(network):
    found = handmade.study({0: {}}, {0: network}, images=handmade.make_images(4, 1))
    system = found.systems[0]
    description = replace(system.bilateral.description, model=MODEL, image_size=tuple(found.images.images.shape[2:]))
    system.bilateral.__dict__["description"] = description
    return found


@pytest.fixture(scope="module")
def system(study):
    return study.systems[0]


@pytest.fixture(scope="module")
def output(network, study, system):
    return network(system.normalise(study.images.images))


def accuracies(output, images):
    return {
        level: 100 * (logits.argmax(1) == getattr(images, level)).double().mean().item()
        for level, logits in output.logits.items()
    }


def test_the_bridges_matter(network, study, system, output):
    with torch.no_grad():
        alone = {side: each(system.normalise(study.images.images)) for side, each in network.hemispheres.items()}
    assert not any(torch.allclose(alone[side], values, rtol=0.1) for side, values in output.features.items())


def test_activations_end_with_what_the_heads_hear(network, study, system, output):
    whole, means = stage_activations(system, study.images.images), stage_means(system, study.images.images)
    for side, expected in output.features.items():
        for found in (whole, means):
            torch.testing.assert_close(found[side, "pool"], expected)


def test_probes_read_what_the_heads_hear(study, system):
    channels = {key: values.shape[1] for key, values in stage_means(system, study.images.images).items()}
    table = probes.compute(study).set_index(["side", "stage"])["channels"].groupby(level=[0, 1]).first()
    assert table.to_dict() == channels


def test_evaluation_and_lesions_begin_with_the_network_as_it_is(study, system, output):
    torch.testing.assert_close(dict(study.evaluation(system).features), output.features)
    table = lesions.compute(study)
    intact = table[table["at"] == "none"].set_index("level")["accuracy_pct"]
    assert intact.to_dict() == accuracies(output, study.images)


def test_the_heads_taken_apart_add_up(network, output):
    for level, logits in output.logits.items():
        torch.testing.assert_close(contributions(network, level, output.features).logits, logits)


def test_maps_come_with_the_logits_of_the_network(network, study, system, output):
    stages = {"left": ["res1"], "right": ["group2"]}
    maps, logits = class_activation_maps(network, system.normalise(study.images.images), stages)
    assert all(torch.equal(logits[level], values) for level, values in output.logits.items())
    assert all(values.any() for values in maps.values())


def test_a_window_that_one_side_sees_grey_takes_from_both_what_the_bridge_carries(network, study, system, output):
    images = system.normalise(study.images.images)
    falls = occlusion.logit_falls(system, images)
    rows, columns = next(occlusion.windows(tuple(images.shape[2:])))
    covered = images.clone()
    covered[:, :, rows, columns] = 0
    for side in ("left", "right"):
        now = network.classify(network.walk({"left": images, "right": images, side: covered})).logits
        for level, logits in output.logits.items():
            best = logits.argmax(1, keepdim=True)
            expected = (logits - now[level]).gather(1, best)[:, 0]
            torch.testing.assert_close(falls[level, side][:, 0], expected, atol=1e-4, rtol=1e-4)


def test_parts_and_costs_count_all_of_it(network, study):
    size = study.systems[0].bilateral.description.image_size
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, *size))
    table, cost = parts.compute(study), network_cost(MODEL, 6, 3, size)
    assert 2 * table["multiply_adds"].sum() == cost.forward_flops == counter.get_total_flops()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert table["parameters"].sum() == cost.parameters == parameters
    bridges = table[table["where"] == "bridges"]
    assert list(bridges["part"]) == ["callosum", "late"] and bridges["multiply_adds"].sum() * 2 == cost.bridge_flops
    parts.draw(table)


def test_a_visitor_s_picture_is_answered_by_the_network(network, study, system):
    description = replace(system.bilateral.description, model=MODEL)
    pixels = study.images.images[0]
    file = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file, "png")
    explorer = Explorer(network, description)
    answer = explorer.answer(file.getvalue())
    logits = network(description.normalise(pixels[None])).logits
    for level, found in answer["levels"].items():
        assert found["predictions"][0]["probability"] == pytest.approx(logits[level].softmax(1).max().item(), abs=1e-5)
        assert set(found["maps"]) == {"left", "right"}
    silenced = explorer.answer(file.getvalue(), ["left"])["levels"]["fine"]
    features = network.features(description.normalise(pixels[None]))
    heard = network.classify({**features, "left": torch.zeros_like(features["left"])}).fine.softmax(1)
    assert silenced["predictions"][0]["probability"] == pytest.approx(heard.max().item(), abs=1e-5)
