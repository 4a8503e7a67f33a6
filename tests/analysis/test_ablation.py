import pytest
import torch

from bilateral.analysis import ablation
from bilateral.analysis.ablation import change
from bilateral.models.network import Network

from . import handmade


def accuracy(network: Network, images, features=None) -> dict[str, float]:
    output = network(images.images / 255) if features is None else network.classify(features)
    labels = {"fine": images.fine, "coarse": images.coarse}
    return {
        level: 100 * (logits.argmax(1) == labels[level]).double().mean().item()
        for level, logits in output.logits.items()
    }


@pytest.fixture(scope="module")
def found():
    """Two networks that know something: their heads are fitted by least squares."""
    networks = {seed: handmade.network(seed=seed) for seed in (0, 1)}
    study = handmade.study({seed: {} for seed in networks}, networks, images=handmade.make_images(10, 1))
    for system in study.systems:
        joined = torch.cat(list(study.evaluation(system).features.values()), 1)
        inputs = torch.cat([joined, torch.ones(len(joined), 1)], 1)
        for level, labels in (("fine", study.images.fine), ("coarse", study.images.coarse)):
            target = torch.eye(handmade.COUNTS[level])[labels]
            solved = torch.linalg.lstsq(inputs, target).solution.T
            system.network.heads[level][1].weight[:] = solved[:, :-1]
            system.network.heads[level][1].bias[:] = solved[:, -1]
    study._evaluations.clear()
    return study, ablation.compute(study)


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
            own = table[(table["seed"] == system.seed) & (table["silenced"] == side) & (table["replacement"] == "zero")]
            assert own.set_index("level")["accuracy_pct"].to_dict() == pytest.approx(expected)


def test_intact_is_the_networks_accuracy_and_changes_are_from_it(found):
    study, table = found
    for system in study.systems:
        own = table[table["seed"] == system.seed]
        intact = own[own["silenced"] == "none"].set_index("level")["accuracy_pct"]
        evaluation = study.evaluation(system)
        assert intact.to_dict() == pytest.approx(accuracy(system.network, study.images, dict(evaluation.features)))
        assert (intact > 60).all()
        assert (own["accuracy_pct"] - own["change_points"]).tolist() == pytest.approx(intact[own["level"]].tolist())
    assert len(table) == 2 * 2 * 5 and table["change_points"].abs().max() > 5


def test_the_mean_is_over_the_test_images(found):
    study, table = found
    system = study.systems[1]
    features = dict(study.evaluation(system).features)
    mean = features["right"].sum(0) / len(features["right"])
    features["right"] = mean.repeat(len(study.images), 1)
    expected = accuracy(system.network, study.images, features)
    own = table[(table["seed"] == 1) & (table["silenced"] == "right") & (table["replacement"] == "mean")]
    assert own.set_index("level")["accuracy_pct"].to_dict() == pytest.approx(expected)


def test_a_change_is_summarised_over_seeds(found):
    _, table = found
    summary = change(table, "coarse", "left", "mean")
    chosen = table.query("level == 'coarse' and silenced == 'left' and replacement == 'mean'")
    values = chosen["change_points"].tolist()
    assert len(values) == 2 and summary["n"] == 2 and summary["mean"] == pytest.approx(sum(values) / 2)
    assert f"the coarse head {summary['mean']:+.1f} points without left" in ablation.tell(table)
