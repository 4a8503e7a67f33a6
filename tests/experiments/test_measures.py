import math

import numpy as np
import pytest
import torch

from bilateral.data.hierarchy import LabelHierarchy
from bilateral.experiments.joint_inference import joint_log_probabilities
from bilateral.experiments.measures import MEASURES, correct_images, measure
from bilateral.runs.predictions import Predictions
from conftest import COARSE_OF_FINE

HIERARCHY = LabelHierarchy(tuple("abcdef"), ("x", "y", "z"), COARSE_OF_FINE)

# Kinds of answer: how many images, true fine label, probabilities of a, a | b, b | c, d | e, f; then of x, y, z.
ALL_RIGHT = (1, 0, [0.5, 0.1, 0.1, 0.1, 0.1, 0.1], [0.8, 0.1, 0.1])
SISTER = (1, 0, [0.3, 0.4, 0.1, 0.1, 0.05, 0.05], [0.6, 0.3, 0.1])
FINE_ALONE_WRONG = (4, 2, [0.1, 0.05, 0.3, 0.1, 0.4, 0.05], [0.2, 0.7, 0.1])
COARSE_ALONE_WRONG = (2, 5, [0.15, 0.05, 0.05, 0.05, 0.1, 0.6], [0.5, 0.2, 0.3])
ALL_WRONG = (2, 3, [0.4, 0.1, 0.1, 0.2, 0.15, 0.05], [0.3, 0.2, 0.5])
KINDS = [ALL_RIGHT, SISTER, FINE_ALONE_WRONG, COARSE_ALONE_WRONG, ALL_WRONG]


def predictions(kinds, levels=("fine", "coarse")):
    images = [(fine, *probabilities) for count, fine, *probabilities in kinds for _ in range(count)]
    truth = torch.tensor([fine for fine, _, _ in images])
    logits = {
        "fine": torch.tensor([fine for _, fine, _ in images]).log() + 3,
        "coarse": torch.tensor([coarse for _, _, coarse in images]).log() - 2,
    }
    labels = {"fine": truth, "coarse": torch.tensor(COARSE_OF_FINE)[truth]}
    return Predictions({level: logits[level] for level in levels}, labels)


def test_every_measure_by_hand():
    found = measure(predictions(KINDS), HIERARCHY)
    shares = {"fine_pct": 30, "coarse_pct": 60, "rollup_pct": 40}
    shares |= {"restricted_pct": 50, "both_pct": 10, "agreement_pct": 20}
    assert {name: found[name] for name in shares} == pytest.approx(shares)
    assert found["severity"] == pytest.approx((1 + 4 * 2 + 2 * 2) / 7)
    likelihoods = [0.5, 0.3, *[0.3] * 4, *[0.6] * 2, *[0.2] * 2]
    assert found["nll_fine"] == pytest.approx(-sum(map(math.log, likelihoods)) / 10)
    likelihoods = [0.8, 0.6, *[0.7] * 4, *[0.3] * 2, *[0.2] * 2]
    assert found["nll_coarse"] == pytest.approx(-sum(map(math.log, likelihoods)) / 10)
    # Each in a bin of its own: 0.4, seven images, all wrong; 0.5, one, and 0.6, two, right.
    bins = [7 * 0.4, 1 - 0.5, 2 * (1 - 0.6)]
    assert found["ece_fine_pct"] == pytest.approx(100 * sum(bins) / 10, abs=1e-4)
    # 0.8 and 0.6, one image each, and 0.7, four, right; 0.5, four, wrong.
    bins = [1 - 0.8, 1 - 0.6, 4 * (1 - 0.7), 4 * 0.5]
    assert found["ece_coarse_pct"] == pytest.approx(100 * sum(bins) / 10, abs=1e-4)


@pytest.mark.parametrize("scale", [1, 30])
def test_ece_is_that_of_15_bins_of_equal_width(scale):
    generator = torch.Generator().manual_seed(5)
    fine = torch.randint(0, 6, (700,), generator=generator)
    labels = {"fine": fine, "coarse": torch.tensor(COARSE_OF_FINE)[fine]}
    logits = {
        level: scale * (torch.randn(700, count, generator=generator) + torch.eye(count)[labels[level]])
        for level, count in (("fine", 6), ("coarse", 3))
    }
    found = measure(Predictions(logits, labels), HIERARCHY)
    for level, values in logits.items():
        exponentials = np.exp(values.double().numpy() - values.double().numpy().max(1, keepdims=True))
        probabilities = exponentials / exponentials.sum(1, keepdims=True)
        confidence, right = probabilities.max(1), probabilities.argmax(1) == labels[level].numpy()
        error = 0.0
        for number in range(15):
            inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
            if inside.any():
                error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
        assert found[f"ece_{level}_pct"] == pytest.approx(100 * error, abs=1e-3), level


def test_a_certainty_of_1_belongs_to_the_last_bin():
    # Two images at 1, one of them wrong, and two at 0.95, right: 0.975 in the mean, and three of four right.
    certain, sure = [[50.0, 0.0, 0.0], [math.log(38), 0.0, 0.0]]
    labels = {"fine": torch.tensor([0, 2, 0, 0]), "coarse": torch.tensor([0, 1, 0, 0])}
    found = measure(Predictions({"coarse": torch.tensor([certain, certain, sure, sure])}, labels), HIERARCHY)
    assert found["ece_coarse_pct"] == pytest.approx(22.5, abs=1e-3)


def test_a_network_with_one_head_lacks_what_needs_the_other():
    fine, coarse = (measure(predictions(KINDS, [level]), HIERARCHY) for level in ("fine", "coarse"))
    distances = ["distance_1", "distance_5", "distance_20"]
    assert list(fine) == ["fine_pct", "rollup_pct", "severity", *distances, "nll_fine", "ece_fine_pct"]
    assert list(coarse) == ["coarse_pct", "nll_coarse", "ece_coarse_pct"]
    both = measure(predictions(KINDS), HIERARCHY)
    assert both | fine | coarse == both


def test_a_network_without_mistakes_has_no_severity():
    found = measure(predictions([ALL_RIGHT, COARSE_ALONE_WRONG]), HIERARCHY)
    assert found["fine_pct"] == 100 and "severity" not in found
    assert set(MEASURES) - set(found) == {"severity", "crm_severity"}


def test_severity_is_1_within_the_superclass_and_2_outside():
    assert measure(predictions([ALL_RIGHT, SISTER]), HIERARCHY)["severity"] == 1
    assert measure(predictions([ALL_RIGHT, ALL_WRONG]), HIERARCHY)["severity"] == 2


def test_measures_come_in_the_order_of_the_table():
    assert list(measure(predictions(KINDS), HIERARCHY)) == list(MEASURES)


def test_distances_count_all_images_and_the_k_best_classes():
    found = measure(predictions([ALL_RIGHT, FINE_ALONE_WRONG]), HIERARCHY)
    # One at 0, four whose best class is of another superclass.
    assert found["distance_1"] == pytest.approx((0 + 4 * 2) / 5)
    # All but the last of six classes: a, then b, then three of others; e, c, then a, d (of c), then b.
    # Ranks: of ALL_RIGHT a (0), and of b, c, d, e, f, which are even, the first four: 1, 2, 2, 2.
    first = (0 + 1 + 2 + 2 + 2) / 5
    # Of the others e (2), c (0), a (2), d (1), b (2).
    assert found["distance_5"] == pytest.approx((first + 4 * 7 / 5) / 5)
    assert found["distance_20"] == pytest.approx((1 + 4 * 2) / 6)


def test_joint_measures_are_those_of_the_joint_distribution():
    generator = torch.Generator().manual_seed(6)
    fine = torch.randint(0, 6, (400,), generator=generator)
    labels = {"fine": fine, "coarse": torch.tensor(COARSE_OF_FINE)[fine]}
    logits = {
        level: torch.randn(400, count, generator=generator) + 1.5 * torch.eye(count)[labels[level]]
        for level, count in (("fine", 6), ("coarse", 3))
    }
    given = Predictions(logits, labels)
    found, joint = measure(given, HIERARCHY, 0.7), joint_log_probabilities(given, HIERARCHY, 0.7)
    right = [joint.logits[level].argmax(1) == labels[level] for level in ("fine", "coarse")]
    assert found["joint_fine_pct"] == pytest.approx(100 * right[0].double().mean().item())
    assert found["joint_coarse_pct"] == pytest.approx(100 * right[1].double().mean().item())
    assert found["joint_both_pct"] == pytest.approx(100 * (right[0] & right[1]).double().mean().item())
    assert found["joint_exponent"] == 0.7 and found["joint_coarse_pct"] > found["coarse_pct"]
    assert found["nll_joint_fine"] < found["nll_fine"]
    # A class that is nearest in expectation is nearer over all images than the best one.
    assert found["crm_distance_1"] < 2 - 2 * found["joint_fine_pct"] / 100
    assert measure(given, HIERARCHY, 0.0)["joint_fine_pct"] == found["fine_pct"]


def test_percents_are_shares_of_the_images_that_count():
    given = predictions(KINDS)
    found, correct = measure(given, HIERARCHY, 2.0), correct_images(given, HIERARCHY, 2.0)
    assert set(correct) == {name for name in found if name.endswith("_pct") and not name.startswith("ece")}
    for name, right in correct.items():
        assert right.shape == (10,) and found[name] == pytest.approx(100 * right.double().mean().item())
