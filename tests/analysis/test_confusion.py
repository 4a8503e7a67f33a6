import pandas as pd
import pytest
import torch
from sklearn.metrics import confusion_matrix

from bilateral.analysis import confusion

from . import handmade

LABELS = torch.arange(6).repeat(20)
NAMES = handmade.HIERARCHY.fine_names


@pytest.fixture(scope="module")
def computed():
    said = {
        seed: {
            "left": handmade.random_predictions(LABELS, seed, ("fine",)),
            "right": handmade.random_predictions(LABELS, seed, ("coarse",)),
            "bilateral": handmade.random_predictions(LABELS, seed + 10),
        }
        for seed in (0, 1)
    }
    return said, confusion.compute(handmade.study(said))


@pytest.mark.parametrize("network", ["left", "bilateral"])
def test_counts_are_scikit_learns_over_all_seeds(computed, network):
    said, table = computed
    every = [own[network] for own in said.values()]
    truth = torch.cat([each.labels["fine"] for each in every])
    answers = torch.cat([each.logits["fine"].argmax(1) for each in every])
    expected = pd.DataFrame(confusion_matrix(truth, answers), index=NAMES, columns=NAMES)
    own = table[table["network"] == network]
    found = own.pivot(index="true", columns="predicted", values="count").reindex(index=NAMES, columns=NAMES)
    assert found.fillna(0).astype(int).to_numpy().tolist() == expected.to_numpy().tolist()
    assert own.groupby("true")["share_pct"].sum().tolist() == pytest.approx([100] * 6)
    assert own["count"].sum() == 240 and (own["seeds"] == 2).all()
    superclass = dict(zip(NAMES, "xxyyzz"))
    assert (own["true"].map(superclass) == own["true_superclass"]).all()
    assert (own["predicted"].map(superclass) == own["predicted_superclass"]).all()


def test_superclasses_against_superclasses(computed):
    said, table = computed
    truth = torch.cat([own["left"].labels["coarse"] for own in said.values()])
    answers = torch.cat([handmade.HIERARCHY.roll_up(own["left"].logits["fine"].argmax(1)) for own in said.values()])
    expected = 100 * confusion_matrix(truth, answers, normalize="true")
    found = confusion.superclass_matrix(table, "left")
    assert list(found.index) == list(found.columns) == ["x", "y", "z"]
    assert found.to_numpy().ravel().tolist() == pytest.approx(expected.ravel().tolist())


def test_the_share_within_by_hand_and_in_words():
    labels = [0, 0, 0, 2, 2, 4, 5, 5]
    left = handmade.answers(labels, fine=[0, 1, 3, 3, 5, 0, 5, 5])  # wrong: 5, of them within: 2
    joined = handmade.answers(labels, fine=[0, 1, 1, 2, 2, 4, 5, 0], coarse=[0] * 8)  # wrong: 3, within: 2
    right = handmade.answers(labels, coarse=[0] * 8)
    table = confusion.compute(handmade.study({0: {"left": left, "right": right, "bilateral": joined}}))
    assert confusion.within_share(table, "left") == pytest.approx(100 * 2 / 5)
    assert confusion.within_share(table, "bilateral") == pytest.approx(100 * 2 / 3)
    text = confusion.tell(table)
    assert "66.7 % of the fine head's mistakes stay within" in text and "left alone 40.0 %" in text
    assert "Most often confused on these images, which is not tested: a, taken for b (67 %)" in text


def test_chance_is_that_of_a_wrong_class_drawn_at_random(computed):
    # One of the five others.
    assert "drawn at random 20.0 %" in confusion.tell(computed[1])


def test_networks_without_mistakes():
    labels = list(range(6))
    said = {"left": handmade.answers(labels, fine=labels), "bilateral": handmade.answers(labels, fine=labels)}
    said["right"] = handmade.answers(labels, coarse=[0] * 6)
    table = confusion.compute(handmade.study({0: said}))
    assert len(table) == 12 and confusion.within_share(table, "left") is None
    assert "nan" not in confusion.tell(table) and "confused" not in confusion.tell(table)
    confusion.draw(table)
