import math

import pytest
import torch

from bilateral.data.hierarchy import LabelHierarchy
from bilateral.experiments.joint_inference import (
    UNFITTED,
    exponent_of,
    fit_exponent,
    joint_log_probabilities,
    least_expected_height,
)
from bilateral.runs.predictions import Predictions, side_by_side
from conftest import COARSE_OF_FINE

HIERARCHY = LabelHierarchy(tuple("abcdef"), ("x", "y", "z"), COARSE_OF_FINE)


def predictions(fine, coarse, truth):
    truth = torch.tensor(truth)
    labels = {"fine": truth, "coarse": torch.tensor(COARSE_OF_FINE)[truth]}
    return Predictions({"fine": torch.tensor(fine).log() + 2, "coarse": torch.tensor(coarse).log() - 1}, labels)


def sampled(strength, count=3000, fine_noise=1.0):
    """Networks whose coarse logits are worth `strength` times what they claim."""
    generator = torch.Generator().manual_seed(7)
    truth = torch.randint(0, 6, (count,), generator=generator)
    labels = {"fine": truth, "coarse": torch.tensor(COARSE_OF_FINE)[truth]}
    logits = {}
    for level, classes in (("fine", 6), ("coarse", 3)):
        # Of normal scores with this margin, the margin itself is the right slope.
        signal = torch.eye(classes)[labels[level]] + torch.randn(count, classes, generator=generator)
        logits[level] = signal / (strength if level == "coarse" else 1)
    return Predictions(logits, labels)


def test_the_joint_distribution_by_hand():
    given = predictions([[0.3, 0.1, 0.2, 0.2, 0.1, 0.1]], [[0.2, 0.7, 0.1]], [2])
    coarse = [0.2, 0.7, 0.1]
    for exponent in (0.0, 0.5, 1.0, 2.0):
        weights = [p * coarse[c] ** exponent for p, c in zip([0.3, 0.1, 0.2, 0.2, 0.1, 0.1], COARSE_OF_FINE)]
        joint = joint_log_probabilities(given, HIERARCHY, exponent)
        assert joint.logits["fine"].exp()[0].tolist() == pytest.approx([w / sum(weights) for w in weights])
        sums = [sum(w for w, c in zip(weights, COARSE_OF_FINE) if c == place) for place in range(3)]
        assert joint.logits["coarse"].exp()[0].tolist() == pytest.approx([s / sum(weights) for s in sums])
    assert joint_log_probabilities(given, HIERARCHY, 0.0).logits["fine"].argmax() == 0
    assert joint_log_probabilities(given, HIERARCHY, 1.0).logits["fine"].argmax() == 2


@pytest.mark.parametrize("strength", [0.5, 1.0, 4.0])
def test_the_exponent_is_the_likeliest_one(strength):
    given = sampled(strength)
    best = fit_exponent(given, HIERARCHY)

    def unlikelihood(exponent):
        joint = joint_log_probabilities(given, HIERARCHY, exponent)
        return torch.nn.functional.nll_loss(joint.logits["fine"], given.labels["fine"]).item()

    assert all(unlikelihood(best) <= unlikelihood(best + step) for step in (-0.05, -0.01, 0.01, 0.05))
    # Fine and coarse scores are independent here, so that the coarse one counts for what it is worth.
    assert best == pytest.approx(strength, rel=0.15)


def test_a_coarse_prediction_that_says_nothing_gets_no_weight():
    given = sampled(1.0)
    generator = torch.Generator().manual_seed(8)
    shuffled = given.logits["coarse"][torch.randperm(3000, generator=generator)]
    assert fit_exponent(Predictions(given.logits | {"coarse": shuffled}, given.labels), HIERARCHY) < 0.1


def test_the_exponent_of_a_row_is_fitted_on_what_it_combines():
    given = sampled(2.0)
    left, right = (Predictions({level: given.logits[level]}, given.labels) for level in ("fine", "coarse"))
    assert exponent_of([left, right], side_by_side, HIERARCHY) == pytest.approx(fit_exponent(given, HIERARCHY))
    assert exponent_of([left, None], side_by_side, HIERARCHY) == UNFITTED
    assert exponent_of([left], lambda parts, _: parts[0], HIERARCHY) == UNFITTED


def test_the_nearest_class_is_the_one_of_least_expected_height():
    generator = torch.Generator().manual_seed(9)
    fine = (2 * torch.randn(200, 6, generator=generator)).log_softmax(1)
    heights = torch.tensor(
        [[0 if a == b else 1 if COARSE_OF_FINE[a] == COARSE_OF_FINE[b] else 2 for b in range(6)] for a in range(6)]
    )
    expected = (fine.exp() @ heights.float().T).argmin(1)
    found = least_expected_height(fine, HIERARCHY)
    assert found.equal(expected) and not found.equal(fine.argmax(1))


def test_joint_probabilities_of_certain_predictions_are_numbers():
    given = predictions([[1 - 5e-8, *[1e-8] * 5]], [[1e-30, 1 - 1e-8, 1e-8]], [0])
    joint = joint_log_probabilities(given, HIERARCHY, 10.0)
    assert all(values.isfinite().all() for values in joint.logits.values())
    assert math.isclose(joint.logits["fine"].exp().sum().item(), 1, rel_tol=1e-9)
