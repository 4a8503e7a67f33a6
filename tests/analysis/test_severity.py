import pandas as pd
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
    assert text == "Of the mistakes of “the left”, 50.0 % stay within the right superclass."
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


def within(**shares: list[float]) -> pd.DataFrame:
    """Of every row half of the answers are wrong; shares: of these, what stays within the superclass, by seed."""
    lines = [
        (row, f"the {row}", seed, outcome, value)
        for row, own in shares.items()
        for seed, share in enumerate(own)
        for outcome, value in zip(severity.OUTCOMES, (50.0, share / 2, 50 - share / 2))
    ]
    return pd.DataFrame(lines, columns=["row", "title", "seed", "outcome", "share_pct"])


@pytest.mark.parametrize(
    ("one", "other", "first", "compared"),
    [
        (
            [50.0, 51.0, 50.0],
            [40.0, 41.2, 40.0],
            "“the one” keeps the largest share of its mistakes within the right superclass",
            "differ by +9.9 (n = 3, 95 % interval +9.6 to +10.2).",
        ),
        (
            [50.0, 40.0, 60.0],
            [40.0, 52.0, 55.0],
            "No network is shown to keep more of its mistakes within the right superclass than all others",
            "are not told apart, with a difference of +1.0 (n = 3, 95 % interval -27",
        ),
        (
            [50.0],
            [40.0],
            "In this one seed “the one” keeps the largest share of its mistakes within the right superclass",
            "differ by +10.0 (one seed).",
        ),
    ],
)
def test_the_largest_share_is_named_only_if_it_is_shown(one, other, first, compared):
    text = severity.tell(within(other=other, one=one))
    assert text.startswith(f"{first}. This share is 4") and compared in text
