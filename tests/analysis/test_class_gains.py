import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel

from bilateral.analysis import class_gains
from bilateral.base.statistics import holm

from . import handmade

LABELS = torch.arange(6).repeat(30)


@pytest.fixture(scope="module")
def computed():
    said = {
        seed: {
            "left": handmade.random_predictions(LABELS, seed, ("fine",)),
            "right": handmade.random_predictions(LABELS, seed + 10, ("coarse",)),
            "bilateral": handmade.random_predictions(LABELS, seed + 20),
        }
        for seed in (0, 1, 2)
    }
    return said, class_gains.compute(handmade.study(said))


def right(said, role, level):
    every = [own[role] for own in said.values()]
    return np.mean([(each.logits[level].argmax(1) == each.labels[level]).numpy() for each in every], axis=0)


@pytest.mark.parametrize(("level", "side", "names"), [("fine", "left", "abcdef"), ("coarse", "right", "xyz")])
def test_gains_are_paired_by_image_as_scipy_does(computed, level, side, names):
    said, table = computed
    own = table[table["level"] == level].set_index("class")
    assert list(own.index) == list(names)
    labels = next(iter(said.values()))["left"].labels[level].numpy()
    alone, joined = right(said, side, level), right(said, "bilateral", level)
    for label, name in enumerate(names):
        line, chosen = own.loc[name], labels == label
        test = ttest_rel(100 * joined[chosen], 100 * alone[chosen])
        interval = test.confidence_interval(0.95)
        assert line["images"] == chosen.sum() and line["seeds"] == 3
        assert line["alone_pct"] == pytest.approx(100 * alone[chosen].mean())
        assert line["bilateral_pct"] == pytest.approx(100 * joined[chosen].mean())
        assert line["gain_points"] == pytest.approx(line["bilateral_pct"] - line["alone_pct"])
        assert (line["ci95_low"], line["ci95_high"]) == pytest.approx((interval.low, interval.high))
        assert line["p"] == pytest.approx(test.pvalue)
    assert own["p_holm"].tolist() == pytest.approx(holm(own["p"].tolist()))


def test_classes_whose_images_all_gain_alike_have_no_p():
    labels = [0, 0, 1, 1, 2, 2, 3, 4, 5]
    left = handmade.judged(labels, fine=[0, 0, 1, 0, 1, 1, 0, 0, 0])
    coarse = handmade.judged(labels, coarse=[1] * 9)
    joined = handmade.judged(labels, fine=[1, 1, 1, 1, 0, 0, 0, 0, 1], coarse=[1] * 9)
    table = class_gains.compute(handmade.study({0: {"left": left, "right": coarse, "bilateral": joined}}))
    fine = table[table["level"] == "fine"]
    assert fine["gain_points"].tolist() == [100, 50, -100, 0, 0, 100]
    assert fine["p"].notna().tolist() == [False, True, False, False, False, False]
    assert fine["p_holm"].dropna().tolist() == fine["p"].dropna().tolist()
    text = class_gains.tell(table)
    assert text.startswith(
        "Beyond chance, 0 of 6 fine classes gain and 0 lose; 0 of 3 coarse classes gain and 0 lose ("
    )
    assert "Compared with left alone, 3 fine classes are better and 1 worse, by chance or not. On these" in text
    ends = "On these images a gains most (+100.0 points), c least (-100.0 points); their order is not tested."
    assert ends in text and "nan" not in text
    assert text.count("gains most") == 1  # of coarse classes, which all gain the same, none does
    class_gains.draw(table)


def test_what_stands_out_is_counted():
    labels = [0] * 40 + list(range(1, 6))
    left = handmade.judged(labels, fine=[1, 0] * 20 + [1] * 5)
    joined = handmade.judged(labels, fine=[1] * 39 + [0] + [1] * 5, coarse=[1] * 45)
    said = {"left": left, "right": handmade.judged(labels, coarse=[1] * 45), "bilateral": joined}
    text = class_gains.tell(class_gains.compute(handmade.study({0: said})))
    assert text.startswith("Beyond chance, 1 of ") and " classes gain and 0 lose; " in text
