from statistics import fmean

import pandas as pd
import pytest
import torch

from bilateral.analysis import lesions
from bilateral.analysis.lesions import change
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.models.network import Network

from . import handmade

BRIDGED = {
    "left": {"width": 1 / 16, "parts": {"kwta": {"after": "conv2", "k": 0.1, "per_k": 0.3}}},
    "right": {"width": 1 / 16},
    "bridges": {"callosum": {"kind": "additive", "between": {"left": "res1", "right": "res1"}}},
}


def accuracy(network: Network, images, features) -> dict[str, float]:
    labels = {"fine": images.fine, "coarse": images.coarse}
    return {
        level: 100 * (logits.argmax(1) == labels[level]).double().mean().item()
        for level, logits in network.classify(features).logits.items()
    }


def fitted(networks: dict[int, Network]):
    """A study of networks that know something: their heads are fitted."""
    study = handmade.study({seed: {} for seed in networks}, networks, images=handmade.make_images(10, 1))
    for system in study.systems:
        handmade.fit_heads(system.network, study.evaluation(system).features, study.images)
    study._evaluations.clear()
    return study


@pytest.fixture(scope="module")
def found():
    study = fitted({seed: handmade.network(seed=seed) for seed in (0, 1)})
    return study, lesions.compute(study)


@pytest.fixture(scope="module")
def bridged():
    network = build_network(ModelConfig.model_validate(BRIDGED), 6, 3, seed=0).eval().requires_grad_(False)
    torch.manual_seed(3)
    for parameter in network.bridges.parameters():
        parameter.normal_()
    study = fitted({0: network})
    return study, lesions.compute(study)


def chosen(table, at, lesion, seed=0):
    own = table[(table["seed"] == seed) & (table["at"] == at) & (table["lesion"] == lesion)]
    return own.set_index("level")["accuracy_pct"].to_dict()


def test_zeroed_features_do_as_a_head_without_weights_there(found):
    study, table = found
    for system in study.systems:
        evaluation = study.evaluation(system)
        for side, columns in (("left", slice(0, 32)), ("right", slice(32, None))):
            heads = {level: head[1].weight for level, head in system.network.heads.items()}
            kept = {level: weight.clone() for level, weight in heads.items()}
            for weight in heads.values():
                weight[:, columns] = 0
            expected = accuracy(system.network, study.images, dict(evaluation.features))
            for level, weight in heads.items():
                weight[:] = kept[level]
            assert chosen(table, side, "zeros", system.seed) == pytest.approx(expected)


def test_intact_is_the_networks_accuracy_and_losses_are_from_it(found):
    study, table = found
    for system in study.systems:
        own = table[table["seed"] == system.seed]
        intact = own[own["at"] == "none"].set_index("level")["accuracy_pct"]
        evaluation = study.evaluation(system)
        assert intact.to_dict() == pytest.approx(accuracy(system.network, study.images, dict(evaluation.features)))
        assert (intact > 60).all()
        assert (own["accuracy_pct"] + own["points_lost"]).tolist() == pytest.approx(intact[own["level"]].tolist())
    # Without bridges and parts: intact, and six lesions of each side, for two levels and seeds.
    assert len(table) == (1 + 6 * 2) * 2 * 2 and table["points_lost"].abs().max() > 5


def test_the_mean_is_over_the_test_images(found):
    study, table = found
    system = study.systems[1]
    features = dict(study.evaluation(system).features)
    mean = features["right"].sum(0) / len(features["right"])
    features["right"] = mean.repeat(len(study.images), 1)
    assert chosen(table, "right", "mean", 1) == pytest.approx(accuracy(system.network, study.images, features))


def test_more_lost_units_cost_more_and_noise_costs(found):
    _, table = found
    mean = table.groupby("lesion")["points_lost"].mean()
    assert 0 < mean["20 % of units"] < mean["80 % of units"] and mean["noise"] > 0


def test_noise_is_the_same_again_and_leaves_the_random_numbers_alone(found):
    study, table = found
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = lesions.compute(study)
    assert again.equals(table) and torch.equal(torch.get_rng_state(), state)


def test_bridges_directions_and_parts_are_silenced_one_by_one(bridged):
    study, table = bridged
    (system,) = study.systems
    images, network = system.normalise(study.images.images), system.network
    names = ["callosum", "callosum.to_left", "callosum.to_right", "left.kwta"]
    messages = [f"{side} and its messages" for side in ("left", "right")]
    assert list(table["at"].unique()) == ["none", "left", "right", "left.kwta", *names[:3], *messages]
    # Of the hemispheres apart, and of each direction, without the walk's lesions.
    kept = {to: layer.weight.clone() for to, layer in network.bridges["callosum"].maps.items()}
    cuts = {"callosum": ("left", "right"), "callosum.to_left": ("left",), "callosum.to_right": ("right",)}
    for at, cut in cuts.items():
        for to in cut:
            network.bridges["callosum"].maps[to].weight[:] = 0
        features = network.features(images)
        for to in cut:
            network.bridges["callosum"].maps[to].weight[:] = kept[to]
        assert chosen(table, at, "zeros") == pytest.approx(accuracy(network, study.images, features))
        if at == "callosum.to_right":
            features["left"] = torch.zeros_like(features["left"])
            assert chosen(table, messages[0], "zeros") == pytest.approx(accuracy(network, study.images, features))
    assert table.query("at == 'callosum'")["points_lost"].abs().max() > 5
    assert table.query("at == 'left.kwta'")["points_lost"].abs().max() > 1


def test_a_change_is_summarised_over_seeds(found):
    _, table = found
    summary = change(table, "coarse", "left", "mean")
    values = table.query("level == 'coarse' and at == 'left' and lesion == 'mean'")["points_lost"].tolist()
    assert len(values) == 2 and summary["n"] == 2 and summary["mean"] == pytest.approx(-fmean(values))
    said = lesions.tell(table)
    assert f"the coarse head {summary['mean']:+.1f} (n = 2, 95 % interval" in said and "bridge" not in said


def test_the_sentence_names_bridges_as_a_whole_and_the_figure_all(bridged):
    _, table = bridged
    lost = table.query("at == 'callosum' and level == 'fine'")["points_lost"].item()
    said = lesions.tell(table)
    assert f"With a bridge silenced: the fine head {-lost:+.1f} (one seed) without callosum;" in said
    assert "to_left" not in said and "messages" not in said
    figure = lesions.draw(table)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == 12 + 4 + 2 and labels[-1] == "right and its messages: zeros"
    assert [axes.get_title() for axes in figure.axes] == ["fine head", "coarse head"]


@pytest.mark.parametrize(
    ("left", "right", "first"),
    [
        ([40.0, 41.0, 40.0], [10.0, 12.0, 10.0], "The fine head loses more without left than without right."),
        ([10.0, 12.0, 10.0], [40.0, 41.0, 40.0], "The fine head loses more without right than without left."),
        ([20.0, 45.0, 70.0], [65.0, 45.0, 24.0], "The fine head is not shown to need one side more."),
        ([40.0], [10.0], "In this one seed the fine head loses more without left than without right."),
        ([10.0], [10.0], "The fine head is not shown to need one side more."),
    ],
)
def test_which_side_is_needed_more_is_said_only_if_it_is_shown(left, right, first):
    lines = [
        (seed, at, "mean", "fine", lost)
        for at, losses in (("left", left), ("right", right))
        for seed, lost in enumerate(losses)
    ]
    text = lesions.tell(pd.DataFrame(lines, columns=["seed", "at", "lesion", "level", "points_lost"]))
    assert text.startswith(f"{first} With a side's features replaced by their mean, accuracy changes: the fine head ")
    count = "(one seed)" if len(left) == 1 else "(n = 3, 95 % interval "
    assert text.count(count) == 3 and f"{-fmean(left):+.1f} {count}" in text and f"{-fmean(right):+.1f} {count}" in text
