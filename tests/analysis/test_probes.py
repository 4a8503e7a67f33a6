import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.covariance import ledoit_wolf

from bilateral.analysis import probes
from bilateral.analysis.probes import probe

from . import handmade


def blobs(seed, count=40, classes=4, spread=0.1):
    generator = np.random.default_rng(seed)
    labels = np.tile(np.arange(classes), count)
    # Channels of different scales, which must not matter.
    values = 5 * np.eye(classes)[labels] + spread * generator.normal(size=(len(labels), classes))
    return values * np.array([1, 100, 0.01, 3]) + 7, labels


def test_separable_classes_are_read_and_permuted_labels_are_not():
    train, labels = blobs(0)
    test, truth = blobs(1)
    assert probe(train, labels, test, truth) == 1
    permuted = np.random.default_rng(0).permutation(labels)
    assert probe(train, permuted, test, truth) < 0.5


def discriminants(train, labels):
    """Fisher's: weights and biases of every class, from the mean of the classes' shrunk covariances."""
    classes = np.unique(labels)
    covariance = 0
    for label in classes:
        own = train[labels == label]
        scale = own.std(0)
        shrunk = ledoit_wolf((own - own.mean(0)) / scale, assume_centered=True)[0]
        covariance = covariance + np.mean(labels == label) * shrunk * scale * scale[:, None]
    means = np.stack([train[labels == label].mean(0) for label in classes])
    weights = np.linalg.solve(covariance, means.T)
    return weights, np.log([np.mean(labels == label) for label in classes]) - 0.5 * (means * weights.T).sum(1)


def test_it_is_linear_discriminant_analysis_of_training_images_alone():
    train, labels = blobs(0, spread=4)
    test, truth = blobs(1, spread=4)
    weights, biases = discriminants(train, labels)
    said = (test @ weights + biases).argmax(1)
    accuracy = (said == truth).mean()
    assert probe(train, labels, test, truth) == pytest.approx(accuracy) and 0.4 < accuracy < 1
    # Whatever the test labels are, the answers are the same, one by one.
    right = [probe(train, labels, test[i : i + 1], truth[i : i + 1]) for i in range(40)]
    assert right == (said == truth)[:40].astype(float).tolist()
    assert probe(train, labels, test, said) == 1


def test_dead_and_doubled_channels_change_nothing():
    (train, labels), (test, truth) = blobs(0), blobs(1)
    wider = [np.concatenate([values, values[:, :1], np.zeros((len(values), 2))], 1) for values in (train, test)]
    assert probe(wider[0], labels, wider[1], truth) == 1


@pytest.fixture
def study():
    networks = {seed: handmade.network(seed=seed) for seed in (0, 1)}
    return handmade.study({seed: {} for seed in networks}, networks, images=handmade.make_images(6, 1))


def test_every_stage_is_probed_with_its_mean_channels(study):
    table = probes.compute(study)
    assert len(table) == 2 * 2 * 7 * 2 and not table.duplicated(["seed", "side", "stage", "level"]).any()
    network = study.systems[1].network
    inputs = [
        network.activations(study.systems[1].normalise(images.images))["right", "res1"].mean((2, 3))
        for images in (study.dataset.train, study.images)
    ]
    expected = probe(
        inputs[0].numpy(), study.dataset.train.coarse.numpy(), inputs[1].numpy(), study.images.coarse.numpy()
    )
    line = table.query("seed == 1 and side == 'right' and stage == 'res1' and level == 'coarse'").iloc[0]
    assert line["accuracy_pct"] == pytest.approx(100 * expected, abs=4) and line["channels"] == 8
    assert table.groupby("stage")["channels"].first().to_dict() == {
        "conv1": 4,
        "conv2": 8,
        "res1": 8,
        "conv3": 16,
        "conv4": 32,
        "res2": 32,
        "pool": 32,
    }
    # The fine label is a bright row, which even fresh weights let through at the first stages.
    assert table[table["stage"] == "conv1"]["accuracy_pct"].max() > 100 / 6


def test_training_images_are_taken_at_even_distances_and_not_test_images(study, monkeypatch):
    seen = []

    def note(train, train_labels, test, test_labels):
        seen.append((len(train), train_labels.tolist(), test_labels.tolist()))
        return 0.5

    monkeypatch.setattr(probes, "probe", note)
    monkeypatch.setattr(probes, "TRAINING_IMAGES", 9)
    probes.compute(study)
    chosen = torch.linspace(0, 35, 9).round().long()
    assert seen[0] == (9, study.dataset.train.fine[chosen].tolist(), study.images.fine.tolist())
    assert seen[1][1] == study.dataset.train.coarse[chosen].tolist()


def test_the_sentence_tells_the_last_stage_and_the_best_one(study):
    table = probes.compute(study)
    table["accuracy_pct"] = np.arange(len(table)) % 28 / 2
    table.loc[(table["side"] == "right") & (table["stage"] == "res1") & (table["level"] == "fine"), "accuracy_pct"] = (
        91.5
    )
    text = probes.tell(table)
    assert " Fine labels are read best in right at res1. The stages res1 (91.5 %) and " in text
    last = table[(table["side"] == "left") & (table["stage"] == "pool") & (table["level"] == "fine")]["accuracy_pct"]
    assert f"names {last.mean():.1f} % of fine labels from left and " in text


def test_the_best_stage_is_named_only_if_it_is_shown():
    def told(res1, pool):
        lines = [
            (seed, side, stage, "fine", value)
            for side in ("left", "right")
            for stage, own in (("res1", res1), ("pool", pool))
            for seed, value in enumerate(own)
        ]
        text = probes.tell(pd.DataFrame(lines, columns=["seed", "side", "stage", "level", "accuracy_pct"]))
        return text.partition("correctly. ")[2]

    best = (
        "Fine labels are read best in right at res1. The stages res1 (90.7 %) and pool (80.3 %) differ by +10.3 (n = "
    )
    assert told([90.0, 91.0, 91.0], [80.0, 80.0, 81.0]).startswith(best)
    none = "No stage of right is shown to be the best to read fine labels from. The stages res1 (85.0 %) and pool "
    assert told([90.0, 75.0, 90.0], [80.0, 80.0, 80.0]).startswith(none)
    one = "In this one seed fine labels are read best in right at pool. The stages pool (80.0 %) and res1"
    assert told([75.0], [80.0]) == f"{one} (75.0 %) differ by +5.0 (one seed)."
