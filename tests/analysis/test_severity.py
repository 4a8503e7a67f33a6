import pytest
import torch

from bilateral.analysis import severity
from bilateral.experiments.measures import measure

from . import handmade

LABELS = torch.arange(6).repeat(30)


def test_shares_by_hand():
    labels = [0, 0, 2, 3, 4, 5, 5, 5]
    left = handmade.answers(labels, fine=[0, 1, 2, 2, 0, 0, 0, 4])
    joined = handmade.answers(labels, fine=labels, coarse=[0] * 8)
    right = handmade.answers(labels, coarse=[0] * 8)
    table = severity.compute(handmade.study({2: {"left": left, "right": right, "bilateral": joined}}))
    assert set(table["row"]) == {"left", "specialised"} and set(table["seed"]) == {2}
    found = table.set_index(["row", "outcome"])["share_pct"]
    assert found["left"].to_dict() == {
        "right": 25,
        "wrong class, right superclass": 37.5,
        "wrong superclass": 37.5,
    }
    assert found["specialised"].tolist() == [100, 0, 0]
    text = severity.tell(table)
    assert "50.0 %" in text and "the left" in text and "nan" not in text
    severity.draw(table)


def test_shares_add_up_to_100_and_agree_with_the_measures():
    said = {seed: {"left": handmade.random_predictions(LABELS, seed)} for seed in (0, 1)}
    for seed, own in said.items():
        own |= {"right": handmade.random_predictions(LABELS, seed + 5, ("coarse",))}
        own |= {"bilateral": handmade.random_predictions(LABELS, seed + 9)}
    table = severity.compute(handmade.study(said))
    assert table.groupby(["row", "seed"])["share_pct"].sum().tolist() == pytest.approx([100] * 4)
    shares = table.set_index(["row", "seed", "outcome"])["share_pct"]
    for row, role in (("left", "left"), ("specialised", "bilateral")):
        for seed in (0, 1):
            expected = measure(said[seed][role], handmade.HIERARCHY)
            own = shares[row, seed]
            assert own["right"] == pytest.approx(expected["fine_pct"])
            within, outside = own["wrong class, right superclass"], own["wrong superclass"]
            assert (within + 2 * outside) / (within + outside) == pytest.approx(expected["severity"])
            assert own["right"] + within == pytest.approx(expected["rollup_pct"])


def test_without_any_mistake():
    labels = list(range(6))
    said = {"left": handmade.answers(labels, fine=labels), "bilateral": handmade.answers(labels, fine=labels)}
    said["right"] = handmade.answers(labels, coarse=[0] * 6)
    text = severity.tell(severity.compute(handmade.study({0: said})))
    assert text and "nan" not in text
