import base64
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bilateral.analysis.gradcam import chosen_stages, class_activation_maps, merge
from bilateral.base.errors import CheckpointError, ConfigError, DataError
from bilateral.data.image_files import read_image
from bilateral.explore.about import describe, run_name
from bilateral.explore.answering import Explorer
from bilateral.models.config import LesionConfig
from bilateral.models.network import Network
from bilateral.training import checkpoint

from .conftest import explorer_of


@pytest.fixture(scope="module")
def explorer(runs):
    return explorer_of(runs.bilateral)


@pytest.fixture(scope="module")
def content(runs):
    return runs.picture.read_bytes()


@pytest.fixture(scope="module")
def normalised(explorer, runs):
    pixels = torch.from_numpy(read_image(runs.picture, 32).transpose(2, 0, 1).copy())
    return explorer.description.normalise(pixels[None])


def values(found):
    return np.frombuffer(base64.b64decode(found["values"]), np.uint8).reshape(found["height"], found["width"])


def probabilities(network, features, level):
    with torch.no_grad():
        return network.classify(features).logits[level][0].softmax(0)


def test_an_intact_network_says_what_predict_says(explorer, content, runs):
    answer = explorer.answer(content)
    assert {level: found["predictions"] for level, found in answer["levels"].items()} == runs.predicted
    assert all(found["changes"] is None for found in answer["levels"].values()) and answer["silenced"] == []


def test_heads_that_disagree_are_told(explorer, content):
    hierarchy = explorer.description.hierarchy
    own = hierarchy.coarse_of_fine[explorer.answer(content)["levels"]["fine"]["predictions"][0]["id"]]
    bias = explorer.network.heads["coarse"][-1].bias
    for coarse in range(len(hierarchy.coarse_names)):
        bias[coarse] += 1e4
        expected = None if coarse == own else hierarchy.coarse_names[own]
        assert explorer.answer(content)["belongs"] == expected
        bias[coarse] -= 1e4


def test_the_picture_is_the_one_that_the_network_sees(explorer, content, runs):
    picture = explorer.answer(content)["picture"]
    shown = Image.open(io.BytesIO(base64.b64decode(picture["png"])))
    assert np.array_equal(np.asarray(shown), read_image(runs.picture, 32)) and shown.size == (32, 32)


@pytest.mark.parametrize("silenced", [("left",), ("right",), ("left", "right")])
def test_a_silenced_hemisphere_gives_zeros(explorer, content, normalised, silenced):
    answer = explorer.answer(content, silenced)
    with torch.no_grad():
        intact = explorer.network.features(normalised)
    features = {side: torch.zeros_like(own) if side in silenced else own for side, own in intact.items()}
    for level, found in answer["levels"].items():
        now, before = (probabilities(explorer.network, given, level) for given in (features, intact))
        labels = [entry["id"] for entry in found["predictions"]]
        assert labels[0] == now.argmax()
        assert [entry["probability"] for entry in found["predictions"]] == pytest.approx(now[labels].tolist(), abs=1e-6)
        changes = found["changes"]
        assert changes["before"] == pytest.approx(before[labels].tolist(), abs=1e-6)
        assert changes["best_before"]["id"] == before.argmax()
        assert changes["probability_now"] == pytest.approx(now[before.argmax()].item(), abs=1e-6)
        assert changes["same"] == (before.argmax() == now.argmax())
        assert found["left_share"] == {("left",): 0, ("right",): 1}.get(silenced)
        for side, own in found["maps"].items():
            assert side not in silenced or not values(own).any()


def test_a_side_that_a_lesion_silences_is_not_heard(runs, content):
    read = checkpoint.read(runs.bilateral)
    lesions = {"cut": LesionConfig(kind="silence", at="left")}
    explorer = Explorer(checkpoint.build(read, runs.bilateral, lesions=lesions), read.description)
    lesioned, healed = explorer.answer(content), explorer.answer(content, ["lesions.cut"])
    assert lesioned["heard"] == ["right"] and healed["heard"] == ["left", "right"]
    assert lesioned["levels"]["fine"]["left_share"] == 0 and 0 < healed["levels"]["fine"]["left_share"] < 1
    nothing = explorer.answer(content, ["right"])
    assert nothing["heard"] == [] and nothing["levels"]["fine"]["left_share"] is None


def test_answering_with_a_silenced_hemisphere_leaves_no_trace(explorer, content):
    before = explorer.answer(content)
    explorer.answer(content, ["left", "right"])
    assert explorer.answer(content) == before
    assert not any(module.training for module in explorer.network.modules())


def test_maps_and_shares_are_those_of_the_analyses(explorer, content, normalised):
    answer = explorer.answer(content)
    maps, _ = class_activation_maps(explorer.network, normalised, chosen_stages(explorer.network, (32, 32)))
    expected = 255 * merge(maps, (32, 32))[0]
    assert np.abs(values(answer["merged"]) - expected.numpy()).max() < 1
    assert values(answer["merged"]).any()
    for level, found in answer["levels"].items():
        for side, own in found["maps"].items():
            one_side = {("merged", *key[1:]): own for key, own in maps.items() if key[:2] == (level, side)}
            assert np.abs(values(own) - 255 * merge(one_side, (32, 32))[0].numpy()).max() < 1
        layer = explorer.network.heads[level][1]
        features = explorer.network.features(normalised)
        parts = [own @ part.T for own, part in zip(features.values(), layer.weight.split(32, dim=1))]
        left, right = (((part - part.mean()) ** 2).sum().sqrt().item() for part in parts)
        assert found["left_share"] == pytest.approx(left / (left + right), abs=1e-5)


def test_one_hemisphere_has_one_map_and_nothing_to_silence(runs, content):
    explorer = explorer_of(runs.left)
    answer = explorer.answer(content)
    assert list(answer["levels"]) == ["fine"] and answer["merged"] is None
    assert list(answer["levels"]["fine"]["maps"]) == ["left"] and answer["levels"]["fine"]["left_share"] is None
    with pytest.raises(ConfigError, match="cannot silence 'left'; allowed: nothing, since the network has one"):
        explorer.answer(content, ["left"])
    about = describe(explorer, runs.left)
    assert about["architecture"] == "unilateral, left resnet9 at width 0.0625"
    assert about["run"] == runs.left.name and about["levels"] == ["fine"] and about["silenceable"] == []


def test_an_exported_network_is_called_by_its_name():
    assert run_name(Path("shapes-small/left")) == "shapes-small/left"


def test_an_unknown_side_is_refused(explorer, content):
    with pytest.raises(ConfigError, match="cannot silence 'middle'; allowed: left or right"):
        explorer.answer(content, ["middle"])


def test_what_is_no_picture_is_named(explorer):
    with pytest.raises(DataError, match=r"cannot read image notes\.png: its content is none of"):
        explorer.answer(b"some text", what="notes.png")


def test_hemispheres_without_stages_give_no_maps(runs, content):
    class Flat(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))
            self.num_features = 4

    description = checkpoint.read(runs.bilateral).description
    heads = {"fine": nn.Linear(8, 40), "coarse": nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))}
    explorer = Explorer(Network({"left": Flat(), "right": Flat()}, heads), description)
    answer = explorer.answer(content, ["left"])
    assert not explorer.has_maps and answer["merged"] is None and answer["levels"]["fine"]["maps"] == {}
    # A head that is not linear cannot be shared out.
    assert answer["levels"]["fine"]["left_share"] == 0 and answer["levels"]["coarse"]["left_share"] is None


def test_networks_that_cannot_be_explored_are_refused(runs):
    read = checkpoint.read(runs.bilateral)
    with pytest.raises(CheckpointError, match="features and no predictions"):
        Explorer(checkpoint.build(read, runs.bilateral, mode_out="feature"), read.description)
    with pytest.raises(CheckpointError, match="needs square ones"):
        Explorer(checkpoint.build(read, runs.bilateral), replace(read.description, image_size=(32, 48)))


def test_several_threads_get_what_one_gets(explorer, content):
    asked = [(), ("left",), ("right",)] * 4
    alone = [explorer.answer(content, silenced) for silenced in asked[:3]] * 4
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda silenced: explorer.answer(content, silenced), asked)) == alone


SWITCHES = {
    **dict.fromkeys(["left", "right"], "hemisphere"),
    "left.few": "part",
    **{"callosum": "bridge", "callosum.to_left": "direction", "callosum.to_right": "direction", "late": "bridge"},
    **dict.fromkeys(["lesions.loss", "lesions.shake"], "lesion"),
}


def test_all_that_can_be_switched_off_has_a_name(bridged, explorer, runs):
    assert bridged.silenceable == SWITCHES
    about = describe(bridged, runs.bilateral)
    assert about["architecture"] == (
        "bilateral, left and right resnet9 at width 0.0625, with left.few, callosum, late, join gate, "
        "lesion loss at right, lesion shake at left"
    )
    assert about["silenceable"] == [{"name": name, "kind": kind} for name, kind in SWITCHES.items()]
    assert list(explorer.silenceable) == ["left", "right"]


@pytest.mark.parametrize("name", SWITCHES)
def test_each_switch_changes_the_answer_and_leaves_no_trace(bridged, content, name):
    before, without = bridged.answer(content), bridged.answer(content, [name])
    assert without["silenced"] == [name]
    assert without["levels"]["fine"]["predictions"] != before["levels"]["fine"]["predictions"]
    assert without["levels"]["fine"]["changes"]["best_before"] == before["levels"]["fine"]["predictions"][0]
    assert bridged.answer(content) == before


def test_a_silenced_bridge_and_a_healed_lesion_are_as_if_they_were_not_there(bridged, content, normalised):
    answer = bridged.answer(content, ["callosum", "late", "left.few", "lesions.loss", "lesions.shake"])
    with torch.no_grad():
        features = dict.fromkeys(bridged.sides, normalised)
        for side, hemisphere in bridged.network.hemispheres.items():
            for stage in hemisphere.stages:
                features[side] = getattr(hemisphere, stage)(features[side])
        said = bridged.network.classify(features)
    for level, found in answer["levels"].items():
        assert found["predictions"][0]["id"] == said.logits[level].argmax()
        expected = said.logits[level].softmax(1).max().item()
        assert found["predictions"][0]["probability"] == pytest.approx(expected, abs=1e-5)
    assert answer["weights"] == {side: pytest.approx(said.weights[side].item(), abs=1e-5) for side in said.weights}


def test_weights_are_there_where_the_join_weighs_and_shares_where_it_does_not(bridged, explorer, content):
    weighed, plain = bridged.answer(content), explorer.answer(content)
    assert sum(weighed["weights"].values()) == pytest.approx(1, abs=1e-5) and weighed["weights"]["left"] != 0.5
    assert weighed["levels"]["fine"]["left_share"] is None
    assert plain["weights"] is None and plain["levels"]["fine"]["left_share"] is not None
