import pandas as pd
import pytest
import torch

from bilateral.analysis import outcomes
from bilateral.analysis.style import NARROW

from . import handmade

LABELS = torch.arange(6).repeat(40)


@pytest.fixture
def study():
    levels = {"left": ("fine",), "right": ("coarse",), "bilateral": ("fine", "coarse")}
    said = {
        seed: {
            role: handmade.random_predictions(LABELS, 10 * seed + place, own)
            for place, (role, own) in enumerate(levels.items())
        }
        for seed in (0, 1)
    }
    return handmade.study(said)


def test_16_cells_add_up_and_agree_with_the_answers(study):
    table = outcomes.compute(study)
    assert len(table) == 32 and (table.groupby("seed").size() == 16).all()
    assert not table.duplicated(["seed", *outcomes.JUDGES]).any()
    assert (table.groupby("seed")["count"].sum() == len(LABELS)).all()
    assert table.groupby("seed")["share_pct"].sum().tolist() == pytest.approx([100, 100])
    rows = {name: study.predictions(name) for name in ("left", "right", "specialised")}
    for seed in (0, 1):
        own = table[table["seed"] == seed]
        for alone, head in (("left", "fine"), ("right", "coarse")):
            first, second = (rows[name][seed].correct(head) for name in (alone, "specialised"))
            only_alone = own.loc[(own[alone] == 1) & (own[head] == 0), "count"].sum()
            only_head = own.loc[(own[alone] == 0) & (own[head] == 1), "count"].sum()
            assert (only_alone, only_head) == ((first & ~second).sum(), (second & ~first).sum())
            assert only_alone != only_head


def test_each_image_is_in_the_cell_of_those_who_were_right():
    labels = [0, 1, 2, 3, 4]
    left = handmade.judged(labels, fine=[1, 1, 0, 0, 0])
    right = handmade.judged(labels, coarse=[1, 0, 1, 0, 0])
    joined = handmade.judged(labels, fine=[1, 0, 1, 0, 0], coarse=[0, 1, 1, 0, 0])
    table = outcomes.compute(handmade.study({3: {"left": left, "right": right, "bilateral": joined}}))
    counts = table.set_index(list(outcomes.JUDGES))["count"]
    assert counts[counts > 0].to_dict() == {(1, 1, 1, 0): 1, (1, 0, 0, 1): 1, (0, 1, 1, 1): 1, (0, 0, 0, 0): 2}
    assert table["seed"].unique().tolist() == [3] and counts.loc[(0, 0, 0, 0)] == 2


def cells(counts: dict[str, int], seed: int = 0) -> pd.DataFrame:
    total = sum(counts.values())
    lines = []
    for number in range(16):
        digits = f"{number:04b}"
        count = counts.get(digits, 0)
        lines.append((seed, *map(int, digits), count, 100 * count / total))
    return pd.DataFrame(lines, columns=["seed", *outcomes.JUDGES, "count", "share_pct"])


# Left, right, fine, coarse: who was right.
COUNTS = {"0110": 6, "0101": 2, "0010": 1, "0000": 3, "1000": 4, "1111": 11, "1011": 5, "0011": 8}


def test_rates_by_hand():
    found = outcomes.rates(cells(COUNTS)).set_index(["rate", "other"])["pct"]
    # Left is wrong on 6 + 2 + 1 + 3 + 8 images; fine right on 6 + 1 + 8. Right is right on 6 + 2 of them.
    assert found["fine rescued", -1] == pytest.approx(100 * 15 / 20)
    assert found["fine rescued", 1] == pytest.approx(100 * 6 / 8)
    assert found["fine rescued", 0] == pytest.approx(100 * 9 / 12)
    # Left is right on 4 + 11 + 5; fine wrong on 4 of them, where right was wrong.
    assert found["fine spoilt", -1] == pytest.approx(100 * 4 / 20)
    assert found["fine spoilt", 1] == 0 and found["fine spoilt", 0] == pytest.approx(100 * 4 / 9)
    # Right is wrong on 1 + 3 + 4 + 5 + 8; coarse right on 5 + 8. Left is right on 4 + 5 of them.
    assert found["coarse rescued", -1] == pytest.approx(100 * 13 / 21)
    assert found["coarse rescued", 1] == pytest.approx(100 * 5 / 9)
    assert found["coarse rescued", 0] == pytest.approx(100 * 8 / 12)
    # Right is right on 6 + 2 + 11; coarse wrong on 6, where left was wrong.
    assert found["coarse spoilt", -1] == pytest.approx(100 * 6 / 19)
    assert found["coarse spoilt", 1] == 0 and found["coarse spoilt", 0] == pytest.approx(100 * 6 / 8)


def test_a_rate_is_summarised_over_seeds_that_have_such_images():
    other = {"0100": 3, "0111": 1, "1111": 5}
    table = pd.concat([cells(COUNTS), cells(other, 1)])
    found = outcomes.rate_summary(table, "fine rescued", 1)
    assert (found["n"], found["mean"]) == (2, pytest.approx((75 + 25) / 2))
    # In seed 1 right was never wrong.
    found = outcomes.rate_summary(table, "fine rescued", 0)
    assert (found["n"], found["mean"]) == (1, pytest.approx(75))


def test_the_sentence_has_the_rates():
    text = outcomes.tell(cells(COUNTS))
    for words in (
        "The fine head corrects 75.0 % of the mistakes that left alone makes",
        "and spoils 20.0 % of its right answers; the coarse head corrects 61.9 % of the mistakes that right ",
        "and spoils 31.6 % of its right answers. The fine head corrects 75.0 % where right knew the superclass",
        "The coarse head corrects 55.6 % where left knew the fine class, and 66.7 % where it did not.",
    ):
        assert words in text


def test_the_figure_fits_a_phone():
    figure = outcomes.draw(cells(COUNTS))
    assert figure.get_size_inches()[0] == NARROW
    assert [axes.get_subplotspec().rowspan.start for axes in figure.axes] == [0, 1]
