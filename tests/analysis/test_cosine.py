import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine as scipy_cosine

from bilateral.analysis import cosine
from bilateral.analysis.outcomes import judgements
from bilateral.analysis.study import NotApplicableError

from . import handmade


def make_study(count=10, seeds=(0, 1)):
    images = handmade.make_images(count, 1)
    said = {
        seed: {
            "left": handmade.random_predictions(images.fine, seed, ("fine",)),
            "right": handmade.random_predictions(images.fine, seed + 10, ("coarse",)),
            "bilateral": handmade.random_predictions(images.fine, seed + 20),
        }
        for seed in seeds
    }
    return handmade.study(said, {seed: handmade.network(seed=seed) for seed in seeds}, images=images)


@pytest.fixture(scope="module")
def computed():
    study = make_study()
    return study, cosine.compute(study)


def test_distances_are_scipys(computed):
    study, table = computed
    assert len(table) > 50
    for system in study.systems:
        features = study.evaluation(system).features
        spaces = {side: features[side].double().numpy() for side in ("left", "right")}
        spaces["joined"] = np.concatenate([spaces["left"], spaces["right"]], 1)
        for line in table[table["seed"] == system.seed].to_dict("records"):
            for name, space in spaces.items():
                expected = scipy_cosine(space[line["first_image"]], space[line["second_image"]])
                assert line[name] == pytest.approx(expected, abs=1e-5)


def test_pairs_share_class_and_outcome_and_no_pair_is_there_twice(computed):
    study, table = computed
    assert (table["first_image"] != table["second_image"]).all()
    low, high = table[["first_image", "second_image"]].min(axis=1), table[["first_image", "second_image"]].max(axis=1)
    assert not table.assign(low=low, high=high).duplicated(["seed", "low", "high"]).any()
    for system in study.systems:
        judged = {name: values.int().tolist() for name, values in judgements(system).items()}
        own = table[table["seed"] == system.seed]
        for line in own.to_dict("records"):
            for image in (line["first_image"], line["second_image"]):
                assert study.images.fine[image] == line["label"]
                assert line["group"] == "".join(
                    str(judged[judge][image]) for judge in ("left", "right", "fine", "coarse")
                )
        # Every such pair is there, since there are few.
        groups = [
            "".join(str(judged[judge][i]) for judge in judged) + str(study.images.fine[i].item()) for i in range(60)
        ]
        assert len(own) == sum(groups[i] == groups[j] for i in range(60) for j in range(i))


def test_the_same_pairs_are_drawn_again(computed, monkeypatch):
    study, table = computed
    assert cosine.compute(make_study()).equals(table)
    monkeypatch.setattr(cosine, "PAIRS", 3)
    few = cosine.compute(study)
    assert few.groupby(["seed", "group"]).size().max() == 3
    both = few.merge(table, on=["seed", "group", "first_image", "second_image"])
    assert len(both) == len(few)


def test_pairs_are_drawn_from_all_classes_alike():
    labels = torch.arange(4).repeat(50)
    first, second = cosine.pairs(torch.ones(200, dtype=torch.bool), labels, 5)
    assert len(first) == cosine.PAIRS and labels[first].equal(labels[second])
    assert labels[first].bincount().min() > 70
    other, _ = cosine.pairs(torch.ones(200, dtype=torch.bool), labels, 6)
    assert not other.equal(first)
    for values in cosine.pairs(torch.zeros(200, dtype=torch.bool), labels, 5):
        assert len(values) == 0 and values.dtype == torch.long


def test_the_sentence_has_the_means(computed):
    _, table = computed
    text = cosine.tell(table)
    own = table[table["group"].str.startswith("10")]
    means = table.groupby("seed")["left"].mean().mean()
    assert f"two images of one class are {means:.2f} apart in left" in text
    assert f"Where left alone was right they are {own['left'].mean():.2f} and {own['right'].mean():.2f} apart" in text


def test_groups_without_pairs_are_left_out_of_the_sentence(computed):
    _, table = computed
    for groups in ("1", "0", "11", "00", "10"):
        text = cosine.tell(table[table["group"].str.startswith(groups)])
        assert "nan" not in text and "apart in left" in text


def test_with_one_image_of_every_class_there_is_nothing_to_say():
    with pytest.raises(NotApplicableError):
        cosine.compute(make_study(1, (0,)))


def test_one_pair_is_enough(computed):
    _, table = computed
    text = cosine.tell(table.head(1))
    assert "nan" not in text
    cosine.draw(table.head(1))


def test_pairs_have_the_order_of_a_triangle():
    for count in (2, 3, 7):
        listed = torch.triu_indices(count, count, 1).T.tolist()
        assert [list(cosine._pair(number, count)) for number in range(len(listed))] == listed


def test_of_very_many_pairs_some_are_drawn_in_little_memory():
    labels = torch.arange(2).repeat(10_000)  # 10^8 pairs
    first, second = cosine.pairs(torch.ones(20_000, dtype=torch.bool), labels, 3)
    assert len(first) == cosine.PAIRS and (labels[first] == labels[second]).all() and (first < second).all()
    assert len(set(zip(first.tolist(), second.tolist()))) == cosine.PAIRS and first.max() > 10_000
    again, _ = cosine.pairs(torch.ones(20_000, dtype=torch.bool), labels, 3)
    assert again.equal(first)
