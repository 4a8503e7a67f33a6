"""Fine and coarse prediction taken together: one distribution over the fine classes, of which both answers are read."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..data.hierarchy import LabelHierarchy
from ..runs.predictions import Combination, Predictions, roll_up_log_probabilities

LARGEST_EXPONENT = 10.0
UNFITTED = 1.0
"""The exponent where no held-out images can fit one."""


def joint_log_probabilities(predictions: Predictions, hierarchy: LabelHierarchy, exponent: float) -> Predictions:
    """Weigh each fine class by its superclass: p(f) ~ p_fine(f) p_coarse(c(f))^exponent, and p(c) the sum over its f.

    As Garg et al. 2022 (HiE, arXiv 2302.00368) have it, with an exponent that says how far the coarse prediction is to
    be trusted. Gives log-probabilities as logits, fine (N, F) and coarse (N, C); needs both predictions.

    >>> hierarchy = LabelHierarchy(("cat", "dog", "oak"), ("animal", "plant"), (0, 0, 1))
    >>> said = {"fine": torch.tensor([[0.3, 0.3, 0.4]]).log(), "coarse": torch.tensor([[0.9, 0.1]]).log()}
    >>> labels = {"fine": torch.tensor([0]), "coarse": torch.tensor([0])}
    >>> joint = joint_log_probabilities(Predictions(said, labels), hierarchy, 1.0)
    >>> [round(p, 3) for p in joint.logits["coarse"].exp()[0].tolist()]
    [0.931, 0.069]
    """
    coarse_of_fine = torch.tensor(hierarchy.coarse_of_fine)
    fine, coarse = (predictions.log_probabilities(level).double() for level in ("fine", "coarse"))
    joint = (fine + exponent * coarse[:, coarse_of_fine]).log_softmax(1)
    return Predictions({"fine": joint, "coarse": roll_up_log_probabilities(joint, hierarchy)}, predictions.labels)


def exponent_of(held_out: Sequence[Predictions | None], combine: Combination, hierarchy: LabelHierarchy) -> float:
    """Fit the exponent of a row that combines several networks' predictions; UNFITTED where any has none, or one level.

    held_out: of each network, on images that no test sees.
    """
    known = [each for each in held_out if each is not None]
    if len(known) < len(held_out):
        return UNFITTED
    combined = combine(known, hierarchy)
    return fit_exponent(combined, hierarchy) if len(combined.logits) == 2 else UNFITTED


def fit_exponent(held_out: Predictions, hierarchy: LabelHierarchy) -> float:
    """Give the exponent, 0 to 10, by which the fine labels of images that no test sees are likeliest."""
    from scipy.optimize import minimize_scalar  # takes a second to import

    def unlikelihood(exponent: float) -> float:
        joint = joint_log_probabilities(held_out, hierarchy, exponent)
        return torch.nn.functional.nll_loss(joint.logits["fine"], held_out.labels["fine"]).item()

    return float(minimize_scalar(unlikelihood, bounds=(0, LARGEST_EXPONENT), method="bounded").x)


def least_expected_height(fine: Tensor, hierarchy: LabelHierarchy) -> Tensor:
    """Give for each image the fine class whose lowest common ancestor with the truth is expected to be lowest: (N,).

    fine: log-probabilities (N, F). Conditional risk minimisation (Karthik et al. 2021, arXiv 2104.00795). The ancestor
    of the truth itself has height 0, within its superclass 1, else 2, so class f is expected at 2 - p(f) - p(c(f)).
    """
    coarse_of_fine = torch.tensor(hierarchy.coarse_of_fine)
    coarse = roll_up_log_probabilities(fine, hierarchy).exp()
    return (fine.exp() + coarse[:, coarse_of_fine]).argmax(1)
